"""Illumination of a scene, its colour, and the tone curve of the camera.

The same light is applied to the ground truth: a restored face keeps the light of its frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import LUMA_WEIGHTS
from jdsr_cli.synthesis.camera_settings import CameraSettings

LUMA = np.array(LUMA_WEIGHTS, np.float32)
TINTS = (
    (0.25, 1.0, 0.3),  # night vision
    (0.8, 0.4, 1.0),  # infrared through a colour filter
    (0.35, 0.95, 1.0),  # cyan
    (1.0, 0.6, 0.2),  # sodium lamps
)
"""Tints of monochrome images, and colours of light, as factors of R, G and B."""
RANDOM_TINTS = 0.35
"""Share of random tints; the others are variations of `TINTS`."""
FACE_ELLIPSE = (64.0, 80.0, 46.0, 66.0)
"""Centre x, y and radii of the face in the template, which a bright background excludes."""


@dataclass(frozen=True, eq=False)
class Light:
    """The light of one scene, and the camera's response to it."""

    tone: NDArray[np.float32]
    """(256,) in [0, 1]: gamma, contrast and brightness."""
    colour: NDArray[np.float32]
    """(3, 3), from scene RGB to camera RGB."""
    monochrome: bool = False
    """Whether all colours are mapped to shades of one tint."""
    exposure: float = 1.0
    """Share of normal light; above 1 highlights are clipped."""
    black_level: float = 0.0
    """Grey level at and below which the image is black."""
    background: float = 1.0
    """Light of the background, relative to that of the face."""
    stray_light: float = 0.0
    """Stray light over the whole image, as a share of white."""

    def expose(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the image in this light, RGB float32 in [0, 255], not rounded.

        Args:
            picture: RGB uint8 (side, side, 3), aligned to the template.

        """
        exposed = self.tone[picture] @ self.colour.T * np.float32(255.0 * self.exposure)
        if self.background != 1.0:
            background = _around_face(picture.shape[0])[..., None]
            exposed = exposed * (1.0 + (self.background - 1.0) * background)
        if self.stray_light:
            exposed = exposed * (1.0 - self.stray_light) + 255.0 * self.stray_light
        if self.black_level:
            exposed = (exposed - self.black_level) * (255.0 / (255.0 - self.black_level))
        return np.asarray(np.clip(exposed, 0.0, 255.0), np.float32)


def draw_light(rng: np.random.Generator, settings: CameraSettings) -> Light:
    """Draw the light of a scene."""
    tone = _tone_curve(rng)
    monochrome = bool(rng.random() < settings.infrared)
    if not monochrome:
        colour = np.diag(1.0 + rng.normal(0.0, 0.03, 3)).astype(np.float32)
        if settings.cast and rng.random() < settings.cast:
            colour = _cast(rng, settings) @ colour
    elif settings.tinted and rng.random() < settings.tinted:
        colour = _tint(rng, settings)[:, None] * LUMA[None]
    else:
        colour = np.tile(LUMA, (3, 1))
    exposure, black_level, background, stray_light = 1.0, 0.0, 1.0, 0.0
    if settings.dark and rng.random() < settings.dark:
        exposure = float(np.exp(rng.uniform(*np.log(settings.light))))
        if rng.random() < 0.5:
            black_level = float(rng.uniform(0.0, 0.12)) * 255.0 * exposure
    elif settings.overexposed and rng.random() < settings.overexposed:
        exposure = float(rng.uniform(1.3, 2.2))
    elif settings.backlit and rng.random() < settings.backlit:
        exposure = float(np.exp(rng.uniform(np.log(0.1), np.log(0.5))))
        background = float(rng.uniform(1.5, 4.0)) / exposure
        stray_light = float(rng.uniform(0.0, 0.15)) if rng.random() < 0.6 else 0.0
    return Light(tone, colour, monochrome, exposure, black_level, background, stray_light)


def _tone_curve(rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a 256-entry table: gamma, contrast and brightness of the camera."""
    levels = np.linspace(0, 1, 256, dtype=np.float32)
    gamma = float(np.exp(rng.normal(0, 0.25)))
    contrast = float(np.clip(rng.normal(0.95, 0.12), 0.55, 1.15))
    brightness = float(rng.normal(0.0, 0.04))
    curve = np.clip((levels**gamma - 0.5) * contrast + 0.5 + brightness, 0, 1)
    return np.asarray(curve, np.float32)


def _tint(rng: np.random.Generator, settings: CameraSettings) -> NDArray[np.float32]:
    """Draw factors of R, G, B of which the largest is 1."""
    if settings.tint:
        return np.array(settings.tint, np.float32) / max(settings.tint)
    if rng.random() < RANDOM_TINTS:
        tint = rng.uniform(0.1, 1.0, 3)
    else:
        tint = np.array(TINTS[int(rng.integers(len(TINTS)))]) * np.exp(rng.normal(0.0, 0.15, 3))
    return np.asarray(tint / tint.max(), np.float32)


def _cast(rng: np.random.Generator, settings: CameraSettings) -> NDArray[np.float32]:
    """Return (3, 3): coloured light, which also reduces the saturation of the scene."""
    if settings.tint:
        strength, desaturation = 1.0, 0.3
    else:
        strength, desaturation = float(rng.uniform(0.2, 1.0)), float(rng.uniform(0.0, 0.5))
    light = _tint(rng, settings) ** strength
    mixed = (1.0 - desaturation) * np.eye(3, dtype=np.float32) + desaturation * np.tile(
        LUMA, (3, 1)
    )
    return np.asarray(light[:, None] * mixed, np.float32)


def _around_face(side: int) -> NDArray[np.float32]:
    """Return (side, side) in [0, 1]: 1 in the background, 0 on the face."""
    y, x = (np.mgrid[:side, :side].astype(np.float32) + 0.5) * (128.0 / side) - 0.5
    left, top, across, down = FACE_ELLIPSE
    radius = np.sqrt(((x - left) / across) ** 2 + ((y - top) / down) ** 2)
    ramp = np.clip((radius - 0.9) / 0.3, 0.0, 1.0).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(ramp, (0, 0), 0.04 * side), np.float32)
