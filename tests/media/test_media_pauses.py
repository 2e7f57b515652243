"""Hours and days without a frame or without sound: all frames and packets, at their times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from clips import HEIGHT, WIDTH, encode, framemd5, picture

from jdsr_cli.media import JoinedVideo, MediaInfo, SegmentWriter, join_segments, open_reader, probe
from jdsr_cli.media.writing.assembly import Assembly
from jdsr_cli.media.writing.segment_files import SegmentHeader, Survey
from jdsr_cli.media.writing.time_bases import choose_units

HOUR = 3600
DAY = 24 * HOUR


def join(
    folder: Path,
    info: MediaInfo,
    times: Sequence[int],
    cuts: Sequence[int] = (),
    *,
    codec: str = "h264",
    trimmed: bool = False,
) -> JoinedVideo:
    paths = []
    for number, (start, end) in enumerate(pairwise([0, *cuts, len(times)])):
        paths.append(folder / f"part-{number}.nut")
        with SegmentWriter(paths[-1], info, WIDTH, HEIGHT, codec=codec) as segment:
            for index in range(start, end):
                segment.write(picture(index), times[index])
    return join_segments(folder / "out.mp4", paths, info, trimmed=trimmed)


def source(folder: Path, time_base: Fraction) -> MediaInfo:
    info = probe(encode(folder / "plain.mkv"))
    return replace(info, kind="sequence", time_base=time_base, duration=None)


def frames_with_pause(time_base: Fraction, seconds: int, step: Fraction) -> list[int]:
    """Return the times of 12 frames, a pause, and 12 frames."""
    ticks = [round(index * step / time_base) for index in range(12)]
    pause = round(seconds / time_base)
    return [*ticks, *(ticks[-1] + pause + tick for tick in ticks)]


def player_times(path: Path) -> list[Fraction]:
    """Return the times of the decoded frames."""
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


@pytest.mark.parametrize("cuts", [(), (12,), (5, 18)])
@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_eight_hours_at_90000_ticks_a_second_are_kept_exactly(
    tmp_path: Path, codec: str, cuts: tuple[int, ...]
) -> None:
    tick = Fraction(1, 90000)
    times = frames_with_pause(tick, 8 * HOUR, Fraction(1, 25))
    joined = join(tmp_path, source(tmp_path, tick), times, cuts, codec=codec)
    assert joined.path.suffix == ".mp4"
    assert player_times(joined.path) == [time * tick for time in times]
    assert framemd5(joined.path)[0] == [time * tick for time in times]
    assert sum("units of 1/25 s instead of 1/90000 s" in text for text in joined.warnings) == 1
    with av.open(str(joined.path)) as container:
        stated = container.streams.video[0].duration * container.streams.video[0].time_base
        assert stated == (times[-1] + 3600) * tick


@pytest.mark.parametrize(
    ("time_base", "seconds", "step"),
    [
        (Fraction(1, 90000), 8 * HOUR, Fraction(1001, 30000)),
        (Fraction(1, 90000), 19 * DAY, Fraction(1001, 24000)),
        (Fraction(1, 1_000_000), HOUR, Fraction(1, 30)),
        (Fraction(1, 1_000_000), 30 * HOUR, Fraction(37, 1000)),
        (Fraction(1, 30000), 40 * HOUR, Fraction(1001, 30000)),
        (Fraction(1001, 24000), 3 * DAY, Fraction(1001, 24000)),
        (Fraction(1, 600), 19 * DAY, Fraction(1, 24)),
        (Fraction(1, 25), 19 * DAY, Fraction(1, 25)),
        (Fraction(1, 1000), 19 * DAY, Fraction(33, 1000)),
        (Fraction(1, 10_000_000), 8 * HOUR, Fraction(1, 25)),
        (Fraction(1, 90000), 30 * DAY, Fraction(1, 25)),
        (Fraction(1, 25), 400 * DAY, Fraction(1, 25)),
        (Fraction(1, 1_000_000), 100 * DAY, Fraction(1, 30)),
    ],
)
def test_frames_after_a_pause_have_their_times_to_the_millisecond(
    tmp_path: Path, time_base: Fraction, seconds: int, step: Fraction
) -> None:
    times = frames_with_pause(time_base, seconds, step)
    joined = join(tmp_path, source(tmp_path, time_base), times, (8,))
    found = player_times(joined.path)
    wanted = [time * time_base for time in times]
    assert len(found) == len(wanted)
    assert all(late > early for early, late in pairwise(found))
    error = max(abs(one - other) for one, other in zip(found, wanted, strict=True))
    assert error <= Fraction(1, 2000)
    assert joined.path.suffix == (".mkv" if seconds > 20 * DAY else ".mp4")
    rounded = any("rounded to" in text for text in joined.warnings)
    assert (error > 0) == rounded or (not error and joined.path.suffix == ".mkv")
    if not error and joined.path.suffix == ".mp4" and time_base.denominator > 1000:
        assert not rounded


def test_several_pauses_and_pauses_at_the_ends_are_kept(tmp_path: Path) -> None:
    tick = Fraction(1, 90000)
    for shape in ([0, 8, 8, 8], [0, 0, 0, 9], [0, 9, 0, 0], [7, 7, 7, 7]):
        times, now = [], 0
        for pause in shape:
            now += pause * HOUR * 90000
            times += [now + 3600 * index for index in range(3)]
            now = times[-1] + 3600
        joined = join(tmp_path, source(tmp_path, tick), times)
        expected = [time * tick + joined.time_offset for time in times]
        assert player_times(joined.path) == expected, shape


@pytest.mark.parametrize("start", [9 * HOUR, 3 * DAY])
def test_a_pause_after_a_late_start_is_kept_when_trimmed(tmp_path: Path, start: int) -> None:
    tick = Fraction(1, 90000)
    times = [start * 90000 + time for time in frames_with_pause(tick, 8 * HOUR, Fraction(1, 30))]
    joined = join(tmp_path, source(tmp_path, tick), times, trimmed=True)
    assert joined.time_offset == -start
    assert player_times(joined.path) == [time * tick - start for time in times]


def with_sound(
    path: Path, pause: int, *, during: bool, rate: int = 48000, codec: str = "aac"
) -> Path:
    """Write a clip with a pause in its pictures, and sound at both ends or throughout.

    During the pause the sound is a packet every ten minutes.
    """
    tick = Fraction(1, 1000)
    with av.open(str(path), "w") as output:
        video = output.add_stream("libx264", rate=25, options={"g": "4", "bf": "0"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.codec_context.time_base = video.time_base = tick
        sound = output.add_stream(codec, rate=rate, layout="mono")
        packets = []
        for time in frames_with_pause(tick, pause, Fraction(1, 25)):
            frame = av.VideoFrame.from_ndarray(picture(len(packets)), format="rgb24")
            frame.pts, frame.time_base = time, tick
            packets += video.encode(frame.reformat(format="yuv420p"))
        packets += video.encode(None)
        starts = [0.0, *(np.arange(600, pause, 600) if during else []), float(pause)]
        for start in starts:
            for index in range(6):
                silence = np.zeros((1, 1024), np.float32)
                frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
                frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
                frame.pts = round(start * rate) + 1024 * index
                packets += sound.encode(frame)
        packets += sound.encode(None)
        for packet in sorted(packets, key=lambda one: one.dts * one.time_base):
            output.mux(packet)
    return path


@pytest.mark.parametrize("during", [False, True])
@pytest.mark.parametrize(
    ("pause", "rate", "container"),
    [(8 * HOUR, 48000, ".mp4"), (8 * HOUR, 96000, ".mkv"), (2 * DAY, 44100, ".mkv"),
     (2 * DAY, 8000, ".mp4")],
)  # fmt: skip
def test_sound_is_in_step_after_a_pause(
    tmp_path: Path, pause: int, rate: int, container: str, during: bool
) -> None:
    path = with_sound(tmp_path / "in.mkv", pause, during=during, rate=rate)
    with open_reader(path) as reader:
        info = reader.info
        times = [frame.pts for frame in reader]
    joined = join(tmp_path, info, times, (7,))
    assert joined.path.suffix == (".mp4" if during else container)
    assert any("Matroska" in text for text in joined.warnings) == (joined.path.suffix == ".mkv")
    assert player_times(joined.path) == [time * info.time_base for time in times]
    with av.open(str(path)) as before, av.open(str(joined.path)) as after:
        starts = [
            [float(packet.pts * packet.time_base) for packet in one.demux(audio=0) if packet.size]
            for one in (before, after)
        ]
    assert len(starts[0]) == len(starts[1])
    np.testing.assert_allclose(starts[1], starts[0], atol=0.0011)


@pytest.mark.parametrize("time_base", [Fraction(1, 1_000_000), Fraction(1, 90000), Fraction(1, 25)])
@pytest.mark.parametrize("seconds", [1, HOUR, 8 * HOUR, 19 * DAY])
def test_units_hold_the_pause_and_are_those_of_the_source_where_they_suffice(
    time_base: Fraction, seconds: int
) -> None:
    widest = round(seconds / time_base)
    units = choose_units(time_base, 0, 7, widest, matroska=False)
    scale = units.timescale or max(units.tick.denominator, 10000)
    assert seconds * scale <= 2**31
    if seconds * time_base.denominator < 2**31:
        assert units.tick == time_base
    assert units.tick < Fraction(1, 1000) or units.exact
    milliseconds = choose_units(time_base, 0, 7, widest, matroska=True)
    assert milliseconds.exact == (time_base == Fraction(1, 25))


@pytest.mark.parametrize("part", [slice(0, 12), slice(12, 24), slice(3, 9)])
def test_a_part_is_not_judged_by_the_pauses_outside_it(tmp_path: Path, part: slice) -> None:
    path = with_sound(tmp_path / "in.mkv", 2 * DAY, during=False, rate=44100)
    with open_reader(path) as reader:
        info = reader.info
        times = [frame.pts for frame in reader][part]
    joined = join(tmp_path, info, times, trimmed=True)
    assert joined.path.suffix == ".mp4"
    assert not any("pause" in text for text in joined.warnings)
    # The sound ends before the pictures that follow the pause.
    is_silent = part.start == 12
    assert is_silent == any("nothing to store" in text for text in joined.warnings)
    with av.open(str(joined.path)) as container:
        assert len(container.streams.audio) == (not is_silent)


@pytest.mark.parametrize("first", [1, 2])
def test_matroska_names_no_pause_where_there_is_none(tmp_path: Path, first: int) -> None:
    survey = Survey(
        header=SegmentHeader("hevc", WIDTH, HEIGHT, Fraction(1, 1000), b""), frames=3, first=first,
        latest=(first, first + 40, first + 80), last_decoded=first + 40, depth=3, divisor=1,
        widest=40,
    )  # fmt: skip
    info = source(tmp_path, Fraction(1, 1000))
    assembly = Assembly(tmp_path / "a.mkv", "matroska", survey, info, None, trimmed=False)
    assert assembly.notes == []
    fine = replace(info, time_base=Fraction(1, 90000))
    rounded = Assembly(tmp_path / "a.mkv", "matroska", survey, fine, None, trimmed=False)
    assert rounded.notes == ["times were rounded to 1 ms, the unit of Matroska"]
