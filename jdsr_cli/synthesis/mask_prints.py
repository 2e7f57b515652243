"""Prints of drawn masks: stripes, checks, dots, blotches, motifs, lettering, sequins."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

PALETTE = (
    (236, 240, 242), (250, 250, 248), (168, 200, 222), (120, 170, 205), (150, 205, 195),
    (30, 30, 34), (52, 54, 60), (96, 98, 102), (70, 80, 120), (30, 44, 84), (140, 40, 46),
    (190, 120, 130), (222, 186, 178), (206, 164, 134), (150, 112, 84), (86, 100, 70),
    (205, 190, 150), (230, 200, 90), (110, 70, 120), (240, 150, 170), (200, 30, 40),
    (225, 50, 120), (30, 90, 190), (40, 140, 70), (240, 130, 40),
)  # fmt: skip
"""Colours of cloth and ink, RGB."""

Surface = NDArray[np.float32]
"""(H, W, 3) RGB in [0, 255]."""


def draw_print(surface: Surface, rng: np.random.Generator) -> Surface:
    """Draw a random print, or in half of the cases none, on a cloth."""
    kind = rng.random()
    if kind < 0.5:
        return surface
    chosen = next(draw for share, draw in _KINDS if kind < share)
    return chosen(surface, rng)


def ink(rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw a random colour of the palette, (3,)."""
    return np.array(PALETTE[int(rng.integers(len(PALETTE)))], np.float32)


def to_uint8(surface: Surface) -> NDArray[np.uint8]:
    """Return a uint8 copy, on which OpenCV draws with antialiasing."""
    return np.ascontiguousarray(np.rint(surface).clip(0, 255), np.uint8)


def _print_colour(
    surface: Surface, cover: NDArray[np.float32], rng: np.random.Generator
) -> Surface:
    """Print a random colour on a cloth with the opacity `cover`, (H, W) in [0, 1]."""
    share = float(rng.uniform(0.3, 1.0)) * cv2.GaussianBlur(cover, (0, 0), 1.5)[..., None]
    return np.asarray(surface * (1 - share) + ink(rng) * share, np.float32)


def _waves(
    surface: Surface, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return two perpendicular sine waves of one random pitch and direction."""
    height, width = surface.shape[:2]
    yy, xx = np.mgrid[0:height, 0:width].astype(np.float32)
    pitch, angle = float(rng.uniform(14, 60)), float(rng.uniform(0, np.pi))
    along = np.sin(2 * np.pi * (np.cos(angle) * xx + np.sin(angle) * yy) / pitch)
    across = np.sin(2 * np.pi * (np.cos(angle) * yy - np.sin(angle) * xx) / pitch)
    return along, across


def _stripes(surface: Surface, rng: np.random.Generator) -> Surface:
    along, _ = _waves(surface, rng)
    return _print_colour(surface, (along > 0.2).astype(np.float32), rng)


def _checks(surface: Surface, rng: np.random.Generator) -> Surface:
    along, across = _waves(surface, rng)
    return _print_colour(
        surface, np.asarray(0.5 * ((along > 0) + 1.0 * (across > 0)), np.float32), rng
    )


def _dots(surface: Surface, rng: np.random.Generator) -> Surface:
    along, across = _waves(surface, rng)
    return _print_colour(surface, (along * across > 0.45).astype(np.float32), rng)


def _blotches(surface: Surface, rng: np.random.Generator) -> Surface:
    """Draw blotches of one to three colours, as on camouflage or dyed cloth."""
    height, width = surface.shape[:2]
    for _ in range(int(rng.integers(1, 4))):
        step = int(rng.integers(20, 70))
        coarse = rng.normal(size=(height // step + 2, width // step + 2)).astype(np.float32)
        noise = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        surface = _print_colour(surface, (noise > 0.3).astype(np.float32), rng)
    return surface


def _motifs(surface: Surface, rng: np.random.Generator) -> Surface:
    """Draw scattered ellipses and polygons of two to five colours, like flowers or leaves."""
    height, width = surface.shape[:2]
    colours = [ink(rng) for _ in range(int(rng.integers(2, 6)))]
    size = float(rng.uniform(10, 45))
    printed = to_uint8(surface)
    for _ in range(int(np.clip(0.5 * width * height / size**2, 20, 260))):
        colour = colours[int(rng.integers(len(colours)))].tolist()
        centre = rng.uniform((0, 0), (width, height))
        if rng.random() < 0.5:
            axes = np.maximum(2, size * rng.uniform(0.2, 0.7, 2)).astype(int)
            position = (int(centre[0]), int(centre[1]))
            angle = float(rng.uniform(0, 180))
            cv2.ellipse(
                printed,
                position,
                (int(axes[0]), int(axes[1])),
                angle,
                0,
                360,
                colour,
                -1,
                cv2.LINE_AA,
            )
        else:
            corners = centre + rng.normal(0, 0.5 * size, (int(rng.integers(3, 6)), 2))
            cv2.fillPoly(printed, [corners.astype(np.int32)], colour, cv2.LINE_AA)
    return printed.astype(np.float32)


def _lettering(surface: Surface, rng: np.random.Generator) -> Surface:
    """Draw a few letters, or an arc such as a grin, in the middle or at a side."""
    height, width = surface.shape[:2]
    colour, printed = ink(rng).tolist(), to_uint8(surface)
    centre = np.array([width, height]) * rng.uniform((0.25, 0.35), (0.75, 0.7))
    thick = int(rng.integers(3, 12))
    if rng.random() < 0.6:
        text = "".join(
            chr(int(c)) for c in rng.integers(ord("A"), ord("Z") + 1, rng.integers(2, 8))
        )
        scale = float(rng.uniform(0.8, 2.6))
        (wide, tall), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thick)
        corner = (int(centre[0] - wide / 2), int(centre[1] + tall / 2))
        cv2.putText(
            printed, text, corner, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, thick, cv2.LINE_AA
        )
    else:
        axes = (int(rng.uniform(40, 130)), int(rng.uniform(5, 50)))
        position = (int(centre[0]), int(centre[1]))
        cv2.ellipse(printed, position, axes, 0, 0, 180, colour, thick, cv2.LINE_AA)
    return printed.astype(np.float32)


def _sequins(surface: Surface, rng: np.random.Generator) -> Surface:
    """Draw sequins, chains or lace: small cells of random brightness."""
    height, width = surface.shape[:2]
    cell = float(rng.uniform(3, 9))
    size = (round(height / cell), round(width / cell))
    light = np.exp(rng.normal(0, rng.uniform(0.2, 0.7), size)).astype(np.float32)
    light[rng.random(size) < rng.uniform(0, 0.08)] *= 3.0
    spread = cv2.resize(light, (width, height), interpolation=cv2.INTER_NEAREST)[..., None]
    spread = cv2.GaussianBlur(spread, (0, 0), 0.25 * cell)[..., None]
    return np.asarray(np.clip(surface * spread, 0, 255), np.float32)


_KINDS: tuple[tuple[float, Callable[[Surface, np.random.Generator], Surface]], ...] = (
    (0.56, _stripes),
    (0.63, _checks),
    (0.68, _dots),
    (0.75, _blotches),
    (0.85, _motifs),
    (0.91, _lettering),
    (1.00, _sequins),
)
"""Cumulative probability and function of each print; below 0.5 there is none."""
