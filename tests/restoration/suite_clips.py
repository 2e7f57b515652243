"""Footage with faces for tests of whole runs, and functions that read the results."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
from media.clips import encode
from numpy.typing import NDArray
from results_folder import VARYING

from jdsr_cli.atomic import HIDDEN_FOLDER
from jdsr_cli.settings import RestoreSettings

Picture = NDArray[np.uint8]

WALK = 28
"""Frames of `walk`: three segments of 8 and a half one."""


@dataclass(frozen=True)
class Undisturbed:
    """A clip of 24 frames in segments of 8, its settings, and its results."""

    clip: Path
    settings: RestoreSettings
    result: Path


def walk(path: Path, first: Picture, second: Picture, frames: int = WALK) -> Path:
    """Write a clip of 280x140 with one person, and another one in frames 5 to 10.

    Args:
        path: Path of the clip.
        first: Portrait of 120x120 of the first person.
        second: Portrait of 120x120 of the second person.
        frames: Number of frames.

    """

    def paint(index: int) -> Picture:
        frame = np.full((140, 280, 3), 90, np.uint8)
        left = 5 + index // 4
        frame[10:130, left : left + 120] = first
        if 5 <= index < 11:
            top = 10 + index % 3
            frame[top : top + 120, 150:270] = second
        return frame

    return encode(path, range(frames), size=(280, 140), paint=paint)


def walk_settings(weights: Path, **changes: Any) -> RestoreSettings:
    """Return fast settings for `walk`, with segments of 8 frames."""
    settings = RestoreSettings(
        weights=str(weights), detector="centerface", detection_scale=0.5, device="cpu",
        frame_scale=1, segment=8,
    )  # fmt: skip
    return replace(settings, **changes)


def tiled(portraits: Sequence[Picture], rows: int, columns: int, side: int) -> Picture:
    """Return a grid of portraits, each scaled to `side` pixels."""
    from PIL import Image

    small = [np.asarray(Image.fromarray(one).resize((side, side)), np.uint8) for one in portraits]
    tiles = [small[index % len(small)] for index in range(rows * columns)]
    return np.vstack([np.hstack(tiles[row * columns : (row + 1) * columns]) for row in range(rows)])


def file_hashes(folder: Path) -> dict[str, str]:
    """Return the hashes of all files below a folder except those that contain times.

    Those are manifests and the pages made from them, and the record of names.
    """
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in VARYING and HIDDEN_FOLDER not in path.parts
    }


def repeatable_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a result without times and settings that differ between runs."""
    read: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    for setting in ("resume", "force", "batch"):
        read["settings"].pop(setting, None)
    read["notes"] = [note for note in read["notes"] if not note.startswith("resumed after")]
    return {key: value for key, value in read.items() if key not in ("seconds", "created")}


def lines(path: Path) -> list[dict[str, Any]]:
    """Return the records of a JSONL file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def ffmpeg(*arguments: str) -> bytes:
    """Return the output of the ffmpeg program of imageio-ffmpeg, another build of FFmpeg."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", *arguments, "-"]
    return subprocess.run(command, check=True, capture_output=True).stdout


@dataclass(frozen=True)
class FfmpegVideo:
    """A video as ffmpeg decodes it, with upright frames in order of time."""

    times: list[Fraction]
    """Times of the frames in seconds."""
    size: tuple[int, int]
    aspect: Fraction
    """Sample aspect ratio."""


def read_with_ffmpeg(path: Path, stream: int = 0) -> FfmpegVideo:
    """Read a video stream with ffmpeg's `framemd5`."""
    text = ffmpeg(
        "-i", str(path), "-map", f"0:v:{stream}", "-fps_mode", "passthrough", "-copyts",
        "-enc_time_base", "demux", "-f", "framemd5",
    ).decode()  # fmt: skip
    head = _head(text)
    width, height = head["dimensions 0"].split("x")
    sar = head["sar 0"]
    return FfmpegVideo(
        [int(row[2]) * Fraction(head["tb 0"]) for row in _rows(text)],
        (int(width), int(height)),
        Fraction(sar) if not sar.startswith("0") else Fraction(1),
    )


def sound_packets(path: Path) -> list[tuple[str, Fraction, str]]:
    """Return stream, time and hash of each encoded sound packet, from ffmpeg's `framemd5`."""
    text = ffmpeg(
        "-i", str(path), "-map", "0:v:0", "-map", "0:a?", "-c", "copy", "-copyts",
        "-f", "framemd5",
    ).decode()  # fmt: skip
    head = _head(text)
    rows = [row for row in _rows(text) if head[f"media_type {row[0]}"] == "audio"]
    return sorted(
        (row[0], int(row[2]) * Fraction(head[f"tb {row[0]}"]), row[5].strip()) for row in rows
    )


def _head(text: str) -> dict[str, str]:
    return dict(line[1:].split(": ") for line in text.splitlines() if ": " in line)


def _rows(text: str) -> list[list[str]]:
    return [line.split(",") for line in text.splitlines() if line and line[0] != "#"]


def pictures(path: Path, size: tuple[int, int], stream: int = 0) -> Picture:
    """Return all frames as ffmpeg decodes them: RGB, shape (frames, height, width, 3)."""
    raw = ffmpeg(
        "-i", str(path), "-map", f"0:v:{stream}", "-fps_mode", "passthrough",
        "-pix_fmt", "rgb24", "-f", "rawvideo",
    )  # fmt: skip
    return np.frombuffer(raw, np.uint8).reshape(-1, size[1], size[0], 3)
