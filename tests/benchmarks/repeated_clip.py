"""Repeat a short clip to any length, for benchmarks that need a long input."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg


def add_clip_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the long clip."""
    parser.add_argument("clip", type=Path, help="any video or GIF; it is repeated")
    parser.add_argument("--height", type=int, default=120, help="of its frames in pixels")
    parser.add_argument("--rate", type=int, default=10, help="frames per second")


def parse_options(parser: argparse.ArgumentParser) -> tuple[argparse.Namespace, list[str]]:
    """Return the arguments of a script, and those after `--`, which are passed to `restore`."""
    arguments = sys.argv[1:]
    separator = arguments.index("--") if "--" in arguments else len(arguments)
    return parser.parse_args(arguments[:separator]), arguments[separator + 1 :]


def repeat_clip(source: Path, target: Path, *, seconds: int, height: int, rate: int) -> Path:
    """Write `source`, repeated for `seconds`, as H.264 with the given height and frame rate."""
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y",
        "-stream_loop", "-1", "-i", str(source), "-t", str(seconds), "-an",
        "-vf", f"fps={rate},scale=-2:{height}", "-pix_fmt", "yuv420p",
        "-c:v", "libx264", "-preset", "veryfast", "-crf", "18", str(target),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    return target


def make_clip(parsed: argparse.Namespace, folder: Path) -> Path:
    """Write the clip that the options of a script ask for, and return its path."""
    return repeat_clip(
        parsed.clip, folder / "clip.mkv",
        seconds=parsed.seconds, height=parsed.height, rate=parsed.rate,
    )  # fmt: skip


def frame_hashes(path: Path) -> str:
    """Return ffmpeg's `framemd5` of the video: time, size and hash of every frame."""
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-i", str(path), "-map", "0:v",
        "-fps_mode", "passthrough", "-copyts", "-enc_time_base", "demux", "-f", "framemd5", "-",
    ]  # fmt: skip
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def print_line(line: str) -> None:
    """Print a line and flush, so that the progress of a long run is visible."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
