import re
from dataclasses import replace

import numpy as np
import pytest

from jdsr_cli.faces import TEMPLATE, Detection
from jdsr_cli.faces.alignment import MEAN_FACE
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


def turned(detection: Detection, angle: float, turn: float) -> Detection:
    """The face turned clockwise about its middle, as found in a picture turned by `turn`."""
    radians = np.radians(angle)
    linear = np.array([[np.cos(radians), -np.sin(radians)], [np.sin(radians), np.cos(radians)]])
    middle = detection.points.mean(axis=0)
    points = ((detection.points - middle) @ linear.T + middle).astype(np.float32)
    return Detection(detection.box, points, detection.score, turn)


@pytest.mark.parametrize(("angle", "turn"), [(180.0, 180.0), (100.0, 90.0), (-135.0, 225.0)])
def test_a_face_found_at_a_turn_is_restored(angle: float, turn: float) -> None:
    candidate = examined(turned(face(40.0), angle, turn))
    assert candidate.refusal is None
    assert candidate.pose is not None
    assert candidate.pose.residual < 0.06  # That of the template is 0.051.


@pytest.mark.parametrize(("angle", "turn"), [(60.0, 0.0), (180.0, 0.0), (90.0, 180.0)])
def test_a_face_that_no_turn_shows_upright_is_refused(angle: float, turn: float) -> None:
    refusal = examined(turned(face(40.0), angle, turn)).refusal
    assert refusal is not None
    assert refusal.kind == "turned too far"
    (told,) = re.findall(r"rolled by (\d+) degrees", refusal.reason)
    assert int(told) == pytest.approx(abs((angle - turn + 180) % 360 - 180), abs=2)
    assert "more than 45" in refusal.reason


def test_a_profile_of_which_one_eye_is_hidden_is_refused() -> None:
    yaw = np.radians(86.0)
    flat = MEAN_FACE @ np.array(
        [[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]]
    )
    points = (30.0 * flat[:, :2] + (80.0, 50.0)).astype(np.float32)
    refusal = examined(Detection((60.0, 40.0, 100.0, 90.0), points, 0.9)).refusal
    assert refusal is not None
    assert refusal.kind == "turned too far"
    assert "to the side" in refusal.reason


@pytest.mark.parametrize("moved", [0, 2, 4])
def test_implausible_points_are_refused_with_their_residual(moved: int) -> None:
    points = face(40.0).points.copy()
    points[moved] += (-14.0, 17.0)
    candidate = examined(Detection((60.0, 40.0, 100.0, 80.0), points, 0.9))
    assert candidate.refusal is not None
    assert candidate.refusal.kind == "implausible points"
    assert candidate.pose is not None
    assert f"{candidate.pose.residual:.3f}" in candidate.refusal.reason


def test_a_detection_that_was_not_confirmed_is_no_face() -> None:
    refusal = examined(replace(face(40.0), confirmed=False)).refusal
    assert refusal is not None
    assert refusal.kind == "no face"


@pytest.mark.parametrize(("spread", "told"), [(0.31, "differ by 0.31"), (np.inf, "the same face")])
def test_a_face_on_which_looks_disagree_has_implausible_points(spread: float, told: str) -> None:
    candidate = examined(replace(face(40.0), spread=spread))
    assert candidate.refusal is not None
    assert candidate.refusal.kind == "implausible points"
    assert told in candidate.refusal.reason


def test_a_face_on_which_looks_agree_is_restored() -> None:
    assert examined(replace(face(40.0), spread=0.19)).refusal is None
