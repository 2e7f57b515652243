from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from clips import COUNT, VFR_PTS, cameras, encode, gif, raw_h264, ten_bit, truncated, vfr
from PIL import Image

from jdsr_cli.errors import MediaError, UsageError
from jdsr_cli.media import Frame, ReadReport, open_reader, probe
from jdsr_cli.settings import ReadSettings


def read(path: Path, settings: ReadSettings) -> tuple[list[Frame], ReadReport]:
    with open_reader(path, settings) as reader:
        frames = list(reader)
    return frames, reader.report


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"frame_rate": Fraction(0)}, "--fps"),
        ({"frame_rate": Fraction(-25)}, "--fps"),
        ({"frame_rate": Fraction(10**6)}, "up to 1000"),
        ({"stream": 0}, "at least 1"),
        ({"start": Fraction(-1)}, "--start"),
        ({"end": Fraction(0)}, "--end"),
        ({"start": Fraction(2), "end": Fraction(2)}, "after the start"),
        ({"deinterlace": "yes"}, "auto, on or off"),
    ],
)
def test_invalid_settings_are_refused(values, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        ReadSettings(**values)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_each_of_several_streams_can_be_read(tmp_path: Path, number: int) -> None:
    path = cameras(tmp_path)
    settings = ReadSettings(stream=number)
    frames, report = read(path, settings)
    assert {frame.image.shape for frame in frames} == {(32, 32 * number, 3)}
    assert len(frames) == COUNT
    assert report.warnings == ()
    info = probe(path, settings)
    assert (info.stream, info.streams, info.width) == (number, 3, 32 * number)


def test_the_first_stream_is_read_by_default_with_a_warning(tmp_path: Path) -> None:
    frames, report = read(cameras(tmp_path), ReadSettings())
    assert frames[0].image.shape == (32, 32, 3)
    assert "3 video streams; number 1 is read (choose with --stream)" in report.warnings[0]


def test_a_missing_stream_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="contains 3 video streams, not 4"):
        open_reader(cameras(tmp_path), ReadSettings(stream=4))
    with pytest.raises(UsageError, match="contains 1 video stream, not 2"):
        open_reader(encode(tmp_path / "one.mp4"), ReadSettings(stream=2))
    Image.new("RGB", (8, 8)).save(tmp_path / "still.png")
    with pytest.raises(UsageError, match="contains 1 video stream, not 2"):
        open_reader(tmp_path / "still.png", ReadSettings(stream=2))


def test_the_frame_rate_applies_only_to_files_without_times(tmp_path: Path) -> None:
    settings = ReadSettings(frame_rate=Fraction(10))
    _, report = read(vfr(tmp_path), settings)
    assert "the given frame rate was ignored" in report.warnings[0]
    frames, _ = read(raw_h264(tmp_path), settings)
    assert frames[3].time == Fraction(3, 10)


def window(start: str | None, end: str | None) -> ReadSettings:
    return ReadSettings(
        start=None if start is None else Fraction(start), end=None if end is None else Fraction(end)
    )


@pytest.mark.parametrize(
    ("start", "end", "first", "stop"),
    [
        ("0", None, 0, 12),
        (None, "1", 0, 8),
        ("0.2", "0.4", 3, 5),
        ("0.4", "1.04", 5, 9),
        ("1.3", None, 11, 12),
        ("0.401", "9", 6, 12),
    ],
)
@pytest.mark.parametrize("name", ["vfr.mp4", "vfr.mkv"])
def test_trim_is_half_open_and_keeps_index_and_time(
    tmp_path: Path, name: str, start, end, first: int, stop: int
) -> None:
    path = vfr(tmp_path, name)
    whole, _ = read(path, ReadSettings())
    frames, report = read(path, window(start, end))
    assert [(f.index, f.time) for f in frames] == [(f.index, f.time) for f in whole[first:stop]]
    for frame, expected in zip(frames, whole[first:stop], strict=True):
        assert (frame.image == expected.image).all()
    assert report == ReadReport(stop - first, 0, 0, ())


