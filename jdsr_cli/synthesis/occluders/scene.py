"""A face with its mask and what is put before both, and the layers of which that consists."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

SIZE = 128
"""Side of the pictures, in pixels."""


@dataclass(frozen=True)
class Scene:
    """What a camera may film: a face, the same face as masked, and where the mask covers it."""

    clean: NDArray[np.uint8]
    """(128, 128, 3) RGB without a mask."""
    masked: NDArray[np.uint8]
    """(128, 128, 3) RGB with a mask on, or equal to `clean`."""
    alpha: NDArray[np.float32]
    """(128, 128) in [0, 1]: share of each pixel that a mask covers."""


@dataclass(frozen=True)
class Layer:
    """Something between the face and the camera."""

    painted: NDArray[np.uint8]
    """(128, 128, 3) RGB times `alpha`."""
    alpha: NDArray[np.float32]
    """(128, 128) in [0, 1]."""
    shade: NDArray[np.float32] | None = None
    """(128, 128) factor on the light of what lies behind, the layer itself excluded."""
    beneath: bool = False
    """Whether a mask is worn over it, as over a beard."""


def put_before(scene: Scene, layer: Layer) -> Scene:
    """Composite `layer` onto both pictures alike; the mask's share shrinks where it is hidden.

    What lies beneath a mask shows in the masked picture as far as the mask leaves it free, and
    does not change the mask's share.
    """
    bare = np.float32(1.0) - layer.alpha
    left = bare if layer.shade is None else bare * layer.shade
    clean = _over(scene.clean, layer, left)
    if scene.masked is scene.clean:
        return Scene(clean, clean, scene.alpha)
    if layer.beneath:
        free = np.float32(1.0) - scene.alpha
        change = (clean.astype(np.float32) - scene.clean) * free[..., None]
        masked = np.clip(np.rint(scene.masked + change), 0, 255).astype(np.uint8)
        return Scene(clean, masked, scene.alpha)
    return Scene(clean, _over(scene.masked, layer, left), scene.alpha * bare)


def lit(picture: NDArray[np.uint8], light: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Multiply a picture by a factor for each of its pixels, rounded and cut off at 255."""
    product = picture * cv2.merge([light, light, light])  # a third of cv2.multiply's time
    return np.asarray(cv2.convertScaleAbs(product), np.uint8)


def _over(picture: NDArray[np.uint8], layer: Layer, left: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.asarray(cv2.add(lit(picture, left), layer.painted), np.uint8)
