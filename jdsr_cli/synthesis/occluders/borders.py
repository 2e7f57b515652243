"""The border of a picture that runs through a face."""

from __future__ import annotations

import numpy as np

from jdsr_cli.synthesis.occluders.frame import FaceFrame
from jdsr_cli.synthesis.occluders.scene import SIZE, Scene

DEEPEST = 0.4
"""Largest share of a face's width or height that lies beyond the border."""
BLACK = 0.25
"""Share of borders beyond which it is black; else the last row or column is repeated."""


def cut(scene: Scene, frame: FaceFrame, rng: np.random.Generator) -> Scene:
    """End the picture at a line left, right, above or below.

    Beyond it both pictures and the mask's share repeat their last row or column, as an aligned
    crop does with `cv2.BORDER_REPLICATE`, or are black without a mask.
    """
    side = ("left", "right", "top", "bottom")[int(rng.integers(4))]
    share = float(rng.uniform(0.05, DEEPEST))
    corners = np.concatenate([frame.jaw, [frame.at(-0.9, -0.8), frame.at(0.9, -0.8)]])
    low, high = corners.min(0).clip(0, SIZE - 1), corners.max(0).clip(0, SIZE - 1)
    axis = 0 if side in ("left", "right") else 1
    depth = share * (high[axis] - low[axis])
    if side in ("left", "top"):
        line = int(np.clip(np.ceil(low[axis] + depth), 1, SIZE - 1))
        kept = slice(line, SIZE)
    else:
        end = high[axis] - depth
        if side == "bottom":  # the mouth stays in the picture
            end = max(end, float(frame.at(0.0, 1.0)[1]))
        line = int(np.clip(np.floor(end), 1, SIZE - 1))
        kept = slice(0, line)
    nearest = np.clip(np.arange(SIZE), kept.start, kept.stop - 1)
    index = (slice(None), nearest) if axis == 0 else (nearest, slice(None))
    clean, alpha = scene.clean[index], scene.alpha[index]
    masked = clean if scene.masked is scene.clean else scene.masked[index]
    if rng.random() < BLACK:
        beyond = nearest != np.arange(SIZE)
        where = (slice(None), beyond) if axis == 0 else (beyond, slice(None))
        for picture in (clean, masked, alpha):
            picture[where] = 0
    return Scene(clean, masked, alpha)
