"""Thresholds that control a risk with a finite-sample guarantee (Learn then Test).

A threshold accepts what lies below it; each unit (a face) then has a loss in [0, 1], or accepts
nothing and has none. Thresholds are tested in a fixed order, each by a valid p-value, until one is
not certified (Angelopoulos et al. 2021, arXiv 2110.01052, fixed-sequence testing). Since the first
test that fails ends the sequence, the probability that the threshold returned has a larger risk
than allowed is at most `delta`, whatever the distribution of the losses, if the units are
exchangeable with those to which the threshold is applied.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError

Array = NDArray[np.float64]


def betting_p_value(losses: Array, risk: float, delta: float) -> float:
    """Return a p-value of the hypothesis that the mean loss of units that have one is over `risk`.

    The capital of a bettor who gains where losses are lower than `risk` (Waudby-Smith and Ramdas
    2024, "Estimating means of bounded random variables by betting"): by Ville's inequality it ever
    exceeds 1/p with probability at most p if the hypothesis holds. It is smaller than the
    Hoeffding-Bentkus p-value where the losses vary little. Units without a loss are left out: a
    threshold cannot become valid by accepting nothing of most units.

    Args:
        losses: (n,) in [0, 1], NaN for units without a loss, in an order that does not depend on
            the losses.
        risk: Allowed mean loss, between 0 and 1.
        delta: Error level at which the p-value is used, which tunes the size of the bets only.

    """
    gains = risk - losses[~np.isnan(losses)]
    if not len(gains):
        return 1.0
    counts = np.arange(1, len(gains) + 1)
    means = (0.5 * risk + np.cumsum(gains)) / (counts + 1)
    variances = (0.25 * risk + np.cumsum((gains - means) ** 2)) / (counts + 1)
    # Each bet depends on earlier units only.
    before = np.concatenate([[0.25 * risk], variances[:-1]])
    bets = np.minimum(
        np.sqrt(2.0 * math.log(1.0 / delta) / (len(gains) * before)), 0.9 / (1.0 - risk)
    )
    capital = np.cumsum(np.log1p(bets * gains))
    return math.exp(-max(float(capital.max()), 0.0))


def largest_certified(losses: Array, risk: float, delta: float, first: int = 0) -> int | None:
    """Return the index of the last threshold that fixed-sequence testing certifies.

    Args:
        losses: (m, n) loss of each of n units at each of m thresholds in ascending order, in
            [0, 1]; NaN where a unit accepts nothing.
        risk: Allowed mean loss, between 0 and 1.
        delta: Probability with which the returned threshold may have a larger risk, between 0
            and 1.
        first: Threshold with which the sequence starts; chosen without these units.

    Returns:
        None if the first threshold is not certified, or there is none.

    Raises:
        UsageError: `risk` or `delta` is not between 0 and 1, or a loss is not in [0, 1].

    """
    known = losses[~np.isnan(losses)]
    if not 0.0 < risk < 1.0 or not 0.0 < delta < 1.0 or ((known < 0.0) | (known > 1.0)).any():
        raise UsageError(
            "losses lie in [0, 1], risk and delta between 0 and 1",
            hint="Give shares, not per cent.",
        )
    certified = None
    for index in range(first, len(losses)):
        if betting_p_value(losses[index], risk, delta) > delta:
            break
        certified = index
    return certified
