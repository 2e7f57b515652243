"""Convert the colours of a decoded picture to sRGB by the profile that its file states.

LittleCMS converts, through Pillow: relative colorimetric with black point compensation, the choice
of raster editors for photographs, which keeps all colours that sRGB can show.

Sources: ICC.1:2022 (profiles and intents), ISO 18619:2015 (black point compensation), IEC 61966-2-1
(sRGB), PNG (third edition), 4.3 (precedence of cICP, iCCP, sRGB, gAMA and cHRM), DCF 2.0 (Adobe RGB
by the interoperability index R03).
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import ExifTags, ImageCms
from PIL import Image as Pillow

from jdsr_cli.media.primaries import D65, SRGB_PRIMARIES
from jdsr_cli.media.reading.heif_items import primary_colours
from jdsr_cli.media.reading.matrix_profiles import (
    ADOBE_GAMMA,
    ADOBE_PRIMARIES,
    HDR_TRANSFERS,
    RgbSpace,
    coded_space,
)

_MODES = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK", "Lab": "LAB"}
"""Pillow's mode by the colour space of a profile."""
_LEVELS = 9
"""Levels of each channel with which a profile is compared with sRGB."""
_ROUNDING = 2
"""Difference in levels up to which a profile counts as sRGB: profiles store curves as tables."""
_MAX_CHUNKS = 1024
_PNG_START = 8
"""Bytes of the signature of a PNG."""
_INTEROPERABILITY_INDEX = 1


@dataclass(frozen=True)
class StatedColours:
    """The colour space that a file states.

    Attributes:
        profile: An ICC profile, None for sRGB.
        note: A sentence on colours that are not converted, None if there is none.

    """

    profile: bytes | None = None
    note: str | None = None


def stated_colours(picture: Pillow.Image, file: Path) -> StatedColours:
    """Return the colour space that the file of an opened picture states.

    Args:
        picture: The opened picture.
        file: Its file.

    """
    codes = _codes(picture, file)
    if codes is not None and codes[1] in HDR_TRANSFERS:
        name = HDR_TRANSFERS[codes[1]]
        return StatedColours(
            note=f"the picture has a high dynamic range ({name}); it is read as SDR"
        )
    coded = None if codes is None else coded_space(*codes)
    profile = picture.info.get("icc_profile")
    if picture.format == "PNG":
        space = coded if coded is not None or profile or "srgb" in picture.info else _png(picture)
        profile = profile if coded is None else None
    else:
        space = coded or _camera(picture)
    if profile:
        return StatedColours(profile)
    if space is None or space.is_srgb:
        return StatedColours()
    try:
        return StatedColours(space.profile())
    except ValueError as exc:
        return StatedColours(note=f"the stated colour space is not valid ({exc}) and was ignored")


def to_srgb(picture: Pillow.Image, stated: StatedColours) -> tuple[Pillow.Image, str | None]:
    """Convert a picture without transparency to RGB, in sRGB.

    Args:
        picture: A decoded picture of mode L, RGB, CMYK or LAB.
        stated: What its file states.

    Returns:
        The picture in mode RGB, and a sentence on what was done, None if no colour changed. Without
        a profile CMYK is converted by Pillow's formula.

    """
    if stated.profile is None:
        return _plain(picture), stated.note
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(stated.profile))
        space = profile.profile.xcolor_space.strip()
        name = " ".join(ImageCms.getProfileDescription(profile).split()) or "an unnamed profile"
        given = _matching(picture, _MODES.get(space, space))
        if given is None:
            kind = {"L": "gray"}.get(picture.mode, picture.mode)
            return _plain(picture), (
                f"the colour profile ({name}) is for {space}, not for a {kind} picture, and was "
                "ignored"
            )
        if _is_srgb(stated.profile, given.mode):
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


def _codes(picture: Pillow.Image, file: Path) -> tuple[int, int] | None:
    """Return the codes of primaries and transfer that a file states, None if none."""
    if picture.format == "PNG":
        return _png_codes(file)
    if picture.format == "AVIF":
        return primary_colours(file)
    stated = picture.info.get("nclx_profile")
    if not isinstance(stated, dict):
        return None
    return int(stated["color_primaries"]), int(stated["transfer_characteristics"])


def _png_codes(file: Path) -> tuple[int, int] | None:
    """Read the chunk cICP, which Pillow does not."""
    with file.open("rb") as stream:
        stream.seek(_PNG_START)
        for _ in range(_MAX_CHUNKS):
            head = stream.read(8)
            if len(head) < 8 or head[4:] == b"IDAT":
                return None
            size = int.from_bytes(head[:4], "big")
            if head[4:] == b"cICP" and size == 4:
                primaries, transfer = struct.unpack("2B", stream.read(2))
                return primaries, transfer
            stream.seek(size + 4, 1)
    return None


_SRGB_FILE_GAMMA = (0.45, 0.46)
"""Values of gAMA that programs write for sRGB."""


def _png(picture: Pillow.Image) -> RgbSpace | None:
    """Return the space of the chunks gAMA and cHRM."""
    gamma, points = picture.info.get("gamma"), picture.info.get("chromaticity")
    if not gamma and not points:
        return None
    low, high = _SRGB_FILE_GAMMA
    exponent = None if not gamma or low <= gamma <= high else 1 / gamma
    white, primaries = D65, SRGB_PRIMARIES
    if points:
        white, red, green, blue = zip(points[::2], points[1::2], strict=True)
        primaries = (red, green, blue)
    text = "the curve of sRGB" if exponent is None else f"exponent {exponent:.2f}"
    return RgbSpace(f"the primaries of the PNG, {text}", white, primaries, exponent)


def _camera(picture: Pillow.Image) -> RgbSpace | None:
    """Return Adobe RGB if the EXIF data of a camera state it, None otherwise."""
    try:
        index = picture.getexif().get_ifd(ExifTags.IFD.Interop).get(_INTEROPERABILITY_INDEX)
    except Exception:  # the tags are damaged, the picture may be intact
        return None
    text = index.decode("latin-1") if isinstance(index, bytes) else str(index)
    if text.rstrip("\0 ") != "R03":
        return None
    return RgbSpace("Adobe RGB (1998)", D65, ADOBE_PRIMARIES, ADOBE_GAMMA)
