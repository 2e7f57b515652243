"""Faces that move as a test says, and what a tracker makes of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.faces import Detection
from jdsr_cli.faces.tracking import TrackedFrame, Tracker

SHAPE = np.array([[-0.25, -0.2], [0.25, -0.2], [0.0, 0.1], [-0.2, 0.3], [0.2, 0.3]])
"""Five points around the middle of a face of width 1."""


def face(
    x: float, y: float, width: float = 40.0, turn: float = 0.0, score: float = 0.9
) -> Detection:
    """Return a face with its centre at (x, y), its points turned by an angle in radians."""
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points = (SHAPE @ rotation.T) * width + (x, y)
    box = (x - width / 2, y - 0.6 * width, x + width / 2, y + 0.6 * width)
    return Detection(box, points.astype(np.float32), score)


def centre(face: Detection) -> tuple[float, float]:
    """Return the centre of a box."""
    return (face.box[0] + face.box[2]) / 2, (face.box[1] + face.box[3]) / 2


def follow(
    tracker: Tracker, frames: Iterable[Sequence[Detection]], rate: float = 25.0
) -> list[TrackedFrame]:
    """Return what becomes of frames at a steady rate."""
    told: list[TrackedFrame] = []
    for number, faces in enumerate(frames):
        told += tracker.add(number / rate, faces)
    return told + tracker.finish()


def numbers(frames: Iterable[TrackedFrame]) -> list[tuple[int, ...]]:
    """Return the tracks of each frame."""
    return [tuple(one.track for one in frame.faces) for frame in frames]


def owner(frame: TrackedFrame, found: Detection) -> int:
    """Return the track to which a detection was given."""
    (track,) = [one.track for one in frame.faces if one.raw is found]
    return track


def appearance(*weights: float) -> NDArray[np.float64]:
    """Return a vector of length 1 with the given first numbers, in four dimensions."""
    vector = np.zeros(4)
    vector[: len(weights)] = weights
    return vector / np.linalg.norm(vector)
