"""Convert the colours of a decoded picture to sRGB by a colour profile.

LittleCMS converts, through Pillow: relative colorimetric with black point compensation, the choice
of raster editors for photographs, which keeps all colours that sRGB can show.

Sources: ICC.1:2022 (profiles and intents), ISO 18619:2015 (black point compensation), IEC 61966-2-1
(sRGB).
"""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from PIL import Image as Pillow
from PIL import ImageCms

_MODES = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK", "Lab": "LAB"}
"""Pillow's mode by the colour space of a profile."""
_LEVELS = 9
"""Levels of each channel with which a profile is compared with sRGB."""
_ROUNDING = 2
"""Difference in levels up to which a profile counts as sRGB: profiles store curves as tables."""


def to_srgb(picture: Pillow.Image, icc: bytes | None) -> tuple[Pillow.Image, str | None]:
    """Convert a picture without transparency to RGB, in sRGB.

    Args:
        picture: A decoded picture of mode L, RGB, CMYK or LAB.
        icc: Its ICC profile, None for sRGB.

    Returns:
        The picture in mode RGB, and a sentence on what was done, None if no colour changed. Without
        a profile CMYK is converted by Pillow's formula.

    """
    if icc is None:
        return _plain(picture), None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        space = profile.profile.xcolor_space.strip()
        name = " ".join(ImageCms.getProfileDescription(profile).split()) or "an unnamed profile"
        given = _matching(picture, _MODES.get(space, space))
        if given is None:
            kind = {"L": "gray"}.get(picture.mode, picture.mode)
            return _plain(picture), (
                f"the colour profile ({name}) is for {space}, not for a {kind} picture, and was "
                "ignored"
            )
        if _is_srgb(icc, given.mode):
            return _plain(picture), None
        return _convert(given, profile), f"the colours were converted from {name} to sRGB"
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as exc:
        reason = " ".join(str(exc).split())
        return _plain(picture), f"the colour profile is damaged ({reason}) and was ignored"


def _plain(picture: Pillow.Image) -> Pillow.Image:
    """Convert to RGB without a profile of the file."""
    if picture.mode == "LAB":
        return _convert(picture, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")))
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _matching(picture: Pillow.Image, mode: str) -> Pillow.Image | None:
    """Return the picture in the mode that a profile is for, None if its values have another."""
    if picture.mode == mode:
        return picture
    if picture.mode == "L" and mode == "RGB":
        return picture.convert("RGB")
    if picture.mode == "RGB" and mode == "L":
        # Some decoders return gray pictures as RGB.
        values = np.asarray(picture)
        gray = values[..., 0]
        return Pillow.fromarray(gray) if bool((values == gray[..., None]).all()) else None
    return None


def _convert(picture: Pillow.Image, profile: ImageCms.ImageCmsProfile) -> Pillow.Image:
    converted = ImageCms.profileToProfile(
        picture,
        profile,
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    assert converted is not None  # it is, unless the conversion is in place
    return converted


@lru_cache(maxsize=16)
def _is_srgb(profile: bytes, mode: str) -> bool:
    """Whether a profile leaves colours as they are; its name does not tell."""
    if mode not in ("L", "RGB"):
        return False
    if mode == "L":
        values = np.arange(256, dtype=np.uint8)[None]
    else:
        levels = np.linspace(0, 255, _LEVELS).round().astype(np.uint8)
        values = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    given = Pillow.fromarray(values)
    converted = _convert(given, ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    before, after = (np.asarray(one.convert("RGB"), np.int16) for one in (given, converted))
    return bool(np.abs(before - after).max() <= _ROUNDING)
