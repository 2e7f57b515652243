"""The pictures of a track: its best shots, and what several of them together show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.evidence import sha256_file
from jdsr_cli.faces.fusion import fuse
from jdsr_cli.media import write_image
from jdsr_cli.restoration.shots.shot import Shot

FACES = "faces"
"""Folder of the pictures of single faces."""
LARGEST_FUSED = 512
"""Side in pixels up to which faces are fused."""


@dataclass(frozen=True)
class Exported:
    """A picture of a face."""

    file: str
    """Relative to the folder of results."""
    sha256: str
    frames: tuple[int, ...]
    """Frames that it shows, by their index; several for a fused face."""
    quality: float
    """Of the shot; of the best one for a fused face."""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return asdict(self)


def track_name(track: int) -> str:
    """Return how the files of a track begin."""
    return f"track{track:04d}"


def export_track(
    folder: Path,
    track: int,
    shots: Sequence[Shot],
    *,
    scale: int,
    most: int,
    metadata: Mapping[str, str],
) -> tuple[list[Exported], Exported | None]:
    """Write the pictures of a track: input on the left, restored on the right.

    Args:
        folder: Of the results.
        track: Its number.
        shots: Best first.
        scale: How much larger than in the frame the faces become.
        most: Single shots that are written.
        metadata: Of the pictures.

    Returns:
        The best shots, and the fused face where several shots agree well enough.

    Raises:
        OutputError: A picture cannot be written.

    """
    best = []
    for number, shot in enumerate(shots[:most], 1):
        file = f"{FACES}/{track_name(track)}_best{number}.png"
        digest = write_pair(folder / file, *shot.render(shot.side(scale)), metadata)
        best.append(Exported(file, digest, (shot.frame,), shot.quality))
    return best, _export_fused(folder, track, shots, scale, metadata)


def write_pair(
    path: Path,
    before: NDArray[np.uint8],
    after: NDArray[np.uint8],
    metadata: Mapping[str, str],
) -> str:
    """Write two pictures side by side; return the SHA-256 of the file."""
    write_image(path, np.asarray(cv2.hconcat([before, after]), np.uint8), metadata)
    return sha256_file(path)


def _export_fused(
    folder: Path,
    track: int,
    shots: Sequence[Shot],
    scale: int,
    metadata: Mapping[str, str],
) -> Exported | None:
    if len(shots) < 2:
        return None
    side = min(LARGEST_FUSED, shots[0].side(scale))
    pairs = [shot.render(side) for shot in shots]
    fused = fuse(
        np.stack([after for _, after in pairs]),
        np.array([shot.quality for shot in shots]),
        occlusions=np.stack([shot.face.occlusion for shot in shots]),
    )
    if len(fused.used) < 2:
        return None
    file = f"{FACES}/{track_name(track)}_fused.png"
    digest = write_pair(folder / file, pairs[0][0], fused.image, metadata)
    frames = tuple(shots[index].frame for index in fused.used)
    return Exported(file, digest, frames, shots[0].quality)
