"""Small files of each kind that is signed, and how they are signed in the tests."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from PIL import Image

from jdsr_cli.evidence import FileDigest
from jdsr_cli.evidence.credentials import Origin

SUFFIXES = (".png", ".jpg", ".mp4", ".mov", ".mkv")
ORIGIN = Origin(
    FileDigest("/srv/case 12/Käfer cam.mp4", 4711, "ab" * 32),
    {"name": "/srv/own.safetensors", "file": "own.safetensors", "sha256": "cd" * 32},
    "ef" * 32,
)


def write_media(path: Path) -> Path:
    """Write a picture, or a video of ten frames with sound, whose kind is that of the suffix."""
    noise = np.random.default_rng(7).integers(0, 255, (10, 48, 64, 3), np.uint8)
    if path.suffix in (".png", ".jpg"):
        Image.fromarray(noise[0]).save(path)
        return path
    with av.open(str(path), "w") as container:
        video, sound = container.add_stream("libx264", rate=25), container.add_stream("aac", 8000)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for picture in noise:
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 3200), np.float32), "fltp", "mono")
        samples.sample_rate = 8000
        container.mux(sound.encode(samples))
        for stream in (video, sound):
            container.mux(stream.encode(None))
    return path


def decoded(path: Path) -> list[tuple[object, ...]]:
    """Return times and pixels of a picture or video, and times and samples of its sound."""
    if path.suffix in (".png", ".jpg"):
        with Image.open(path) as picture:
            return [(picture.mode, picture.tobytes())]
    with av.open(str(path)) as container:
        return [
            (frame.pts, frame.time_base, frame.to_ndarray().tobytes())
            for frame in container.decode(*container.streams.video, *container.streams.audio)
        ]
