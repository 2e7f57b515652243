"""Videos with a sound that differs at every time, and where a piece of it is in the whole."""

from __future__ import annotations

import subprocess
import wave
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
from clips import HEIGHT, WIDTH
from numpy.typing import NDArray

Samples = NDArray[np.float64]
SECONDS = 3


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


def placed(path: Path) -> tuple[Samples, int]:
    """Return the samples at their times from 0 on, with zeros in pauses, and their rate."""
    parts, position = [], 0
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        rate = stream.codec_context.sample_rate
        for frame in container.decode(stream):
            assert frame.pts is not None
            assert frame.time_base is not None
            start = round(frame.pts * frame.time_base * rate)
            # Matroska rounds times to milliseconds.
            position = start if abs(start - position) > 0.002 * rate else position
            parts.append((position, frame.to_ndarray().reshape(-1) / 32768))
            position += frame.samples
    samples = np.zeros(max(start + len(one) for start, one in parts))
    for start, one in parts:
        samples[start : start + len(one)] = one
    return samples, rate


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
