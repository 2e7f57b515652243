"""Draw what stands between a face and the camera: which things, and how often."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.synthesis.occluders.borders import cut
from jdsr_cli.synthesis.occluders.frame import FaceFrame, frame_of
from jdsr_cli.synthesis.occluders.hands import draw_hand
from jdsr_cli.synthesis.occluders.scene import Layer, Scene, put_before
from jdsr_cli.synthesis.occluders.skin import draw_beard, draw_moustache, draw_shadow
from jdsr_cli.synthesis.occluders.things import (
    draw_bottle,
    draw_cigarette,
    draw_cup,
    draw_food,
    draw_microphone,
    draw_telephone,
)
from jdsr_cli.synthesis.occluders.worn import (
    draw_glasses,
    draw_hair,
    draw_hat,
    draw_sunglasses,
    draw_visor,
)

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
    frame = frame_of(scene.clean, landmarks)
    for name in names:
        scene = add(name, scene, frame, rng)
    return scene


def add(kind: str, scene: Scene, frame: FaceFrame, rng: np.random.Generator) -> Scene:
    """Put an occluder of a kind of `OCCLUDER_SHARES` before a face."""
    if kind == "border":
        return cut(scene, frame, rng)
    for layer in _LAYERS[kind](frame, rng):
        scene = put_before(scene, layer)
    return scene


def _nearness(kind: str) -> int:
    if kind in _INWARDS:
        return _INWARDS.index(kind)
    return len(_INWARDS) + _KINDS.index(kind)
