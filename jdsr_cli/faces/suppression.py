"""Non-maximum suppression: of boxes that overlap, only the best stays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST_CANDIDATES = 5000
"""Boxes of one image that are compared; the best by score."""


def suppress(
    boxes: NDArray[np.floating], scores: NDArray[np.floating], overlap: float
) -> NDArray[np.intp]:
    """Choose boxes greedily by score, dropping each that overlaps a chosen one.

    Args:
        boxes: (n, 4) left, top, right, bottom.
        scores: (n,).
        overlap: Largest intersection over union that two chosen boxes may have.

    Returns:
        Indices of the chosen boxes, best score first.

    """
    order = np.argsort(-scores, kind="stable")[:MOST_CANDIDATES]
    ordered = boxes[order].astype(np.float64)
    low, high = ordered[:, :2], ordered[:, 2:]
    area = np.prod(np.maximum(high - low, 0.0), axis=1)
    alive = np.ones(len(order), dtype=bool)
    chosen = []
    for first in range(len(order)):
        if not alive[first]:
            continue
        chosen.append(first)
        rest = first + 1 + np.flatnonzero(alive[first + 1 :])
        sides = np.minimum(high[first], high[rest]) - np.maximum(low[first], low[rest])
        shared = np.prod(np.maximum(sides, 0.0), axis=1)
        alive[rest[shared > overlap * (area[first] + area[rest] - shared)]] = False
    return order[np.array(chosen, dtype=np.intp)]
