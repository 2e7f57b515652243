"""The colours that the file of a still picture states, by codes, a profile or primaries.

Sources: PNG (third edition), 4.3 (precedence of cICP, iCCP, sRGB, gAMA and cHRM); ISO/IEC 23000-22
(MIAF: an ICC profile takes precedence over the codes of HEIF and AVIF); ICC.1:2022, 7.3 (tags) and
10.3 (`cicp`); DCF 2.0 (Adobe RGB by the interoperability index R03).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from pathlib import Path

import av
from PIL import ExifTags
from PIL import Image as Pillow

from jdsr_cli.errors import MediaError
from jdsr_cli.media.bounds import reserved_pixels
from jdsr_cli.media.containers import open_container
from jdsr_cli.media.frames import MATRICES, PRIMARIES, TRANSFERS, UNSPECIFIED, tag_name
from jdsr_cli.media.hdr_metadata import unreadable_colours
from jdsr_cli.media.primaries import D65, SRGB_PRIMARIES
from jdsr_cli.media.reading.coded_colours import CodedColours, ColourCodes
from jdsr_cli.media.reading.heif_items import primary_colours
from jdsr_cli.media.reading.matrix_profiles import (
    ADOBE_GAMMA,
    ADOBE_PRIMARIES,
    RgbSpace,
    coded_space,
)
from jdsr_cli.media.reading.png_chunks import png_colours
from jdsr_cli.media.tone_mapping import is_hdr

_RGB = 0
"""Code of the matrix of RGB."""
_PROFILE_TAGS = 128
"""Position of the number of tags in an ICC profile."""
_MAX_TAGS = 1024
_SRGB_FILE_GAMMA = (0.45, 0.46)
"""Values of gAMA that programs write for sRGB."""
_INTEROPERABILITY_INDEX = 1
_FULL_RANGE = 2
"""FFmpeg's code of the full range."""


@dataclass(frozen=True)
class StatedColours:
    """The colours that a file states; they are sRGB if it states none.

    Attributes:
        profile: An ICC profile, None if there is none.
        note: A sentence on a statement that was ignored, None if there is none.
        colour_primaries: Tag in FFmpeg's names, "unspecified" unless codes state the colours.
        colour_transfer: The same.
        colour_matrix: The same.
        colour_range: "limited" or "full".
        narrow: Whether decoded samples have the limited range of video.
        mastering_display: As in `hdr_metadata`, None if none is stated.
        content_light: As in `hdr_metadata`, None if none is stated.

    """

    profile: bytes | None = None
    note: str | None = None
    colour_primaries: str = UNSPECIFIED
    colour_transfer: str = UNSPECIFIED
    colour_matrix: str = UNSPECIFIED
    colour_range: str = "full"
    narrow: bool = False
    mastering_display: str | None = None
    content_light: str | None = None


def stated_colours(picture: Pillow.Image, file: Path) -> StatedColours:
    """Return the colours that the file of an opened picture states.

    Args:
        picture: The opened picture.
        file: Its file.

    Raises:
        MediaError: The colours are stored in a form that cannot be converted to RGB.

    """
    if picture.format == "PNG":
        return _of_png(picture, file)
    coded = _of_items(picture, file) if picture.format in ("HEIF", "AVIF") else None
    profile = picture.info.get("icc_profile")
    if profile:
        return _of_profile(profile)
    return coded or _of_space(_camera(picture))


def _of_codes(coded: CodedColours, *, rgb: bool = False) -> StatedColours | None:
    """Return the colours of codes, None if they are absent or unknown.

    Args:
        coded: The codes and HDR metadata.
        rgb: Whether decoded samples are the stored ones, of the stored range.

    """
    codes = coded.codes
    if codes is None:
        return None
    stated = StatedColours(
        colour_primaries=tag_name(PRIMARIES, codes.primaries),
        colour_transfer=tag_name(TRANSFERS, codes.transfer),
        colour_matrix=tag_name(MATRICES, codes.matrix),
        colour_range="full" if codes.full_range else "limited",
        narrow=rgb and not codes.full_range,
        mastering_display=coded.mastering_display,
        content_light=coded.content_light,
    )
    if is_hdr(stated):
        return stated
    space = coded_space(codes.primaries, codes.transfer)
    if space is None:
        return None
    return stated if space.is_srgb else replace(stated, profile=space.profile())


