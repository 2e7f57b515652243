"""Bounds on the memory and the time of an input, checked before its pixels are decoded.

A file of a few bytes can state any size. Pictures and frames of videos are bounded by their pixels
(`ReadSettings.max_megapixels`), animations also by those of all their pictures. Videos may be of
any length: one frame is kept at a time, and they take the time that they are watched.
"""

from __future__ import annotations

import math
from pathlib import Path

from jdsr_cli.errors import TooLargeError

ANIMATION_PICTURES = 100
"""An animation may have as many pixels as this many of the largest pictures: 6,500 pictures of
1920x1080 by default."""
RAISE_LIMIT = "If it is a recording, and not made to fill the memory, raise --max-megapixels."
_MARGIN = 128
"""Pixels by which decoders of FFmpeg extend rows and columns."""
_MILLION = 1_000_000


def check_pixels(width: int, height: int, file: Path, limit: int) -> None:
    """Check the size of a picture or frame.

    Args:
        width: Width in pixels, as stored.
        height: Height in pixels, as stored.
        file: Its file, for the message.
        limit: Largest number of pixels.

    Raises:
        TooLargeError: It has more.

    """
    if width * height > limit:
        raise TooLargeError(
            f"has pictures of {width}x{height} pixels, more than {limit / _MILLION:g} million",
            where=file,
            hint=_hint(width * height),
        )


def reserved_pixels(width: int, height: int) -> int:
    """Return the largest number of pixels that a decoder reserves for a picture of a size."""
    return (width + _MARGIN) * (height + _MARGIN)


def check_animation(width: int, height: int, pictures: int, file: Path, limit: int) -> None:
    """Check the number of pixels in all pictures of an animation.

    Args:
        width: Width in pixels, as stored.
        height: Height in pixels, as stored.
        pictures: Number of pictures.
        file: Its file, for the message.
        limit: Largest number of pixels of one picture.

    Raises:
        TooLargeError: It has more in all than `ANIMATION_PICTURES` of the largest pictures.

    """
    total = width * height * pictures
    if total > limit * ANIMATION_PICTURES:
        most = limit * ANIMATION_PICTURES / _MILLION
        raise TooLargeError(
            f"is an animation of {pictures} pictures of {width}x{height} pixels, in all more than "
            f"{most:g} million",
            where=file,
            hint=_hint(total / ANIMATION_PICTURES),
        )


def _hint(pixels: float) -> str:
    return f"{RAISE_LIMIT[:-1]}, here {math.ceil(pixels / _MILLION)}."
