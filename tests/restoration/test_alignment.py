import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from jdsr_cli.faces import TEMPLATE, Alignment, Detection
from jdsr_cli.faces.alignment import MEAN_FACE
from jdsr_cli.faces.display import SQUARE
from jdsr_cli.faces.tracking import TrackedFace
from jdsr_cli.restoration.frame import FaceItem, FrameItem, InputState, OpenInput
from jdsr_cli.restoration.stages import alignment
from jdsr_cli.restoration.stages.alignment import (
    AlignmentLimits,
    Bridged,
    align,
    align_face,
)
from jdsr_cli.restoration.workspace import Workspace

IMAGE = np.full((120, 160, 3), 100, np.uint8)


def face(width: float, x: float = 80.0, y: float = 60.0) -> Detection:
    """Return a face `width` px wide, centred at (x, y)."""
    points = (TEMPLATE - TEMPLATE.mean(axis=0)) * (width / 80.0) + (x, y)
    box = (x - width / 2, y - width / 2, x + width / 2, y + width / 2)
    return Detection(box, points.astype(np.float32), 0.9)


def aligned(
    detection: Detection,
    min_face: float = 10.0,
    min_sharpness: float = 0.0,
    *,
    too_short: bool = False,
) -> FaceItem:
    item = FaceItem(TrackedFace(1, detection, detection, too_short))
    align_face(IMAGE, item, 32, AlignmentLimits(min_face, min_sharpness, 0.06))
    assert (item.crop is None) == (item.refusal is not None)
    return item


def test_a_valid_face_is_aligned_and_cropped() -> None:
    item = aligned(face(40.0))
    assert item.crop is not None
    assert item.alignment is not None
    assert item.crop.shape == (32, 32, 3)
    assert item.alignment.native_width == pytest.approx(64.0, rel=1e-3)


def test_a_face_of_6_px_is_refused_with_both_numbers() -> None:
    refusal = aligned(face(6.0)).refusal
    assert refusal is not None
    assert refusal.kind == "too small"
    assert "6.0 px" in refusal.reason
    assert "10 px" in refusal.reason
    assert aligned(face(6.0), min_face=5.0).refusal is None


@pytest.mark.parametrize(
    "points",
    [
        np.full((5, 2), np.nan),
        np.full((5, 2), 50.0),
        np.array([[50, 50], [50.2, 50], [60, 60], [40, 70], [70, 70]]),
    ],
)
def test_degenerate_landmarks_are_refused(points: np.ndarray) -> None:
    detection = Detection((20.0, 20.0, 60.0, 60.0), points.astype(np.float32), 0.9)
    refusal = aligned(detection).refusal
    assert refusal is not None
    assert refusal.kind == "landmarks"


def test_a_box_that_is_not_finite_is_refused() -> None:
    detection = Detection((float("nan"), 0.0, 30.0, 30.0), face(30.0).points, 0.9)
    assert aligned(detection).refusal is not None


def test_a_face_outside_the_frame_is_refused() -> None:
    refusal = aligned(face(40.0, x=-10.0)).refusal
    assert refusal is not None
    assert refusal.kind == "outside"


def test_a_blurred_face_is_refused_with_its_sharpness() -> None:
    item = aligned(face(40.0), min_sharpness=0.5)
    assert item.refusal is not None
    assert item.refusal.kind == "too blurred"
    assert "--min-sharpness" in item.refusal.reason
    assert item.sharpness is not None
    assert item.alignment is not None


def test_a_face_exactly_at_a_limit_is_not_refused() -> None:
    assert aligned(face(40.0), min_face=40.0).refusal is None
    sharpness = aligned(face(40.0)).sharpness
    assert sharpness is not None
    assert aligned(face(40.0), min_sharpness=sharpness).refusal is None
    eyes_1_px_apart = np.array([[80, 60], [81, 60], [80.5, 60.7], [80, 61.4], [81, 61.4]])
    detection = Detection((79.0, 59.0, 82.0, 62.0), eyes_1_px_apart.astype(np.float32), 0.9)
    refusal = aligned(detection, min_face=1.0).refusal
    assert refusal is None or refusal.kind != "landmarks"


def test_a_degenerate_alignment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alignment, "estimate_alignment", lambda _: Alignment(np.zeros((2, 3))))
    item = aligned(face(40.0))
    assert item.refusal is not None
    assert item.refusal.kind == "landmarks"
    assert item.alignment is None


def test_refused_faces_have_a_pose_and_no_alignment() -> None:
    item = aligned(rotated(face(40.0), 60.0, 0.0))
    assert item.pose is not None
    assert item.alignment is None
    assert item.sharpness is None


def test_a_face_of_a_short_track_is_refused() -> None:
    item = aligned(face(40.0), too_short=True)
    assert item.refusal is not None
    assert item.refusal.kind == "too short"
    assert "--min-track" in item.refusal.reason


def rotated(detection: Detection, angle: float, turn: float) -> Detection:
    """Return the face rotated clockwise, as detected in a picture rotated by `turn`."""
    radians = np.radians(angle)
    linear = np.array([[np.cos(radians), -np.sin(radians)], [np.sin(radians), np.cos(radians)]])
    middle = detection.points.mean(axis=0)
    points = ((detection.points - middle) @ linear.T + middle).astype(np.float32)
    return Detection(detection.box, points, detection.score, turn)


