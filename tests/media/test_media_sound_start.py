"""Sound of a part of a video: it starts with the part, and is in step with the pictures."""

from __future__ import annotations

import subprocess
import wave
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest
from clips import HEIGHT, WIDTH, picture
from numpy.typing import NDArray

from jdsr_cli.media import JoinedVideo, ReadSettings, SegmentWriter, join_segments, open_reader

Samples = NDArray[np.float64]
SECONDS = 3
PARTS = [(None, "1.2"), ("0.6", "2"), ("1.32", None)]
"""Starts and ends of parts: from the start, in the middle, to the end."""


def melody(rate: int) -> Samples:
    """Return sound that differs at every time: a rising tone, and noise."""
    time = np.arange(SECONDS * rate) / rate
    noise = np.convolve(np.random.default_rng(7).normal(size=len(time)), np.ones(8) / 8, "same")
    top = min(3000.0, rate / 6)
    rising: Samples = 0.35 * np.sin(2 * np.pi * (200 * time + top / (2 * SECONDS) * time**2))
    return rising + 0.25 * noise


def write_source(path: Path, codec: str, rate: int, subtitles: bool = False) -> Path:
    """Write a video with that sound."""
    sound, texts = path.with_suffix(".wav"), path.with_suffix(".srt")
    with wave.open(str(sound), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(melody(rate), -1, 1) * 32000).astype("<i2").tobytes())
    texts.write_text("1\n00:00:00,500 --> 00:00:02,500\nHello\n")
    video = {".webm": "libvpx", ".ogg": "libtheora"}.get(path.suffix, "libx264")
    pictures = f"testsrc=size={WIDTH}x{HEIGHT}:rate=25:duration={SECONDS}"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", pictures]
    command += ["-i", str(sound), *(["-i", str(texts)] if subtitles else [])]
    command += ["-c:v", video, "-g", "10", "-c:a", codec, str(path)]
    subprocess.run(command, check=True)
    return path


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


def decode(path: Path) -> tuple[float, Samples, int]:
    """Return the time of the first sample, the samples and their rate."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        frames = list(container.decode(stream))
        samples = [
            frame.to_ndarray().reshape(-1) / (32768 if "s16" in frame.format.name else 1)
            for frame in frames
        ]
        start = frames[0].pts * frames[0].time_base
        return float(start), np.concatenate(samples), stream.codec_context.sample_rate


def decode_with_ffmpeg(path: Path) -> Samples:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-map", "0:a"]
    done = subprocess.run(
        [*command, "-f", "f32le", "-ac", "1", "-"], check=True, capture_output=True
    )
    return np.frombuffer(done.stdout, np.float32).astype(np.float64)


def shift(samples: Samples, whole: Samples, rate: int, time: float) -> float:
    """Return the seconds by which samples that should be at `time` of the whole are late."""
    margin = rate // 10
    begin = round(time * rate)
    padded = np.pad(whole, (margin, margin + len(samples)))
    window = padded[begin : begin + len(samples) + 2 * margin]
    likeness = np.correlate(window, samples, "valid")
    best = int(np.argmax(likeness))
    found = window[best : best + len(samples)]
    assert likeness[best] > 0.95 * np.linalg.norm(samples) * np.linalg.norm(found)
    return (margin - best) / rate


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
