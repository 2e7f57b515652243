"""Detection in rotated crops: angles, agreement between crops, and the residual."""

from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from face_photos import ImageArray, Photo

from jdsr_cli.errors import UsageError
from jdsr_cli.faces import Detection, create_detector, estimate_alignment
from jdsr_cli.faces.alignment import MAX_RESIDUAL, TEMPLATE, Pose, pose, roll_at_turn
from jdsr_cli.faces.detection.network import NetworkDetector
from jdsr_cli.faces.detection.rotated import MAX_SPREAD, TURNS, UPRIGHT, RotatedDetector
from jdsr_cli.faces.detection.verification import VerifiedDetector
from jdsr_cli.settings import DetectorSettings

SIDE = 200


def base_detector() -> NetworkDetector:
    detector = create_detector("centerface", DetectorSettings(scale=1.0, device="cpu"))
    assert isinstance(detector, NetworkDetector)
    return detector


def rotated(photo: Photo, angle: float, width: float = 46.0) -> tuple[ImageArray, np.ndarray]:
    """Return a photo rotated clockwise on gray, its face `width` px wide, and its points."""
    radians, scale = np.radians(angle), width / photo.width
    linear = scale * np.array(
        [[np.cos(radians), -np.sin(radians)], [np.sin(radians), np.cos(radians)]]
    )
    shift = SIDE / 2 - linear @ photo.points.mean(axis=0)
    soft = cv2.GaussianBlur(photo.image, (0, 0), 0.4 / scale)
    matrix = np.column_stack([linear, shift])
    image = cv2.warpAffine(
        soft, matrix, (SIDE, SIDE), flags=cv2.INTER_CUBIC, borderValue=(110, 110, 110)
    )
    return np.asarray(image, np.uint8), photo.points @ linear.T + shift


def darkened(photo: Photo) -> Photo:
    return Photo((photo.image * 0.3).astype(np.uint8), photo.points, photo.width)


def masked(photo: Photo) -> Photo:
    """The photo with a light mask over nose and mouth."""
    eyes, (nose, left, right) = photo.points[:2].mean(axis=0), photo.points[2:]
    down = (left + right) / 2 - eyes
    across = 0.75 * (photo.points[1] - photo.points[0])
    top, bottom = nose - 0.25 * down, eyes + 1.55 * down
    corners = [top - across, top + across, bottom + 0.6 * across, bottom - 0.6 * across]
    image = photo.image.copy()
    cv2.fillPoly(image, [np.rint(corners).astype(np.int32)], (190, 205, 215), cv2.LINE_AA)
    return Photo(image, photo.points, photo.width)


def eye_error(image: ImageArray, points: np.ndarray, detector: RotatedDetector) -> float | None:
    """Return the error of the eyes in eye distances; None where no face is plausible."""
    (faces,) = detector.detect([image])
    apart = float(np.hypot(*(points[1] - points[0])))
    for face in faces:
        near = np.hypot(*(face.points.mean(axis=0) - points.mean(axis=0))) < 1.5 * apart
        estimated = pose(face.points)
        if near and estimated.plausible and abs(roll_at_turn(estimated, face.turn)) <= UPRIGHT:
            return float(np.hypot(*(face.points[:2] - points[:2]).T).max()) / apart
    return None


@pytest.mark.parametrize("name", ["astronaut", "hopper", "dark", "masked"])
def test_rotated_faces_are_detected_upright(
    name: str, astronaut_photo: Photo, hopper_photo: Photo
) -> None:
    photo = {
        "astronaut": astronaut_photo,
        "hopper": hopper_photo,
        "dark": darkened(hopper_photo),
        "masked": masked(astronaut_photo),
    }[name]
    detector = RotatedDetector(base_detector(), everywhere=True)
    step = 15 if name in ("astronaut", "hopper") else 45
    errors = [eye_error(*rotated(photo, angle), detector) for angle in range(0, 360, step)]
    detected = [one for one in errors if one is not None]
    # Under a mask nose and mouth are estimates, which also shifts the eyes.
    assert max(detected) < 0.2
    assert len(detected) >= 0.85 * len(errors)


