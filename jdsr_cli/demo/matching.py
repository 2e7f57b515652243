"""Which of the faces that were found belong to which person of the scene."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.demo.clip import ClipSettings
from jdsr_cli.demo.scene import WALKS, Walk
from jdsr_cli.faces import Alignment, estimate

_NEAR = 0.5
"""Eyes further than this from where they should be, in eye distances, are another's."""


@dataclass(frozen=True, eq=False)
class Sighting:
    """A person found in a frame."""

    walk: Walk
    frame: int
    points: NDArray[np.float64]
    """(5, 2) as the detector found them, in pixels of the frame."""
    picture: Path | None
    """Input crop and restored crop side by side; None where the face was refused."""

    def alignment(self) -> Alignment:
        """Return the alignment by which the face was restored."""
        return estimate(self.points)

    def photograph_alignment(self, settings: ClipSettings) -> Alignment:
        """Return the alignment that cuts the same region out of the person's photograph."""
        film = np.vstack([settings.matrix(self.walk, self.frame), [0.0, 0.0, 1.0]])
        return Alignment(self.alignment().matrix @ film)


def find_people(folder: Path, settings: ClipSettings) -> list[Sighting]:
    """Match the records of a restored clip with its people.

    Args:
        folder: Results of `restore` with crops for the clip.
        settings: By which the clip was made.

    Returns:
        At most one sighting for each person in each frame, by frame.

    """
    found: dict[tuple[int, int], Sighting] = {}
    for line in (folder / "faces.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        frame, points = int(record["frame"]), np.array(record["points"], np.float64)
        number = _whose(points, frame, settings)
        if number is not None and (frame, number) not in found:
            picture = folder / record["file"] if record["file"] else None
            found[frame, number] = Sighting(WALKS[number], frame, points, picture)
    return [found[key] for key in sorted(found)]


def _whose(points: NDArray[np.float64], frame: int, settings: ClipSettings) -> int | None:
    """Return the number of the person whose eyes are there, None if nobody's are."""
    for number, walk in enumerate(WALKS):
        matrix = settings.matrix(walk, frame)
        eyes = walk.person.points[:2] @ matrix[:, :2].T + matrix[:, 2]
        apart = float(np.hypot(*(eyes[1] - eyes[0])))
        if float(np.hypot(*(points[:2].mean(0) - eyes.mean(0)))) < _NEAR * apart:
            return number
    return None
