"""Landmark jitter: how unevenly the landmarks of a face move from frame to frame.

The measure is the acceleration of Kanazawa et al. 2019 ("Learning 3D Human Dynamics from Video")
and of VIBE after it: the length of the second difference of a point, and the acceleration error,
that of the second difference relative to the reference. PGTFormer (Xu et al. 2024) reports figures
named TLME and MSRL; their definitions were not at hand, so that they are not reproduced here.

The points are those in the frame, so that the alignment of the crops cancels, in per cent of the
distance of the outer eye corners of the reference. Where the time between frames varies, the second
difference is twice the distance of a point from where it would be in uniform motion between its
neighbours in time, which is the same at a constant rate.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.evaluation.metrics.landmarks import EYE_CORNERS
from jdsr_cli.faces.alignment import Alignment
from jdsr_cli.faces.landmarks import OnnxLandmarks
from jdsr_cli.weights.locations import sha256_of


class FrameLandmarks:
    """Landmarks of the faces of frames.

    Args:
        path: ONNX file, see `OnnxLandmarks`.

    Raises:
        WeightsMissingError: The file does not exist.
        WeightsCorruptError: It is not such a network.

    """

    def __init__(self, path: Path) -> None:
        self._network = OnnxLandmarks(path)
        self._network.locate_in_template(np.zeros((1, 128, 128, 3), np.uint8))

    @property
    def protocol(self) -> str:
        """Description of the metric."""
        path = self._network.path
        return (
            "mean length of the second difference in time of 68 points (acceleration, Kanazawa et "
            f"al. 2019) by {path.name} (SHA-256 {sha256_of(path)}), in the frame, in per cent of "
            "the distance between the outer eye corners of the reference; at a varying frame rate "
            "twice the distance from uniform motion between the neighbours in time; *_error: of "
            "the difference from the acceleration in the reference"
        )

    def locate(self, faces: NDArray[np.uint8], alignment: Alignment) -> NDArray[np.float64]:
        """Return the points of aligned faces in the frame.

        Args:
            faces: RGB uint8 (n, 128, 128, 3), the same face of several videos.
            alignment: From pixels of the frame of the reference to the template.

        Returns:
            (n, 68, 2) in pixels of the frame of the reference.

        """
        to_frame = alignment.inverse()
        points = self._network.locate_in_template(faces)
        return np.asarray(points @ to_frame[:, :2].T + to_frame[:, 2], np.float64)


def second_difference(
    points: NDArray[np.float64], times: tuple[Fraction, Fraction, Fraction]
) -> NDArray[np.float64]:
    """Return how points accelerate, (..., 2), in pixels per squared interval between frames.

    Args:
        points: (3, ..., 2): in three frames.
        times: Of the frames in seconds, ascending.

    """
    share = float((times[1] - times[0]) / (times[2] - times[0]))
    before, now, after = points
    return np.asarray(2.0 * ((1.0 - share) * before + share * after - now), np.float64)


def landmark_jitter(
    points: NDArray[np.float64], times: tuple[Fraction, Fraction, Fraction]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return acceleration and acceleration error of n videos, each (n,), lower is better.

    Args:
        points: (3, n, 68, 2) in pixels: in three frames; the first video is the reference.
        times: Of the frames in seconds, ascending.

    Returns:
        In per cent of the distance of the outer eye corners of the reference in the middle frame;
        NaN if those coincide.

    """
    left, right = (points[1, 0, corner] for corner in EYE_CORNERS)
    unit = float(np.linalg.norm(right - left))
    if unit == 0.0:
        undefined = np.full(points.shape[1], np.nan)
        return undefined, undefined
    change = second_difference(points, times)
    own, error = (
        100.0 * np.linalg.norm(one, axis=2).mean(axis=1) / unit
        for one in (change, change - change[:1])
    )
    return own, error
