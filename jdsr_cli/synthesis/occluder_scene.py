"""Scene layers and the coordinate frame, illumination and skin colour of a face."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import LUMA_WEIGHTS, TEMPLATE_SIZE


@dataclass(frozen=True)
class Scene:
    """A face without a mask, the same face with a mask, and the coverage of the mask."""

    clean: NDArray[np.uint8]
    """(128, 128, 3) RGB without a mask."""
    masked: NDArray[np.uint8]
    """(128, 128, 3) RGB with a mask, or equal to `clean`."""
    alpha: NDArray[np.float32]
    """(128, 128) in [0, 1]: share of each pixel that a mask covers."""


@dataclass(frozen=True)
class Layer:
    """An object between the face and the camera, or a shadow."""

    premultiplied: NDArray[np.uint8]
    """(128, 128, 3) RGB multiplied by `alpha`."""
    alpha: NDArray[np.float32]
    """(128, 128) in [0, 1]."""
    shade: NDArray[np.float32] | None = None
    """(128, 128) factor on the brightness of the background, the layer itself excluded."""
    beneath: bool = False
    """Whether a mask covers the layer, as it covers a beard."""


def composite(scene: Scene, layer: Layer) -> Scene:
    """Composite `layer` onto both images; where it hides the mask, `alpha` decreases.

    A layer beneath the mask shows in the masked image where the mask does not cover it, and does
    not change `alpha`.
    """
    bare = np.float32(1.0) - layer.alpha
    transmission = bare if layer.shade is None else bare * layer.shade
    clean = _over(scene.clean, layer, transmission)
    if scene.masked is scene.clean:
        return Scene(clean, clean, scene.alpha)
    if layer.beneath:
        free = np.float32(1.0) - scene.alpha
        change = (clean.astype(np.float32) - scene.clean) * free[..., None]
        masked = np.clip(np.rint(scene.masked + change), 0, 255).astype(np.uint8)
        return Scene(clean, masked, scene.alpha)
    return Scene(clean, _over(scene.masked, layer, transmission), scene.alpha * bare)


def apply_light(picture: NDArray[np.uint8], light: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Multiply an image by a factor per pixel, rounded and clipped at 255."""
    product = picture * cv2.merge([light, light, light])  # a third of cv2.multiply's time
    return np.asarray(cv2.convertScaleAbs(product), np.uint8)


def _over(
    picture: NDArray[np.uint8], layer: Layer, transmission: NDArray[np.float32]
) -> NDArray[np.uint8]:
    return np.asarray(cv2.add(apply_light(picture, transmission), layer.premultiplied), np.uint8)


Point = NDArray[np.float64]
"""(2,) x, y."""
Colour = NDArray[np.float32]
"""(3,) RGB in [0, 255]."""

SKIN_TONES = (
    (238, 205, 184), (226, 186, 158), (208, 162, 128), (182, 134, 100), (150, 104, 74),
    (112, 76, 54), (78, 54, 42),
)  # fmt: skip
"""Skin colours in full light, RGB."""
MIN_DISTANCE, MAX_DISTANCE = 8.0, 120.0
"""Range of plausible distances between the eyes, and between eyes and mouth, in pixels.
Landmarks outside it are replaced by defaults."""


