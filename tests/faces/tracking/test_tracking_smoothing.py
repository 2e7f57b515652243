import numpy as np
import pytest
from moving_faces import SHAPE
from numpy.typing import NDArray

from jdsr_cli.faces import estimate_alignment
from jdsr_cli.faces.tracking.smoothing import smooth

Numbers = NDArray[np.float64]

WIDTH = 60.0
RATE = 25.0


def coordinates(positions: Numbers, angles: Numbers | float = 0.0) -> Numbers:
    """Return (n, 7, 2) points of faces 60 px wide, centred at (n, 2) widths, angles in radians."""
    angle = np.broadcast_to(angles, len(positions))
    cos, sin = np.cos(angle), np.sin(angle)
    rotation = np.stack([np.stack([cos, -sin], 1), np.stack([sin, cos], 1)], 1)
    points = np.einsum("nij,pj->npi", rotation, SHAPE)
    corners = np.broadcast_to([[-0.5, -0.6], [0.5, 0.6]], (len(positions), 2, 2))
    values: Numbers = WIDTH * (np.concatenate([points, corners], 1) + positions[:, None])
    return values


def noisy(values: Numbers, seed: int = 0, share: float = 0.012) -> Numbers:
    return values + np.random.default_rng(seed).normal(0.0, share * WIDTH, values.shape)


def all_smoothed(times: Numbers, values: Numbers, deviation: float = 0.1) -> Numbers:
    """Return the smoothed value of each detection from those within 7 frames."""
    smoothed = []
    for index, time in enumerate(times):
        part = slice(max(0, index - 7), index + 8)
        smoothed.append(smooth(time, times[part], values[part], deviation))
    return np.array(smoothed)


def errors(estimate: Numbers, truth: Numbers) -> Numbers:
    """Return the distance of the middle of the points from the truth, in widths."""
    error: Numbers = (estimate - truth)[:, :5].mean(axis=1) / WIDTH
    distance: Numbers = np.hypot(error[:, 0], error[:, 1])
    return distance


TIMES = np.arange(75) / RATE
STEP = np.where(TIMES < 1.5, 3.0 * TIMES, 4.5)
MOTIONS = {
    "still": (0.0 * TIMES, 0.0 * TIMES),
    "walking": (0.8 * TIMES, 0.25 * np.sin(4.0 * np.pi * TIMES)),
    "accelerating": (2.5 * TIMES**2, 0.0 * TIMES),
    "shaking": (0.15 * np.sin(8.0 * np.pi * TIMES), 0.0 * TIMES),
    "stopping": (STEP, 0.0 * TIMES),
}


@pytest.mark.parametrize(
    ("motion", "worst"),
    [("still", 0.02), ("walking", 0.04), ("accelerating", 0.03), ("shaking", 0.05),
     ("stopping", 0.07)],
)  # fmt: skip
def test_smoothing_neither_lags_nor_overshoots(motion: str, worst: float) -> None:
    truth = coordinates(np.stack(MOTIONS[motion], axis=1))
    for seed in range(2):
        error = errors(all_smoothed(TIMES, noisy(truth, seed)), truth)
        assert error.max() < worst
        assert error.mean() < 0.012


def test_uniform_motion_is_exact_to_its_ends_and_accelerated_motion_within_them() -> None:
    uniform = coordinates(np.stack([2.0 * TIMES, -0.5 * TIMES], axis=1))
    np.testing.assert_allclose(all_smoothed(TIMES, uniform), uniform, atol=1e-6)
    accelerated = coordinates(np.stack([4.0 * TIMES**2, 0.0 * TIMES], axis=1))
    np.testing.assert_allclose(all_smoothed(TIMES, accelerated)[7:-7], accelerated[7:-7], atol=1e-6)


def test_the_alignment_of_a_still_face_jitters_less_than_half() -> None:
    values = noisy(coordinates(np.zeros((75, 2))))
    matrices = [
        np.array([estimate_alignment(one[:5]).matrix for one in smoothed])
        for smoothed in (values, all_smoothed(TIMES, values))
    ]
    before, after = (np.diff(one, 2, axis=0).std(axis=0) for one in matrices)
    assert (after < 0.25 * before).all()


def test_outlier_frames_are_suppressed() -> None:
    truth = coordinates(np.stack([0.5 * TIMES, 0.0 * TIMES], axis=1))
    outliers = noisy(truth)
    outliers[30] += 0.4 * WIDTH
    outliers[50, :5] = outliers[50, 4::-1]
    error = np.abs(all_smoothed(TIMES, outliers) - truth).max(axis=(1, 2)) / WIDTH
    assert error.max() < 0.06


def test_rotation_of_the_head_is_preserved() -> None:
    turn = 0.3 * np.sin(2.0 * np.pi * TIMES)
    truth = coordinates(np.zeros((75, 2)), turn)
    smoothed = all_smoothed(TIMES, noisy(truth))
    eyes = smoothed[:, 1] - smoothed[:, 0]
    error = np.arctan2(eyes[:, 1], eyes[:, 0]) - turn
    assert np.abs(error).max() < np.radians(4.0)


def test_smoothing_uses_times_and_not_frame_numbers() -> None:
    steps = np.random.default_rng(3).choice([0.02, 0.04, 0.09, 0.15], 60)
    times = np.cumsum(steps)
    truth = coordinates(np.stack([times**2, np.sin(times)], axis=1))
    for index in range(7, 53):
        part = np.arange(index - 7, index + 8)
        others = part[part != index]
        smoothed = smooth(times[index], times[others], truth[others], 0.1)
        np.testing.assert_allclose(smoothed, truth[index], atol=0.03 * WIDTH)


def test_one_and_two_detections_are_smoothed() -> None:
    values = coordinates(np.array([[0.0, 0.0], [1.0, 0.0]]))
    times = np.array([0.0, 0.4])
    for deviation in (0.0, 0.1):
        middle = smooth(0.1, times, values, deviation)
        np.testing.assert_allclose(middle, 0.75 * values[0] + 0.25 * values[1], atol=1e-9)
        np.testing.assert_array_equal(smooth(0.5, times, values, deviation), values[1])
        np.testing.assert_array_equal(smooth(0.0, times[:1], values[:1], deviation), values[0])


def test_zero_deviation_changes_nothing() -> None:
    values = noisy(coordinates(np.zeros((75, 2))))
    np.testing.assert_array_equal(all_smoothed(TIMES, values, 0.0), values)