def _of_profile(profile: bytes) -> StatedColours:
    """Return the colours of an ICC profile; its tag `cicp` counts if it states HDR."""
    stated = _of_codes(CodedColours(_profile_codes(profile)), rgb=True)
    if stated is None or not is_hdr(stated):
        return StatedColours(profile)
    return replace(stated, profile=profile)


def _profile_codes(profile: bytes) -> ColourCodes | None:
    """Read the tag `cicp` of a profile for RGB, None if there is none or it is damaged."""
    if profile[16:20] != b"RGB ":
        return None
    try:
        (count,) = struct.unpack_from(">I", profile, _PROFILE_TAGS)
        for number in range(min(count, _MAX_TAGS)):
            place = _PROFILE_TAGS + 4 + 12 * number
            name, start, size = struct.unpack_from(">4sII", profile, place)
            if name == b"cicp" and size >= 12 and profile[start : start + 4] == b"cicp":
                primaries, transfer, matrix, full = struct.unpack_from("4B", profile, start + 8)
                return ColourCodes(primaries, transfer, matrix, bool(full))
    except struct.error:
        return None
    return None


def _of_space(space: RgbSpace | None) -> StatedColours:
    if space is None or space.is_srgb:
        return StatedColours()
    try:
        return StatedColours(space.profile())
    except ValueError as exc:
        return StatedColours(note=f"the stated colour space is not valid ({exc}) and was ignored")


def _of_png(picture: Pillow.Image, file: Path) -> StatedColours:
    coded = png_colours(file)
    if coded.codes is not None and coded.codes.matrix == _RGB:
        stated = _of_codes(coded, rgb=True)
        if stated is not None:
            return stated
    profile = picture.info.get("icc_profile")
    if profile:
        stated = _of_profile(profile)
    else:
        stated = _of_space(None if "srgb" in picture.info else _chromaticities(picture))
    if coded.codes is None or stated.note is not None:
        return stated
    numbers = ", ".join(map(str, coded.codes[:3]))
    return replace(stated, note=f"the unknown colour codes of the PNG ({numbers}) were ignored")


def _chromaticities(picture: Pillow.Image) -> RgbSpace | None:
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


def _of_items(picture: Pillow.Image, file: Path) -> StatedColours | None:
    """Return the colours of the codes of a HEIF or AVIF picture, None if they state none."""
    coded = primary_colours(file)
    codes = coded.codes or _codec_codes(picture, file)
    if codes is None:
        return None
    unreadable = unreadable_colours({}, "", "", tag_name(MATRICES, codes.matrix))
    if unreadable is not None:
        raise MediaError(
            f"the colours are stored as {unreadable}, which cannot be converted to RGB",
            where=file,
            hint="Convert the picture to PNG first.",
        )
    return _of_codes(replace(coded, codes=codes))


def _codec_codes(picture: Pillow.Image, file: Path) -> ColourCodes | None:
    """Return the codes of the coded picture, which count if the container has none."""
    if picture.format == "HEIF":
        found = picture.info.get("nclx_profile")
        if not isinstance(found, dict):
            return None
        names = ("color_primaries", "transfer_characteristics", "matrix_coefficients")
        return ColourCodes.of(
            (int(found[name]) for name in names), full_range=bool(found["full_range_flag"])
        )
    bound = reserved_pixels(*picture.size)
    try:
        with open_container(file, max_pixels=bound) as container:
            frame = next(container.decode(video=0))
    except (MediaError, av.FFmpegError, IndexError, StopIteration):
        return None
    return ColourCodes(
        frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range == _FULL_RANGE
    )


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
