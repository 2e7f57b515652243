"""Sound of a part of a video: it starts with the part, and is in step with the pictures."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import HEIGHT, WIDTH, picture
from melodies import SECONDS, decode, decode_with_ffmpeg, melody, shift, write_source

from jdsr_cli.media import JoinedVideo, ReadSettings, SegmentWriter, join_segments, open_reader

PARTS = [(None, "1.2"), ("0.6", "2"), ("1.32", None)]
"""Starts and ends of parts: from the start, in the middle, to the end."""


@dataclass(frozen=True)
class Part:
    joined: JoinedVideo
    start: Fraction
    """Time in the source of the first frame, after the first frame of the whole."""


def cut(folder: Path, path: Path, start: str | None, end: str | None) -> Part:
    settings = ReadSettings(start=start, end=end)
    with open_reader(path) as reader:
        first = next(iter(reader)).time
    with open_reader(path, settings) as reader:
        info, times = reader.info, [frame.pts for frame in reader]
    segment = folder / "part.nut"
    with SegmentWriter(segment, info, WIDTH, HEIGHT) as writer:
        for index, time in enumerate(times):
            writer.write(picture(index), time)
    joined = join_segments(folder / "out.mp4", [segment], info, trimmed=True)
    with av.open(str(joined.path)) as container:
        assert min(frame.pts for frame in container.decode(video=0)) == 0
    return Part(joined, times[0] * info.time_base - first)


def check_step(
    part: Part, rate: int, *, latest: float = 0.001, offsets: tuple[float, ...] = (0.0, 0.03, 0.3)
) -> None:
    """Check that the sound starts with the part, and is in step with the source everywhere."""
    start, samples, stored_rate = decode(part.joined.path)
    whole = melody(rate)
    if stored_rate != rate:
        grid = np.arange(SECONDS * stored_rate) / stored_rate
        whole = np.interp(grid, np.arange(len(whole)) / rate, whole)
    assert -0.001 <= start <= latest
    for sounding, begin in ((samples, start), (decode_with_ffmpeg(part.joined.path), start)):
        for offset in offsets:
            piece = sounding[round(offset * stored_rate) :][: stored_rate // 5]
            time = float(part.start) + begin + offset
            assert abs(shift(piece, whole, stored_rate, time)) <= 0.001


SOURCES = [
    (".mp4", "aac", 48000),
    (".mp4", "aac", 44100),
    (".mov", "aac", 8000),
    (".mkv", "aac", 44100),
    (".ts", "aac", 48000),
    (".ts", "aac", 44100),
    (".webm", "libopus", 48000),
    (".mkv", "libopus", 48000),
    (".ogg", "libopus", 48000),
    (".mkv", "libvorbis", 44100),
    (".webm", "libvorbis", 8000),
    (".ogg", "libvorbis", 48000),
    (".mp4", "libmp3lame", 44100),
    (".mkv", "flac", 48000),
    (".mkv", "pcm_s16le", 8000),
    (".mkv", "pcm_mulaw", 8000),
]


@pytest.mark.parametrize(("start", "end"), PARTS)
@pytest.mark.parametrize(("suffix", "codec", "rate"), SOURCES)
def test_sound_of_a_part_starts_with_it(
    tmp_path: Path, suffix: str, codec: str, rate: int, start: str | None, end: str | None
) -> None:
    source = write_source(tmp_path / f"in{suffix}", codec, rate)
    part = cut(tmp_path, source, start, end)
    if "vorbis" in codec and start is not None:
        (note,) = part.joined.warnings
        assert "stored as pcm_s16le" in note
    else:
        assert part.joined.warnings == ()
    check_step(part, rate)


@pytest.mark.parametrize(("start", "end"), PARTS)
@pytest.mark.parametrize(("codec", "rate"), [("aac", 48000), ("aac", 8000), ("libopus", 48000)])
def test_in_matroska_sound_starts_with_the_next_packet(
    tmp_path: Path, codec: str, rate: int, start: str | None, end: str | None
) -> None:
    """Its tracks cannot begin inside a packet, except as the codec does at its start."""
    part = cut(tmp_path, write_source(tmp_path / "in.mkv", codec, rate, True), start, end)
    assert part.joined.path.suffix == ".mkv"
    assert part.joined.warnings == ()
    packet = 1024 / rate if codec == "aac" else 0.02
    if start is None:
        check_step(part, rate)
    else:
        # Opus converges within the first packets.
        check_step(part, rate, latest=packet + 0.001, offsets=(packet, 0.3))
