"""Metadata of HDR: mastering display (SMPTE ST 2086), content light level, Dolby Vision.

The first two are kept as text in the notation that x264 and x265 share, whose integers are those of
the SEI messages in ITU-T H.265, D.3.28 and D.3.35.
"""

from __future__ import annotations

import re
import struct
import sys
from typing import Literal

from av.sidedata.sidedata import Type as SideDataType

from jdsr_cli.media.reading.side_data import SideData

_CHROMATICITY, _LUMINANCE = 50000, 10000
"""Units per 1 of a chromaticity coordinate, and per cd/m2."""

_MASTERING = struct.Struct("=20i2i")
"""FFmpeg's AVMasteringDisplayMetadata: x and y of red, green, blue and white, minimum and maximum
luminance, as pairs of numerator and denominator; whether the primaries and the luminance are set.
"""
_NOTATION = ("G", "B", "R", "WP")
"""Order of the primaries and white in the text of a mastering display."""
_LIGHT = struct.Struct("=2I")
"""FFmpeg's AVContentLightMetadata: MaxCLL and MaxFALL."""

_STORED = struct.Struct(">8H2I")
"""Mastering display in HEIF, AVIF and PNG: x and y of the primaries and of white in 1/50000,
maximum and minimum luminance in 1/10000 cd/m2."""
MASTERING_SIZE = _STORED.size
"""Bytes of a mastering display in HEIF, AVIF and PNG."""

_SIZE = struct.calcsize("N")
"""Bytes of size_t. FFmpeg's AVDOVIMetadata starts with the position of an AVDOVIRpuDataHeader."""
_RPU_PROFILE, _RPU_FULL_RANGE = 4, 10
"""Positions of `vdr_rpu_profile` and `bl_video_full_range_flag` in that header."""
_DOLBY_VISION_TAGS = frozenset({"dvh1", "dvhe", "dav1"})
"""Codec tags of MP4 for Dolby Vision that other players need not be able to show."""
_UNREADABLE_MATRICES = {"ictcp": "ICtCp", "ipt-c2": "IPT-PQ-c2"}

_DYNAMIC = {
    SideDataType.DYNAMIC_HDR_PLUS: "HDR10+",
    SideDataType.DYNAMIC_HDR_VIVID: "HDR Vivid",
    SideDataType.DOVI_METADATA: "Dolby Vision",
}

_INTEGERS = re.compile(r"\d+")


def read_metadata(found: SideData) -> tuple[str | None, str | None]:
    """Return mastering display and content light level; None for each that is absent.

    Args:
        found: Side data of a decoded frame.

    Returns:
        "G(x,y)B(x,y)R(x,y)WP(x,y)L(max,min)" with chromaticities in 1/50000 and luminance in
        1/10000 cd/m2, and "MaxCLL,MaxFALL" in cd/m2.

    """
    display = light = None
    if SideDataType.MASTERING_DISPLAY_METADATA in found:
        display = _mastering(bytes(found[SideDataType.MASTERING_DISPLAY_METADATA]))
    if SideDataType.CONTENT_LIGHT_LEVEL in found:
        light = _content_light(bytes(found[SideDataType.CONTENT_LIGHT_LEVEL]))
    return display, light


def dynamic_metadata(found: SideData) -> list[str]:
    """Return the names of dynamic metadata among side data, none of which can be written."""
    return [name for kind, name in _DYNAMIC.items() if kind in found]


def unreadable_colours(found: SideData, codec_tag: str, transfer: str, matrix: str) -> str | None:
    """Return the colour representation of a video if it cannot be converted to RGB.

    Dolby Vision profile 5 stores IPT-PQ-c2 that its metadata reshape for each frame. It is known by
    those metadata, or by its codec tag if no colours are tagged.

    Args:
        found: Side data of a decoded frame.
        codec_tag: Tag of the codec in the container.
        transfer: Tag in FFmpeg's names.
        matrix: The same.

    """
    if matrix in _UNREADABLE_MATRICES:
        return _UNREADABLE_MATRICES[matrix]
    dolby_vision = codec_tag in _DOLBY_VISION_TAGS and transfer == "unspecified"
    if SideDataType.DOVI_METADATA in found:
        dolby_vision |= _is_profile_5(bytes(found[SideDataType.DOVI_METADATA]))
    return "Dolby Vision profile 5 (IPT-PQ-c2)" if dolby_vision else None


