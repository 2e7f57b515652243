"""Boxes (left, top, right and bottom edge in pixels): overlap, distance, non-maximum suppression.

`torchvision.ops` has `box_iou` and `nms` too, but detection by CenterFace and tracking run without
torch.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]

MAX_CANDIDATES = 5000
"""Boxes of one image that are compared in `suppress_overlaps`; the best by score."""


def box_overlaps(some: Boxes, others: Boxes) -> NDArray[np.float64]:
    """Return the intersection over union of all pairs of boxes, (n, m) in [0, 1].

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


def enlarge_boxes(boxes: Boxes, share: float) -> Boxes:
    """Return boxes (n, 4) enlarged on each side by a share of their width or height."""
    margin = share * (boxes[:, 2:] - boxes[:, :2])
    return np.concatenate([boxes[:, :2] - margin, boxes[:, 2:] + margin], axis=1)


def centre_distances(some: Boxes, others: Boxes) -> NDArray[np.float64]:
    """Return the distances between the centres of all pairs of boxes, (n, m) in pixels."""
    here, there = ((boxes[:, :2] + boxes[:, 2:]) / 2 for boxes in (some, others))
    apart = here[:, None] - there[None, :]
    return np.hypot(apart[..., 0], apart[..., 1])


def box_sizes(boxes: Boxes) -> NDArray[np.float64]:
    """Return the root of width times height of each box, (n,), at least one pixel."""
    return np.maximum(np.sqrt(_areas(boxes)), 1.0)


def suppress_overlaps(
    boxes: NDArray[np.floating], scores: NDArray[np.floating], overlap: float
) -> NDArray[np.intp]:
    """Select boxes greedily by score and drop each that overlaps a selected one (NMS).

    Args:
        boxes: (n, 4).
        scores: (n,), above 0.
        overlap: Largest intersection over union that two selected boxes may have.

    Returns:
        Indices of the selected boxes, best score first.

    """
    if not len(boxes):
        return np.empty(0, np.intp)
    edges = boxes.astype(np.float64)
    rectangles = np.hstack([edges[:, :2], edges[:, 2:] - edges[:, :2]])
    selected = cv2.dnn.NMSBoxes(
        rectangles.tolist(), scores.tolist(), 0.0, overlap, top_k=MAX_CANDIDATES
    )
    return np.asarray(selected, np.intp)


def _areas(boxes: Boxes) -> NDArray[np.float64]:
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0.0)
    return sides[:, 0] * sides[:, 1]
