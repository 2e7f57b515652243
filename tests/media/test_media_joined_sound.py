"""Sound of several recordings in one file: each is in step with its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import HEIGHT, WIDTH, Track, encode, picture
from melodies import SECONDS, decode_with_ffmpeg, melody, placed, shift, write_source

from jdsr_cli.media import (
    JoinedVideo,
    LaterRecording,
    ReadSettings,
    SegmentWriter,
    join_segments,
    open_reader,
)


@dataclass(frozen=True)
class Restored:
    joined: JoinedVideo
    later: Sequence[LaterRecording]
    first: Fraction
    """Time of the first frame."""


def concatenated(path: Path, *parts: Path) -> Path:
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def restored(path: Path, settings: ReadSettings | None = None) -> Restored:
    """Write the frames of a file anew, with its sound."""
    segment, numbered = path.with_name("all.nut"), path.with_name("out.mp4")
    with open_reader(path, settings) as reader:
        info, first = reader.info, None
        with SegmentWriter(segment, info, WIDTH, HEIGHT) as writer:
            for frame in reader:
                first = frame.time if first is None else first
                writer.write(picture(frame.index), frame.pts)
        later = reader.report.later
    assert first is not None
    joined = join_segments(numbered, [segment], info, trimmed=settings is not None, later=later)
    return Restored(joined, later, first)


def assert_in_step(path: Path, rate: int, begin: float, offsets: Sequence[float]) -> None:
    """Check that a melody of a rate begins at a time, by pieces of 0.2 s at offsets in it."""
    samples, stored_rate = placed(path)
    grid = np.arange(SECONDS * stored_rate) / stored_rate
    whole = np.interp(grid, np.arange(SECONDS * rate) / rate, melody(rate))
    for offset in offsets:
        piece = samples[round((begin + offset) * stored_rate) :][: stored_rate // 5]
        assert abs(shift(piece, whole, stored_rate, offset)) <= 0.0015


@pytest.mark.parametrize(
    "kinds",
    [
        [(".mp4", "aac", 48000), (".mp4", "aac", 48000)],
        [(".mp4", "aac", 44100), (".mkv", "libopus", 48000)],
        [(".mkv", "libvorbis", 48000), (".mp4", "aac", 44100)],
        [(".mkv", "pcm_mulaw", 8000), (".mkv", "pcm_mulaw", 8000)],
        [(".ts", "aac", 48000), (".mp4", "libmp3lame", 48000)],
        [(".mkv", "flac", 48000), (".ts", "aac", 48000), (".mp4", "aac", 48000)],
    ],
    ids=lambda kinds: "+".join(f"{codec}-{rate}" for _, codec, rate in kinds),
)
def test_the_sound_of_every_recording_is_in_step(
    tmp_path: Path, kinds: list[tuple[str, str, int]]
) -> None:
    parts = [
        write_source(tmp_path / f"{number}{kind[0]}", *kind[1:])
        for number, kind in enumerate(kinds)
    ]
    result = restored(concatenated(tmp_path / "joined.bin", *parts))
    (note,) = result.joined.warnings
    assert note == "the sound of several recordings was joined as pcm_s16le"
    begins = [result.first, *(one.start for one in result.later)]
    for begin, (_, _, rate) in zip(begins, kinds, strict=True):
        out = float(begin + result.joined.time_offset)
        # The pieces are at the joint and in the middle.
        assert_in_step(result.joined.path, rate, out, [0.05, 1.5, 2.7])
    samples, rate = placed(result.joined.path)
    sounding = samples[samples.nonzero()[0][0] :]
    assert abs(len(decode_with_ffmpeg(result.joined.path)) - len(sounding)) < 0.05 * rate


@pytest.mark.parametrize(
    ("start", "end", "heard"),
    [("3.5", "5", 1), ("0.4", "4", 0), ("1", "2.5", 0)],
    ids=["second", "both", "first"],
)
def test_the_sound_of_a_part_is_in_step(tmp_path: Path, start: str, end: str, heard: int) -> None:
    parts = [write_source(tmp_path / f"{n}.mp4", "aac", 48000) for n in range(2)]
    path = concatenated(tmp_path / "joined.mp4", *parts)
    result = restored(path, ReadSettings(start=start, end=end))
    begins = [Fraction(0), *(one.start for one in result.later)]
    first = float(result.first - begins[heard])
    assert_in_step(result.joined.path, 48000, -first, [first + 0.05, first + 0.5])
    samples, rate = placed(result.joined.path)
    assert len(samples) / rate <= float(end) - float(start) + 0.05


def test_a_silent_recording_between_two_others_stays_silent(tmp_path: Path) -> None:
    loud = [write_source(tmp_path / f"{n}.mp4", "aac", 48000) for n in (0, 2)]
    silent = encode(tmp_path / "1.mp4", range(50))
    result = restored(concatenated(tmp_path / "joined.mp4", loud[0], silent, loud[1]))
    begin = float(result.later[1].start)
    assert_in_step(result.joined.path, 48000, begin, [0.05, 1.5])
    samples, rate = placed(result.joined.path)
    middle = float(result.later[0].start)
    assert not samples[round((middle + 0.03) * rate) : round((begin - 0.03) * rate)].any()


def test_a_first_recording_without_sound_gets_that_of_the_others(tmp_path: Path) -> None:
    silent = encode(tmp_path / "0.mp4", range(30))
    loud = write_source(tmp_path / "1.mp4", "aac", 48000)
    result = restored(concatenated(tmp_path / "joined.mp4", silent, loud))
    assert_in_step(result.joined.path, 48000, float(result.later[0].start), [0.05, 1.5])


def test_sound_that_is_longer_than_its_recording_ends_with_it(tmp_path: Path) -> None:
    long = encode(tmp_path / "0.mkv", tracks=[Track(seconds=Fraction(2))])
    loud = write_source(tmp_path / "1.mp4", "aac", 16000)
    result = restored(concatenated(tmp_path / "joined.mkv", long, loud))
    assert_in_step(result.joined.path, 16000, float(result.later[0].start), [0.05, 1.5])


def test_recordings_without_sound_change_nothing(tmp_path: Path) -> None:
    loud = write_source(tmp_path / "0.mp4", "aac", 48000)
    silent = encode(tmp_path / "1.mp4", range(30))
    result = restored(concatenated(tmp_path / "joined.mp4", loud, silent))
    assert result.joined.warnings == ()
    with av.open(str(loud)) as before, av.open(str(result.joined.path)) as after:
        packets = [[bytes(one) for one in file.demux(audio=0)] for file in (before, after)]
    assert packets[0] == packets[1]


@pytest.mark.parametrize("minutes", [1, 11])
def test_a_long_recording_without_sound_is_not_filled(tmp_path: Path, minutes: int) -> None:
    loud = [write_source(tmp_path / f"{n}.mp4", "aac", 48000) for n in (0, 2)]
    silent = encode(tmp_path / "1.mp4", range(minutes * 60 + 1), Fraction(1), rate=Fraction(1))
    result = restored(concatenated(tmp_path / "joined.mp4", loud[0], silent, loud[1]))
    begin = float(result.later[1].start)
    assert begin > 60 * minutes
    assert_in_step(result.joined.path, 48000, begin, [0.05, 1.5])
    assert result.joined.path.suffix == (".mp4" if minutes < 10 else ".mkv")
    assert any("filled with silence" in text for text in result.joined.warnings) == (minutes < 10)


@pytest.mark.parametrize("order", [1, -1], ids=["later", "first"])
def test_sound_of_unknown_format_is_named(tmp_path: Path, order: int) -> None:
    """FFmpeg does not find the channels of this codec in NUT."""
    loud = write_source(tmp_path / "0.mp4", "aac", 48000)
    other = encode(tmp_path / "1.nut", tracks=[Track("adpcm_ima_wav", sample_rate=8000)])
    result = restored(concatenated(tmp_path / "joined.bin", *[loud, other][::order]))
    assert "sound of unknown format could not be kept (1 tracks)" in result.joined.warnings
    begin = 0 if order == 1 else float(result.later[0].start)
    assert_in_step(result.joined.path, 48000, begin, [0.05, 1.5])


def test_the_subtitles_of_later_recordings_are_named(tmp_path: Path) -> None:
    parts = [write_source(tmp_path / f"{n}.mkv", "aac", 48000, subtitles=True) for n in range(2)]
    result = restored(concatenated(tmp_path / "joined.mkv", *parts))
    assert "subtitles of later recordings are not kept (1 tracks)" in result.joined.warnings
    with av.open(str(result.joined.path)) as container:
        assert len(container.streams.subtitles) == 1