def test_rotated_crops_are_enough_for_faces_detected_in_the_frame(
    astronaut_photo: Photo,
) -> None:
    first, second = base_detector(), RotatedDetector(base_detector())
    detected = 0
    for angle in (60, 105, 135, 225, 300):
        image, points = rotated(astronaut_photo, angle, 60.0)
        if first.detect([image])[0]:
            error = eye_error(image, points, second)
            assert error is None or error < 0.2
            detected += error is not None
    assert detected >= 3


def test_upright_faces_are_returned_unchanged(astronaut_photo: Photo, hopper_photo: Photo) -> None:
    images = [rotated(photo, angle)[0] for photo in (astronaut_photo, hopper_photo)
              for angle in (-8, 0, 8)]  # fmt: skip
    before, after = base_detector().detect(images), RotatedDetector(base_detector()).detect(images)
    for some, others in zip(before, after, strict=True):
        assert [one.box for one in some] == [other.box for other in others]
        for one, other in zip(some, others, strict=True):
            np.testing.assert_array_equal(one.points, other.points)
            assert other.turn == 0.0


def test_landmarks_of_an_inverted_face_are_in_the_order_of_an_upright_face(
    hopper_photo: Photo,
) -> None:
    image, points = rotated(hopper_photo, 180.0)
    (face,) = RotatedDetector(base_detector(), everywhere=True).detect([image])[0]
    assert face.points[0, 0] > face.points[1, 0]
    np.testing.assert_allclose(face.points[:2], points[:2], atol=5.0)
    assert face.turn == 180.0
    # A similarity aligns it without a reflection.
    matrix = estimate_alignment(face.points).matrix
    assert np.linalg.det(matrix[:, :2]) > 0.0
    np.testing.assert_allclose(face.points @ matrix[:, :2].T + matrix[:, 2], TEMPLATE, atol=9.0)


class Scripted:
    """Detects a tilted or implausible face in each frame, and scripted faces in crops.

    Args:
        first: Points in frames.
        shifts: Pixels by which the upright face of each crop is shifted to the right, in order;
            None: no face in that crop.

    """

    name = "scripted"

    def __init__(self, first: np.ndarray, shifts: Sequence[float | None]) -> None:
        self.crops: list[ImageArray] = []
        self._first = first.astype(np.float32)
        self._shifts = shifts

    def detect(self, images: Sequence[ImageArray]) -> list[list[Detection]]:
        if images and images[0].shape[0] == FRAME:
            return [[Detection((30.0, 30.0, 90.0, 90.0), self._first, 0.8)] for _ in images]
        return [self._detect_crop(image) for image in images]

    def _detect_crop(self, image: ImageArray) -> list[Detection]:
        shift = self._shifts[len(self.crops) % len(self._shifts)]
        self.crops.append(image)
        if shift is None:
            return []
        middle = (image.shape[0] - 1) / 2
        points = (TEMPLATE - TEMPLATE.mean(axis=0)) * 0.6 + middle + [shift, 0.0]
        box = (middle - 24 + shift, middle - 24, middle + 24 + shift, middle + 24)
        return [Detection(box, points.astype(np.float32), 0.9)]


FRAME = 150


def shuffled() -> np.ndarray:
    points = TEMPLATE.copy()
    points[0] = points[4]
    return points


def tilted(angle: float) -> np.ndarray:
    radians = np.radians(angle)
    linear = np.array([[np.cos(radians), -np.sin(radians)], [np.sin(radians), np.cos(radians)]])
    return (0.6 * (TEMPLATE - TEMPLATE.mean(axis=0))) @ linear.T + 60.0


def detected_by(detector: Scripted) -> Detection:
    (face,) = RotatedDetector(detector).detect([np.zeros((FRAME, FRAME, 3), np.uint8)])[0]
    return face


def test_a_face_upright_at_no_rotation_is_unchanged() -> None:
    detector = Scripted(shuffled(), [None])
    face = detected_by(detector)
    assert len(detector.crops) == len(TURNS)
    assert not pose(face.points).plausible


def test_crops_that_agree_give_one_face() -> None:
    face = detected_by(Scripted(tilted(20.0), [None, 0.0, 0.0, 0.0]))
    assert pose(face.points).plausible
    assert face.turn == pytest.approx(20.0, abs=3.0)
    # Upright in each of three crops that are rotated by 12 degrees from one another.
    assert 0.1 < face.spread < MAX_SPREAD


