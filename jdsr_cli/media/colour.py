"""Colour tags, and the conversion between stored YUV and RGB that honours them.

A matrix that is not tagged is taken as players take it: BT.709 from HD sizes up, BT.601 below.
What was taken on reading is what the writer uses and tags, so that a picture that passes
through keeps its colours even where the enlarged size would have been guessed otherwise.
Sources: ITU-T H.273 for the codes, BT.601-7, BT.709-6 and BT.2020-2 for the matrices.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, Interpolation

from jdsr_cli.media.frames import Image
from jdsr_cli.media.info import UNSPECIFIED, MediaInfo

RANGES: Final = {0: UNSPECIFIED, 1: "limited", 2: "full"}
PRIMARIES: Final = {
    1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film",
    9: "bt2020", 10: "smpte428", 11: "smpte431", 12: "smpte432", 22: "ebu3213",
}  # fmt: skip
TRANSFERS: Final = {
    1: "bt709", 4: "gamma22", 5: "gamma28", 6: "smpte170m", 7: "smpte240m", 8: "linear",
    9: "log100", 10: "log316", 11: "iec61966-2-4", 12: "bt1361e", 13: "iec61966-2-1",
    14: "bt2020-10", 15: "bt2020-12", 16: "smpte2084", 17: "smpte428", 18: "arib-std-b67",
}  # fmt: skip
MATRICES: Final = {
    0: "gbr", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "ycgco",
    9: "bt2020nc", 10: "bt2020c", 11: "smpte2085", 12: "chroma-derived-nc",
    13: "chroma-derived-c", 14: "ictcp", 15: "ipt-c2", 16: "ycgco-re", 17: "ycgco-ro",
}  # fmt: skip

UNSPECIFIED_CODE = 2
"""Code of an absent tag in primaries, transfer and matrix (in the range it is 0)."""

_HD_LONG_SIDE, _HD_SHORT_SIDE = 1280, 576
"""A picture at least this long or taller than this is taken as BT.709 where nothing is tagged."""

_CONVERTERS: Final = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
"""Matrix code to the conversion that carries it out."""

_EXACT = int(
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)


def tag_name(table: dict[int, str], code: int) -> str:
    """Return FFmpeg's name of a tag, "unspecified" for an absent or unknown one."""
    return table.get(int(code), UNSPECIFIED)


def tag_code(table: dict[int, str], name: str) -> int:
    """Return the code of a tag by its name."""
    codes = {text: code for code, text in table.items()}
    return codes.get(name, UNSPECIFIED_CODE)


def matrix_in_use(info: MediaInfo) -> int:
    """Return the code of the matrix by which the file is read, and its copy written."""
    if av.VideoFormat(info.pixel_format).is_rgb:
        return 1
    code = tag_code(MATRICES, info.colour_matrix)
    if code in _CONVERTERS:
        return code
    sides = sorted((info.width, info.height))
    return 1 if sides[1] >= _HD_LONG_SIDE or sides[0] > _HD_SHORT_SIDE else 6


def to_rgb(frame: VideoFrame, matrix: int, width: int, height: int) -> Image:
    """Convert a decoded frame to RGB.

    Args:
        frame: As decoded, of any pixel format; transparent parts are laid over black.
        matrix: Code from `matrix_in_use`.
        width: Width wanted, in pixels; the frame is resized where it has another.
        height: Height wanted, in pixels.

    Returns:
        uint8 RGB of shape (height, width, 3).

    """
    transparent = _is_transparent(frame.format.name)
    converted = frame.reformat(
        width=width,
        height=height,
        format="rgba" if transparent else "rgb24",
        src_colorspace=None if frame.format.is_rgb else _CONVERTERS[matrix],
        interpolation=_EXACT,
    )
    array = np.asarray(converted.to_ndarray(), dtype=np.uint8)
    return over_black(array) if transparent else array


@lru_cache
def _is_transparent(pixel_format: str) -> bool:
    layout = av.VideoFormat(pixel_format)
    return layout.has_palette or any(part.is_alpha for part in layout.components)


def over_black(rgba: Image) -> Image:
    """Lay uint8 RGBA (height, width, 4) over black; returns RGB (height, width, 3)."""
    alpha = rgba[..., 3:]
    if bool((alpha == 255).all()):
        return np.ascontiguousarray(rgba[..., :3])
    product = rgba[..., :3].astype(np.uint16) * alpha
    return ((product + 127) // 255).astype(np.uint8)


def from_rgb(image: Image, pixel_format: str, matrix: int, *, full_range: bool) -> VideoFrame:
    """Convert RGB (height, width, 3) to a frame of `pixel_format` by the matrix of that code.

    For an RGB pixel format nothing is converted but the order of the channels.
    """
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
    if av.VideoFormat(pixel_format).is_rgb:
        return frame.reformat(format=pixel_format)
    return frame.reformat(
        format=pixel_format,
        dst_colorspace=_CONVERTERS[matrix],
        dst_color_range=2 if full_range else 1,
        interpolation=_EXACT,
    )
