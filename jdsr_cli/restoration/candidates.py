"""From detections to candidates: faces that can be restored, or refusals with a reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.faces import Alignment, Detection, crop, estimate

LEAST_EYE_DISTANCE = 1.0
"""Pixels: with the eyes nearer than this there is no direction to align by."""


@dataclass(frozen=True)
class Refusal:
    """Why a face is not restored: a `kind` to count by and the full `reason`."""

    kind: str
    reason: str


@dataclass(frozen=True)
class Candidate:
    """A detected face: either aligned and cropped, or refused."""

    detection: Detection
    alignment: Alignment | None = None
    crop: NDArray[np.uint8] | None = None
    """Aligned face, RGB uint8 (side, side, 3), resampled once from the frame."""
    refusal: Refusal | None = None


def examine(
    image: NDArray[np.uint8], detections: Sequence[Detection], *, side: int, min_face: float
) -> list[Candidate]:
    """Align and crop the faces of one frame.

    Args:
        image: The frame, RGB uint8 (H, W, 3).
        detections: Faces found in it.
        side: Side of the crops in pixels.
        min_face: Least width of a face's box in pixels.

    Returns:
        One candidate for each detection, in their order.

    """
    return [_examine(image, detection, side, min_face) for detection in detections]


def _examine(
    image: NDArray[np.uint8], detection: Detection, side: int, min_face: float
) -> Candidate:
    refusal = _refuse(image, detection, min_face)
    if refusal is not None:
        return Candidate(detection, refusal=refusal)
    try:
        alignment = estimate(detection.points)
    except UsageError:
        return Candidate(detection, refusal=_NO_FACE)
    if not np.isfinite(alignment.native_width):
        return Candidate(detection, refusal=_NO_FACE)
    return Candidate(detection, alignment, crop(image, alignment, side))


_NO_FACE = Refusal("landmarks", "the five points do not form a face")


def _refuse(image: NDArray[np.uint8], detection: Detection, min_face: float) -> Refusal | None:
    if not np.isfinite(detection.box).all():
        return _NO_FACE
    if detection.width < min_face:
        return Refusal(
            "too small",
            f"the face is {detection.width:.1f} px wide, less than {min_face:g} px (--min-face)",
        )
    if not np.isfinite(detection.points).all() or detection.eye_distance < LEAST_EYE_DISTANCE:
        return _NO_FACE
    height, width = image.shape[:2]
    x, y = detection.points.mean(axis=0)
    if not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
        return Refusal("outside", "the middle of the face lies outside the frame")
    return None
