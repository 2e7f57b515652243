"""Draw objects between a face and the camera: which kinds, how often, and image borders."""

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
"""How often each kind is drawn; together 1."""
_KINDS = tuple(OCCLUDER_SHARES)
_UP_TO = np.cumsum(list(OCCLUDER_SHARES.values()))
TWO = 0.15
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
_INWARDS = ("moustache", "beard", "glasses", "sunglasses", "hair", "hat", "visor")
"""From the skin outwards; everything else comes before these, the border last."""


def occlude(scene: Scene, landmarks: NDArray[np.floating], rng: np.random.Generator) -> Scene:
    """Put one occluder, sometimes two, before a face.

    What is drawn belongs to the filmed picture and is to be kept: it is composited onto `clean`
    and `masked` alike, and the mask's share shrinks where it is hidden.

    Args:
        scene: The face, without a mask and with or without one. None of its arrays is changed.
        landmarks: (68, 2) iBUG points in pixels, of which 0 to 16 and 27 to 30 are used. They
            may lie outside the picture.
        rng: Draws everything; the same state gives the same bytes.

    """
    count = 2 if rng.random() < TWO else 1
    chosen: set[str] = set()
    while len(chosen) < count:
        chosen.add(_KINDS[int(np.searchsorted(_UP_TO, rng.random() * _UP_TO[-1], "right"))])
    names = sorted(chosen, key=_nearness)
    frame = measure_face(scene.clean, landmarks)
    for name in names:
        scene = add_occluder(name, scene, frame, rng)
    return scene


def add_occluder(kind: str, scene: Scene, frame: FaceFrame, rng: np.random.Generator) -> Scene:
    """Put an occluder of a kind of `OCCLUDER_SHARES` before a face."""
    if kind == "border":
        return add_border(scene, frame, rng)
    for layer in _LAYERS[kind](frame, rng):
        scene = composite(scene, layer)
    return scene


def _nearness(kind: str) -> int:
    if kind in _INWARDS:
        return _INWARDS.index(kind)
    return len(_INWARDS) + _KINDS.index(kind)


DEEPEST = 0.4
"""Largest share of a face's width or height that lies beyond the border."""
BLACK = 0.25
"""Share of borders beyond which it is black; else the last row or column is repeated."""


def add_border(scene: Scene, frame: FaceFrame, rng: np.random.Generator) -> Scene:
    """End the picture at a line left, right, above or below.

    Beyond it both pictures and the mask's share repeat their last row or column, as an aligned
    crop does with `cv2.BORDER_REPLICATE`, or are black without a mask.
    """
    side = ("left", "right", "top", "bottom")[int(rng.integers(4))]
    share = float(rng.uniform(0.05, DEEPEST))
    corners = np.concatenate([frame.jaw, [frame.at(-0.9, -0.8), frame.at(0.9, -0.8)]])
    low, high = corners.min(0).clip(0, TEMPLATE_SIZE - 1), corners.max(0).clip(0, TEMPLATE_SIZE - 1)
    axis = 0 if side in ("left", "right") else 1
    depth = share * (high[axis] - low[axis])
    if side in ("left", "top"):
        line = int(np.clip(np.ceil(low[axis] + depth), 1, TEMPLATE_SIZE - 1))
        kept = slice(line, TEMPLATE_SIZE)
    else:
        end = high[axis] - depth
        if side == "bottom":  # the mouth stays in the picture
            end = max(end, float(frame.at(0.0, 1.0)[1]))
        line = int(np.clip(np.floor(end), 1, TEMPLATE_SIZE - 1))
        kept = slice(0, line)
    nearest = np.clip(np.arange(TEMPLATE_SIZE), kept.start, kept.stop - 1)
    index = (slice(None), nearest) if axis == 0 else (nearest, slice(None))
    clean, alpha = scene.clean[index], scene.alpha[index]
    masked = clean if scene.masked is scene.clean else scene.masked[index]
    if rng.random() < BLACK:
        beyond = nearest != np.arange(TEMPLATE_SIZE)
        where = (slice(None), beyond) if axis == 0 else (beyond, slice(None))
        for picture in (clean, masked, alpha):
            picture[where] = 0
    return Scene(clean, masked, alpha)