def _is_profile_5(data: bytes) -> bool:
    """Return whether the RPU of a frame has profile 0 and full range, as FFmpeg decides."""
    start = int.from_bytes(data[:_SIZE], sys.byteorder)
    header = data[start:]
    if len(header) <= _RPU_FULL_RANGE:
        return False
    return header[_RPU_PROFILE] == 0 and header[_RPU_FULL_RANGE] != 0


def stored_mastering(data: bytes, order: Literal["GBR", "RGB"]) -> str | None:
    """Return the mastering display of a still picture in the notation of `read_metadata`.

    Args:
        data: The `MASTERING_SIZE` bytes of ISO/IEC 14496-12, 12.1.6, or of the chunk mDCV of PNG.
        order: Order of the primaries: GBR in HEIF and AVIF, RGB in PNG.

    Returns:
        The text; None if the luminance is not valid.

    """
    values = _STORED.unpack(data)
    points = dict(zip((*order, "WP"), zip(values[:8:2], values[1:8:2], strict=True), strict=True))
    return _mastering_text(points, values[8], values[9])


def light_text(brightest: int, average: int) -> str | None:
    """Return MaxCLL and MaxFALL, in cd/m2, as text; None if both are unknown (0)."""
    return f"{brightest},{average}" if brightest or average else None


def _mastering(data: bytes) -> str | None:
    if len(data) < _MASTERING.size:
        return None
    values = _MASTERING.unpack_from(data)
    if not all(values[20:]) or not all(values[1:20:2]):
        return None
    ratios = [top / bottom for top, bottom in zip(values[:20:2], values[1:20:2], strict=True)]
    places = [round(ratio * _CHROMATICITY) for ratio in ratios[:8]]
    points = dict(
        zip(("R", "G", "B", "WP"), zip(places[::2], places[1::2], strict=True), strict=True)
    )
    low, high = (round(ratio * _LUMINANCE) for ratio in ratios[8:])
    return _mastering_text(points, high, low)


def _mastering_text(points: dict[str, tuple[int, int]], high: int, low: int) -> str | None:
    if low < 0 or high <= low or min(map(min, points.values())) < 0:
        return None
    places = "".join(f"{name}({x},{y})" for name, (x, y) in ((n, points[n]) for n in _NOTATION))
    return f"{places}L({high},{low})"


def _content_light(data: bytes) -> str | None:
    if len(data) < _LIGHT.size:
        return None
    return light_text(*_LIGHT.unpack_from(data))


def stated_peak(mastering_display: str | None, content_light: str | None) -> float | None:
    """Return cd/m2 of the brightest pixel: MaxCLL, or the maximum of the mastering display."""
    if content_light is not None:
        brightest = int(content_light.partition(",")[0])
        if brightest:
            return float(brightest)
    if mastering_display is not None:
        return int(_INTEGERS.findall(mastering_display)[-2]) / _LUMINANCE
    return None


def encoder_parameters(
    encoder: str, mastering_display: str | None, content_light: str | None
) -> list[str] | None:
    """Return the metadata as `name=value` parameters of libx264, libx265 or libsvtav1.

    Returns:
        The parameters, none if there is no metadata; None if the encoder cannot store it.

    """
    values = (mastering_display, content_light)
    names = {
        "libx264": ("mastering-display", "cll"),
        "libx265": ("master-display", "max-cll"),
        "libsvtav1": ("mastering-display", "content-light"),
    }.get(encoder)
    if names is None:
        return None if any(values) else []
    if encoder == "libsvtav1" and mastering_display is not None:
        values = (_in_units(mastering_display), content_light)
    return [f"{name}={value}" for name, value in zip(names, values, strict=True) if value]


def _in_units(mastering_display: str) -> str:
    """Return the mastering display with chromaticities in 1 and luminance in cd/m2."""
    head, _, tail = mastering_display.partition("L(")
    head = _INTEGERS.sub(lambda found: f"{int(found[0]) / _CHROMATICITY:.5f}", head)
    return f"{head}L({_INTEGERS.sub(lambda found: f'{int(found[0]) / _LUMINANCE:.4f}', tail)}"
