"""Faces that are not upright: detected again in a rotated crop, or refused."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from face_photos import Photo
from numpy.typing import NDArray
from PIL import Image

from jdsr_cli.faces import Detection, create_detector
from jdsr_cli.faces.alignment import pose
from jdsr_cli.faces.detection.rotated import RotatedDetector
from jdsr_cli.faces.tracking import TrackedFace
from jdsr_cli.restoration import restore
from jdsr_cli.restoration.frame import FaceItem
from jdsr_cli.restoration.stages.alignment import AlignmentLimits, align_face
from jdsr_cli.settings import RestoreSettings

Picture = NDArray[np.uint8]
MAX_ERROR = 0.2
"""Largest accepted error of the eyes in eye distances."""
ANGLES = range(0, 360, 30)
LIMITS = AlignmentLimits(min_face=10.0, min_sharpness=0.0, min_track=0.0)


def rotated(photo: Photo, angle: float, width: float = 60.0) -> tuple[Picture, NDArray[np.float64]]:
    """The photograph, its face `width` px wide, rotated clockwise in a larger picture."""
    scale = width / photo.width
    middle = photo.points.mean(axis=0)
    matrix = cv2.getRotationMatrix2D((float(middle[0]), float(middle[1])), -angle, scale)
    matrix[:, 2] += np.array([160.0, 160.0]) - middle
    picture = cv2.warpAffine(
        photo.image, matrix, (320, 320), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE
    )
    points = np.hstack([photo.points, np.ones((5, 1))]) @ matrix.T
    return np.asarray(picture, np.uint8), points


def eye_error(face: Detection, points: NDArray[np.float64]) -> float:
    """Return the error of the eyes in eye distances."""
    distance = float(np.hypot(*(points[1] - points[0])))
    return float(np.hypot(*(face.points[:2] - points[:2]).T).max()) / distance


def refused(picture: Picture, face: Detection) -> bool:
    item = FaceItem(TrackedFace(1, face, face, False))
    align_face(picture, item, 64, LIMITS)
    return item.refusal is not None


@pytest.fixture(scope="module")
def detector() -> RotatedDetector:
    return RotatedDetector(create_detector("centerface"))


@pytest.mark.parametrize("change", ["unchanged", "dark", "gray"])
def test_landmarks_are_accurate_or_the_face_is_refused(
    change: str, detector: RotatedDetector, astronaut_photo: Photo, hopper_photo: Photo
) -> None:
    accepted = 0
    for photo in (astronaut_photo, hopper_photo):
        for angle in ANGLES:
            picture, points = rotated(photo, angle)
            if change == "dark":
                picture = (picture * 0.3).astype(np.uint8)
            if change == "gray":
                picture = np.repeat(picture.mean(axis=2, keepdims=True), 3, 2).astype(np.uint8)
            for face in detector.detect([picture])[0]:
                inside = np.hypot(*(face.points.mean(axis=0) - points.mean(axis=0))) < 40
                if inside and not refused(picture, face):
                    assert eye_error(face, points) < MAX_ERROR, (change, angle)
                    accepted += 1
    assert accepted >= 0.6 * 2 * len(ANGLES)


def test_upright_faces_are_returned_unchanged(
    detector: RotatedDetector, astronaut_photo: Photo
) -> None:
    picture, _ = rotated(astronaut_photo, 0)
    detected = create_detector("centerface").detect([picture])[0]
    again = detector.detect([picture])[0]
    # A network compiled for one size rounds differently from that for any size.
    assert [one.box for one in again] == [pytest.approx(one.box, abs=1e-3) for one in detected]
    for one, other in zip(again, detected, strict=True):
        np.testing.assert_allclose(one.points, other.points, atol=1e-3)
    assert {one.turn for one in again} == {0.0}


@pytest.mark.parametrize("angle", [90, 180, 270])
def test_whole_frames_are_searched_at_four_rotations(angle: int, hopper_photo: Photo) -> None:
    everywhere = RotatedDetector(create_detector("centerface"), everywhere=True)
    picture, points = rotated(hopper_photo, angle, 90.0)
    accurate = [
        one for one in everywhere.detect([picture])[0] if eye_error(one, points) < MAX_ERROR
    ]
    assert len(accurate) == 1
    assert not refused(picture, accurate[0])
    roll = pose(accurate[0].points).roll
    assert abs((roll - angle + 180) % 360 - 180) < 20


@pytest.mark.parametrize("shape", ["shuffled", "line", "inverted"])
def test_implausible_landmarks_are_refused(shape: str, astronaut_photo: Photo) -> None:
    picture, points = rotated(astronaut_photo, 0)
    implausible = {
        "shuffled": points[[2, 0, 4, 1, 3]],
        "line": np.linspace([100, 160], [220, 165], 5),
        "inverted": points * (1, -1) + (0, 320),
    }[shape]
    box = (*implausible.min(axis=0), *implausible.max(axis=0))
    face = Detection(tuple(float(x) for x in box), implausible.astype(np.float32), 0.9)  # type: ignore[arg-type]
    assert refused(picture, face)


@pytest.mark.parametrize("angle", [135, 225, 180])
def test_a_rotated_face_is_restored_with_accurate_landmarks_or_refused(
    angle: int, astronaut_photo: Photo, tiny_weights: Callable[[int], Path], tmp_path: Path
) -> None:
    picture, points = rotated(astronaut_photo, angle, 80.0)
    Image.fromarray(picture).save(tmp_path / "rotated.png")
    settings = RestoreSettings(weights=str(tiny_weights(32)), device="cpu", frame_scale=1)
    assert restore([tmp_path / "rotated.png"], tmp_path / "out", settings).exit_code == 0
    lines = (tmp_path / "out" / "rotated" / "faces.jsonl").read_text().splitlines()
    for record in map(json.loads, lines):
        if record["status"] == "restored":
            face = Detection(tuple(record["box"]), np.array(record["points"], np.float32), 1.0)
            assert eye_error(face, points) < MAX_ERROR
            assert record["residual"] < 0.13
