"""Check of decoded frames: they are hashed again and compared with the stored hashes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from jdsr_cli.evidence.verification.findings import Finding
from jdsr_cli.evidence.verification.origins import find_input
from jdsr_cli.evidence.verification.stored_result import StoredResult, shown
from jdsr_cli.media import FrameHashes, read_frame_hashes
from jdsr_cli.restoration.hashed_frames import INPUT_HASHES, SUFFIX

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv")
"""Suffixes of the videos in a result."""


def check_frames(result: StoredResult) -> Iterator[Finding]:
    """Decode the videos whose frames were hashed, and compare the hashes."""
    for name in result.sizes:
        if Path(name).suffix != SUFFIX or "/" in name:
            continue
        if name == INPUT_HASHES:
            files = find_input(result)
            media = result.manifest.get("media")
            stream = media.get("stream") if isinstance(media, dict) else None
            video = files[0] if len(files) == 1 else None
        else:
            names = (Path(name).stem + suffix for suffix in VIDEO_SUFFIXES)
            video = next((result.path(one) for one in names if one in result.sizes), None)
            stream = 1
        if video is None:
            yield Finding("note", name, "its video is not here, and was not decoded")
        else:
            yield from _compare(result, name, video, stream if type(stream) is int else 1)


def _compare(result: StoredResult, name: str, video: Path, stream: int) -> Iterator[Finding]:
    with tempfile.TemporaryDirectory(prefix="jdsr-verify-") as folder:
        target = Path(folder) / "now"
        hashes = FrameHashes(video, target, max(1, stream))
        task = f"{result.folder.name}: {name} (frames)"
        result.progress.begin(task, None)
        try:
            reason = hashes.wait(lambda frames: result.progress.advance(task, frames))
        finally:
            hashes.stop()
            result.progress.end(task)
        if reason is not None:
            what = f"ffmpeg cannot decode {shown(video.name)} ({reason})"
            yield Finding("problem", name, what)
            return
        stored = read_frame_hashes(result.path(name))
        pairs = zip_longest(stored, read_frame_hashes(target))
        for frame, (before, now) in enumerate(pairs):
            if before is None or now is None:
                what = f"{shown(video.name)} has {'more' if before is None else 'fewer'} frames"
                yield Finding("problem", name, f"{what}, from frame {frame} on")
                return
            if before[1] != now[1]:
                what = f"frame {frame} of {shown(video.name)} is decoded to another picture or time"
                yield Finding("problem", name, what, before[0])
                return
    yield Finding("note", name, f"all frames of {shown(video.name)} are as recorded")
