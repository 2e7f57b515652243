import numpy as np
import pytest

from jdsr_cli.faces import TEMPLATE, Detection
from jdsr_cli.faces.tracking import TrackedFace
from jdsr_cli.restoration.candidates import Candidate, Limits, examine

IMAGE = np.full((120, 160, 3), 100, np.uint8)


def face(width: float, x: float = 80.0, y: float = 60.0) -> Detection:
    """A face `width` px wide whose middle is at (x, y)."""
    points = (TEMPLATE - TEMPLATE.mean(axis=0)) * (width / 80.0) + (x, y)
    box = (x - width / 2, y - width / 2, x + width / 2, y + width / 2)
    return Detection(box, points.astype(np.float32), 0.9)


def examined(
    detection: Detection,
    min_face: float = 10.0,
    min_sharpness: float = 0.0,
    *,
    too_short: bool = False,
) -> Candidate:
    tracked = TrackedFace(1, detection, detection, too_short)
    limits = Limits(min_face, min_sharpness, 2)
    (candidate,) = examine(IMAGE, [tracked], side=32, limits=limits)
    assert (candidate.crop is None) == (candidate.refusal is not None)
    return candidate


def test_a_good_face_is_aligned_and_cropped() -> None:
    candidate = examined(face(40.0))
    assert candidate.crop is not None
    assert candidate.alignment is not None
    assert candidate.crop.shape == (32, 32, 3)
    assert candidate.alignment.native_width == pytest.approx(64.0, rel=1e-3)


def test_a_face_of_6_px_is_refused_with_both_numbers() -> None:
    refusal = examined(face(6.0)).refusal
    assert refusal is not None
    assert refusal.kind == "too small"
    assert "6.0 px" in refusal.reason
    assert "10 px" in refusal.reason
    assert examined(face(6.0), min_face=5.0).refusal is None


@pytest.mark.parametrize(
    "points",
    [
        np.full((5, 2), np.nan),
        np.full((5, 2), 50.0),
        np.array([[50, 50], [50.2, 50], [60, 60], [40, 70], [70, 70]]),
    ],
)
def test_points_that_form_no_face_are_refused(points: np.ndarray) -> None:
    detection = Detection((20.0, 20.0, 60.0, 60.0), points.astype(np.float32), 0.9)
    refusal = examined(detection).refusal
    assert refusal is not None
    assert refusal.kind == "landmarks"


def test_a_box_that_is_not_finite_is_refused() -> None:
    detection = Detection((float("nan"), 0.0, 30.0, 30.0), face(30.0).points, 0.9)
    assert examined(detection).refusal is not None


def test_a_face_outside_the_frame_is_refused() -> None:
    refusal = examined(face(40.0, x=-10.0)).refusal
    assert refusal is not None
    assert refusal.kind == "outside"


def test_a_blurred_face_is_refused_with_its_sharpness() -> None:
    candidate = examined(face(40.0), min_sharpness=0.5)
    assert candidate.refusal is not None
    assert candidate.refusal.kind == "too blurred"
    assert "--min-sharpness" in candidate.refusal.reason
    assert candidate.sharpness is not None
    assert candidate.alignment is not None


def test_a_face_of_a_short_track_is_refused() -> None:
    candidate = examined(face(40.0), too_short=True)
    assert candidate.refusal is not None
    assert candidate.refusal.kind == "too short"
    assert "--min-track" in candidate.refusal.reason
