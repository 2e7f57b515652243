"""The detections of a segment in a file, from which tracking can be repeated exactly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import InputError
from jdsr_cli.faces import Detection
from jdsr_cli.faces.head_appearance import SIDE
from jdsr_cli.restoration.frame import FrameDetections
from jdsr_cli.restoration.snapshots import Snapshot
from jdsr_cli.restoration.workspace import Workspace

SUFFIX = ".facts.npz"
"""End of the names of these files."""
DETECTIONS_FORMAT = 8
"""Version of the methods of detection and tracking and of the stored detections; part of the
request, so that a run that another version began is not resumed. Increase it if any changes."""
DAMAGED = "the detections of the interrupted run are damaged"
_NUMBERS = 18
"""Numbers of a detection: box (4), points (10), score, turn, spread, confirmed."""


def detections_file(workspace: Workspace, number: int) -> Path:
    """Return the path of the stored detections of segment `number`."""
    return workspace.segments.file(number, SUFFIX)


def check_frame(source: Path, number: int, stored: float | None, found: float | None) -> None:
    """Check that a frame is the one whose detections are stored.

    Args:
        source: The input.
        number: Number of the frame in the run, from 0.
        stored: Its time in seconds with the detections; None if there are none.
        found: Its time in the input; None if that has ended.

    Raises:
        InputError: It is another one.

    """
    if stored is None or stored != found:
        raise InputError(
            f"frame {number} is not the one that was searched for faces before",
            where=source,
            hint="Start again with --force, while nothing writes the input.",
        )


def write_detections(path: Path, frames: Sequence[FrameDetections], run: str) -> None:
    """Store the detections of a segment of a run, so that tracking can be repeated exactly.

    Raises:
        OutputError: The file cannot be written.

    """
    faces = [_numbers(face) for one in frames for face in one.detections]
    arrays = {"faces": np.array(faces, np.float64).reshape(-1, _NUMBERS)}
    heads = [np.zeros((0, SIDE, SIDE, 3), np.uint8), *(one.heads for one in frames)]
    arrays["heads"] = np.concatenate(heads)
    embeddings = {
        f"embeddings/{number}": one.embeddings
        for number, one in enumerate(frames)
        if one.embeddings is not None
    }
    table = [
        (
            *(one.time, one.searched, one.cut, one.shift, one.colour),
            *(len(one.detections), one.face_colours),
        )
        for one in frames
    ]
    Snapshot({"frames": table}, arrays | embeddings).write(path, run)


def read_detections(path: Path, run: str) -> Iterator[FrameDetections]:
    """Yield what `write_detections` stored in the same run.

    Raises:
        InputUnreadableError: The file is missing, damaged or of another run.

    """
    stored, first = Snapshot.read(path, run, DAMAGED), 0
    for number, row in enumerate(stored.values["frames"]):
        time, searched, cut, shift, colour, count, colours = row
        faces = stored.arrays["faces"][first : first + count]
        heads = stored.arrays["heads"][first : first + count]
        first += count
        detections = tuple(_detection(face) for face in faces)
        embeddings = stored.arrays.get(f"embeddings/{number}")
        measures = (time, searched, cut, shift and tuple(shift), colour)
        yield FrameDetections(*measures, detections, tuple(colours), heads, embeddings)


def _numbers(face: Detection) -> list[float]:
    points = face.points.ravel().tolist()
    return [*face.box, *points, face.score, face.turn, face.spread, face.confirmed]


def _detection(numbers: NDArray[np.float64]) -> Detection:
    left, top, right, bottom, *points, score, turn, spread, confirmed = numbers.tolist()
    landmarks = np.array(points, np.float32).reshape(5, 2)
    return Detection((left, top, right, bottom), landmarks, score, turn, spread, bool(confirmed))
