"""Clothes from the shoulders down, drawn: what the photographs of the demo do not show."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_SKIN = (188, 140, 116)
_LEG = ((0.02, 1.1), (0.36, 1.1), (0.34, 2.0), (0.27, 3.0), (0.1, 3.0), (0.06, 2.0))
_HAND = ((0.43, 1.08), (0.55, 1.08), (0.56, 1.22), (0.5, 1.32), (0.43, 1.24))
_ARM = ((0.3, 0.0), (0.46, 0.06), (0.53, 0.26), (0.56, 0.6), (0.56, 1.12), (0.42, 1.12),
        (0.38, 0.6))  # fmt: skip
_TORSO = ((-0.3, -0.04), (0.3, -0.04), (0.45, 0.1), (0.42, 0.5), (0.38, 0.9), (0.42, 1.3),
          (-0.42, 1.3), (-0.38, 0.9), (-0.42, 0.5), (-0.45, 0.1))  # fmt: skip

Part = tuple[tuple[float, float], ...]
Colour = tuple[int, int, int]


def draw_body(
    shape: tuple[int, int],
    shoulders: tuple[float, float, float],
    colours: tuple[Colour, Colour],
) -> NDArray[np.float32]:
    """Draw a standing body from its shoulders to its ankles.

    Args:
        shape: Height and width of the picture.
        shoulders: Middle of the shoulder line (x, y) and its length, in pixels.
        colours: Of the upper and the lower clothes, RGB.

    Returns:
        (height, width, 4): RGB in [0, 255] times alpha, and alpha in [0, 1].

    """
    upper, lower = colours
    layer = np.zeros((*shape, 4), np.float32)
    parts: list[tuple[Part, Colour]] = [(_LEG, lower), (_mirror(_LEG), lower), (_TORSO, upper)]
    parts += [(_HAND, _SKIN), (_mirror(_HAND), _SKIN), (_ARM, upper), (_mirror(_ARM), upper)]
    rng = np.random.default_rng(len(parts))
    for part, colour in parts:
        _draw(layer, np.array(part) * shoulders[2] + shoulders[:2], colour, rng)
    return layer


def _mirror(part: Part) -> Part:
    return tuple((-x, y) for x, y in part)


def _draw(
    layer: NDArray[np.float32],
    corners: NDArray[np.float64],
    colour: Colour,
    rng: np.random.Generator,
) -> None:
    """Lay a part over `layer`, rounded by shading towards its edges and lightly creased."""
    inside = np.zeros(layer.shape[:2], np.uint8)
    fixed = np.round(_smooth(corners) * 16).astype(np.int32).reshape(-1, 1, 2)
    cv2.fillPoly(inside, [fixed], 255, cv2.LINE_AA, shift=4)
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
    light = 0.62 + 0.38 * np.sqrt(depth / max(1.0, float(depth.max())))
    height, width = layer.shape[:2]
    creases = rng.normal(0.0, 0.05, (height // 40 + 2, width // 60 + 2)).astype(np.float32)
    light += cv2.resize(creases, (width, height), interpolation=cv2.INTER_CUBIC)
    alpha = cv2.GaussianBlur(inside.astype(np.float32) / 255.0, (0, 0), 1.5)[..., None]
    shaded = np.asarray(colour, np.float32) * light[..., None]
    layer *= 1.0 - alpha
    layer[..., :3] += shaded * alpha
    layer[..., 3:] += alpha


def _smooth(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cut the corners of a closed outline twice (Chaikin)."""
    for _ in range(2):
        after = np.roll(corners, -1, axis=0)
        pairs = np.stack([0.75 * corners + 0.25 * after, 0.25 * corners + 0.75 * after], axis=1)
        corners = pairs.reshape(-1, 2)
    return corners
