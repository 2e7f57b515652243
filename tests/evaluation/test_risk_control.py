"""Thresholds by Learn then Test: the promise holds for any distribution of losses."""

import numpy as np
import pytest
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.evaluation.risk_control import betting_p_value, largest_certified

Array = NDArray[np.float64]
RISK, DELTA, DRAWS = 0.1, 0.1, 400


def spread_out(rng: np.random.Generator, mean: float, count: int) -> Array:
    """Losses near their mean."""
    return rng.beta(20 * mean, 20 * (1 - mean), count)


def rare_and_total(rng: np.random.Generator, mean: float, count: int) -> Array:
    """Most faces without any error, some wrong everywhere."""
    return (rng.random(count) < mean).astype(np.float64)


def heavy(rng: np.random.Generator, mean: float, count: int) -> Array:
    """Many small losses and a long tail."""
    return rng.beta(0.3 * mean, 0.3 * (1 - mean), count)


DISTRIBUTIONS = [spread_out, rare_and_total, heavy]
MEANS = np.linspace(0.04, 0.14, 51)
"""Risk of each threshold."""


def drawn_losses(rng: np.random.Generator, draw, count: int = 150) -> Array:  # type: ignore[no-untyped-def]
    return np.array([draw(rng, mean, count) for mean in MEANS])


def failures(choose, draw) -> float:  # type: ignore[no-untyped-def]
    """Share of draws of the calibration whose threshold has a larger risk than allowed."""
    rng = np.random.default_rng(7)
    failed = 0
    for _ in range(DRAWS):
        index = choose(drawn_losses(rng, draw))
        failed += index is not None and MEANS[index] > RISK
    return failed / DRAWS


def empirical(losses: Array) -> int | None:
    """The threshold that would be chosen without a margin for the size of the sample."""
    valid = np.nonzero(losses.mean(axis=1) <= RISK)[0]
    return int(valid[-1]) if len(valid) else None


@pytest.mark.parametrize("draw", DISTRIBUTIONS)
def test_the_risk_is_exceeded_at_most_as_often_as_stated(draw) -> None:  # type: ignore[no-untyped-def]
    kept = failures(lambda losses: largest_certified(losses, RISK, DELTA), draw)
    # Three standard errors of the simulation above delta.
    assert kept <= DELTA + 3 * np.sqrt(DELTA * (1 - DELTA) / DRAWS)
    # The comparison can fail: a threshold without a margin breaks the promise.
    assert failures(empirical, draw) > DELTA + 0.1


@pytest.mark.parametrize("draw", DISTRIBUTIONS)
def test_the_mean_risk_over_calibrations_is_below_the_stated_one(draw) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(11)
    chosen = [largest_certified(drawn_losses(rng, draw, 300), RISK, DELTA) for _ in range(100)]
    risks = [0.0 if index is None else MEANS[index] for index in chosen]
    assert 0.02 < np.mean(risks) <= RISK


@pytest.mark.parametrize("draw", DISTRIBUTIONS)
def test_p_values_are_valid_at_every_level(draw) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(3)
    values = np.array([betting_p_value(draw(rng, RISK, 120), RISK, DELTA) for _ in range(DRAWS)])
    for level in (0.02, 0.1, 0.3):
        assert (values <= level).mean() <= level + 3 * np.sqrt(level * (1 - level) / DRAWS)


def test_more_faces_certify_larger_thresholds() -> None:
    few, many = (
        largest_certified(drawn_losses(np.random.default_rng(1), spread_out, count), RISK, DELTA)
        for count in (60, 2000)
    )
    assert few is not None
    assert many is not None
    assert few < many
    assert MEANS[many] <= RISK


def test_units_without_a_loss_neither_help_nor_harm() -> None:
    losses = np.random.default_rng(5).beta(1, 19, 80)
    padded = np.full(1000, np.nan)
    padded[::12][:80] = losses
    assert betting_p_value(padded, RISK, DELTA) == betting_p_value(losses, RISK, DELTA)
    assert betting_p_value(np.full(50, np.nan), RISK, DELTA) == 1.0


def test_the_sequence_ends_at_the_first_threshold_that_fails() -> None:
    good, bad = np.zeros(100), np.full(100, 0.5)
    losses = np.array([bad, good, good, bad, good])
    assert largest_certified(losses, RISK, DELTA) is None
    assert largest_certified(losses, RISK, DELTA, first=1) == 2
    assert largest_certified(losses[:0], RISK, DELTA) is None


@pytest.mark.parametrize(
    ("loss", "risk", "delta"),
    [
        (1.5, 0.1, 0.1),
        (-0.1, 0.1, 0.1),
        (0.5, 0.0, 0.1),
        (0.5, 1.0, 0.1),
        (0.5, 0.1, 0.0),
        (0.5, 0.1, 90),
    ],
)
def test_shares_that_are_none_are_refused(loss: float, risk: float, delta: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        largest_certified(np.full((2, 3), loss), risk, delta)