@pytest.mark.parametrize(("angle", "turn"), [(180.0, 180.0), (100.0, 90.0), (-135.0, 225.0)])
def test_a_face_detected_in_a_rotated_picture_is_aligned(angle: float, turn: float) -> None:
    item = aligned(rotated(face(40.0), angle, turn))
    assert item.refusal is None
    assert item.pose is not None
    assert item.pose.residual < 0.06  # The residual of the template is 0.051.


@pytest.mark.parametrize(("angle", "turn"), [(60.0, 0.0), (180.0, 0.0), (90.0, 180.0)])
def test_a_face_that_is_not_upright_is_refused(angle: float, turn: float) -> None:
    refusal = aligned(rotated(face(40.0), angle, turn)).refusal
    assert refusal is not None
    assert refusal.kind == "turned too far"
    (reported_angle,) = re.findall(r"rolled by (\d+) degrees", refusal.reason)
    assert int(reported_angle) == pytest.approx(abs((angle - turn + 180) % 360 - 180), abs=2)
    assert "more than 45" in refusal.reason


def test_a_profile_with_a_hidden_eye_is_refused() -> None:
    yaw = np.radians(86.0)
    flat = MEAN_FACE @ np.array(
        [[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]]
    )
    points = (30.0 * flat[:, :2] + (80.0, 50.0)).astype(np.float32)
    refusal = aligned(Detection((60.0, 40.0, 100.0, 90.0), points, 0.9)).refusal
    assert refusal is not None
    assert refusal.kind == "turned too far"
    assert "to the side" in refusal.reason


@pytest.mark.parametrize(("pitch", "refused"), [(50.0, False), (70.0, True), (-70.0, True)])
def test_a_face_turned_up_or_down_is_refused_above_60_degrees(pitch: float, refused: bool) -> None:
    cosine, sine = np.cos(np.radians(pitch)), np.sin(np.radians(pitch))
    flat = MEAN_FACE @ np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]]).T
    points = (30.0 * flat[:, :2] + (80.0, 60.0)).astype(np.float32)
    item = aligned(Detection((60.0, 40.0, 100.0, 90.0), points, 0.9))
    assert item.pose is not None
    assert abs(item.pose.pitch) == pytest.approx(abs(pitch), abs=1)
    assert (item.refusal is not None) == refused
    if item.refusal is not None:
        assert item.refusal.kind == "turned too far"
        assert "turned up or down by 70 degrees, more than 60" in item.refusal.reason


@pytest.mark.parametrize("moved", [0, 2, 4])
def test_implausible_points_are_refused_with_their_residual(moved: int) -> None:
    points = face(40.0).points.copy()
    points[moved] += (-14.0, 17.0)
    item = aligned(Detection((60.0, 40.0, 100.0, 80.0), points, 0.9))
    assert item.refusal is not None
    assert item.refusal.kind == "implausible points"
    assert item.pose is not None
    assert f"{item.pose.residual:.3f}" in item.refusal.reason


def test_an_unconfirmed_detection_is_refused() -> None:
    refusal = aligned(replace(face(40.0), confirmed=False)).refusal
    assert refusal is not None
    assert refusal.kind == "no face"


@pytest.mark.parametrize(
    ("spread", "reason"), [(0.31, "differ by 0.31"), (np.inf, "the same face")]
)
def test_a_face_on_which_rotated_crops_disagree_is_refused(spread: float, reason: str) -> None:
    item = aligned(replace(face(40.0), spread=spread))
    assert item.refusal is not None
    assert item.refusal.kind == "implausible points"
    assert reason in item.refusal.reason


def test_a_face_on_which_rotated_crops_agree_is_aligned() -> None:
    assert aligned(replace(face(40.0), spread=0.19)).refusal is None


@pytest.mark.parametrize(
    ("bridged", "kinds"),
    [
        ("align", [None, None, "too small", "too short"]),
        ("refuse", [None, "better shot", "too small", "too short"]),
        ("drop", [None]),
    ],
)
def test_faces_that_the_detector_missed(bridged: Bridged, kinds: list[str | None]) -> None:
    path = Path("a.mp4")
    state = InputState(path, Workspace(Path("out"), "a", path))
    opened = cast(OpenInput, SimpleNamespace(state=state, display=SQUARE))
    item = FrameItem(opened, 0, 0, 0, Fraction(0), IMAGE)
    wide, narrow = face(40.0), face(6.0)
    item.faces = [
        FaceItem(TrackedFace(1, wide, wide, False)),
        FaceItem(TrackedFace(2, wide, None, False)),
        FaceItem(TrackedFace(3, narrow, None, False)),
        FaceItem(TrackedFace(4, wide, None, True)),
    ]
    list(align([item], 32, AlignmentLimits(10.0, 0.0, 0.06), bridged))
    assert state.error is None
    assert [one.refusal and one.refusal.kind for one in item.faces] == kinds
    assert [one.crop is None for one in item.faces] == [kind is not None for kind in kinds]
