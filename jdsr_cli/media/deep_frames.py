"""Conversion between stored frames and RGB with 16 bits per channel.

FFmpeg's scaler converts to 16 bits by a shift, so that white is 0.1 to 0.4 % too dark, and back by
other factors. Here it only resamples the colour planes; matrices and ranges are applied to the
stored code values (ITU-T H.273, 8.3; ITU-R BT.2100-3, table 9, for the ranges at each depth).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import av
import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from numpy.typing import NDArray

from jdsr_cli.media.frames import BACKDROP, EXACT, DeepImage, frame_of, is_transparent

_WEIGHTS: Final = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}
"""Weights of red and blue in luma by the code of the matrix."""

DeepPlane = NDArray[np.uint16]

_LEVELS = 65535
_BACKDROP = np.uint32(BACKDROP * 257)
"""Level behind transparent parts."""
_DEPTHS = (8, 9, 10, 12, 14, 16)
"""Bits per channel of FFmpeg's planar formats."""


@dataclass(frozen=True)
class DeepPicture:
    """A picture in RGB.

    Attributes:
        image: uint16 RGB, shape (height, width, 3).
        transparent: Whether a part of it was transparent; that part is composited over gray.

    """

    image: DeepImage
    transparent: bool


def to_deep_rgb(frame: VideoFrame, matrix: int) -> DeepPicture:
    """Convert a decoded frame to RGB.

    Args:
        frame: The decoded frame, of any pixel format; transparency is composited over gray. Gray
            pictures are full range, as in FFmpeg.
        matrix: Code from `matrix_in_use`.

    """
    layout, name = frame.format, frame.format.name
    most = max(part.bits for part in layout.components)
    bits = next((depth for depth in _DEPTHS if depth >= most), _DEPTHS[-1])
    suffix = "" if bits == _DEPTHS[0] else f"{bits}le"
    if name.startswith("gray") or name == "ya8":
        (gray,) = _planes(frame.reformat(format=f"gray{suffix}"), 1)
        rgb = cv2.merge([_scaled(gray, bits)] * 3)
    elif layout.is_rgb or name.startswith(("xyz", "ya")):
        # To gray, the scaler converts gray with 16 bits and transparency differently each time.
        rgb = _read_rgb(frame, bits)
    else:
        full = frame.color_range == 2
        whole = _resampled(frame, f"yuv444p{suffix}", full)
        rgb = cv2.transform(cv2.merge(_planes(whole, 3)), _to_rgb_matrix(matrix, bits, full))
    image = np.asarray(rgb, np.uint16)
    if is_transparent(name):
        alpha = frame.reformat(format="rgba64le").to_ndarray()[..., 3:].astype(np.uint32)
        opaque = _LEVELS >> (16 - bits) << (16 - bits)
        alpha = np.minimum(alpha, opaque)
        if bool((alpha < opaque).any()):
            shown = image * alpha + _BACKDROP * (opaque - alpha)
            return DeepPicture(
                ((shown + opaque // 2) // opaque).astype(np.uint16), transparent=True
            )
    return DeepPicture(image, transparent=False)


def _read_rgb(frame: VideoFrame, bits: int) -> DeepImage:
    """Return uint16 RGB of a frame that is stored as RGB, whose bits FFmpeg's scaler repeats."""
    if bits == _DEPTHS[0]:
        return frame.reformat(format="rgb24").to_ndarray().astype(np.uint16) * np.uint16(257)
    return np.asarray(frame.reformat(format="rgb48le").to_ndarray(), np.uint16)


def from_deep_rgb(
    image: DeepImage, pixel_format: str, matrix: int, *, full_range: bool
) -> VideoFrame:
    """Convert uint16 RGB (height, width, 3) to a frame.

    Args:
        image: The picture.
        pixel_format: gbrp16le, or a YUV format of 10 bits.
        matrix: Code from `matrix_in_use`.
        full_range: Whether the values of YUV are stored in full range.

    """
    layout = av.VideoFormat(pixel_format)
    if layout.is_rgb:
        return frame_of(image, "rgb48le").reformat(format=pixel_format)
    bits = layout.components[0].bits
    yuv = cv2.transform(image, _from_rgb_matrix(matrix, bits, full_range))
    height, width = image.shape[:2]
    frame = VideoFrame(width, height, f"yuv444p{bits}le")
    frame.color_range = 2 if full_range else 1
    for plane, values in zip(
        frame.planes, cv2.split(np.minimum(yuv, (1 << bits) - 1)), strict=True
    ):
        _pixels(plane, np.uint16)[...] = values
    return _resampled(frame, pixel_format, full_range)


def _resampled(frame: VideoFrame, pixel_format: str, full: bool) -> VideoFrame:
    """Return a YUV frame in another YUV format of the same range."""
    code = 2 if full else 1
    return frame.reformat(
        format=pixel_format, src_color_range=code, dst_color_range=code, interpolation=EXACT
    )


def _planes(frame: VideoFrame, count: int) -> list[DeepPlane]:
    """Return copies of the first planes of a planar frame."""
    deep = frame.format.components[0].bits > _DEPTHS[0]
    kind = np.uint16 if deep else np.uint8
    return [_pixels(plane, kind).astype(np.uint16) for plane in frame.planes[:count]]


def _pixels(plane: VideoPlane, kind: type[np.uint8 | np.uint16]) -> NDArray[Any]:
    """Return a view of the pixels of a plane, without its padding."""
    size = np.dtype(kind).itemsize
    flat = np.frombuffer(memoryview(plane), kind)
    return flat.reshape(plane.height, plane.line_size // size)[:, : plane.width]


def _scaled(plane: DeepPlane, bits: int) -> DeepPlane:
    """Return full-range code values as levels of 0 to 65535."""
    top = (1 << bits) - 1
    return ((plane.astype(np.uint32) * _LEVELS + top // 2) // top).astype(np.uint16)


@lru_cache
def _to_rgb_matrix(matrix: int, bits: int, full: bool) -> NDArray[np.float64]:
    """Return (3, 4) from YUV code values to RGB levels of 0 to 65535."""
    forward = _from_rgb_matrix(matrix, bits, full)
    back = np.linalg.inv(forward[:, :3])
    return np.hstack([back, -back @ forward[:, 3:]])


@lru_cache
def _from_rgb_matrix(matrix: int, bits: int, full: bool) -> NDArray[np.float64]:
    """Return (3, 4) from RGB levels of 0 to 65535 to YUV code values."""
    red, blue = _WEIGHTS[matrix]
    luma = np.array([red, 1 - red - blue, blue])
    differences = [
        (np.array([0, 0, 1]) - luma) / (2 * (1 - blue)),
        (np.array([1, 0, 0]) - luma) / (2 * (1 - red)),
    ]
    step = 1 << (bits - 8)
    top = (1 << bits) - 1
    scales = (top, top, top) if full else (219 * step, 224 * step, 224 * step)
    offsets = (0 if full else 16 * step, 128 * step, 128 * step)
    rows = [
        np.append(row * scale / _LEVELS, offset)
        for row, scale, offset in zip([luma, *differences], scales, offsets, strict=True)
    ]
    return np.array(rows)
