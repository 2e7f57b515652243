"""Several recordings in one file, of formats that FFmpeg reads through or ends without a word."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from functools import cache
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import COUNT, dahua, encode, framemd5, noise

from jdsr_cli.media import Frame, open_reader
from jdsr_cli.media.reading import recordings as recordings_module
from jdsr_cli.media.reading.recording_starts import layout_at
from jdsr_cli.media.reading.recordings import find_recordings
from jdsr_cli.media.reading.stream_structures import STREAM_STRUCTURES
from jdsr_cli.media.slices import FileSlice

MJPEG = {"codec": "mjpeg", "pixel_format": "yuvj420p"}
SMALL, BROADCAST = {"size": (176, 144)}, {"size": (720, 576)}
KINDS = {
    "nut": {"codec": "mpeg4"},
    "mpg": {"codec": "mpeg1video"},
    "vob": {"codec": "mpeg2video"},
    "wtv": {"codec": "mpeg2video"},
    "mxf": {"codec": "mpeg2video"},
    "rm": {"codec": "rv20", **SMALL},
    "y4m": {"codec": "wrapped_avframe", "container": "yuv4mpegpipe"},
    "dv": {"codec": "dvvideo", **BROADCAST},
    "swf": {"codec": "flv", "options": {"bf": "0"}},
    "fits": {"codec": "fits", "pixel_format": "gray"},
    "smjpeg": {**MJPEG, "container": "smjpeg"},
    "h264": {"container": "h264"},
    "m2v": {"codec": "mpeg2video", "container": "mpeg2video"},
    "mjpeg": {**MJPEG, "container": "mjpeg"},
    "h261": {"codec": "h261", "container": "h261", **SMALL},
    "h263": {"codec": "h263", "container": "h263", **SMALL},
}
JOINED_TO_THEMSELVES = ("nut", "wtv", "mxf", "rm", "y4m", "swf", "fits", "smjpeg")
"""Formats of which FFmpeg does not read the second recording, or not right."""
WITHOUT_TIMES = (".h264", ".m2v", ".mjpeg", ".h261", ".h263")
FOLLOWERS = {"mp4": {}, "mkv": {}, "avi": MJPEG, "flv": {"options": {"bf": "0"}}}


@pytest.fixture(scope="module")
def clip_of(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("parts")

    @cache
    def make(kind: str, count: int = COUNT) -> Path:
        options = {**KINDS, **FOLLOWERS, "ts": {}}[kind]
        return encode(folder / f"{count}.{kind}", range(count), **options)

    return make


def join(folder: Path, *parts: Path | bytes) -> Path:
    suffix = parts[0].suffix if isinstance(parts[0], Path) else ""
    path = folder / f"joined{suffix}"
    path.write_bytes(b"".join(x if isinstance(x, bytes) else x.read_bytes() for x in parts))
    return path


def read(path: Path) -> tuple[list[Frame], tuple[str, ...]]:
    with open_reader(path) as reader:
        return list(reader), reader.report.unread


def steps(times: list[Fraction]) -> list[Fraction]:
    return [late - early for early, late in pairwise(times)]


def assert_follow(frames: list[Frame], *parts: Path) -> None:
    """The frames are those of the parts, by number and distance those that ffmpeg finds."""
    position = 0
    for path in parts:
        times, _ = framemd5(path)
        alone, _ = read(path)
        found = frames[position : position + len(times)]
        position += len(times)
        assert len(alone) == len(times)
        assert found[0].image.shape == frames[0].image.shape
        if alone[0].image.shape == frames[0].image.shape:
            # Deinterlacing uses the frames before and after.
            for frame, expected in zip(found, alone, strict=True):
                np.testing.assert_array_equal(frame.image, expected.image)
        expected = times if path.suffix not in WITHOUT_TIMES else [one.time for one in alone]
        # Some formats and their ticks are of 1 ms.
        apart = zip(steps([one.time for one in found]), steps(expected), strict=True)
        assert all(abs(one - other) <= Fraction(1, 1000) for one, other in apart)
    assert position == len(frames)
    whole = steps([frame.time for frame in frames])
    assert min(whole) > 0
    assert max(whole) <= 1


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("kind", JOINED_TO_THEMSELVES)
def test_recordings_of_one_format_are_read(tmp_path: Path, clip_of, kind: str, count: int) -> None:
    parts = [clip_of(kind, COUNT + number) for number in range(count)]
    frames, unread = read(join(tmp_path, *parts))
    assert_follow(frames, *parts)
    assert unread == ()


@pytest.mark.parametrize(("kind", "other"), [*product(KINDS, FOLLOWERS)])
def test_a_recording_of_another_format_that_follows_is_read(
    tmp_path: Path, clip_of, kind: str, other: str
) -> None:
    parts = [clip_of(kind), clip_of(other)]
    path = join(tmp_path, *parts)
    contents = find_recordings(path)
    second = FileSlice(path, parts[0].stat().st_size, path.stat().st_size)
    assert contents.recordings[-1] == second
    frames, unread = read(path)
    assert_follow(frames, *parts)
    assert unread == ()


@pytest.mark.parametrize(
    ("first", "second"),
    [("mpg", "h264"), ("mxf", "m2v"), ("y4m", "h264"), ("rm", "mpg"), ("dv", "y4m"), ("vob", "dv"),
     ("h264", "mpg"), ("wtv", "nut"), ("m2v", "mxf"), ("nut", "rm"), ("smjpeg", "wtv")],
)  # fmt: skip
def test_recordings_of_these_formats_are_told_apart(
    tmp_path: Path, clip_of, first: str, second: str
) -> None:
    parts = [clip_of(first), clip_of(second)]
    frames, unread = read(join(tmp_path, *parts))
    assert_follow(frames, *parts)
    assert unread == ()


def test_a_recorders_stream_before_a_video_is_read(tmp_path: Path, clip_of) -> None:
    parts = [dahua(tmp_path), clip_of("mp4")]
    frames, unread = read(join(tmp_path, *parts))
    assert (len(frames), unread) == (2 * COUNT, ())


@pytest.mark.parametrize("kind", ["mpg", "vob", "mxf", "rm", "y4m", "dv"])
def test_other_bytes_after_these_formats_are_named(tmp_path: Path, clip_of, kind: str) -> None:
    first = clip_of(kind)
    path = join(tmp_path, first, noise(9000))
    frames, unread = read(path)
    assert len(frames) == COUNT
    size = first.stat().st_size
    # FFmpeg states some bytes too many for the data of RealMedia.
    (part,) = find_recordings(path).unknown
    assert abs(part.start - size) <= (16 if kind == "rm" else 0)
    assert unread == (
        f"{part.size} bytes after byte {part.start} belong to no recording; they were not read",
    )


@pytest.mark.parametrize(
    ("first", "second"),
    [("h264", "m2v"), ("m2v", "h264"), ("h263", "h264"), ("nut", "h264"), ("wtv", "h264"),
     ("h264", "mjpeg")],
)  # fmt: skip
def test_a_stream_of_another_codec_whose_start_is_not_recognised_is_named(
    tmp_path: Path, clip_of, first: str, second: str
) -> None:
    parts = [clip_of(first), clip_of(second)]
    frames, unread = read(join(tmp_path, *parts))
    assert COUNT - 1 <= len(frames) <= COUNT
    start, length = (part.stat().st_size for part in parts)
    assert unread == (
        f"{length} bytes after byte {start} belong to no recording; they were not read",
    )


@pytest.mark.parametrize("kind", KINDS)
def test_an_intact_recording_has_nothing_that_is_unread(tmp_path: Path, clip_of, kind: str) -> None:
    frames, unread = read(clip_of(kind))
    assert (len(frames), unread) == (COUNT, ())


@pytest.mark.parametrize("first", ["h264", "m2v"])
def test_a_stream_before_one_that_is_salvaged_is_read(tmp_path: Path, clip_of, first: str) -> None:
    parts = [clip_of(first), dahua(tmp_path)]
    frames, unread = read(join(tmp_path, *parts))
    assert_follow(frames[:COUNT], parts[0])
    assert (len(frames), unread) == (2 * COUNT, ())


@pytest.mark.parametrize("cut", [1, 5000, 100_000])
def test_a_frame_of_dv_that_is_cut_off_is_not_completed(tmp_path: Path, clip_of, cut: int) -> None:
    path = join(tmp_path, clip_of("dv").read_bytes()[:-cut])
    with open_reader(path) as reader:
        assert len(list(reader)) == COUNT - 1
        assert reader.report.skipped == 1


@pytest.mark.parametrize("kind", ["mpg", "vob"])
@pytest.mark.parametrize("lost", [1, 40, 700])
def test_losses_within_a_program_stream_do_not_divide_it(
    tmp_path: Path, clip_of, kind: str, lost: int
) -> None:
    data = clip_of(kind, 100).read_bytes()
    middle = len(data) // 2
    path = join(tmp_path, data[:middle], data[middle + lost :])
    assert [part.size for part in find_recordings(path).recordings] == [path.stat().st_size]
    twice = join(tmp_path, data, data)
    assert [part.size for part in find_recordings(twice).recordings] == [twice.stat().st_size]


@pytest.mark.parametrize(
    ("pixel_format", "size"),
    [("yuv420p", (65, 49)), ("yuv422p", (65, 49)), ("yuv411p", (67, 48)), ("yuv444p", (64, 48)),
     ("gray", (63, 47)), ("yuv420p10le", (64, 48)), ("yuv444p16le", (33, 32))],
)  # fmt: skip
def test_the_end_of_yuv4mpeg_is_exact(
    tmp_path: Path, pixel_format: str, size: tuple[int, int]
) -> None:
    options = {"strict": "-1"}
    path = encode(
        tmp_path / "a.y4m",
        codec="wrapped_avframe",
        pixel_format=pixel_format,
        size=size,
        container_options=options,
    )
    length = path.stat().st_size
    (layout,) = (one for one in STREAM_STRUCTURES if one.starts(path.read_bytes()[:300]))
    with join(tmp_path, path, noise(500)).open("rb") as stream:
        assert layout.follow(stream, 0, length + 500) == length


CUT = {"mp4": {}, "mkv": {}, "avi": MJPEG, "flv": {"options": {"bf": "0"}}, "nut": KINDS["nut"]}


@pytest.mark.parametrize("kind", CUT)
@pytest.mark.parametrize("share", [0.4, 0.7, 0.95])
@pytest.mark.parametrize("others", [("mp4",), ("mkv", "mp4"), ("nut", "avi", "mkv")])
def test_recordings_after_one_that_is_cut_off_are_read(
    tmp_path: Path, clip_of, kind: str, share: float, others: tuple[str, ...]
) -> None:
    data = clip_of(kind).read_bytes()
    cut = data[: int(len(data) * share)]
    parts = [clip_of(other) for other in others]
    path = join(tmp_path, cut, *parts)
    starts = [part.start for part in find_recordings(path).recordings]
    assert starts == [0, *np.cumsum([len(cut), *(part.stat().st_size for part in parts)])[:-1]]
    frames, unread = read(path)
    whole = frames[-COUNT * len(others) :]
    assert_follow(whole, *parts)
    assert kind != "mp4" or unread
    if unread:
        assert len(frames) == COUNT * len(others)
        (text,) = unread
        assert text.startswith(f"{len(cut)} bytes after byte 0, which hold another recording")
    else:
        assert COUNT * len(others) < len(frames) <= COUNT * (len(others) + 1)


@pytest.mark.parametrize(
    "tail",
    [b"", bytes(100_000), b"\xff" * 5000, b"trailer of a camera", noise(700)],
    ids=["nothing", "zeros", "ones", "trailer", "noise"],
)
@pytest.mark.parametrize("kind", ["mp4", "mkv", "ts", "mpg", "ts with a loss", "mpg with a loss"])
def test_what_follows_the_recording_after_a_cut_one_does_not_hide_it(
    tmp_path: Path, clip_of, kind: str, tail: bytes
) -> None:
    """The media data of the first claim the whole rest of the file."""
    cut = struct.pack(">I4s4s8x", 20, b"ftyp", b"isom") + struct.pack(">I4s", 1 << 31, b"mdat")
    cut += noise(9000)
    data = clip_of(kind.split()[0]).read_bytes()
    if "loss" in kind:
        half = len(data) // 376 * 188
        data = data + data[:half] + data[half + 50 :] + data
    path = join(tmp_path, cut, data, tail)
    found = find_recordings(path)
    assert [part.start for part in found.recordings] == [0, len(cut)]
    end = len(cut) + len(data)
    named = [(part.start, part.end) for part in found.unknown]
    assert named == ([(end, end + len(tail))] if tail.strip(b"\0\xff") else [])


@pytest.mark.parametrize(("kind", "most"), [("ts", 1000), ("mpg", 100)])
def test_a_long_stream_is_followed_a_few_times_only(
    tmp_path: Path, clip_of, kind: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every packet is one at which a recording may start, and all lead to the same end."""
    cut = struct.pack(">I4s4s8x", 20, b"ftyp", b"isom") + struct.pack(">I4s", 1 << 31, b"mdat")
    stream, calls = clip_of(kind).read_bytes(), 0
    stream *= 1_000_000 // len(stream)
    layout = layout_at(io.BytesIO(stream), 0)
    assert layout is not None
    follow = type(layout).follow

    def counted(*given: Any) -> int:
        nonlocal calls
        calls += 1
        return follow(*given)

    monkeypatch.setattr(type(layout), "follow", counted)
    find_recordings(join(tmp_path, cut + noise(100), stream, noise(3 * len(stream))))
    # Without that, 1 MB took 10,563 and 977 calls; packets of the last 64 KiB are tried.
    assert calls < most


