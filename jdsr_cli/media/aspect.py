"""How stored pixels are displayed, and how pictures are fitted without changing proportions."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np

from jdsr_cli.errors import UsageError
from jdsr_cli.media.frames import Image

MOST_ASPECT = 8
"""Largest ratio of the sides of a stored pixel that is believed."""
SAME_SHAPE = 0.02
"""Relative difference of proportions up to which pictures have the same: sizes that were rounded to
whole macroblocks differ by as much."""


def tagged_aspect(tag: Fraction | None) -> tuple[Fraction, str | None]:
    """Return the sample aspect by a file's tag, and a sentence where the tag cannot be."""
    if not tag:
        return Fraction(1), None
    if Fraction(1, MOST_ASPECT) <= tag <= MOST_ASPECT:
        return tag, None
    return Fraction(1), (
        f"the file says that its pixels are {float(tag):g} times as wide as high, which cannot be; "
        "square ones taken (--aspect tells better)"
    )


def chosen_aspect(picture: Fraction, width: int, height: int) -> Fraction:
    """Return the sample aspect of an upright picture that is displayed with a given shape.

    Args:
        picture: Width over height of the displayed picture.
        width: Of the stored picture, upright, in pixels.
        height: Of the same.

    Raises:
        UsageError: pixels of that shape cannot be.

    """
    ratio = (picture * height / width).limit_denominator(4096)
    if not Fraction(1, MOST_ASPECT) <= ratio <= MOST_ASPECT:
        raise UsageError(
            f"{width}x{height} pixels shown {float(picture):g} times as wide as high would each "
            f"be {float(ratio):g} times as wide as high",
            where="--aspect",
            hint="Give width and height of the displayed picture, such as 4:3.",
        )
    return ratio


def fit(image: Image, width: int, height: int, aspect: Fraction = Fraction(1)) -> Image:
    """Return a picture in a frame of another size, its proportions kept by black bars.

    Args:
        image: uint8 RGB (h, w, 3).
        width: Of the frame, in pixels.
        height: Of the frame.
        aspect: Width over height of a pixel of `image`, where one of the frame has 1.

    Returns:
        uint8 RGB (height, width, 3).

    """
    wide, high = image.shape[1] * aspect, Fraction(image.shape[0])
    scale = min(width / wide, height / high)
    across, down = max(1, round(wide * scale)), max(1, round(high * scale))
    if across >= (1 - SAME_SHAPE) * width and down >= (1 - SAME_SHAPE) * height:
        across, down = width, height
    smaller = across < image.shape[1] and down < image.shape[0]
    method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    resized = np.asarray(cv2.resize(image, (across, down), interpolation=method), np.uint8)
    if (across, down) == (width, height):
        return resized
    framed = np.zeros((height, width, 3), np.uint8)
    left, top = (width - across) // 2, (height - down) // 2
    framed[top : top + down, left : left + across] = resized
    return framed
