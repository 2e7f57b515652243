"""Simulated moving faces, and helpers that run a tracker on them."""

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
    """Return a face with its centre at (x, y), its points rotated by an angle in radians."""
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points = (SHAPE @ rotation.T) * width + (x, y)
    box = (x - width / 2, y - 0.6 * width, x + width / 2, y + 0.6 * width)
    return Detection(box, points.astype(np.float32), score)


def centre(face: Detection) -> tuple[float, float]:
    """Return the centre of a box."""
    return (face.box[0] + face.box[2]) / 2, (face.box[1] + face.box[3]) / 2


def track_frames(
    tracker: Tracker, frames: Iterable[Sequence[Detection]], rate: float = 25.0
) -> list[TrackedFrame]:
    """Return the tracked frames of a clip of constant frame rate."""
    tracked: list[TrackedFrame] = []
    for number, faces in enumerate(frames):
        tracked += tracker.add(number / rate, faces)
    return tracked + tracker.finish()


def track_numbers(frames: Iterable[TrackedFrame]) -> list[tuple[int, ...]]:
    """Return the track numbers of each frame."""
    return [tuple(one.track for one in frame.faces) for frame in frames]


def track_of(frame: TrackedFrame, detection: Detection) -> int:
    """Return the track with which a detection was associated."""
    (track,) = [one.track for one in frame.faces if one.raw is detection]
    return track


def appearance(*weights: float) -> NDArray[np.float64]:
    """Return a unit vector in four dimensions, proportional to the given first components."""
    vector = np.zeros(4)
    vector[: len(weights)] = weights
    return vector / np.linalg.norm(vector)
