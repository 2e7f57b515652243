"""Comparing boxes: left, top, right and bottom edge in pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


def overlaps(some: Numbers, others: Numbers) -> Numbers:
    """Return the intersection over union of each box with each other, (n, m) in [0, 1].

    Args:
        some: (n, 4).
        others: (m, 4).

    """
    low = np.maximum(some[:, None, :2], others[None, :, :2])
    high = np.minimum(some[:, None, 2:], others[None, :, 2:])
    sides = np.maximum(high - low, 0.0)
    shared = sides[..., 0] * sides[..., 1]
    total = _areas(some)[:, None] + _areas(others)[None, :] - shared
    return np.where(total > 0.0, shared / np.where(total > 0.0, total, 1.0), 0.0)


def enlarged(boxes: Numbers, share: float) -> Numbers:
    """Return boxes (n, 4) that reach further on each side, by a share of their width or height."""
    margin = share * (boxes[:, 2:] - boxes[:, :2])
    return np.concatenate([boxes[:, :2] - margin, boxes[:, 2:] + margin], axis=1)


def distances(some: Numbers, others: Numbers) -> Numbers:
    """Return how far each centre is from each other, (n, m) in pixels."""
    here, there = ((boxes[:, :2] + boxes[:, 2:]) / 2 for boxes in (some, others))
    apart = here[:, None] - there[None, :]
    return np.hypot(apart[..., 0], apart[..., 1])


def sizes(boxes: Numbers) -> Numbers:
    """Return the root of width times height of each box, (n,), at least one pixel."""
    return np.maximum(np.sqrt(_areas(boxes)), 1.0)


def _areas(boxes: Numbers) -> Numbers:
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0.0)
    return sides[:, 0] * sides[:, 1]
