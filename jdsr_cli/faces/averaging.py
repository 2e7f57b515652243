"""Weights of averages along time that do not depend on the frame rate."""

from __future__ import annotations

INDEPENDENT = 0.033
"""Seconds between two frames from which on the errors of their measures count as independent."""


def independent_share(share: float, seconds: float) -> float:
    """Return the weight of a new measure in a running average.

    Args:
        share: The weight of one whose error is independent, in [0, 1].
        seconds: Time since the measure before; closer ones count less, in proportion to it.

    """
    return share * min(1.0, seconds / INDEPENDENT)
