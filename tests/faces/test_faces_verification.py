"""False detections are not confirmed, faces are."""

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest
import skimage.data
from face_photos import ImageArray, Photo

from jdsr_cli.faces import Detection, create_detector
from jdsr_cli.faces.alignment import TEMPLATE
from jdsr_cli.faces.detection.network import NetworkDetector
from jdsr_cli.faces.detection.verification import EVIDENCE_THRESHOLDS, VerifiedDetector
from jdsr_cli.settings import DetectorSettings


def network(threshold: float | None = None) -> NetworkDetector:
    detector = create_detector("centerface", DetectorSettings(threshold=threshold, device="cpu"))
    assert isinstance(detector, NetworkDetector)
    return detector


class FixedDetector:
    """Returns the same detections for each image, under the name of a detector."""

    def __init__(self, *faces: Detection, name: str = "centerface") -> None:
        self.name = name
        self._faces = faces

    def detect(self, images: Sequence[ImageArray]) -> list[list[Detection]]:
        return [list(self._faces) for _ in images]


def box(x: float, y: float, width: float, score: float = 0.45) -> Detection:
    points = (TEMPLATE - TEMPLATE.mean(axis=0)) * width / 75.0 + (x, y)
    edges = (x - width / 2, y - 0.6 * width, x + width / 2, y + 0.6 * width)
    return Detection(edges, points.astype(np.float32), score)


def blob(width: float, contrast: float) -> ImageArray:
    """A blurred ellipse on gray."""
    y, x = np.mgrid[:120, :160]
    inside = ((x - 80) / (width / 2)) ** 2 + ((y - 60) / (0.6 * width)) ** 2 <= 1
    soft = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 1.5)[..., None]
    return np.rint(110 + contrast * soft * np.array([1.0, 0.8, 0.7])).astype(np.uint8)


def cloth() -> ImageArray:
    """A jacket: folds, a zip and two pockets."""
    y, x = np.mgrid[:120, :160].astype(np.float64)
    folds = 70 + 25 * np.sin(x / 9 + np.sin(y / 14)) + 12 * np.sin(y / 5)
    folds[:, 78:82] = 190
    folds[40:46, 50:70] = folds[40:46, 92:112] = 30
    return np.repeat(np.clip(folds, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def patch(name: str) -> ImageArray:
    image = getattr(skimage.data, name)()
    image = image[:240, :320]
    small = cv2.resize(image, (160, 120), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(small if small.ndim == 3 else np.repeat(small[..., None], 3, 2))


FALSE_DETECTIONS = {
    "dark blob": lambda: (blob(12.0, -70.0), 12.0),
    "skin blob": lambda: (blob(12.0, 80.0), 12.0),
    "wide blob": lambda: (blob(30.0, 90.0), 30.0),
    "jacket": lambda: (cloth(), 36.0),
    "bricks": lambda: (patch("brick"), 30.0),
    "gravel": lambda: (patch("gravel"), 24.0),
}


@pytest.mark.parametrize("name", FALSE_DETECTIONS)
def test_false_detections_are_not_confirmed(name: str) -> None:
    image, width = FALSE_DETECTIONS[name]()
    detector = VerifiedDetector(FixedDetector(box(80.0, 60.0, width)), network())
    (face,) = detector.detect([image])[0]
    assert not face.confirmed


@pytest.mark.parametrize("width", [14.0, 24.0, 48.0])
@pytest.mark.parametrize("gain", [1.0, 0.25])
def test_faces_of_a_low_score_are_confirmed(
    astronaut_photo: Photo, hopper_photo: Photo, width: float, gain: float
) -> None:
    for photo in (astronaut_photo, hopper_photo):
        scale = width / photo.width
        image = cv2.resize(photo.image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        image = (image * gain).astype(np.uint8)
        detected = network(0.2).detect([image])[0]
        best = max(detected, key=lambda face: face.score)
        low = replace(best, score=0.45)
        (face,) = VerifiedDetector(FixedDetector(low), network()).detect([image])[0]
        assert face.confirmed


def test_a_rotated_face_is_verified_at_its_rotation(hopper_photo: Photo) -> None:
    scale = 40.0 / hopper_photo.width
    small = cv2.resize(hopper_photo.image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    best = max(network().detect([small])[0], key=lambda face: face.score)
    left, top, right, bottom = best.box
    height, width = small.shape[:2]
    inverted = Detection(
        (width - 1 - right, height - 1 - bottom, width - 1 - left, height - 1 - top),
        np.array([width - 1, height - 1], np.float32) - best.points, 0.45, 180.0,
    )  # fmt: skip
    image = np.ascontiguousarray(small[::-1, ::-1])
    detector = VerifiedDetector(FixedDetector(inverted), network())
    assert detector.detect([image])[0][0].confirmed
    as_if_upright = VerifiedDetector(FixedDetector(replace(inverted, turn=0.0)), network())
    upside_down = as_if_upright.evidence(image, replace(inverted, turn=0.0))
    assert upside_down < detector.evidence(image, inverted)


def test_certain_faces_and_unmeasured_detectors_are_accepted() -> None:
    image, width = FALSE_DETECTIONS["jacket"]()
    certain = box(80.0, 60.0, width, score=EVIDENCE_THRESHOLDS["centerface"].certain)
    assert VerifiedDetector(FixedDetector(certain), network()).detect([image])[0] == [certain]
    other = FixedDetector(box(80.0, 60.0, width), name="retinaface-r50")
    assert VerifiedDetector(other, network()).detect([image])[0][0].confirmed


def test_a_lower_threshold_confirms_lower_scores(astronaut_photo: Photo) -> None:
    face = box(80.0, 60.0, 36.0, score=0.3)
    image = cloth()
    default = VerifiedDetector(FixedDetector(face), network())
    permissive = VerifiedDetector(FixedDetector(face), network(0.05))
    assert not default.detect([image])[0][0].confirmed
    assert permissive.detect([image])[0][0].confirmed


def test_verification_does_not_depend_on_the_other_images_of_a_batch(
    astronaut_photo: Photo,
) -> None:
    scale = 24.0 / astronaut_photo.width
    small = cv2.resize(astronaut_photo.image, None, fx=scale, fy=scale)
    best = max(network(0.2).detect([small])[0], key=lambda face: face.score)
    low = replace(best, score=0.45)
    empty = np.full_like(small, 110)
    detector = VerifiedDetector(FixedDetector(low), network())
    alone = [detector.detect([image])[0][0].confirmed for image in (small, empty)]
    assert alone == [True, False]
    group = [empty, small, empty, small, small, empty]
    together = [faces[0].confirmed for faces in detector.detect(group)]
    assert together == [False, True, False, True, True, False]
