import cv2
import numpy as np
import pytest
from face_photos import Photo
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.faces import crop, estimate_alignment
from jdsr_cli.faces.motion import estimate_motion
from jdsr_cli.faces.temporal_smoothing import FaceSmoother, SmootherSettings

Picture = NDArray[np.uint8]
UNCOVERED = np.zeros((128, 128), np.float32)


@pytest.fixture
def face(astronaut_photo: Photo) -> Picture:
    return crop(astronaut_photo.image, estimate_alignment(astronaut_photo.points))


def noisy(face: Picture, seed: int, strength: float = 6.0) -> Picture:
    grain = np.random.default_rng(seed).normal(0, strength, face.shape)
    grain = cv2.GaussianBlur(grain, (0, 0), 1.0) * 2.5
    return np.clip(np.rint(face + grain), 0, 255).astype(np.uint8)


def moved(face: Picture, right: float, below: float) -> Picture:
    matrix = np.array([[1.0, 0.0, right], [0.0, 1.0, below]])
    shifted = cv2.warpAffine(face, matrix, (128, 128), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(shifted, np.uint8)


def mean_difference(one: Picture, other: Picture) -> float:
    inner = (slice(30, 105), slice(30, 100))
    return float(np.abs(one[inner].astype(float) - other[inner]).mean())


def test_the_first_face_is_returned_unchanged(face: Picture) -> None:
    image, occlusion = FaceSmoother().smooth(1, 7, face, face, UNCOVERED)
    assert np.array_equal(image, face)
    assert np.array_equal(occlusion, UNCOVERED)


def test_flicker_is_damped_where_the_input_is_still(face: Picture) -> None:
    smoother = FaceSmoother()
    shown = [
        smoother.smooth(1, n / 25, noisy(face, n, 1.0), noisy(face, 50 + n), UNCOVERED)[0]
        for n in range(12)
    ]
    before = np.mean(
        [mean_difference(noisy(face, 50 + n), noisy(face, 51 + n)) for n in range(6, 11)]
    )
    after = np.mean([mean_difference(shown[n], shown[n + 1]) for n in range(6, 11)])
    assert after < 0.5 * before
    assert mean_difference(shown[-1], face) < 0.7 * mean_difference(noisy(face, 61), face)


def test_a_mouth_that_opens_is_not_smoothed(face: Picture) -> None:
    other = face.copy()
    cv2.ellipse(other, (63, 102), (14, 8), 0, 0, 360, (40, 10, 10), -1)
    smoother = FaceSmoother()
    for n in range(6):
        smoother.smooth(1, n / 25, face, face, UNCOVERED)
    image, _ = smoother.smooth(1, 6 / 25, other, other, UNCOVERED)
    assert np.abs(image[96:108, 52:74].astype(int) - other[96:108, 52:74]).mean() < 3.0


def test_the_track_restarts_on_request_after_a_gap_and_on_another_picture(
    face: Picture, hopper_photo: Photo
) -> None:
    bright = np.clip(face.astype(int) + 12, 0, 255).astype(np.uint8)
    other_person = crop(hopper_photo.image, estimate_alignment(hopper_photo.points))

    def second(frame: int, reference: Picture, image: Picture, *, fresh: bool = False) -> Picture:
        smoother = FaceSmoother()
        smoother.smooth(1, 0, face, face, UNCOVERED)
        return smoother.smooth(1, frame / 25, reference, image, UNCOVERED, fresh=fresh)[0]

    assert mean_difference(second(1, face, bright), bright) > 2.0
    assert mean_difference(second(4, face, bright), bright) > 2.0
    assert np.array_equal(second(5, face, bright), bright)
    assert np.array_equal(second(0, face, bright), bright)
    assert np.array_equal(second(1, face, bright, fresh=True), bright)
    assert np.array_equal(second(1, other_person, other_person), other_person)


def test_tracks_are_independent_and_can_be_dropped(face: Picture, hopper_photo: Photo) -> None:
    other_person = crop(hopper_photo.image, estimate_alignment(hopper_photo.points))
    both, alone = FaceSmoother(), FaceSmoother()
    for n in range(3):
        both.smooth(2, n / 25, other_person, noisy(other_person, n), UNCOVERED)
        with_other, _ = both.smooth(1, n / 25, face, noisy(face, n), UNCOVERED)
        without_other, _ = alone.smooth(1, n / 25, face, noisy(face, n), UNCOVERED)
        assert np.array_equal(with_other, without_other)
    both.drop(1)
    both.drop(99)
    assert both.state()["tracks"].tolist() == [2]
    image, _ = both.smooth(1, 3 / 25, face, noisy(face, 3), UNCOVERED)
    assert np.array_equal(image, noisy(face, 3))


def test_tracks_that_are_never_dropped_are_removed(face: Picture) -> None:
    smoother = FaceSmoother()
    for track in range(40):
        smoother.smooth(track, 4.0 * track, face, face, UNCOVERED)
    assert smoother.state()["tracks"].tolist() == [36, 37, 38, 39]


def test_a_resumed_run_gives_the_same_bytes(face: Picture) -> None:
    rng = np.random.default_rng(1)
    maps = [rng.random((128, 128), np.float32) for _ in range(10)]
    inputs = [noisy(moved(face, 0.3 * n, -0.2 * n), n, 2.0) for n in range(10)]
    whole, resumed = FaceSmoother(), FaceSmoother()
    expected = [
        whole.smooth(t, n / 25, inputs[n], noisy(face, 20 + n + t), maps[n])
        for n in range(10)
        for t in (3, 1)
    ]
    actual = []
    for n in range(10):
        for t in (3, 1):
            continued = FaceSmoother()
            continued.load({key: array.copy() for key, array in resumed.state().items()})
            resumed = continued
            actual.append(resumed.smooth(t, n / 25, inputs[n], noisy(face, 20 + n + t), maps[n]))
    for (image, occlusion), (image_again, occlusion_again) in zip(expected, actual, strict=True):
        assert np.array_equal(image, image_again)
        assert np.array_equal(occlusion, occlusion_again)


def test_a_loaded_state_is_returned_exactly(face: Picture) -> None:
    smoother = FaceSmoother()
    smoother.smooth(3, 0.28, face, noisy(face, 1), UNCOVERED)
    smoother.smooth(5, 0.36, noisy(face, 2), face, UNCOVERED)
    state = smoother.state()
    loaded = FaceSmoother()
    loaded.load(state)
    assert loaded.state()["time"].tolist() == [0.28, 0.36]
    for name, array in loaded.state().items():
        assert np.array_equal(array, state[name]), name


def test_an_invalid_state_is_refused(face: Picture) -> None:
    smoother = FaceSmoother()
    smoother.smooth(1, 0, face, face, UNCOVERED)
    state = smoother.state()
    for invalid in (
        {},
        {**state, "format": np.array(99)},
        {**state, "image": state["image"][:, :64]},
        {**state, "time": np.zeros(3)},
        {**state, "tracks": np.array(1)},
    ):
        with pytest.raises(UsageError, match="state"):
            FaceSmoother().load(invalid)


def test_invalid_faces_and_settings_are_refused(face: Picture) -> None:
    with pytest.raises(UsageError, match="smoothed"):
        FaceSmoother().smooth(1, 0, face[:64], face, UNCOVERED)
    with pytest.raises(UsageError, match="strength"):
        SmootherSettings(strength=1.0)
    with pytest.raises(UsageError, match="smoothed"):
        SmootherSettings(tolerance=(5.0, 1.0))


@pytest.mark.parametrize("rate", [25, 30, 60, 120])
def test_flicker_is_averaged_over_the_same_time_at_any_frame_rate(face: Picture, rate: int) -> None:
    bright = np.clip(face.astype(int) + 8, 0, 255).astype(np.uint8)
    smoother = FaceSmoother(SmootherSettings(output_tolerance=(200.0, 200.0)))
    smoother.smooth(1, 0.0, face, face, UNCOVERED)
    for number in range(1, 1 + round(rate / 5)):
        image, _ = smoother.smooth(1, number / rate, face, bright, UNCOVERED)
    kept = mean_difference(image, bright) / mean_difference(face, bright)
    assert kept == pytest.approx(0.8**5, abs=0.05)


@pytest.mark.parametrize("rate", [1, 2, 5])
def test_faces_further_apart_than_the_gap_are_not_averaged(face: Picture, rate: int) -> None:
    smoother = FaceSmoother()
    for number in range(3):
        image, _ = smoother.smooth(1, number / rate, face, noisy(face, number), UNCOVERED)
        assert np.array_equal(image, noisy(face, number))


def test_strength_0_changes_nothing(face: Picture) -> None:
    smoother = FaceSmoother(SmootherSettings(strength=0.0))
    for n in range(3):
        image, _ = smoother.smooth(1, n / 25, face, noisy(face, n), UNCOVERED)
        assert np.array_equal(image, noisy(face, n))


@pytest.mark.parametrize(("right", "below"), [(1.0, 0.5), (-2.0, 1.2), (0.25, -0.75)])
def test_small_motions_are_estimated(face: Picture, right: float, below: float) -> None:
    luma = cv2.GaussianBlur(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), (0, 0), 1.5)
    before = luma.astype(np.float32)
    shift = np.array([[1.0, 0.0, right], [0.0, 1.0, below]])
    now = cv2.warpAffine(before, shift, (128, 128), borderMode=cv2.BORDER_REPLICATE)
    motion = estimate_motion(before, now)
    middle = motion @ np.array([63.0, 78.0, 1.0])
    assert middle == pytest.approx((63.0 - right, 78.0 - below), abs=0.3)


@pytest.mark.parametrize("seed", range(4))
def test_noise_is_not_motion(face: Picture, seed: int) -> None:
    luma = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY).astype(np.float32)
    rng = np.random.default_rng(seed)
    before, now = (
        cv2.GaussianBlur(luma + rng.normal(0, 6, luma.shape).astype(np.float32), (0, 0), 1.5)
        for _ in range(2)
    )
    assert np.array_equal(estimate_motion(before, now), np.eye(2, 3))


def test_a_uniform_picture_has_no_motion(face: Picture, hopper_photo: Photo) -> None:
    flat = np.full((128, 128), 100.0, np.float32)
    assert np.array_equal(estimate_motion(flat, flat), np.eye(2, 3))
    same = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY).astype(np.float32)
    assert np.array_equal(estimate_motion(same, same), np.eye(2, 3))
