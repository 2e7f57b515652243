"""Drawn scenes larger than the picture, people in them, and what a camera shows of them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

WIDTH, HEIGHT = 320, 180
"""Size of what the camera shows."""
HEAD = 24
"""Width of a head in pixels."""


def background(seed: int, width: int = 4 * WIDTH, height: int = HEIGHT + 40) -> Picture:
    """Return walls, windows and signs of random colours, RGB uint8 (height, width, 3)."""
    random = np.random.default_rng(seed)
    image = np.empty((height, width, 3), np.uint8)
    image[:] = random.integers(60, 200, 3)
    for _ in range(width // 3):
        x, y = int(random.integers(-20, width)), int(random.integers(-20, height))
        across, down = (int(side) for side in random.integers(8, 70, 2))
        colour = tuple(int(level) for level in random.integers(20, 236, 3))
        cv2.rectangle(image, (x, y), (x + across, y + down), colour, -1)
    return image


def draw_person(image: Picture, x: float, y: float, seed: int, size: float = HEAD) -> Picture:
    """Return a picture with a person whose head has its centre at (x, y)."""
    random = np.random.default_rng(1000 + seed)
    skin, coat, hair = (
        tuple(int(level) for level in one) for one in random.integers(20, 236, (3, 3))
    )
    drawn, width = image.copy(), round(size)
    left, top = round(x), round(y)
    cv2.rectangle(
        drawn, (left - width, top + width // 2), (left + width, top + 9 * width), coat, -1
    )
    cv2.ellipse(drawn, (left, top), (width // 2, round(0.6 * width)), 0, 0, 360, skin, -1)
    cv2.ellipse(drawn, (left, top - width // 3), (width // 2, width // 3), 0, 0, 360, hair, -1)
    return drawn


def view(scene: Picture, left: float, top: float = 20.0) -> Picture:
    """Return what a camera shows that points at a place of a scene."""
    x, y = round(left), round(top)
    return np.ascontiguousarray(scene[y : y + HEIGHT, x : x + WIDTH])


def exposed(picture: Picture, gain: float, gamma: float = 1.0) -> Picture:
    """Return a picture at another exposure, clipped like that of a camera."""
    levels = 255.0 * gain * (np.arange(256) / 255.0) ** gamma
    return cv2.LUT(picture, np.clip(levels, 0, 255).astype(np.uint8)).astype(np.uint8)


def infrared(picture: Picture, seed: int = 0) -> Picture:
    """Return a picture as a camera shows it by its own infrared lamp: gray, brighter inside."""
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float64)
    rows, columns = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
    light = 0.35 + 0.9 * np.exp(-2.0 * (rows**2 + columns**2))
    noise = np.random.default_rng(seed).normal(0.0, 6.0, gray.shape)
    lit = np.clip(gray * light + noise, 0, 255).astype(np.uint8)
    return np.repeat(lit[..., None], 3, axis=2)
