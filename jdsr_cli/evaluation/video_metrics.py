"""Temporal figures of the face of one track in several videos, from frame to frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.evaluation.metrics import warping
from jdsr_cli.evaluation.metrics.frame_identities import FrameIdentities, identity_distance
from jdsr_cli.evaluation.metrics.frame_landmarks import FrameLandmarks, landmark_jitter
from jdsr_cli.evaluation.metrics.temporal import change_between, motion_between
from jdsr_cli.evaluation.metrics.warping import WarpedPair
from jdsr_cli.faces.alignment import Alignment

IDENTITY_FIGURES = ("identity_distance",)
LANDMARK_FIGURES = ("landmark_jitter", "landmark_jitter_error")
FLICKER_PROTOCOL = (
    "mean absolute change of luma from frame to frame over the region that a restored face "
    "replaces, in grey levels, after registering the previous frame by the similarity that fits "
    "the reference; aligned faces of 128 px"
)


@dataclass(frozen=True, eq=False)
class FrameFaces:
    """The same face in a frame of n videos, the reference first."""

    time: Fraction
    """Seconds."""
    native_width: float
    """Width of the face in the reference, in pixels."""
    crops: NDArray[np.uint8]
    """(n, 128, 128, 3) RGB, aligned."""
    embeddings: NDArray[np.float64] | None
    """(n, D), of length 1; None without a network."""
    points: NDArray[np.float64] | None
    """(n, 68, 2) in pixels of the frame of the reference; None without a network."""


class VideoMetrics:
    """Measures faces of neighbouring frames.

    Args:
        identity: ONNX or TorchScript file of a recognition network; None to leave its figures out.
        landmarks: ONNX file of a landmark network; likewise.
        device: Device of the recognition network.

    Raises:
        WeightsError: A file is missing, or is not such a network.

    """

    def __init__(
        self, identity: Path | None = None, landmarks: Path | None = None, device: str = "cpu"
    ) -> None:
        self._identities = None if identity is None else FrameIdentities(identity, device)
        self._landmarks = None if landmarks is None else FrameLandmarks(landmarks)

    @property
    def figures(self) -> tuple[str, ...]:
        """Names of the figures, in the order of the columns of `compare`."""
        own: tuple[str, ...] = ("warping_error", "flicker")
        own += IDENTITY_FIGURES if self._identities is not None else ()
        return own + (LANDMARK_FIGURES if self._landmarks is not None else ())

    @property
    def protocol(self) -> Mapping[str, str]:
        """Description of the figures."""
        described = {"warping_error": warping.PROTOCOL, "flicker": FLICKER_PROTOCOL}
        if self._identities is not None:
            described["identity_distance"] = self._identities.protocol
        if self._landmarks is not None:
            described["landmark_jitter"] = self._landmarks.protocol
        return described

    def describe(
        self, time: Fraction, alignment: Alignment, crops: Sequence[NDArray[np.uint8]]
    ) -> FrameFaces:
        """Return what is compared of a face in a frame.

        Args:
            time: Seconds.
            alignment: From displayed pixels of the reference to the template.
            crops: The aligned face in each video, RGB uint8 (128, 128, 3), the reference first.

        """
        faces = np.stack(crops)
        embeddings = points = None
        if self._identities is not None:
            embeddings = self._identities.embed(faces)
        if self._landmarks is not None:
            points = self._landmarks.locate(faces, alignment)
        return FrameFaces(time, alignment.native_width, faces, embeddings, points)

    def compare(self, frames: Sequence[FrameFaces]) -> NDArray[np.float64]:
        """Return the figures of the last of two or three consecutive frames, (n, figures).

        They belong to the last two frames, those of landmarks to all three. NaN where a figure is
        not defined.

        Args:
            frames: The face in two or three consecutive frames.

        """
        before, now = frames[-2:]
        narrower = min(before.native_width, now.native_width)
        pair = WarpedPair(before.crops[0], now.crops[0], narrower)
        motion = motion_between(before.crops[0], now.crops[0])
        couples = list(zip(before.crops, now.crops, strict=True))
        columns = [
            np.array([pair.error(*couple) for couple in couples]),
            np.array([change_between(*couple, motion) for couple in couples]),
        ]
        if before.embeddings is not None and now.embeddings is not None:
            columns.append(identity_distance(before.embeddings, now.embeddings))
        if now.points is not None:
            columns += self._jitter(frames)
        return np.stack(columns, axis=1)

    def _jitter(self, frames: Sequence[FrameFaces]) -> list[NDArray[np.float64]]:
        count = len(frames[-1].crops)
        points = [one.points for one in frames if one.points is not None]
        if len(points) < 3:
            return [np.full(count, np.nan)] * 2
        first, second, third = (one.time for one in frames)
        own, error = landmark_jitter(np.stack(points), (first, second, third))
        error = error.copy()
        error[0] = np.nan
        return [own, error]


@dataclass(eq=False)
class TrackScores:
    """The figures of one track of the reference."""

    track: int
    first_frame: int
    last_frame: int
    frames: int = 0
    """Number of frames in which the face is compared."""
    width: float = 0.0
    """Sum of its widths in the reference, in pixels."""
    pairs: list[NDArray[np.float64]] = field(default_factory=list)
    """(videos, figures) of each pair of consecutive frames, see `VideoMetrics.compare`."""

    def add_frame(self, frame: int, native_width: float) -> None:
        """Count a frame."""
        self.last_frame = frame
        self.frames += 1
        self.width += native_width
