"""Files that contain several recordings one after another, or bytes of no recording."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from clips import COUNT, cameras, encode, noise

from jdsr_cli.errors import MediaError
from jdsr_cli.media import Frame, open_reader
from jdsr_cli.media.reading import elements
from jdsr_cli.media.reading.recordings import find_recordings
from jdsr_cli.media.slices import FileSlice
from jdsr_cli.settings import ReadSettings

CONTAINERS = {
    ".mp4": {},
    ".mov": {},
    ".mkv": {},
    ".flv": {},
    ".asf": {"options": {"bf": "0"}},
    ".avi": {"codec": "mjpeg", "pixel_format": "yuvj420p"},
    ".webm": {"codec": "libvpx", "options": {"deadline": "realtime"}},
    ".ogv": {"codec": "libvpx", "options": {"deadline": "realtime"}},
    ".ivf": {"codec": "libvpx", "options": {"deadline": "realtime"}},
}
JOINED = "the file contains {} recordings one after another; they are read as one video"


def part(folder: Path, suffix: str, number: int, **changes) -> Path:
    return encode(folder / f"part{number}{suffix}", **{**CONTAINERS[suffix], **changes})


def join(path: Path, *parts: Path | bytes) -> Path:
    path.write_bytes(b"".join(x if isinstance(x, bytes) else x.read_bytes() for x in parts))
    return path


def read(path: Path, settings: ReadSettings | None = None) -> tuple[list[Frame], tuple[str, ...]]:
    with open_reader(path, settings) as reader:
        return list(reader), reader.report.warnings


def assert_follow(frames: Sequence[Frame], parts: Sequence[Sequence[Frame]]) -> None:
    """The frames are those of the parts, with their distances, each part after the one before."""
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert len(frames) == sum(map(len, parts))
    position = 0
    for number, expected in enumerate(parts):
        found = frames[position : position + len(expected)]
        position += len(expected)
        for frame, original in zip(found, expected, strict=True):
            np.testing.assert_array_equal(frame.image, original.image)
        shift = found[0].time - expected[0].time
        assert all(
            abs(frame.time - original.time - shift) <= Fraction(1, 1000)
            for frame, original in zip(found, expected, strict=True)
        )
        assert number or shift == 0
    assert all(early.time < late.time for early, late in pairwise(frames))


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("suffix", CONTAINERS)
def test_all_recordings_are_read(tmp_path: Path, suffix: str, count: int) -> None:
    parts = [part(tmp_path, suffix, number, pts=range(COUNT + number)) for number in range(count)]
    frames, notes = read(join(tmp_path / f"joined{suffix}", *parts))
    assert_follow(frames, [read(path)[0] for path in parts])
    assert notes == (JOINED.format(count),)
    steps = [late.time - early.time for early, late in pairwise(frames)]
    assert max(steps) <= Fraction(45, 1000)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".flv"])
def test_a_recording_of_another_size_is_resized(tmp_path: Path, suffix: str) -> None:
    parts = [part(tmp_path, suffix, 0), part(tmp_path, suffix, 1, size=(128, 96))]
    frames, notes = read(join(tmp_path / f"joined{suffix}", *parts))
    assert {frame.image.shape for frame in frames} == {(48, 64, 3)}
    assert len(frames) == 2 * COUNT
    text = f"{COUNT} frames have another size than the first; resized to it, proportions kept"
    assert notes == (JOINED.format(2), text)
    difference = frames[-1].image.astype(int) - read(parts[0])[0][-1].image
    assert np.abs(difference).mean() < 12


def test_recordings_of_several_formats_and_time_bases_are_read(tmp_path: Path) -> None:
    parts = [
        part(tmp_path, ".mp4", 0),
        part(tmp_path, ".mkv", 1, codec="mpeg4"),
        part(tmp_path, ".avi", 2),
        part(tmp_path, ".flv", 3),
    ]
    frames, notes = read(join(tmp_path / "joined.mp4", *parts))
    assert_follow(frames, [read(path)[0] for path in parts])
    assert notes == (JOINED.format(4),)


def test_times_that_continue_are_unchanged(tmp_path: Path) -> None:
    parts = [
        part(tmp_path, ".mkv", 0),
        part(tmp_path, ".mkv", 1, pts=range(100, 100 + COUNT)),
    ]
    frames, _ = read(join(tmp_path / "joined.mkv", *parts))
    assert [frame.time for frame in frames] == [
        frame.time for path in parts for frame in read(path)[0]
    ]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".flv"])
def test_frames_after_a_skip_are_the_same(tmp_path: Path, suffix: str) -> None:
    parts = [part(tmp_path, suffix, 0), part(tmp_path, suffix, 1, size=(96, 64))]
    path = join(tmp_path / f"joined{suffix}", *parts)
    with open_reader(path) as reader:
        whole, report = list(reader), reader.report
    for target in (1, COUNT - 1, COUNT, COUNT + 1, 2 * COUNT - 1):
        with open_reader(path) as reader:
            reader.skip_to(target)
            rest = list(reader)
            assert reader.report == report
        for frame, expected in zip(rest, whole[target:], strict=True):
            assert (frame.index, frame.pts) == (expected.index, expected.pts)
            np.testing.assert_array_equal(frame.image, expected.image)


def test_a_trim_may_span_recordings(tmp_path: Path) -> None:
    path = join(tmp_path / "joined.mp4", *(part(tmp_path, ".mp4", n) for n in range(2)))
    whole, _ = read(path)
    frames, _ = read(path, ReadSettings(start=Fraction(10, 25), end=Fraction(15, 25)))
    assert [(frame.index, frame.pts) for frame in frames] == [
        (frame.index, frame.pts) for frame in whole[10:15]
    ]


@pytest.mark.parametrize(
    ("suffix", "valid", "invalid"),
    [
        (".mp4", b"avc1", b"none"),
        (".mov", b"avc1", b"none"),
        (".mkv", b"V_MPEG4/ISO/AVC", b"V_UNKNOWN/CODEC"),
        (".avi", b"MJPG", b"NONE"),
    ],
)
def test_a_recording_that_cannot_be_read_is_named(
    tmp_path: Path, suffix: str, valid: bytes, invalid: bytes
) -> None:
    parts = [part(tmp_path, suffix, number) for number in range(3)]
    damaged = parts[1].read_bytes().replace(valid, invalid)
    path = join(tmp_path / f"joined{suffix}", parts[0], damaged, parts[2])
    with open_reader(path) as reader:
        frames = list(reader)
        report = reader.report
    assert_follow(frames, [read(parts[0])[0], read(parts[2])[0]])
    start = parts[0].stat().st_size
    text = f"{len(damaged)} bytes after byte {start}, which hold another recording, were not read"
    assert [one.startswith(text) for one in report.unread] == [True]
    assert report.unread[0] in report.warnings


def test_a_truncated_last_recording_keeps_what_can_be_decoded(tmp_path: Path) -> None:
    first = part(tmp_path, ".mkv", 0)
    second = part(tmp_path, ".mkv", 1, pts=range(75)).read_bytes()
    frames, notes = read(join(tmp_path / "joined.mkv", first, second[: len(second) // 2]))
    assert COUNT + 25 < len(frames) < COUNT + 75
    assert any(text.startswith("recording 2: the header states") for text in notes)


def test_a_last_recording_without_index_is_named(tmp_path: Path) -> None:
    parts = [part(tmp_path, ".mp4", number) for number in range(2)]
    second = parts[1].read_bytes()
    path = join(tmp_path / "joined.mp4", parts[0], second[: len(second) // 2])
    with open_reader(path) as reader:
        assert len(list(reader)) == COUNT
        assert "which hold another recording" in reader.report.unread[0]


def damaged(data: bytes) -> bytes:
    return data.replace(b"avc1", b"none").replace(b"vide", b"none")


def test_a_damaged_first_recording_is_named(tmp_path: Path) -> None:
    second = part(tmp_path, ".mp4", 1)
    first = damaged(second.read_bytes())
    path = join(tmp_path / "joined.mp4", first, second)
    with open_reader(path) as reader:
        assert reader.info.recording == FileSlice(path, len(first), 2 * len(first))
        assert_follow(list(reader), [read(second)[0]])
        (text,) = reader.report.unread
    assert text.startswith(f"{len(first)} bytes after byte 0, which hold another recording, were")


def test_recordings_that_are_all_damaged_are_an_error(tmp_path: Path) -> None:
    data = damaged(part(tmp_path, ".mp4", 1).read_bytes())
    with pytest.raises(MediaError):
        read(join(tmp_path / "joined.mp4", data, data))


ZEROS = [(suffix, bytes(count)) for suffix in CONTAINERS for count in (1, 100, 5000)]
# FFmpeg takes ones for an IVF frame that is too large, and says so.
ONES = [(suffix, b"\xff" * 5000) for suffix in CONTAINERS if suffix != ".ivf"]


@pytest.mark.parametrize(("suffix", "padding"), [*ZEROS, *ONES])
def test_padding_is_not_reported(tmp_path: Path, suffix: str, padding: bytes) -> None:
    plain = part(tmp_path, suffix, 0)
    frames, notes = read(join(tmp_path / f"padded{suffix}", plain, padding))
    assert_follow(frames, [read(plain)[0]])
    assert notes == ()


def test_a_file_is_examined_again_after_it_changed(tmp_path: Path) -> None:
    parts = [part(tmp_path, ".mp4", number) for number in range(2)]
    path = join(tmp_path / "joined.mp4", parts[0])
    assert len(find_recordings(path).recordings) == 1
    join(path, *parts)
    assert len(find_recordings(path).recordings) == 2


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".flv", ".asf", ".avi"])
@pytest.mark.parametrize("junk", [noise(5000), b"Camera 7, checked\n" * 40], ids=["noise", "text"])
def test_bytes_of_no_recording_are_counted(tmp_path: Path, suffix: str, junk: bytes) -> None:
    plain = part(tmp_path, suffix, 0)
    path = join(tmp_path / f"longer{suffix}", plain, junk)
    with open_reader(path) as reader:
        assert len(list(reader)) == COUNT
        notes = reader.report.unread
    size = plain.stat().st_size
    text = f"{len(junk)} bytes after byte {size} belong to no recording; they were not read"
    assert text in notes


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".flv"])
@pytest.mark.parametrize("between", [bytes(4096), noise(4096)], ids=["padding", "junk"])
def test_a_recording_after_other_bytes_is_read(tmp_path: Path, suffix: str, between: bytes) -> None:
    parts = [part(tmp_path, suffix, number) for number in range(2)]
    frames, notes = read(join(tmp_path / f"joined{suffix}", parts[0], between, parts[1]))
    assert len(frames) == 2 * COUNT
    assert (len(notes) == 1) == (not any(between))


@pytest.mark.parametrize("kind", [b"free", b"skip", b"uuid", b"mdat", b"meta"])
def test_further_boxes_belong_to_the_recording(tmp_path: Path, kind: bytes) -> None:
    box = (1000).to_bytes(4, "big") + kind + noise(992)
    frames, notes = read(join(tmp_path / "a.mp4", part(tmp_path, ".mp4", 0), box))
    assert len(frames) == COUNT
    assert notes == ()


@pytest.mark.parametrize(
    "options",
    [
        {"movflags": "frag_keyframe+empty_moov"},
        {"movflags": "faststart"},
        {"movflags": "dash", "frag_duration": "100000"},
    ],
)
def test_every_layout_of_mp4_is_one_recording(tmp_path: Path, options: dict[str, str]) -> None:
    path = encode(tmp_path / "a.mp4", container_options=options)
    assert find_recordings(path).recordings == (FileSlice(path, 0, path.stat().st_size),)
    frames, notes = read(join(tmp_path / "joined.mp4", path, path))
    assert len(frames) == 2 * COUNT
    assert JOINED.format(2) in notes


def test_quicktime_files_without_a_type_are_told_apart(tmp_path: Path) -> None:
    parts = []
    for number, flags in enumerate(("", "faststart")):
        data = encode(
            tmp_path / f"{number}.mov", container_options={"movflags": flags} if flags else None
        ).read_bytes()
        size = int.from_bytes(data[:4], "big")
        # Offsets count from the start of the file, so the box is renamed instead of removed.
        parts.append(data[:4] + b"free" + bytes(size - 8) + data[size:])
    for first, second in [(0, 0), (1, 1), (0, 1)]:
        path = join(tmp_path / "joined.mov", parts[first], parts[second])
        starts = [one.start for one in find_recordings(path).recordings]
        assert starts == [0, len(parts[first])]


def test_a_live_matroska_stream_is_one_recording(tmp_path: Path) -> None:
    path = encode(tmp_path / "live.mkv", container_options={"live": "1"})
    joined = join(tmp_path / "joined.mkv", path, path)
    assert [one.start for one in find_recordings(joined).recordings] == [0, path.stat().st_size]
    assert len(read(joined)[0]) == 2 * COUNT


def test_transport_streams_are_continuous(tmp_path: Path) -> None:
    parts = [encode(tmp_path / f"{n}.ts", options={"bf": "2"}) for n in range(2)]
    frames, notes = read(join(tmp_path / "joined.ts", *parts))
    assert_follow(frames, [read(path)[0] for path in parts])
    assert notes == ("time jumps back 1 times; the times of later frames were shifted",)


def test_a_file_of_empty_elements_is_not_followed_forever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elements, "_MAX_ELEMENTS", 50)
    box = (8).to_bytes(4, "big") + b"free"
    path = join(tmp_path / "a.mp4", part(tmp_path, ".mp4", 0), box * 1000)
    assert find_recordings(path).recordings == (FileSlice(path, 0, path.stat().st_size),)


def test_a_slice_reads_like_a_file(tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    file.write_bytes(bytes(range(200)))
    with FileSlice(file, 50, 60).open() as stream:
        assert stream.read(4) == bytes(range(50, 54))
        assert stream.tell() == 4
        assert stream.seek(-2, 2) == 8
        assert stream.read() == bytes([58, 59])
        assert stream.seek(20) == 20
        assert stream.read(1) == b""


def test_a_later_recording_without_the_chosen_stream_is_named(tmp_path: Path) -> None:
    two, one = cameras(tmp_path), encode(tmp_path / "one.mkv")
    path = tmp_path / "joined.mkv"
    path.write_bytes(two.read_bytes() + one.read_bytes())
    with open_reader(path, ReadSettings(stream=2)) as reader:
        count = len(list(reader))
    with open_reader(two, ReadSettings(stream=2)) as reader:
        assert len(list(reader)) == count
    with open_reader(path, ReadSettings(stream=2)) as reader:
        list(reader)
        (text,) = reader.report.unread
    assert "which hold another recording, were not read (contains 1 video stream, not 2)" in text
