from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from clips import COUNT, cameras, encode, gif, picture
from PIL import Image

from jdsr_cli.errors import MediaError
from jdsr_cli.media import open_reader
from jdsr_cli.media.reading.decoding import PacketDecoder
from jdsr_cli.settings import ReadSettings


class FaultyContainer:
    """A container whose demuxer fails at given packets and can continue after them."""

    def __init__(self, container: av.container.InputContainer, faults: dict[int, int]) -> None:
        self._packets = list(container.demux())
        self._faults = faults
        self._next = 0

    def demux(self) -> Iterator[av.Packet]:
        while self._next < len(self._packets):
            if self._faults.get(self._next, 0):
                self._faults[self._next] -= 1
                raise av.error.InvalidDataError(1, "Invalid data found")
            self._next += 1
            yield self._packets[self._next - 1]


def decode(path: Path, faults: dict[int, int]) -> tuple[int, PacketDecoder]:
    with av.open(str(path)) as container:
        decoder = PacketDecoder(FaultyContainer(container, faults), container.streams.video[0])
        return sum(1 for _ in decoder.frames()), decoder


def test_reading_continues_after_a_fault(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.mkv")
    count, decoder = decode(path, {3: 2, 7: 1})
    assert count == COUNT
    assert decoder.warnings() == ["reading was interrupted 2 times by damaged data"]


def test_the_end_is_that_of_the_last_frame_in_presentation_order(tmp_path: Path) -> None:
    options = {"bf": "2", "g": "24", "x264-params": "b-adapt=0"}
    path = encode(tmp_path / "clip.mkv", tuple(range(10)), options=options)
    with av.open(str(path)) as container:
        times = [packet.pts for packet in container.demux() if packet.pts is not None]
    assert times[-1] != max(times), "the last packet is a B frame"
    _, decoder = decode(path, {})
    assert float(decoder.end) == pytest.approx(10 / 25, abs=0.002)


def test_a_permanent_fault_ends_reading(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.mkv")
    count, decoder = decode(path, {5: 10**6})
    assert count == 5
    assert decoder.warnings() == ["reading stopped before the end of the file (Invalid data found)"]


def test_a_decoder_that_cannot_open_is_an_error(tmp_path: Path) -> None:
    path = cameras(tmp_path, 1)
    data = path.read_bytes()
    with av.open(str(path)) as container:
        extradata = bytes(container.streams.video[0].codec_context.extradata or b"")
    assert data.count(extradata) == 1
    path.write_bytes(data.replace(extradata, b"\xff" * len(extradata)))
    with pytest.raises(MediaError, match="no frame can be decoded"):
        open_reader(path)


def test_an_intact_stream_beside_a_damaged_one_can_be_read(tmp_path: Path) -> None:
    path = cameras(tmp_path, 2)
    with av.open(str(path)) as container:
        first = bytes(container.streams.video[0].codec_context.extradata or b"")
    data = path.read_bytes()
    path.write_bytes(data.replace(first, b"\xff" * len(first), 1))
    with pytest.raises(MediaError, match="2 video streams: choose one with --stream"):
        open_reader(path)
    with open_reader(path, ReadSettings(stream=2)) as reader:
        assert len(list(reader)) == COUNT


def test_motion_jpeg_with_exif_is_read(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    path = tmp_path / "exif.mjpeg"
    with path.open("wb") as stream:
        for index in range(5):
            page = io.BytesIO()
            Image.fromarray(picture(index)).save(page, "JPEG", exif=exif)
            stream.write(page.getvalue())
    with open_reader(path) as reader:
        assert len(list(reader)) == 5
    assert reader.info.rotation == 0


def test_streams_that_start_within_the_file_are_reported(tmp_path: Path) -> None:
    class Growing(FaultyContainer):
        def demux(self) -> Iterator[av.Packet]:
            yield from super().demux()
            raise IndexError("list index out of range")  # as PyAV does

    with av.open(str(encode(tmp_path / "clip.flv"))) as container:
        decoder = PacketDecoder(Growing(container, {}), container.streams.video[0])
        assert sum(1 for _ in decoder.frames()) == COUNT
    assert decoder.warnings() == ["streams that begin within the file were not read"]


@pytest.mark.parametrize("complete", [1, 5])
def test_a_truncated_animation_is_read_with_a_warning(tmp_path: Path, complete: int) -> None:
    path = gif(tmp_path)
    data = path.read_bytes()
    with av.open(str(path)) as container:
        offsets = [packet.pos for packet in container.demux() if packet.size]
    path.write_bytes(data[: offsets[complete]])
    with open_reader(path) as reader:
        assert len(list(reader)) == complete
    assert reader.report.warnings == ("the GIF has no end marker: pictures may be missing",)
    path.write_bytes(data)
    with open_reader(path) as reader:
        assert len(list(reader)) == COUNT
    assert reader.report.warnings == ()


def test_an_animation_with_a_damaged_picture_ends_with_a_warning(tmp_path: Path) -> None:
    path = gif(tmp_path)
    data = path.read_bytes()
    second = data.index(b"\x21\xf9\x04", data.index(b"\x21\xf9\x04") + 8)
    path.write_bytes(data[: second + 2] + b"\x01\x01\0" + data[second + 8 :])
    with open_reader(path) as reader:
        assert len(list(reader)) == 1
    assert "damaged after its first 1 pictures" in reader.report.warnings[0]
