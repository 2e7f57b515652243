import cv2
import numpy as np
import pytest
from face_photos import Photo
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.faces import TEMPLATE, Alignment, estimate_alignment
from jdsr_cli.faces.alignment import MEAN_FACE, Pose, pose
from jdsr_cli.faces.occlusion import covered_share, face_ellipse
from jdsr_cli.faces.quality import FaceQuality, crop_sharpness, sharpness
from jdsr_cli.faces.resampling import invert
from jdsr_cli.settings import MIN_SHARPNESS

STRAIGHT = Pose(0.0, 0.0, 0.0)


def filmed(
    photo: Photo, width: int, blur: float, noise: float = 0.0
) -> tuple[NDArray[np.uint8], Alignment]:
    """The photo reduced so that the template spans `width` pixels, then blurred in those."""
    factor = width / estimate_alignment(photo.points).native_width
    small = cv2.resize(photo.image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    values = small.astype(np.float32)
    if blur:
        values = cv2.GaussianBlur(values, (0, 0), blur)
    values += np.random.default_rng(5).normal(0.0, noise, (*values.shape[:2], 1))
    image = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return image, estimate_alignment((photo.points + 0.5) * factor - 0.5)


@pytest.mark.parametrize("width", [24, 48, 100])
def test_sharpness_falls_with_blur_at_any_size(astronaut_photo: Photo, width: int) -> None:
    values = [sharpness(*filmed(astronaut_photo, width, blur)) for blur in (0, 0.7, 1.4, 2.8, 5)]
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.4
    assert values[0] > 3 * values[3]


def test_sharpness_is_invariant_to_brightness_and_contrast(astronaut_photo: Photo) -> None:
    image, alignment = filmed(astronaut_photo, 64, 1.0)
    dim = np.rint(image * 0.4 + 60).astype(np.uint8)
    assert sharpness(dim, alignment) == pytest.approx(sharpness(image, alignment), abs=0.04)


def test_noise_hardly_raises_sharpness(hopper_photo: Photo) -> None:
    for blur in (0.0, 1.5, 3.0):
        clean = sharpness(*filmed(hopper_photo, 100, blur))
        assert sharpness(*filmed(hopper_photo, 100, blur, noise=10)) < clean + 0.1


def test_motion_blur_along_one_axis_lowers_sharpness(astronaut_photo: Photo) -> None:
    image, alignment = filmed(astronaut_photo, 90, 0.0)
    moved = np.asarray(cv2.blur(image, (9, 1)), np.uint8)
    assert sharpness(moved, alignment) < 0.5 * sharpness(image, alignment)


def test_uniform_noisy_and_blurred_crops_are_not_sharp(astronaut_photo: Photo) -> None:
    assert crop_sharpness(np.full((40, 40, 3), 90, np.uint8)) == 0.0
    noise = np.random.default_rng(0).normal(128, 20, (64, 64, 1))
    assert crop_sharpness(np.repeat(noise, 3, 2).astype(np.uint8)) < 0.5
    assert sharpness(*filmed(astronaut_photo, 64, 12.0)) < MIN_SHARPNESS
    with pytest.raises(UsageError, match="square RGB"):
        crop_sharpness(np.zeros((8, 9, 3), np.uint8))


def test_the_ellipse_contains_the_landmarks_and_not_the_corners() -> None:
    inside = face_ellipse()
    for x, y in TEMPLATE.round().astype(int):
        assert inside[y, x]
    assert not inside[[0, 0, -1, -1], [0, -1, 0, -1]].any()
    assert 0.3 < inside.mean() < 0.6


def test_the_covered_share_ignores_pixels_outside_the_face() -> None:
    assert covered_share(np.ones((128, 128), np.float32)) == 1.0
    assert covered_share(np.zeros((128, 128), np.float32)) == 0.0
    assert covered_share((~face_ellipse()).astype(np.float32)) == 0.0
    lower = np.zeros((128, 128), np.float32)
    lower[80:] = 0.9
    assert 0.3 < covered_share(lower) < 0.7
    with pytest.raises(UsageError, match="square"):
        covered_share(np.zeros((128, 3), np.float32))


def projected(yaw: float, pitch: float, roll: float) -> NDArray[np.float64]:
    """Return the mean face rotated by pitch, yaw and roll in orthographic projection."""
    (y, p, r) = np.radians([yaw, pitch, roll])
    nod = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    turn = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    tilt = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return np.asarray((MEAN_FACE @ (tilt @ turn @ nod).T)[:, :2])


@settings(deadline=None, max_examples=50)
@given(
    st.floats(-70, 70), st.floats(-35, 35), st.floats(-170, 170), st.floats(2, 300),
    st.floats(-50, 4000),
)  # fmt: skip
def test_a_pose_is_recovered(
    yaw: float, pitch: float, roll: float, size: float, offset: float
) -> None:
    estimated = pose(projected(yaw, pitch, roll) * size + offset)
    assert (estimated.yaw, estimated.pitch, estimated.roll) == pytest.approx(
        (yaw, pitch, roll), abs=0.3
    )


def test_the_template_is_frontal_and_mirroring_negates_yaw_and_roll() -> None:
    frontal = pose(TEMPLATE)
    assert max(abs(frontal.yaw), abs(frontal.pitch), abs(frontal.roll)) < 3.0
    points = projected(30.0, 5.0, 10.0)
    nose_is_right = points[2, 0] - points[:2, 0].mean()
    assert nose_is_right > 0
    mirrored = (points * [-1, 1])[[1, 0, 2, 4, 3]]
    estimated = pose(mirrored)
    assert (estimated.yaw, estimated.pitch, estimated.roll) == pytest.approx(
        (-30.0, 5.0, -10.0), abs=0.3
    )


@pytest.mark.parametrize(
    "points", [np.full((5, 2), 7.0), np.full((5, 2), np.nan), np.zeros((4, 2))]
)
def test_points_without_a_pose_are_refused(points: NDArray[np.float64]) -> None:
    with pytest.raises(UsageError):
        pose(points)


def test_each_defect_lowers_the_score() -> None:
    good = FaceQuality(40.0, 0.7, STRAIGHT, 0.0, 0.95)
    worse = [
        FaceQuality(20.0, 0.7, STRAIGHT, 0.0, 0.95),
        FaceQuality(40.0, 0.3, STRAIGHT, 0.0, 0.95),
        FaceQuality(40.0, 0.7, Pose(40.0, 0.0, 0.0), 0.0, 0.95),
        FaceQuality(40.0, 0.7, Pose(0.0, -40.0, 0.0), 0.0, 0.95),
        FaceQuality(40.0, 0.7, STRAIGHT, 0.4, 0.95),
        FaceQuality(40.0, 0.7, STRAIGHT, 0.0, 0.6),
    ]
    assert all(0.0 < one.score < good.score <= 1.0 for one in worse)
    assert FaceQuality(40.0, 0.7, Pose(0.0, 0.0, 30.0), 0.0, 0.95).score == good.score


@given(
    st.floats(0, 500), st.floats(0, 1), st.floats(-90, 90), st.floats(-180, 180),
    st.floats(0, 1), st.floats(0, 1),
)  # fmt: skip
def test_scores_are_between_0_and_1(
    eyes: float, sharp: float, yaw: float, pitch: float, covered: float, detector: float
) -> None:
    assert 0.0 < FaceQuality(eyes, sharp, Pose(yaw, pitch, 0), covered, detector).score <= 1.0


def test_values_out_of_range_are_refused() -> None:
    for values in ((-1.0, 0.5, 0.0), (10.0, 1.5, 0.0), (10.0, 0.5, float("nan"))):
        with pytest.raises(UsageError, match="quality of a face"):
            FaceQuality(values[0], values[1], STRAIGHT, values[2], 0.5)


def test_sharpness_is_measured_at_the_native_size(hopper_photo: Photo) -> None:
    """Enlarging a picture adds no sharpness: twice the pixels, half as sharp."""
    image, alignment = filmed(hopper_photo, 48, 0.5)
    double = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    enlarged = Alignment(invert(alignment.inverse() * 2.0))
    assert sharpness(np.asarray(double), enlarged) < 0.7 * sharpness(image, alignment)