@dataclass(frozen=True)
class FaceFrame:
    """Coordinates of a face: x across it in eye distances, y from the eyes (0) to the mouth (1)."""

    eyes: Point
    """Midpoint of the eyes, in pixels."""
    across: Point
    """Vector from the left eye in the image to the right one."""
    drop: Point
    """Vector from the midpoint of the eyes to the middle of the mouth."""
    jaw: NDArray[np.float64]
    """(17, 2) iBUG points 0 to 16."""
    light: float
    """Brightness relative to a well lit face, 0.35 to 1.1."""
    skin: Colour
    """Median colour of the cheeks and the bridge of the nose."""

    @property
    def unit(self) -> float:
        """Distance between the eyes, in pixels (63 mm of a head)."""
        return float(np.linalg.norm(self.across))

    def at(self, x: float, y: float) -> Point:
        """Convert face coordinates to pixels."""
        return np.asarray(self.eyes + x * self.across + y * self.drop, np.float64)

    def matrix(self, position: Point, angle: float, scale: float) -> NDArray[np.float64]:
        """Return (2, 3) from object coordinates, in units of `scale` eye distances, to pixels.

        Args:
            position: Of the object's origin, in pixels.
            angle: Clockwise rotation of the object relative to the face, in radians.
            scale: Size of the object; negative mirrors it.

        """
        x = self.across * abs(scale)
        y = np.array([-x[1], x[0]])
        right, down = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
        return np.column_stack([right * np.sign(scale), down, position])


def measure_face(face: NDArray[np.uint8], landmarks: NDArray[np.floating]) -> FaceFrame:
    """Measure a face.

    Args:
        face: (128, 128, 3) RGB without a mask.
        landmarks: (68, 2) iBUG points in its pixels; jaw and bridge of the nose are used.

    """
    points = np.asarray(landmarks, np.float64)
    # Weights that give eyes and mouth of the mean shape of `landmarks_from_five` for any yaw.
    eyes = 0.754 * points[27] + 0.123 * (points[0] + points[16])
    mouth = 0.383 * points[30] + 0.106 * points[8] + 0.2555 * (points[4] + points[12])
    drop = mouth - eyes
    length = float(np.linalg.norm(drop))
    width = float(np.linalg.norm(points[16] - points[0])) / 2.138
    jaw = points[:17]
    if not (MIN_DISTANCE < width < MAX_DISTANCE and MIN_DISTANCE < length < MAX_DISTANCE):
        eyes, drop, length, width = np.array([64.0, 52.0]), np.array([0.0, 42.0]), 42.0, 42.0
        angle = np.linspace(np.pi, 0, 17)
        jaw = eyes + np.column_stack([46 * np.cos(angle), 74 * np.sin(angle)])
    across = np.array([drop[1], -drop[0]]) * (width / length)
    positions = [eyes + x * across + y * drop for x, y in _SKIN_POSITIONS]
    skin = _median_skin_colour(face, positions)
    luma = float(skin @ _LUMA)
    light = min(max(0.4 + 0.6 * luma / 155.0, 0.35), 1.1)  # as `apply_mask` lights a mask
    return FaceFrame(eyes, across, drop, jaw, light, skin)


_LUMA = np.array(LUMA_WEIGHTS, np.float32)
_SKIN_POSITIONS = ((0.0, 0.1), (0.0, 0.25), (-0.5, 0.5), (0.5, 0.5), (-0.45, 0.65), (0.45, 0.65))


def _median_skin_colour(face: NDArray[np.uint8], positions: list[Point]) -> Colour:
    corners = [np.round(position).astype(int) - 2 for position in positions]
    patches = [
        face[y : y + 5, x : x + 5].reshape(-1, 3)
        for x, y in corners
        if 0 <= x <= TEMPLATE_SIZE - 5 and 0 <= y <= TEMPLATE_SIZE - 5
    ]
    if not patches:
        return np.array(SKIN_TONES[2], np.float32)
    return np.asarray(np.median(np.concatenate(patches), axis=0), np.float32)


def skin_tone(frame: FaceFrame, rng: np.random.Generator) -> Colour:
    """Draw the colour of a hand: that of the face with noise, or sometimes another skin tone."""
    tone = frame.skin
    if rng.random() < 0.25:
        other = SKIN_TONES[int(rng.integers(len(SKIN_TONES)))]
        tone = np.array(other, np.float32) * frame.light
    return np.asarray(
        np.clip(tone * rng.normal(1.0, 0.09) + rng.normal(0, 4, 3), 8, 250), np.float32
    )
