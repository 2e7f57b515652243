"""Transport streams before and after other recordings, and with other bytes in and after them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from clips import COUNT, encode, noise

from jdsr_cli.media import open_reader
from jdsr_cli.media.reading.recordings import find_recordings, unread_note

PACKET = 188
NOISE = noise(5000)
OTHERS = {"mp4": {}, "mkv": {}, "flv": {}, "avi": {"codec": "mjpeg", "pixel_format": "yuvj420p"}}
JOINED = "the file contains {} recordings one after another; they are read as one video"


def transport(folder: Path, layout: int = PACKET, count: int = COUNT) -> bytes:
    """Return a transport stream with packets of 188, 192 (M2TS) or 204 bytes."""
    data = encode(folder / "part.ts", range(count), options={"bf": "0"}).read_bytes()
    packets = [data[at : at + PACKET] for at in range(0, len(data), PACKET)]
    before, after = {188: (0, 0), 192: (4, 0), 204: (0, 16)}[layout]
    return b"".join(bytes(before) + packet + bytes(after) for packet in packets)


def other(folder: Path, kind: str) -> bytes:
    return encode(folder / f"part.{kind}", **OTHERS[kind]).read_bytes()


def write(folder: Path, *parts: bytes) -> Path:
    path = folder / "camera.ts"
    path.write_bytes(b"".join(parts))
    return path


def read(path: Path) -> tuple[int, tuple[str, ...]]:
    with open_reader(path) as reader:
        return len(list(reader)), reader.report.warnings


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("layout", [188, 192, 204])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_transport_stream_and_another_recording_are_both_read(
    tmp_path: Path, kind: str, layout: int, is_first: bool
) -> None:
    parts = [transport(tmp_path, layout), other(tmp_path, kind)]
    path = write(tmp_path, *(parts if is_first else reversed(parts)))
    count, notes = read(path)
    assert count == 2 * COUNT
    assert JOINED.format(2) in notes


def test_a_recording_between_two_transport_streams_is_read(tmp_path: Path) -> None:
    stream = transport(tmp_path)
    path = write(tmp_path, stream, other(tmp_path, "mp4"), stream)
    assert read(path)[0] == 3 * COUNT
    sizes = [part.size for part in find_recordings(path).recordings]
    assert sizes == [len(stream), path.stat().st_size - 2 * len(stream), len(stream)]


@pytest.mark.parametrize("junk", [NOISE, b"Camera 7, checked\n" * 3, noise(700)])
def test_bytes_after_a_transport_stream_are_counted(tmp_path: Path, junk: bytes) -> None:
    stream = transport(tmp_path)
    path = write(tmp_path, stream, junk)
    note = f"{len(junk)} bytes after byte {len(stream)} belong to no recording; they were not read"
    assert [unread_note(part) for part in find_recordings(path).unknown] == [note]
    assert note in read(path)[1]


@pytest.mark.parametrize("layout", [188, 192, 204])
@pytest.mark.parametrize(("cut", "padding"), [(0, 0), (1, 0), (100, 0), (187, 0), (0, 100_000)])
def test_a_stream_that_is_cut_off_or_padded_has_no_other_bytes(
    tmp_path: Path, layout: int, cut: int, padding: int
) -> None:
    stream = transport(tmp_path, layout)
    path = write(tmp_path, stream[: len(stream) - cut], bytes(padding))
    contents = find_recordings(path)
    assert (len(contents.recordings), contents.unknown) == (1, ())


@pytest.mark.parametrize("lost", [1, 50, PACKET, 1000])
@pytest.mark.parametrize("foreign", [b"", noise(300), bytes(70_000)])
def test_losses_within_a_stream_do_not_divide_it(tmp_path: Path, lost: int, foreign: bytes) -> None:
    stream = transport(tmp_path, count=60)
    middle = len(stream) // 2
    path = write(tmp_path, stream[:middle], foreign, stream[middle + lost :])
    contents = find_recordings(path)
    assert [part.size for part in contents.recordings] == [path.stat().st_size]
    assert contents.unknown == ()


def test_a_stream_of_many_losses_is_not_followed_for_long(tmp_path: Path) -> None:
    piece = transport(tmp_path)[: 7 * PACKET]
    path = write(tmp_path, *[piece + noise(50, seed) for seed in range(400)])
    contents = find_recordings(path)
    assert len(contents.recordings) == 1


@pytest.mark.parametrize("size", [188 * 5, 188 * 300, 188 * 70_000])
def test_the_end_is_exact_at_any_length(tmp_path: Path, size: int) -> None:
    packets = np.zeros((size // PACKET, PACKET), np.uint8)
    packets[:, 0] = 0x47
    path = write(tmp_path, packets.tobytes(), NOISE)
    contents = find_recordings(path)
    (recording,), (unknown,) = contents.recordings, contents.unknown
    assert (recording.size, unknown.size) == (size, len(NOISE))
