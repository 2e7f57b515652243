"""Procedurally drawn masks: several shapes, colours, folds, prints, valves and straps.

A mask is drawn as a smooth outline in a unit square (x to the right, y down; the nose at the
middle of the upper edge), printed, shaded as a convex surface and given folds and straps. Side
views are rotated by compressing the far half.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.synthesis.mask_prints import draw_print, ink, to_uint8
from jdsr_cli.synthesis.masks import Sprite, View, create_sprite

CANVAS_WIDTH, CANVAS_HEIGHT = 480, 420
MARGIN = 90
"""Margin around the mask for straps, in canvas pixels."""


@dataclass(frozen=True)
class Shape:
    """Outline of a kind of mask in unit coordinates, with its six key points."""

    name: str
    outline: tuple[tuple[float, float], ...]
    """Corners of the outline, clockwise from the upper left; smoothed when drawn."""
    points: tuple[tuple[float, float], ...]
    """a, b, c, d, e, f (see `Sprite.points`)."""
    curvature: float
    """Strength of the shading towards the edges, 0 to 1."""
    has_straps: bool = True


SHAPES = (
    Shape(
        "surgical",
        ((0.0, 0.14), (0.22, 0.08), (0.5, 0.0), (0.78, 0.08), (1.0, 0.14), (0.98, 0.66),
         (0.8, 0.9), (0.5, 1.0), (0.2, 0.9), (0.02, 0.66)),
        ((0.0, 0.14), (0.5, 0.0), (1.0, 0.14), (0.02, 0.66), (0.5, 1.0), (0.98, 0.66)),
        0.25,
    ),
    Shape(
        "cup",
        ((0.0, 0.42), (0.15, 0.26), (0.36, 0.08), (0.5, 0.0), (0.64, 0.08), (0.85, 0.26),
         (1.0, 0.42), (0.95, 0.74), (0.74, 0.94), (0.5, 1.0), (0.26, 0.94), (0.05, 0.74)),
        ((0.0, 0.36), (0.5, 0.0), (1.0, 0.36), (0.06, 0.76), (0.5, 1.0), (0.94, 0.76)),
        0.55,
    ),
    Shape(
        "folded",
        ((0.0, 0.3), (0.25, 0.18), (0.45, 0.02), (0.55, 0.02), (0.75, 0.18), (1.0, 0.3),
         (0.97, 0.64), (0.78, 0.88), (0.55, 1.0), (0.45, 1.0), (0.22, 0.88), (0.03, 0.64)),
        ((0.0, 0.28), (0.5, 0.0), (1.0, 0.28), (0.03, 0.66), (0.5, 1.0), (0.97, 0.66)),
        0.45,
    ),
    Shape(
        "cloth",
        ((0.0, 0.2), (0.25, 0.12), (0.42, 0.02), (0.5, 0.0), (0.58, 0.02), (0.75, 0.12),
         (1.0, 0.2), (1.0, 0.58), (0.86, 0.84), (0.62, 0.99), (0.38, 0.99), (0.14, 0.84),
         (0.0, 0.58)),
        ((0.0, 0.2), (0.5, 0.0), (1.0, 0.2), (0.02, 0.66), (0.5, 0.99), (0.98, 0.66)),
        0.35,
    ),
    Shape(
        "scarf",
        ((-0.06, 0.08), (0.25, 0.06), (0.5, 0.0), (0.75, 0.06), (1.06, 0.08), (1.08, 0.7),
         (0.96, 1.12), (0.7, 1.24), (0.5, 1.28), (0.3, 1.24), (0.04, 1.12), (-0.08, 0.7)),
        ((0.0, 0.1), (0.5, 0.0), (1.0, 0.1), (0.0, 0.68), (0.5, 1.02), (1.0, 0.68)),
        0.2,
        has_straps=False,
    ),
    Shape(
        "wide",
        ((-0.1, 0.02), (0.25, 0.02), (0.42, 0.0), (0.5, 0.0), (0.58, 0.0), (0.75, 0.02),
         (1.1, 0.02), (1.08, 0.6), (0.92, 0.9), (0.66, 1.04), (0.34, 1.04), (0.08, 0.9),
         (-0.08, 0.6)),
        ((0.0, 0.1), (0.5, 0.0), (1.0, 0.1), (0.02, 0.7), (0.5, 1.0), (0.98, 0.7)),
        0.3,
    ),
)  # fmt: skip

SHAPE_SHARES = (0.3, 0.15, 0.17, 0.16, 0.08, 0.14)
"""Probability of each shape."""
SHAPES_WITH_VALVE = ("cup", "folded", "cloth")
"""Shapes that may have an exhalation valve."""
CLOTH_WIDTHS = (0.97, 1.12)
"""Range of the width of the cloth relative to the distance of its key points."""


def draw_sprite(rng: np.random.Generator, view: View = "front") -> Sprite:
    """Draw a mask of random shape, colour, folds, print and straps for a view."""
    shape = SHAPES[int(rng.choice(len(SHAPES), p=SHAPE_SHARES))]
    yaw = 0.0 if view == "front" else float(rng.uniform(0.35, 0.8))
    if view == "left":
        yaw = -yaw
    corners = np.array(shape.outline)
    corners[:, 0] = 0.5 + (corners[:, 0] - 0.5) * rng.uniform(*CLOTH_WIDTHS)
    outline = _to_canvas(_rotate(_smooth(corners), yaw))
    points = _to_canvas(_rotate(np.array(shape.points), yaw))

    inside = np.zeros((CANVAS_HEIGHT, CANVAS_WIDTH), np.uint8)
    cv2.fillPoly(inside, [_fixed_point(outline)], 255, cv2.LINE_AA, shift=4)
    shade = ink(rng) * rng.uniform(0.8, 1.15) + rng.normal(0, 6, 3)
    colour = np.asarray(shade.clip(8, 255), np.float32)
    surface = np.broadcast_to(colour, (CANVAS_HEIGHT, CANVAS_WIDTH, 3)).astype(np.float32)
    surface = draw_print(surface, rng)
    if shape.name in SHAPES_WITH_VALVE and rng.random() < 0.3:
        surface = _draw_valve(surface, points, rng)
    if rng.random() < 0.25:
        surface = _draw_seam(surface, inside, rng)
    surface *= _shading(inside, points, shape, rng)[..., None]

    alpha = inside.astype(np.float32)
    if shape.has_straps and rng.random() < 0.85:
        surface, alpha = _draw_straps(surface, alpha, points, colour, rng)
    rgba = np.dstack([surface, alpha]).clip(0, 255).astype(np.uint8)
    return create_sprite(f"drawn-{shape.name}", view, rgba, points.astype(np.float32))


def draw_sprites(count: int, seed: int) -> list[Sprite]:
    """Draw `count` different masks, half of them frontal and a quarter from each side."""
    views: tuple[View, ...] = ("front", "left", "front", "right")
    rng = np.random.default_rng(seed)
    return [draw_sprite(rng, views[number % 4]) for number in range(count)]


def _smooth(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cut the corners of a closed outline three times (Chaikin)."""
    for _ in range(3):
        successors = np.roll(corners, -1, axis=0)
        corners = np.stack(
            [0.75 * corners + 0.25 * successors, 0.25 * corners + 0.75 * successors], axis=1
        ).reshape(-1, 2)
    return corners


