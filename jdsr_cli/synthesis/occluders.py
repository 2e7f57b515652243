"""Draw objects between a face and the camera: kinds, their probabilities, and image borders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.synthesis.accessories import (
    draw_beard,
    draw_glasses,
    draw_hair,
    draw_hat,
    draw_moustache,
    draw_shadow,
    draw_sunglasses,
    draw_visor,
)
from jdsr_cli.synthesis.hands import draw_hand
from jdsr_cli.synthesis.held_objects import (
    draw_bottle,
    draw_cigarette,
    draw_cup,
    draw_food,
    draw_microphone,
    draw_telephone,
)
from jdsr_cli.synthesis.occluder_scene import FaceFrame, Layer, Scene, composite, measure_face

OCCLUDER_SHARES: Mapping[str, float] = MappingProxyType(
    {
        "hand": 0.27,
        "cup": 0.10,
        "bottle": 0.04,
        "telephone": 0.10,
        "microphone": 0.04,
        "cigarette": 0.02,
        "food": 0.03,
        "hair": 0.06,
        "hat": 0.05,
        "glasses": 0.05,
        "sunglasses": 0.05,
        "visor": 0.05,
        "beard": 0.05,
        "moustache": 0.02,
        "shadow": 0.03,
        "border": 0.04,
    }
)
"""Probability of each kind; the sum is 1."""
_KINDS = tuple(OCCLUDER_SHARES)
_CUMULATIVE_SHARES = np.cumsum(list(OCCLUDER_SHARES.values()))
TWO_OCCLUDERS = 0.15
"""Share of faces with two occluders of different kinds."""

_LAYERS: Mapping[str, Callable[[FaceFrame, np.random.Generator], list[Layer]]] = MappingProxyType(
    {
        "hand": draw_hand,
        "cup": draw_cup,
        "bottle": draw_bottle,
        "telephone": draw_telephone,
        "microphone": draw_microphone,
        "cigarette": draw_cigarette,
        "food": draw_food,
        "hair": draw_hair,
        "hat": draw_hat,
        "glasses": draw_glasses,
        "sunglasses": draw_sunglasses,
        "visor": draw_visor,
        "beard": draw_beard,
        "moustache": draw_moustache,
        "shadow": draw_shadow,
    }
)
_INNER_KINDS = ("moustache", "beard", "glasses", "sunglasses", "hair", "hat", "visor")
"""Drawn first, from the skin outwards; then the other kinds, and the border last."""


def occlude(scene: Scene, landmarks: NDArray[np.floating], rng: np.random.Generator) -> Scene:
    """Draw one occluder, sometimes two, in front of a face.

    Occluders belong to the recorded scene and a restoration keeps them: they are composited onto
    both `clean` and `masked`, and `alpha` decreases where they hide the mask.

    Args:
        scene: The face, with or without a mask. None of its arrays is changed.
        landmarks: (68, 2) iBUG points in pixels, of which 0 to 16 and 27 to 30 are used. They
            may be outside the image.
        rng: Source of all random numbers; the same state gives the same bytes.

    """
    count = 2 if rng.random() < TWO_OCCLUDERS else 1
    chosen: set[str] = set()
    while len(chosen) < count:
        drawn = rng.random() * _CUMULATIVE_SHARES[-1]
        chosen.add(_KINDS[int(np.searchsorted(_CUMULATIVE_SHARES, drawn, "right"))])
    names = sorted(chosen, key=_drawing_order)
    frame = measure_face(scene.clean, landmarks)
    for name in names:
        scene = add_occluder(name, scene, frame, rng)
    return scene


def add_occluder(kind: str, scene: Scene, frame: FaceFrame, rng: np.random.Generator) -> Scene:
    """Draw an occluder of a kind of `OCCLUDER_SHARES` in front of a face."""
    if kind == "border":
        return add_border(scene, frame, rng)
    for layer in _LAYERS[kind](frame, rng):
        scene = composite(scene, layer)
    return scene


def _drawing_order(kind: str) -> int:
    if kind in _INNER_KINDS:
        return _INNER_KINDS.index(kind)
    return len(_INNER_KINDS) + _KINDS.index(kind)


MAX_CUT = 0.4
"""Largest share of a face's width or height that is beyond the border."""
BLACK_BORDERS = 0.25
"""Share of borders with black beyond them; otherwise the last row or column is repeated."""


def add_border(scene: Scene, frame: FaceFrame, rng: np.random.Generator) -> Scene:
    """Simulate an image border that cuts the face at the left, right, top or bottom.

    Beyond it both images and `alpha` repeat their last row or column, as an aligned crop does
    with `cv2.BORDER_REPLICATE`, or are 0.
    """
    side = ("left", "right", "top", "bottom")[int(rng.integers(4))]
    share = float(rng.uniform(0.05, MAX_CUT))
    corners = np.concatenate([frame.jaw, [frame.at(-0.9, -0.8), frame.at(0.9, -0.8)]])
    low, high = corners.min(0).clip(0, TEMPLATE_SIZE - 1), corners.max(0).clip(0, TEMPLATE_SIZE - 1)
    axis = 0 if side in ("left", "right") else 1
    depth = share * (high[axis] - low[axis])
    if side in ("left", "top"):
        line = int(np.clip(np.ceil(low[axis] + depth), 1, TEMPLATE_SIZE - 1))
        inside = slice(line, TEMPLATE_SIZE)
    else:
        end = high[axis] - depth
        if side == "bottom":  # the mouth stays in the image
            end = max(end, float(frame.at(0.0, 1.0)[1]))
        line = int(np.clip(np.floor(end), 1, TEMPLATE_SIZE - 1))
        inside = slice(0, line)
    nearest = np.clip(np.arange(TEMPLATE_SIZE), inside.start, inside.stop - 1)
    index = (slice(None), nearest) if axis == 0 else (nearest, slice(None))
    clean, alpha = scene.clean[index], scene.alpha[index]
    masked = clean if scene.masked is scene.clean else scene.masked[index]
    if rng.random() < BLACK_BORDERS:
        outside = nearest != np.arange(TEMPLATE_SIZE)
        beyond = (slice(None), outside) if axis == 0 else (outside, slice(None))
        for picture in (clean, masked, alpha):
            picture[beyond] = 0
    return Scene(clean, masked, alpha)
