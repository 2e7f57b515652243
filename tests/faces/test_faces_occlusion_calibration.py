"""Calibration of the occlusion map to the probability that a pixel is covered."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jdsr_cli.errors import UsageError, WeightsCorruptError
from jdsr_cli.faces.occlusion_calibration import (
    UNCALIBRATED,
    OcclusionCalibration,
    calibrated_occlusion,
)
from jdsr_cli.weights import WeightEntry
from jdsr_cli.weights.registry import CARRIED, entry

RAMP = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)


def described(**calibration: object) -> WeightEntry:
    return WeightEntry(
        "own", "own.safetensors", "0" * 64, 1, "lite", 1, 128, "faces", "MIT", "abc", "lite",
        occlusion_calibration=calibration,
    )  # fmt: skip


def test_without_a_calibration_the_map_stays_as_it_is() -> None:
    assert OcclusionCalibration.of(None) is OcclusionCalibration.of(described()) is UNCALIBRATED
    calibrated = calibrated_occlusion(RAMP, UNCALIBRATED)
    assert calibrated.dtype == np.float32
    assert np.abs(calibrated - RAMP).max() <= 0.5 / 256 + 1e-6


@given(
    a=st.floats(0.0, 5.0), b=st.floats(0.0, 5.0), c=st.floats(-10.0, 10.0),
    side=st.sampled_from([1, 16, 128]),
)  # fmt: skip
def test_probabilities_rise_with_the_map_and_stay_in_range(
    a: float, b: float, c: float, side: int
) -> None:
    values = np.linspace(0, 1, side * side, dtype=np.float32).reshape(side, side)
    calibrated = calibrated_occlusion(values, OcclusionCalibration(a, b, c))
    assert calibrated.shape == (side, side)
    assert 0.0 <= calibrated.min() <= calibrated.max() <= 1.0
    assert (np.diff(calibrated.ravel()) >= 0.0).all()


@pytest.mark.parametrize(
    ("a", "b", "c", "expected"),
    [(1, 1, -math.log(3), 0.25), (2, 2, 0.0, 0.5), (1, 0, 0.0, 1 / 3), (0, 1, 0.0, 2 / 3)],
)
def test_the_curve_is_that_of_beta_calibration(
    a: float, b: float, c: float, expected: float
) -> None:
    half = np.full((2, 2), 0.5, np.float32)
    own = OcclusionCalibration.of(described(a=a, b=b, c=c))
    assert calibrated_occlusion(half, own) == pytest.approx(np.full((2, 2), expected), abs=1e-6)


def test_the_carried_weights_give_too_much_and_are_calibrated() -> None:
    calibration = OcclusionCalibration.of(entry(CARRIED))
    assert calibration is not UNCALIBRATED
    calibrated = calibrated_occlusion(RAMP, calibration)
    assert calibrated[0, 0] < 0.01
    assert calibrated[-1, -1] > 0.98
    middle = (RAMP > 0.1) & (RAMP < 0.95)
    assert (calibrated < RAMP)[middle].all()


@pytest.mark.parametrize(
    "table",
    [
        {"a": 1.0, "b": 1.0},
        {"a": 1.0, "b": 1.0, "c": 0.0, "d": 0.0},
        {"a": "1", "b": 1.0, "c": 0.0},
        {"a": True, "b": 1.0, "c": 0.0},
        {"a": -0.1, "b": 1.0, "c": 0.0},
        {"a": 1.0, "b": float("inf"), "c": 0.0},
        {"a": 1.0, "b": 1.0, "c": float("nan")},
        {"a": [1.0], "b": 1.0, "c": 0.0},
    ],
)
def test_invalid_calibrations_are_refused(table: dict[str, object]) -> None:
    with pytest.raises(WeightsCorruptError, match="own: its occlusion_calibration is not"):
        OcclusionCalibration.of(described(**table))


@pytest.mark.parametrize(
    "occlusion",
    [
        np.zeros((128, 128, 3), np.float32),
        np.full((4, 4), 1.01, np.float32),
        np.full((4, 4), -0.1, np.float32),
        np.full((4, 4), np.nan, np.float32),
        np.full((4, 4), 255, np.uint8),
    ],
)
def test_what_is_not_a_map_is_refused(occlusion: np.ndarray) -> None:
    with pytest.raises(UsageError):
        calibrated_occlusion(occlusion, UNCALIBRATED)
