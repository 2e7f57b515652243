import cv2
import numpy as np
import pytest
from face_photos import Photo
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.faces import crop, estimate_alignment
from jdsr_cli.faces.fusion import fuse

Faces = NDArray[np.uint8]


@pytest.fixture
def truth(hopper_photo: Photo) -> Faces:
    return crop(hopper_photo.image, estimate_alignment(hopper_photo.points))


def shots(truth: Faces, count: int, noise: float = 14.0, shift: float = 1.5) -> Faces:
    """Return noisy copies of the face; all but the first are shifted and differ in exposure."""
    rng = np.random.default_rng(3)
    faces = []
    for index in range(count):
        values = truth.astype(np.float32)
        if index:
            move = np.eye(2, 3)
            move[:, 2] = rng.uniform(-shift, shift, 2)
            values = cv2.warpAffine(
                values, move, (128, 128), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
            )
            values = values * rng.uniform(0.9, 1.1) + rng.uniform(-12, 12)
        grain = cv2.GaussianBlur(rng.normal(0, noise, values.shape), (0, 0), 0.8) * 2.0
        faces.append(np.clip(np.rint(values + grain), 0, 255).astype(np.uint8))
    return np.stack(faces)


def error(face: Faces, truth: Faces) -> float:
    inner = (slice(24, 110), slice(24, 104))
    return float(np.abs(face[inner].astype(float) - truth[inner]).mean())


def detail(face: Faces) -> float:
    luma = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float(np.hypot(cv2.Sobel(luma, -1, 1, 0), cv2.Sobel(luma, -1, 0, 1))[24:110].mean())


def test_fusing_one_face_returns_it(truth: Faces) -> None:
    fused = fuse(truth[None], np.array([0.3]))
    assert np.array_equal(fused.image, truth)
    assert fused.used == (0,)
    assert (fused.agreement == 1.0).all()


def test_fusing_noisy_faces_reduces_the_error(truth: Faces) -> None:
    faces = shots(truth, 7)
    fused = fuse(faces, np.ones(7))
    assert len(fused.used) == 7
    assert error(fused.image, truth) < 0.75 * error(faces[0], truth)


def test_the_fused_face_is_as_detailed_as_the_truth(truth: Faces) -> None:
    faces = shots(truth, 6, noise=2.0)
    assert detail(fuse(faces, np.ones(6)).image) > 0.95 * detail(truth)
    mean = np.rint(faces.mean(axis=0)).astype(np.uint8)
    assert detail(mean) < 0.9 * detail(truth)


def test_a_face_of_another_person_is_left_out(truth: Faces, astronaut_photo: Photo) -> None:
    other_person = crop(astronaut_photo.image, estimate_alignment(astronaut_photo.points))
    faces = np.concatenate([shots(truth, 3), other_person[None], truth[None, :, ::-1] * 0 + 7])
    fused = fuse(np.ascontiguousarray(faces), np.ones(5))
    assert len(fused.used) == 3
    assert np.array_equal(fused.image, fuse(faces[:3], np.ones(3)).image)


def test_an_outlier_spot_is_suppressed_and_lowers_the_agreement(truth: Faces) -> None:
    faces = shots(truth, 5, noise=2.0, shift=0.0)
    faces[2, 60:72, 84:98] = (255, 0, 255)
    fused = fuse(faces, np.ones(5))
    assert len(fused.used) == 5
    assert np.abs(fused.image[62:70, 86:96].astype(int) - truth[62:70, 86:96]).mean() < 12
    assert fused.agreement[62:70, 86:96].mean() < 0.9
    assert fused.agreement[90:100, 40:60].mean() > 0.97
    assert 0.0 <= fused.agreement.min() <= fused.agreement.max() <= 1.0


def test_covered_pixels_have_less_weight(truth: Faces) -> None:
    faces = shots(truth, 2, noise=0.0, shift=0.0)
    faces[1] = truth
    faces[1, 96:108, 50:76] = np.clip(truth[96:108, 50:76].astype(int) + 25, 0, 255)
    covered = np.zeros((2, 128, 128), np.float32)
    covered[1, 90:114, 44:82] = 1.0
    spot = (slice(98, 106), slice(54, 72))
    without_maps, with_maps = (
        error_at(fuse(faces, np.ones(2), occlusions=maps).image, truth, spot)
        for maps in (None, covered)
    )
    assert with_maps < without_maps


def error_at(face: Faces, truth: Faces, spot: tuple[slice, slice]) -> float:
    return float(np.abs(face[spot].astype(float) - truth[spot]).mean())


def test_the_same_faces_give_the_same_bytes(truth: Faces) -> None:
    faces, weights = shots(truth, 4), np.array([0.9, 0.5, 0.7, 0.2])
    first, second = fuse(faces, weights), fuse(faces.copy(), weights)
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.agreement, second.agreement)


def test_inconsistent_arguments_are_refused(truth: Faces) -> None:
    with pytest.raises(UsageError, match="RGB uint8"):
        fuse(truth, np.ones(1))
    with pytest.raises(UsageError, match="weighted"):
        fuse(truth[None], np.zeros(1))
    with pytest.raises(UsageError, match="occlusion"):
        fuse(truth[None], np.ones(1), occlusions=np.zeros((2, 128, 128), np.float32))


@pytest.mark.parametrize(("shift", "used"), [(2.0, 3), (5.6, 3), (8.0, 1)])
def test_large_faces_match_within_the_same_limits(truth: Faces, shift: float, used: int) -> None:
    large = cv2.resize(truth, (300, 300), interpolation=cv2.INTER_CUBIC)
    moved = [
        cv2.warpAffine(
            large,
            np.array([[1.0, 0.0, sign * shift * 300 / 128], [0.0, 1.0, 0.0]]),
            (300, 300),
            borderMode=cv2.BORDER_REPLICATE,
        )
        for sign in (-1.0, 1.0)
    ]
    assert len(fuse(np.stack([large, *moved]), np.ones(3)).used) == used


def test_a_large_face_of_another_person_is_left_out(truth: Faces, astronaut_photo: Photo) -> None:
    other_person = crop(astronaut_photo.image, estimate_alignment(astronaut_photo.points), 256)
    large = cv2.resize(truth, (256, 256), interpolation=cv2.INTER_CUBIC)
    assert fuse(np.stack([large, other_person, large]), np.ones(3)).used == (0, 2)
