"""Small clips of every awkward kind, made by PyAV itself: nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, COUNT = 64, 48, 12
VFR_PTS = (0, 40, 80, 200, 240, 400, 405, 445, 1000, 1040, 1200, 1300)
"""Times of the variable-rate clip, in milliseconds."""


def picture(index: int, width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    """A smooth ground, a red top-left and a blue bottom-right corner, and a moving bright bar."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    image = np.stack([60 + 60 * x, 80 + 60 * y, 90 + 20 * x * y], axis=2).astype(np.uint8)
    image[: height // 4, : width // 4] = (200, 40, 40)
    image[-(height // 4) :, -(width // 4) :] = (40, 40, 200)
    left = width // 4 + (index * 3) % (width // 2)
    image[height // 3 : 2 * height // 3, left : left + 6] = (220, 220, 220)
    return image


def encode(
    path: Path,
    pts: Sequence[int] = tuple(range(COUNT)),
    time_base: Fraction = Fraction(1, 25),
    *,
    rate: Fraction = Fraction(25),
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    size: tuple[int, int] = (WIDTH, HEIGHT),
    options: dict[str, str] | None = None,
    container: str | None = None,
    container_options: dict[str, str] | None = None,
    configure: Callable[[av.VideoStream], None] | None = None,
    tracks: Sequence[Track] = (),
    paint: Callable[[int], NDArray[np.uint8]] | None = None,
    metadata: dict[str, str] | None = None,
) -> Path:
    """Write a clip with exactly these timestamps, and the given sound beside it."""
    width, height = size
    if codec == "libx264":
        options = {"crf": "10", "g": "4", **(options or {})}
    with av.open(
        str(path), "w", format=container, container_options=container_options or {}
    ) as output:
        stream = output.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        stream.codec_context.time_base = stream.time_base = time_base
        if configure is not None:
            configure(stream)
        output.metadata.update(metadata or {})
        sounds = [track.add(output) for track in tracks]
        for index, moment in enumerate(pts):
            image = picture(index, width, height) if paint is None else paint(index)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame = frame.reformat(format=pixel_format)
            frame.pts, frame.time_base = moment, time_base
            output.mux(stream.encode(frame))
        for track, sound in zip(tracks, sounds, strict=True):
            track.fill(output, sound)
        output.mux(stream.encode(None))
    return path


class Track:
    """A sound track of a given codec, start and length."""

    def __init__(
        self,
        codec: str = "aac",
        *,
        start: Fraction = Fraction(0),
        seconds: Fraction = Fraction(1, 2),
        sample_rate: int = 16000,
        language: str = "und",
    ) -> None:
        self.codec, self.start, self.seconds = codec, start, seconds
        self.sample_rate, self.language = sample_rate, language

    def add(self, output: av.container.OutputContainer) -> av.AudioStream:
        stream = output.add_stream(self.codec, rate=self.sample_rate, layout="mono")
        stream.metadata["language"] = self.language
        return stream

    def fill(self, output: av.container.OutputContainer, stream: av.AudioStream) -> None:
        samples = 1024
        count = int(self.seconds * self.sample_rate) // samples
        kind = stream.format.name
        for index in range(count):
            phase = (np.arange(samples) + index * samples) * 2 * np.pi * 440 / self.sample_rate
            wave = np.sin(phase) * 0.3
            data = wave.astype(np.float32) if kind.startswith("flt") else wave * 32000
            array = data[None].astype(np.float32 if kind.startswith("flt") else np.int16)
            frame = av.AudioFrame.from_ndarray(array, format=kind, layout="mono")
            frame.sample_rate = self.sample_rate
            frame.time_base = Fraction(1, self.sample_rate)
            frame.pts = int(self.start * self.sample_rate) + index * samples
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def vfr(folder: Path, name: str = "vfr.mp4") -> Path:
    return encode(folder / name, VFR_PTS, Fraction(1, 1000), rate=Fraction(10))


def ntsc(folder: Path) -> Path:
    """24000/1001 frames per second, the "23.976" that drifts when it is rounded."""
    return encode(
        folder / "ntsc.mp4",
        [1001 * i for i in range(COUNT)],
        Fraction(1, 24000),
        rate=Fraction(24000, 1001),
    )


def gif(folder: Path) -> Path:
    """Delays of 1/100 s that vary: 8, 9, 8, 30, ..."""
    pts, moment = [], 0
    for index in range(COUNT):
        pts.append(moment)
        moment += (8, 9, 8, 30)[index % 4]
    return encode(folder / "anim.gif", pts, Fraction(1, 100), codec="gif", pixel_format="rgb8")


def rotated(folder: Path, degrees: int) -> Path:
    """Stored as painted, to be shown turned clockwise by so much."""
    return encode(
        folder / f"rotated{degrees}.mp4",
        configure=lambda stream: stream.set_display_rotation(-degrees),
    )


def gray(folder: Path) -> Path:
    return encode(folder / "gray.mkv", codec="ffv1", pixel_format="gray")


def ten_bit(folder: Path) -> Path:
    return encode(folder / "ten.mkv", pixel_format="yuv420p10le")


def raw_h264(folder: Path) -> Path:
    """An elementary stream, which holds no timestamps."""
    return encode(folder / "camera.h264", container="h264")


def truncated(path: Path, share: float) -> Path:
    """A copy of a clip that ends after this share of its bytes."""
    data = path.read_bytes()
    cut = path.with_name(f"cut-{path.name}")
    cut.write_bytes(data[: int(len(data) * share)])
    return cut


def corrupt_middle(path: Path) -> Path:
    """A copy of a clip whose middle fifth is noise."""
    data = bytearray(path.read_bytes())
    start, end = len(data) * 2 // 5, len(data) * 3 // 5
    data[start:end] = np.random.default_rng(7).bytes(end - start)
    broken = path.with_name(f"broken-{path.name}")
    broken.write_bytes(bytes(data))
    return broken


def resolution_change(folder: Path) -> Path:
    """An MPEG transport stream that goes on in another size, its time beginning anew."""
    parts = [
        encode(folder / "part0.ts", size=(64, 48)),
        encode(folder / "part1.ts", size=(96, 64)),
    ]
    joined = folder / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    return joined
