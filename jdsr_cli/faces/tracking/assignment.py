"""Assignment of detections to tracks with the greatest total benefit.

Nearly all faces of footage have one candidate, or one track wants several detections: then the
greatest benefit wins. Only tracks and detections that compete in groups need the Hungarian
algorithm, whose import takes half a second; it is imported with the first such group.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.intp]


def assign(benefits: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Return the pairs of rows and columns with the greatest total benefit.

    Args:
        benefits: (n, m), above 0 for pairs that are allowed, 0 for the others.

    Returns:
        Allowed pairs in the order of the rows; each row and each column occurs at most once.

    """
    pairs = []
    for rows, columns in _groups(benefits > 0.0):
        part = benefits[np.ix_(rows, columns)]
        if min(part.shape) == 1:
            row, column = np.unravel_index(int(part.argmax()), part.shape)
            pairs.append((int(rows[row]), int(columns[column])))
            continue
        from scipy.optimize import linear_sum_assignment

        for row, column in zip(*linear_sum_assignment(part, maximize=True), strict=True):
            if part[row, column] > 0.0:
                pairs.append((int(rows[row]), int(columns[column])))
    return sorted(pairs)


def _groups(allowed: NDArray[np.bool_]) -> Iterator[tuple[Indices, Indices]]:
    """Yield the rows and columns of each connected group of allowed pairs."""
    waiting = np.asarray(allowed.any(axis=1))
    while waiting.any():
        rows = np.zeros_like(waiting)
        reached = np.arange(len(waiting)) == waiting.argmax()
        while (reached != rows).any():
            rows = reached
            columns = allowed[rows].any(axis=0)
            reached = rows | allowed[:, columns].any(axis=1)
        yield np.flatnonzero(rows), np.flatnonzero(columns)
        waiting &= ~rows
