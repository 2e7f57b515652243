import numpy as np
import pytest
from moving_faces import SHAPE
from numpy.typing import NDArray

from jdsr_cli.faces import estimate_alignment
from jdsr_cli.faces.tracking.smoothing import smooth

Numbers = NDArray[np.float64]

WIDTH = 60.0
RATE = 25.0


def coordinates(places: Numbers, turns: Numbers | float = 0.0) -> Numbers:
    """Return (n, 7, 2) of faces 60 px wide with middles (n, 2) in widths, turned in radians."""
    angle = np.broadcast_to(turns, len(places))
    cos, sin = np.cos(angle), np.sin(angle)
    rotation = np.stack([np.stack([cos, -sin], 1), np.stack([sin, cos], 1)], 1)
    points = np.einsum("nij,pj->npi", rotation, SHAPE)
    corners = np.broadcast_to([[-0.5, -0.6], [0.5, 0.6]], (len(places), 2, 2))
    values: Numbers = WIDTH * (np.concatenate([points, corners], 1) + places[:, None])
    return values


def noisy(values: Numbers, seed: int = 0, share: float = 0.012) -> Numbers:
    return values + np.random.default_rng(seed).normal(0.0, share * WIDTH, values.shape)


def all_smoothed(times: Numbers, values: Numbers, deviation: float = 0.1) -> Numbers:
    """Return the estimate for each detection from those within 7 frames."""
    found = []
    for index, time in enumerate(times):
        part = slice(max(0, index - 7), index + 8)
        found.append(smooth(time, times[part], values[part], deviation))
    return np.array(found)


def errors(found: Numbers, truth: Numbers) -> Numbers:
    """Return the distance of the middle of the points from the truth, in widths."""
    off: Numbers = (found - truth)[:, :5].mean(axis=1) / WIDTH
    far: Numbers = np.hypot(off[:, 0], off[:, 1])
    return far


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
def test_it_neither_lags_nor_overshoots(motion: str, worst: float) -> None:
    truth = coordinates(np.stack(MOTIONS[motion], axis=1))
    for seed in range(2):
        off = errors(all_smoothed(TIMES, noisy(truth, seed)), truth)
        assert off.max() < worst
        assert off.mean() < 0.012


def test_a_steady_motion_is_kept_exactly_to_its_ends_and_an_accelerated_one_within() -> None:
    steady = coordinates(np.stack([2.0 * TIMES, -0.5 * TIMES], axis=1))
    np.testing.assert_allclose(all_smoothed(TIMES, steady), steady, atol=1e-6)
    faster = coordinates(np.stack([4.0 * TIMES**2, 0.0 * TIMES], axis=1))
    np.testing.assert_allclose(all_smoothed(TIMES, faster)[7:-7], faster[7:-7], atol=1e-6)


def test_the_alignment_of_a_still_face_jitters_less_than_half() -> None:
    values = noisy(coordinates(np.zeros((75, 2))))
    matrices = [
        np.array([estimate_alignment(one[:5]).matrix for one in found])
        for found in (values, all_smoothed(TIMES, values))
    ]
    before, after = (np.diff(one, 2, axis=0).std(axis=0) for one in matrices)
    assert (after < 0.25 * before).all()


def test_one_bad_frame_leaves_no_trace() -> None:
    truth = coordinates(np.stack([0.5 * TIMES, 0.0 * TIMES], axis=1))
    bad = noisy(truth)
    bad[30] += 0.4 * WIDTH
    bad[50, :5] = bad[50, 4::-1]
    off = np.abs(all_smoothed(TIMES, bad) - truth).max(axis=(1, 2)) / WIDTH
    assert off.max() < 0.06


def test_a_turning_head_is_followed() -> None:
    turn = 0.3 * np.sin(2.0 * np.pi * TIMES)
    truth = coordinates(np.zeros((75, 2)), turn)
    found = all_smoothed(TIMES, noisy(truth))
    eyes = found[:, 1] - found[:, 0]
    off = np.arctan2(eyes[:, 1], eyes[:, 0]) - turn
    assert np.abs(off).max() < np.radians(4.0)


def test_times_count_not_frames() -> None:
    steps = np.random.default_rng(3).choice([0.02, 0.04, 0.09, 0.15], 60)
    times = np.cumsum(steps)
    truth = coordinates(np.stack([times**2, np.sin(times)], axis=1))
    for index in range(7, 53):
        part = np.arange(index - 7, index + 8)
        kept = part[part != index]
        found = smooth(times[index], times[kept], truth[kept], 0.1)
        np.testing.assert_allclose(found, truth[index], atol=0.03 * WIDTH)


def test_few_detections_are_enough() -> None:
    values = coordinates(np.array([[0.0, 0.0], [1.0, 0.0]]))
    times = np.array([0.0, 0.4])
    for deviation in (0.0, 0.1):
        middle = smooth(0.1, times, values, deviation)
        np.testing.assert_allclose(middle, 0.75 * values[0] + 0.25 * values[1], atol=1e-9)
        np.testing.assert_array_equal(smooth(0.5, times, values, deviation), values[1])
        np.testing.assert_array_equal(smooth(0.0, times[:1], values[:1], deviation), values[0])


def test_no_smoothing_is_none() -> None:
    values = noisy(coordinates(np.zeros((75, 2))))
    np.testing.assert_array_equal(all_smoothed(TIMES, values, 0.0), values)