def _rotate(points: NDArray[np.float64], yaw: float) -> NDArray[np.float64]:
    """Rotate the convex surface by `yaw` (-1 to 1, positive moves the nose to the right)."""
    side = (points[:, 0] - 0.5) * 2.0
    depth = np.sqrt(np.clip(1.0 - 0.7 * np.clip(np.abs(side), 0, 1) ** 2, 0, 1))
    angle = yaw * 0.8
    rotated = side * np.cos(angle) + depth * np.sin(angle)
    return np.stack([0.5 + 0.5 * rotated, points[:, 1]], axis=1)


def _to_canvas(points: NDArray[np.float64]) -> NDArray[np.float64]:
    size = np.array([CANVAS_WIDTH - 2 * MARGIN, CANVAS_HEIGHT - 2 * MARGIN])
    return np.asarray(points * size + MARGIN, np.float64)


def _fixed_point(points: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return `points` in OpenCV's fixed-point format with four fractional bits."""
    return np.round(points * 16).astype(np.int32).reshape(-1, 1, 2)


def _shading(
    inside: NDArray[np.uint8],
    points: NDArray[np.float64],
    shape: Shape,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Return the factor of light, curvature and folds on the colour, about 1."""
    yy, xx = np.mgrid[0:CANVAS_HEIGHT, 0:CANVAS_WIDTH].astype(np.float32)
    nose, chin = points[1], points[4]
    centre = 0.5 * (nose + chin)
    half = max(20.0, 0.5 * float(points[2, 0] - points[0, 0]))
    across = (xx - float(centre[0])) / half
    down = (yy - float(nose[1])) / max(20.0, float(chin[1] - nose[1]))
    light = 1.0 - shape.curvature * (0.5 * across**2 + 0.35 * np.clip(down - 0.45, 0, None) ** 2)
    light += float(rng.uniform(-0.22, 0.22)) * across
    if shape.name == "surgical":
        for pleat in np.linspace(0.3, 0.72, int(rng.integers(2, 5))):
            bend = down - float(pleat) - 0.06 * (1 - across**2)
            light -= 0.16 * np.exp(-((bend / 0.02) ** 2)) - 0.08 * np.exp(
                -(((bend - 0.035) / 0.02) ** 2)
            )
    elif shape.name == "folded" or (shape.name == "cloth" and rng.random() < 0.6):
        seam = (xx - float(centre[0])) / half
        light -= 0.2 * np.exp(-((seam / 0.025) ** 2)) - 0.1 * np.sign(seam) * 0.4
    elif shape.name == "cup":
        ridge = down - 0.42 - 0.2 * across**2
        light -= 0.12 * np.exp(-((ridge / 0.03) ** 2))
    if shape.name in ("cloth", "scarf"):
        wrinkles = rng.normal(size=(8, 6)).astype(np.float32)
        light += 0.1 * cv2.resize(
            wrinkles, (CANVAS_WIDTH, CANVAS_HEIGHT), interpolation=cv2.INTER_CUBIC
        )
    edge = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
    if rng.random() < 0.7:  # hem
        light -= 0.12 * np.exp(-(((edge - 9.0) / 2.5) ** 2))
    light *= 0.82 + 0.18 * np.clip(edge / 14.0, 0, 1)
    grain = 0.02 if rng.random() < 0.7 else float(rng.uniform(0.03, 0.12))
    texture = rng.normal(0, grain, (CANVAS_HEIGHT // 2, CANVAS_WIDTH // 2)).astype(np.float32)
    light += cv2.resize(texture, (CANVAS_WIDTH, CANVAS_HEIGHT))
    return np.asarray(np.clip(light, 0.25, 1.5), np.float32)


def _draw_valve(
    surface: NDArray[np.float32], points: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw an exhalation valve beside or below the nose: a disc with a ring and slots."""
    half = max(20.0, 0.5 * float(points[2, 0] - points[0, 0]))
    centre = 0.5 * (points[1] + points[4]) + (rng.uniform(-0.5, 0.5) * half, 0.0)
    x, y, radius = int(centre[0]), int(centre[1]), int(half * rng.uniform(0.14, 0.24))
    body, detail = ink(rng), 0.6 * ink(rng)
    printed = to_uint8(surface)
    cv2.circle(printed, (x, y), radius, body.tolist(), -1, cv2.LINE_AA)
    cv2.circle(printed, (x, y), radius, detail.tolist(), 3, cv2.LINE_AA)
    for row in range(-radius // 2, radius // 2 + 1, max(4, radius // 3)):
        ends = (x - radius // 2, y + row), (x + radius // 2, y + row)
        cv2.line(printed, *ends, detail.tolist(), 2, cv2.LINE_AA)
    return printed.astype(np.float32)


def _draw_seam(
    surface: NDArray[np.float32], inside: NDArray[np.uint8], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw a seam of another colour along the edge of the cloth."""
    edge = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
    cover = (edge < float(rng.uniform(6, 18))).astype(np.float32)[..., None]
    return np.asarray(surface + cover * (ink(rng) - surface), np.float32)


def _draw_straps(
    surface: NDArray[np.float32],
    alpha: NDArray[np.float32],
    points: NDArray[np.float64],
    colour: NDArray[np.float32],
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    tone = colour if rng.random() < 0.5 else np.array([238, 238, 236], np.float32)
    width = int(rng.integers(3, 14))
    lines = np.zeros(alpha.shape, np.uint8)
    reach = float(rng.uniform(0.5, 1.0)) * (MARGIN - 5)
    rise = float(rng.uniform(-0.25, 0.6))
    for corner, direction, slope in ((0, -1, -rise), (2, 1, -rise), (3, -1, -1.2), (5, 1, -1.2)):
        start = points[corner]
        end = start + np.array([direction * reach, slope * reach * 0.8])
        ends = [tuple(int(v) for v in np.round(p * 16)) for p in (start, end)]
        cv2.line(lines, ends[0], ends[1], 255, width, cv2.LINE_AA, shift=4)
    cover = np.clip(lines.astype(np.float32) - alpha, 0, 255)[..., None] / 255.0
    surface = np.asarray(surface * (1 - cover) + tone * 0.9 * cover, np.float32)
    return surface, np.maximum(alpha, lines.astype(np.float32))