def test_trim_counts_from_the_first_frame(tmp_path: Path) -> None:
    late = encode(tmp_path / "late.mkv", [i + 500 for i in range(COUNT)])
    frames, report = read(late, window("0.2", "0.4"))
    assert [frame.index for frame in frames] == [5, 6, 7, 8, 9]
    assert frames[0].time == Fraction(505, 25)
    assert report.warnings == ()


def test_an_animation_can_be_trimmed(tmp_path: Path) -> None:
    frames, _ = read(gif(tmp_path), window("0.1", "0.3"))
    assert [frame.time for frame in frames] == [Fraction(17, 100), Fraction(25, 100)]
    pages = [Image.new("RGB", (16, 16), (20 * i, 0, 0)) for i in range(4)]
    path = tmp_path / "a.webp"
    pages[0].save(path, save_all=True, append_images=pages[1:], duration=100, lossless=True)
    frames, _ = read(path, window("0.1", "0.3"))
    assert [(frame.index, frame.time) for frame in frames] == [
        (1, Fraction(1, 10)),
        (2, Fraction(1, 5)),
    ]


def test_an_empty_trim_is_refused_with_the_actual_times(tmp_path: Path) -> None:
    path = vfr(tmp_path)
    with pytest.raises(UsageError, match=r"the last one is at 1\.300 s"):
        read(path, window("7", None))
    with pytest.raises(UsageError, match=r"they are at 0\.445 s and 1\.000 s"):
        read(path, window("0.5", "0.9"))
    assert probe(path, window("7", None)).frames_promised == len(VFR_PTS)


def test_a_trim_neither_hides_nor_causes_a_warning_of_missing_frames(tmp_path: Path) -> None:
    whole = encode(
        tmp_path / "f.mp4", tuple(range(100)), container_options={"movflags": "faststart"}
    )
    cut = truncated(whole, 0.6)
    assert read(whole, window("1", "2"))[1].warnings == ()
    assert any("states 100 frames" in text for text in read(cut, window("1", None))[1].warnings)
    assert read(cut, window("0.5", "1"))[1].warnings == ()


def test_a_still_ignores_a_trim_with_a_warning(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "still.png")
    frames, report = read(tmp_path / "still.png", window("5", "6"))
    assert len(frames) == 1
    assert "no duration" in report.warnings[0]


def test_bit_depth_is_reported(tmp_path: Path) -> None:
    frames, report = read(ten_bit(tmp_path), ReadSettings())
    assert len(frames) == COUNT
    assert probe(tmp_path / "ten.mkv").bit_depth == 10
    assert report.warnings == ("the video has 10 bits per channel; faces are processed in 8",)
    Image.new("I;16", (8, 8)).save(tmp_path / "wide.png")
    assert probe(tmp_path / "wide.png").bit_depth == 16
    assert probe(encode(tmp_path / "clip.mp4")).bit_depth == 8


@pytest.mark.parametrize("name", ["f.mp4", "m.mkv", "v.avi"])
def test_a_wrong_header_is_reported_with_both_numbers(tmp_path: Path, name: str) -> None:
    options = {"movflags": "faststart"} if name.endswith("mp4") else {}
    whole = encode(tmp_path / name, tuple(range(100)), container_options=options)
    frames, report = read(truncated(whole, 0.6), ReadSettings())
    assert 40 < len(frames) < 80
    text = " ".join(report.warnings)
    if name != "m.mkv":
        assert f"the header states 100 frames, the file contains {len(frames)}" in text
    if name != "v.avi":
        assert "the header states 4.00 s, the file contains" in text


def test_a_closed_reader_returns_no_frames(tmp_path: Path) -> None:
    reader = open_reader(vfr(tmp_path))
    reader.close()
    with pytest.raises(MediaError, match="ends before"):
        reader.skip_to(3)
