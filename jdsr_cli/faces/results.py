"""From the raw boxes of a network to the faces of one frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.faces.detection import Detection
from jdsr_cli.faces.letterbox import Letterbox
from jdsr_cli.faces.suppression import suppress


def collect(
    boxes: NDArray[np.float32],
    points: NDArray[np.float32],
    scores: NDArray[np.float32],
    letterbox: Letterbox,
    overlap: float,
) -> list[Detection]:
    """Keep the best of boxes that overlap and give them in pixels of the frame.

    Args:
        boxes: (n, 4) left, top, right, bottom in pixels of the network's input.
        points: (n, 10) five points x, y likewise, in the order of `Detection.points`.
        scores: (n,) in [0, 1].
        letterbox: How the frame lies in the input.
        overlap: Largest intersection over union of two faces.

    Returns:
        The faces, best score first; those that lie in the padding are left out.

    """
    chosen = suppress(boxes, scores, overlap)
    marks = letterbox.to_frame(points[chosen]).reshape(-1, 5, 2)
    limits = np.array([letterbox.width - 1, letterbox.height - 1] * 2, dtype=np.float32)
    framed = np.clip(letterbox.to_frame(boxes[chosen]), 0.0, limits)
    good = (framed[:, 2:] > framed[:, :2]).all(axis=1) & np.isfinite(marks).all(axis=(1, 2))
    return [
        Detection(_as_box(framed[i]), marks[i].copy(), float(scores[chosen[i]]))
        for i in np.flatnonzero(good)
    ]


def merge(fine: list[Detection], coarse: list[Detection], border: float) -> list[Detection]:
    """Join what two passes found in one frame: small faces of one, large ones of the other.

    On a fine scale a network takes parts of a large face for faces; they are dropped where the
    coarse pass sees the whole face.

    Args:
        fine: Found on the fine scale, where faces much wider than `border` are not seen whole.
        coarse: Found on the coarse scale.
        border: Width of a face in pixels that both passes find well.

    Returns:
        The faces, best score first.

    """
    large = [face for face in coarse if face.width >= 0.8 * border]
    whole = [face for face in large if face.width >= 1.25 * border]
    small = [
        face
        for face in fine
        if face.width <= 1.25 * border and not any(_is_part(face, other) for other in whole)
    ]
    found = small + large
    if not found:
        return []
    boxes = np.array([face.box for face in found])
    chosen = suppress(boxes, np.array([face.score for face in found]), SAME_FACE)
    return [found[index] for index in chosen]


SAME_FACE = 0.3
"""Intersection over union above which two passes saw the same face."""
PART = 0.7
"""Share of a box inside another above which it is a part of that face."""


def _is_part(face: Detection, other: Detection) -> bool:
    (a, b, c, d), (e, f, g, h) = face.box, other.box
    shared = max(0.0, min(c, g) - max(a, e)) * max(0.0, min(d, h) - max(b, f))
    return shared > PART * face.width * face.height


def _as_box(edges: NDArray[np.float32]) -> tuple[float, float, float, float]:
    left, top, right, bottom = (float(edge) for edge in edges)
    return left, top, right, bottom
