"""Boxes (left, top, right and bottom edge in pixels): overlap, distance, non-maximum suppression.

`torchvision.ops.box_iou` and `nms` are not used: tracking and CenterFace run without torch.
"""

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
