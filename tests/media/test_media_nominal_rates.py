"""What headers state on rates, counts and lengths, and what the frames say."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest
from clips import Track, encode

from jdsr_cli.media import open_reader

HOUR = 3600


def with_pauses(path: Path, rate: int, pauses: dict[int, int]) -> Path:
    """Write 60 frames at a constant rate, with pauses of so many seconds before some of them."""
    times, time = [], 0
    for number in range(60):
        time += pauses.get(number, 0) * rate + (1 if number else 0)
        times.append(time)
    # A time scale of MP4 in which the pause fits into 31 bits.
    return encode(path, times, Fraction(1, rate), rate=Fraction(rate))


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("rate", [5, 12, 30])
@pytest.mark.parametrize("pauses", [{20: 8 * HOUR}, {1: 8 * HOUR, 40: 2 * HOUR}, {59: 20 * HOUR}])
def test_pauses_do_not_change_the_rate_of_the_frames(
    tmp_path: Path, suffix: str, rate: int, pauses: dict[int, int]
) -> None:
    path = with_pauses(tmp_path / f"a{suffix}", rate, pauses)
    with open_reader(path) as reader:
        times = [frame.time for frame in reader]
        assert reader.info.frame_rate == rate
        (note,) = reader.report.warnings
    assert len(times) == 60
    count = len(pauses)
    lost = int(note.split()[1])
    assert lost == pytest.approx(sum(pauses.values()) * rate, rel=0.02)
    first = times[min(pauses) - 1] - times[0]
    assert f"in {count} gaps" in note
    assert note.endswith(f"the first after {float(first):.2f} s")


@pytest.mark.parametrize(("share", "pause"), [(2, 60), (4, 300)])
def test_frames_that_are_missing_are_counted_by_the_distance_of_the_others(
    tmp_path: Path, share: int, pause: int
) -> None:
    """A pause of some seconds halves the average rate, which counts half as many."""
    path = with_pauses(tmp_path / "a.mp4", 25, {30: pause // share})
    with open_reader(path) as reader:
        list(reader)
        (note,) = reader.report.warnings
    assert note.startswith(f"about {pause // share * 25} frames are missing in 1 gaps")


@pytest.mark.parametrize("start", [0, 90])
def test_the_place_of_a_gap_counts_from_the_first_frame(tmp_path: Path, start: int) -> None:
    times = [start * 25 + number for number in (*range(30), *range(40, 60))]
    path = encode(tmp_path / "a.ts", times, Fraction(1, 25))
    with open_reader(path) as reader:
        list(reader)
        (note,) = reader.report.warnings
    assert note.endswith(
        "about 10 frames are missing in 1 gaps of an otherwise constant rate, "
        "the first after 1.16 s"
    )


def in_units(path: Path, spacing: list[int], unit: int, hold: int = 0) -> Path:
    """Write an AVI of Motion JPEG with frames at multiples of a unit, as stream copies do."""
    time, times = 0, [0]
    for step in spacing:
        time += step
        times.append(time)
    encode(
        path,
        times,
        Fraction(1, unit),
        rate=Fraction(unit),
        codec="mjpeg",
        pixel_format="yuvj420p",
        options={"bf": "0"},
    )
    if hold:
        data = bytearray(path.read_bytes())
        at = data.index(b"avih") + 8 + 16
        total = int.from_bytes(data[at : at + 4], "little") + hold
        data[at : at + 4] = total.to_bytes(4, "little")
        at = data.index(b"strh") + 8 + 32
        data[at : at + 4] = total.to_bytes(4, "little")
        path.write_bytes(bytes(data))
    return path


@pytest.mark.parametrize(("spacing", "rate"), [(24, 25), (20, 30), (60, 10)])
def test_an_avi_in_small_units_is_complete(tmp_path: Path, spacing: int, rate: int) -> None:
    path = in_units(tmp_path / "a.avi", [spacing] * 39, 600, hold=spacing - 1)
    with open_reader(path) as reader:
        times = [frame.time for frame in reader]
        notes = reader.report.warnings
        assert reader.info.frame_rate == rate
    assert {late - early for early, late in pairwise(times)} == {Fraction(1, rate)}
    assert not [note for note in notes if note.startswith("the header states")]


def test_a_truncated_avi_in_small_units_is_still_reported(tmp_path: Path) -> None:
    path = in_units(tmp_path / "a.avi", [24] * 39, 600)
    with av.open(str(path)) as container:
        promised = container.streams.video[0].frames
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with open_reader(path) as reader:
        count = len(list(reader))
        notes = reader.report.warnings
    assert f"the header states {promised} frames, the file contains {count}" in notes


@pytest.mark.parametrize("suffix", [".asf", ".wmv", ".mkv", ".mp4", ".ts", ".nut"])
@pytest.mark.parametrize("start", [2, 100])
@pytest.mark.parametrize("sound", [0, 1])
def test_a_file_that_starts_late_is_not_shorter_than_stated(
    tmp_path: Path, suffix: str, start: int, sound: int
) -> None:
    times = range(start * 25, start * 25 + 40)
    tracks = [Track("mp2", start=Fraction(start + 1), sample_rate=32000)] * sound
    path = encode(tmp_path / f"a{suffix}", times, options={"bf": "0"}, tracks=tracks)
    with open_reader(path) as reader:
        assert len(list(reader)) == 40
        assert not [note for note in reader.report.warnings if "the header states" in note]


@pytest.mark.parametrize("start", [0, 100])
def test_a_truncated_file_is_shorter_than_stated(tmp_path: Path, start: int) -> None:
    times = range(start * 25, start * 25 + 100)
    path = encode(tmp_path / "a.mkv", times, options={"bf": "0"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with open_reader(path) as reader:
        assert len(list(reader)) < 80
        assert [note for note in reader.report.warnings if "the header states" in note]


@pytest.mark.parametrize("share", [3, 5, 8])
@pytest.mark.parametrize("name", ["a.asf", "a.wmv"])
def test_an_asf_that_is_cut_off_is_reported(tmp_path: Path, name: str, share: int) -> None:
    path = encode(tmp_path / name, range(100), options={"bf": "0"})
    data = path.read_bytes()
    index = data.rindex(bytes.fromhex("90080033b1e5cf1189f400a0c90349cb"))
    kept = index * share // 10
    path.write_bytes(data[:kept])
    with open_reader(path) as reader:
        assert 0 < len(list(reader)) < 100
        notes = reader.report.warnings
    assert f"the file is cut off: {index - kept} bytes are missing at its end" in notes


def test_what_an_interrupted_recorder_leaves_empty_is_not_read(tmp_path: Path) -> None:
    """The length of the data of an ASF, and the number of frames of an AVI."""
    asf = encode(tmp_path / "a.asf", range(40), options={"bf": "0"})
    data = bytearray(asf.read_bytes())
    at = data.index(bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")) + 16
    data[at : at + 8] = (50).to_bytes(8, "little")
    asf.write_bytes(bytes(data))
    avi = encode(tmp_path / "a.avi", range(40), codec="mjpeg", pixel_format="yuvj420p")
    data = bytearray(avi.read_bytes())
    at = data.index(b"strh") + 8 + 32
    data[at : at + 4] = (1 << 30).to_bytes(4, "little")
    avi.write_bytes(bytes(data))
    for path in (asf, avi):
        with open_reader(path) as reader:
            assert len(list(reader)) == 40
            assert reader.report.warnings == ()