def test_crops_that_disagree_have_a_large_spread() -> None:
    face = detected_by(Scripted(tilted(20.0), [None, -9.0, 0.0, 9.0, *[None] * 8]))
    assert face.spread > MAX_SPREAD


def test_a_face_detected_at_one_rotation_only_has_infinite_spread() -> None:
    alone = [0.0, *[None] * 10]
    face = detected_by(Scripted(shuffled(), alone))
    assert face.spread == np.inf


@pytest.mark.parametrize("everywhere", [False, True])
def test_results_do_not_depend_on_how_images_are_grouped(
    astronaut_photo: Photo, hopper_photo: Photo, everywhere: bool
) -> None:
    """Unrelated pictures of one size: rotated faces at one position, and one without a face."""
    images = [
        rotated(astronaut_photo, 60.0)[0],
        rotated(hopper_photo, 200.0)[0],
        np.full((SIDE, SIDE, 3), 110, np.uint8),
        rotated(hopper_photo, 60.0)[0],
        rotated(astronaut_photo, 20.0)[0],
    ]
    network = base_detector()
    detector = VerifiedDetector(RotatedDetector(network, everywhere=everywhere), network)
    alone = [detector.detect([image])[0] for image in images]
    assert any(alone)
    orders = [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [0, 0, 3], [2, 3], [1, 1, 1]]
    for order in orders:
        for index, faces in zip(order, detector.detect([images[i] for i in order]), strict=True):
            assert len(faces) == len(alone[index])
            for one, other in zip(faces, alone[index], strict=True):
                assert one.confirmed == other.confirmed
                assert one.turn == pytest.approx(other.turn, abs=0.01)
                assert one.spread == pytest.approx(other.spread, abs=1e-3)
                np.testing.assert_allclose(one.points, other.points, atol=0.01)


@pytest.mark.parametrize("angle", [0.0, 40.0, 90.0, 180.0, -100.0])
@pytest.mark.parametrize("yaw", [0.0, 50.0, 85.0])
def test_the_residual_is_invariant_to_roll_and_yaw(angle: float, yaw: float) -> None:
    from jdsr_cli.faces.alignment import MEAN_FACE

    side, tilted = np.radians(yaw), np.radians(angle)
    nodded = MEAN_FACE @ np.array(
        [[np.cos(side), 0, -np.sin(side)], [0, 1, 0], [np.sin(side), 0, np.cos(side)]]
    )
    flat = nodded[:, :2] @ np.array(
        [[np.cos(tilted), np.sin(tilted)], [-np.sin(tilted), np.cos(tilted)]]
    )
    estimated = pose(40.0 * flat + 100.0)
    assert estimated.residual < 0.02
    assert estimated.plausible


@pytest.mark.parametrize("swap", [(0, 2), (0, 3), (2, 3)])
def test_swapped_landmarks_are_implausible(swap: tuple[int, int]) -> None:
    points = TEMPLATE.copy()
    points[list(swap)] = points[list(reversed(swap))]
    assert pose(points).residual > MAX_RESIDUAL
    assert not pose(points).plausible


def test_an_inverted_face_in_frame_order_is_implausible_or_rotated() -> None:
    """Eyes below the mouth, each left one first: the output of detectors for inverted faces."""
    points = TEMPLATE.copy()
    points[:, 1] = 150.0 - points[:, 1]
    estimated = pose(points)
    assert not estimated.plausible or abs(estimated.roll) > UPRIGHT or abs(estimated.pitch) > 60.0


def test_roll_is_within_180_degrees() -> None:
    assert roll_at_turn(Pose(0.0, 0.0, -170.0), 180.0) == pytest.approx(10.0)
    assert roll_at_turn(Pose(0.0, 0.0, 100.0), 270.0) == pytest.approx(-170.0)
    assert roll_at_turn(Pose(0.0, 0.0, 30.0), 0.0) == pytest.approx(30.0)


def test_images_that_are_not_rgb_are_refused() -> None:
    with pytest.raises(UsageError):
        RotatedDetector(base_detector()).detect([np.zeros((20, 20), np.uint8)])
