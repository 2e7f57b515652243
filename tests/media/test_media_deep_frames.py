"""Levels of frames of more than 8 bits are exact at every depth, range and layout."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
import pytest

from jdsr_cli.media.deep_frames import from_deep_rgb, to_deep_rgb


def _ramp(full: bool, pixel_format: str, bits: int) -> Any:
    """Return a frame of a gray ramp, and its levels as fractions of white."""
    top, step = (1 << bits) - 1, 1 << (bits - 8)
    codes = np.linspace(0, top, 64).round().astype(np.uint16)
    frame = av.VideoFrame(64, 32, pixel_format)
    frame.color_range = 2 if full else 1
    for number, plane in enumerate(frame.planes):
        row = codes if number == 0 else np.full(plane.width, 1 << (bits - 1), np.uint16)
        padded = np.pad(row, (0, plane.line_size // 2 - len(row)))
        plane.update(np.tile(padded, (plane.height, 1)).tobytes())
    share = codes / top if full else (codes / step - 16) / 219
    return frame, np.clip(share, 0, 1)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("bits", [9, 10, 12, 16])
@pytest.mark.parametrize("layout", ["420", "444"])
def test_levels_of_every_depth_and_range_are_exact(full: bool, bits: int, layout: str) -> None:
    """FFmpeg's scaler gives 65286 for white of limited range, and 65472 for that of full range."""
    frame, share = _ramp(full, f"yuv{layout}p{bits}le", bits)
    read = to_deep_rgb(frame, 9).image[16].astype(int)
    assert np.abs(read - np.rint(share * 65535)[:, None]).max() <= 2


@pytest.mark.parametrize("bits", [9, 10, 12, 14, 16])
def test_levels_of_rgb_are_exact(bits: int) -> None:
    top = (1 << bits) - 1
    codes = np.linspace(0, top, 64).round().astype(np.uint16)
    frame = av.VideoFrame(64, 32, f"gbrp{bits}le")
    for plane in frame.planes:
        plane.update(np.tile(np.pad(codes, (0, plane.line_size // 2 - 64)), (32, 1)).tobytes())
    read = to_deep_rgb(frame, 1).image[16].astype(int)
    assert np.abs(read - np.rint(codes / top * 65535)[:, None]).max() <= 1


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("pixel_format", ["yuv420p10le", "p010le"])
def test_ten_bits_survive_conversion_to_rgb_and_back(full: bool, pixel_format: str) -> None:
    rng = np.random.default_rng(0)
    levels = np.full((48, 64, 3), 30000) + 64 * rng.integers(-60, 60, (48, 64, 1))
    stored = from_deep_rgb(levels.astype(np.uint16), pixel_format, 9, full_range=full)
    again = from_deep_rgb(to_deep_rgb(stored, 9).image, pixel_format, 9, full_range=full)
    assert bytes(stored.planes[0]) == bytes(again.planes[0])


@pytest.mark.parametrize("pixel_format", ["gray10le", "gray12le", "gray16le", "ya16le"])
def test_gray_is_full_range(pixel_format: str) -> None:
    levels = np.repeat(np.linspace(0, 65535, 64).astype(np.uint16)[None, :, None], 32, axis=0)
    rgb = np.ascontiguousarray(levels.repeat(3, axis=2))
    frame = av.VideoFrame.from_numpy_buffer(rgb, format="rgb48le").reformat(format=pixel_format)
    read = to_deep_rgb(frame, 1).image
    assert (read[:, 0] == 0).all()
    assert (read[:, -1] == 65535).all()
    assert np.array_equal(read[..., 0], read[..., 2])


@pytest.mark.parametrize("pixel_format", ["yuva444p10le", "yuva422p12le", "gbrap12le", "rgba64le"])
def test_transparency_is_composited_over_gray(pixel_format: str) -> None:
    rgba = np.full((32, 64, 4), 65535, np.uint16)
    rgba[:, :20, 3] = 0
    rgba[:, 20:40, 3] = 32768
    frame = av.VideoFrame.from_numpy_buffer(rgba, format="rgba64le").reformat(format=pixel_format)
    converted = to_deep_rgb(frame, 1)
    read = converted.image.astype(int)
    assert converted.transparent
    assert np.abs(read[:, :18] - 128 * 257).max() < 300
    assert np.abs(read[:, 22:38] - (32768 + 64 * 257)).max() < 300
    assert read[:, 42:].min() > 65000


@pytest.mark.parametrize("order", ["be", "le"])
@pytest.mark.parametrize("width", [64, 90, 120])
def test_gray_with_transparency_is_exact_each_time(width: int, order: str) -> None:
    """FFmpeg's scaler converts it to gray differently each time, depending on its memory."""
    values = np.random.default_rng(0).integers(0, 65536, (width, width, 2)).astype(np.uint16)
    values[..., 1] = 65535
    frame = av.VideoFrame(width, width, f"ya16{order}")
    (plane,) = frame.planes
    stored = np.zeros((width, plane.line_size // 2), ">u2" if order == "be" else "<u2")
    stored[:, : 2 * width] = values.reshape(width, -1)
    plane.update(stored.tobytes())
    for _ in range(20):
        read = to_deep_rgb(frame, 1)
        np.testing.assert_array_equal(read.image, np.repeat(values[..., :1], 3, axis=2))
        assert not read.transparent
