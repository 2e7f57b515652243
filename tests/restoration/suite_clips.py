"""Footage with faces for the tests of whole runs, and what is read back of their results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from media.clips import encode
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

WALK = 36
"""Frames of `walk`: four segments of 8 and a half one."""


def walk(path: Path, first: Picture, second: Picture, frames: int = WALK) -> Path:
    """A clip of 280x140 in which one person stays and another comes after 10 frames, for 12.

    Args:
        path: Of the clip.
        first: Portrait of 120x120 of the one who stays.
        second: That of the one who comes and goes.
        frames: Number of frames.

    """

    def paint(index: int) -> Picture:
        frame = np.full((140, 280, 3), 90, np.uint8)
        left = 5 + index // 4
        frame[10:130, left : left + 120] = first
        if 10 <= index < 22:
            top = 10 + index % 3
            frame[top : top + 120, 150:270] = second
        return frame

    return encode(path, range(frames), size=(280, 140), paint=paint)


def tiled(portraits: Sequence[Picture], rows: int, columns: int, side: int) -> Picture:
    """A picture of so many portraits side by side, each scaled to `side` pixels."""
    from PIL import Image

    small = [np.asarray(Image.fromarray(one).resize((side, side)), np.uint8) for one in portraits]
    tiles = [small[index % len(small)] for index in range(rows * columns)]
    return np.vstack([np.hstack(tiles[row * columns : (row + 1) * columns]) for row in range(rows)])


def tree(folder: Path) -> dict[str, str]:
    """Hashes of all files below a folder, hidden ones too, but of the manifest: it tells times."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "manifest.json"
    }


def lasting(folder: Path) -> dict[str, Any]:
    """The manifest of a result without what differs from run to run: when, how long, how often."""
    read: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    for setting in ("resume", "force", "batch"):
        read["settings"].pop(setting, None)
    return {key: value for key, value in read.items() if key not in ("seconds", "created")}


def lines(path: Path) -> list[dict[str, Any]]:
    """The records of a JSONL file."""
    return [json.loads(line) for line in path.read_text().splitlines()]
