"""Frames are cropped to clean apertures; frames of another size keep their proportions."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from jdsr_cli.media import open_reader
from jdsr_cli.media.geometry import Aperture

Picture = NDArray[np.uint8]


def written(path: Path, size: tuple[int, int]) -> Path:
    """Write an MP4 whose red and green levels encode column and row, with little loss."""
    width, height = size
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.linspace(20, 235, width)[None]
    image[..., 1] = np.linspace(20, 235, height)[:, None]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv444p"
        stream.options = {"crf": "1", "preset": "ultrafast"}
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def with_aperture(path: Path, numbers: tuple[int, ...]) -> Path:
    """Insert a `clap` box into the sample description, and update the sizes of its parents."""
    data = bytearray(path.read_bytes())
    box = struct.pack(">I4s", 40, b"clap") + struct.pack(">IIIIiIiI", *numbers)
    at = data.index(b"avcC") - 4
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"):
        position = data.index(name) - 4
        size = struct.unpack_from(">I", data, position)[0]
        struct.pack_into(">I", data, position, size + len(box))
    assert data.index(b"moov") > data.index(b"mdat"), "the media offsets would change"
    data[at:at] = box
    path.write_bytes(bytes(data))
    return path


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((320, 1, 240, 1, 0, 1, 0, 1), Aperture(40, 30, 320, 240)),
        ((320, 1, 240, 1, -20, 1, 15, 1), Aperture(20, 45, 320, 240)),
        ((719, 2, 300, 1, 1, 4, 0, 1), Aperture(20, 0, 360, 300)),
    ],
)
def test_frames_are_cropped_to_the_clean_aperture(
    numbers: tuple[int, ...], expected: Aperture, tmp_path: Path
) -> None:
    source = with_aperture(written(tmp_path / "clip.mov", (400, 300)), numbers)
    with open_reader(source) as reader:
        frames = [frame.image for frame in reader]
        assert (reader.info.width, reader.info.height) == (expected.width, expected.height)
        assert any("clean aperture" in text for text in reader.report.warnings)
    assert len(frames) == 3
    left = 20 + 215 * expected.left / 399
    top = 20 + 215 * expected.top / 299
    assert frames[0].shape == (expected.height, expected.width, 3)
    assert frames[0][0, 0, :2] == pytest.approx([left, top], abs=4)


@pytest.mark.parametrize(
    "numbers",
    [
        (400, 1, 300, 1, 0, 1, 0, 1),
        (500, 1, 300, 1, 0, 1, 0, 1),
        (320, 0, 240, 1, 0, 1, 0, 1),
        (320, 1, 240, 1, 90, 1, 0, 1),
    ],
)
def test_full_size_and_invalid_apertures_are_ignored(
    numbers: tuple[int, ...], tmp_path: Path
) -> None:
    source = with_aperture(written(tmp_path / "clip.mov", (400, 300)), numbers)
    with open_reader(source) as reader:
        assert (reader.info.width, reader.info.height) == (400, 300)
        assert next(reader).image.shape == (300, 400, 3)


def test_a_stream_that_changes_its_size_is_not_stretched(tmp_path: Path) -> None:
    path = tmp_path / "change.h264"
    data = b""
    for width, height in ((320, 240), (320, 180), (240, 240)):
        encoder = av.CodecContext.create("libx264", "w")
        encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
        encoder.time_base = Fraction(1, 25)
        encoder.options = {"crf": "5", "preset": "ultrafast", "tune": "zerolatency"}
        disc = np.full((height, width, 3), 60, np.uint8)
        y, x = np.mgrid[:height, :width]
        disc[(x - width / 2) ** 2 + (y - height / 2) ** 2 < 50**2] = 220
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(disc, format="rgb24").reformat(format="yuv420p")
            frame.pts = number
            data += b"".join(bytes(packet) for packet in encoder.encode(frame))
        data += b"".join(bytes(packet) for packet in encoder.encode(None))
    path.write_bytes(data)
    with open_reader(path) as reader:
        for frame in reader:
            bright = frame.image.mean(axis=2) > 140
            across, down = bright.any(axis=0).sum(), bright.any(axis=1).sum()
            assert frame.image.shape == (240, 320, 3)
            assert abs(int(across) - int(down)) <= 4
        assert any("proportions kept" in text for text in reader.report.warnings)