@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize("times", [1, 2])
def test_an_interrupted_mp4_without_index_is_named(
    tmp_path: Path, clip_of, before: int, times: int
) -> None:
    """The length of its media data is empty: they would extend to the end of the file."""
    whole = clip_of("mp4")
    data = whole.read_bytes()
    media = data.index(b"mdat")
    interrupted = data[: media - 4] + bytes(4) + data[media : data.index(b"moov") - 4]
    frames, unread = read(join(tmp_path, *[whole] * before, *[interrupted] * times, whole))
    assert_follow(frames, *[whole] * (before + 1))
    assert len(unread) == times


def test_a_recording_within_an_intact_one_is_not_another(tmp_path: Path, clip_of) -> None:
    inner, outer = (clip_of(kind).read_bytes() for kind in ("mkv", "mp4"))
    box = (8 + len(inner)).to_bytes(4, "big") + b"uuid" + inner
    path = join(tmp_path, outer, box)
    assert len(find_recordings(path).recordings) == 1
    # Also where other bytes follow.
    path = join(tmp_path, outer, box, noise(3000))
    assert [part.size for part in find_recordings(path).recordings] == [len(outer) + len(box)]


def test_a_part_of_which_packets_come_is_read(tmp_path: Path) -> None:
    """FFmpeg continues after damage to the structure of Matroska."""
    live = bytearray(
        encode(tmp_path / "b.mkv", range(400), container_options={"live": "1"}).read_bytes()
    )
    cluster = live.index(b"\x1f\x43\xb6\x75", len(live) // 2)
    live[cluster - 300 : cluster + 8] = noise(308)
    path = join(tmp_path, bytes(live))
    assert find_recordings(path).unknown
    frames, unread = read(path)
    assert len(frames) > 300
    assert unread == ()


def test_slow_ticks_of_the_first_recording_do_not_change_the_times_of_others(
    tmp_path: Path, clip_of
) -> None:
    for rate in (30, 50, 60):
        fast = encode(tmp_path / "b.mp4", range(30), Fraction(1, rate), rate=Fraction(rate))
        frames, _ = read(join(tmp_path, clip_of("avi"), fast))
        late = [frame.time for frame in frames[COUNT:]]
        assert len(late) == 30
        assert all(abs(step - Fraction(1, rate)) <= Fraction(1, 40000) for step in steps(late))


@pytest.mark.parametrize("distance", [0, 70_000, 5_000_000])
def test_a_recording_is_found_at_any_distance(
    tmp_path: Path, clip_of, distance: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recordings_module, "_SEARCH_LENGTH", 1 << 20)
    first, second = clip_of("mxf"), clip_of("mkv")
    path = join(tmp_path, first, noise(distance), second)
    found = find_recordings(path).recordings
    assert len(found) == (1 if distance > 1 << 20 else 2)
