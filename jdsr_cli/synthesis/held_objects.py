"""Objects held in front of a face: cups, bottles, telephones, microphones, cigarettes, food.

Each is drawn in units of the distance between the wearer's eyes (63 mm).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.synthesis.hands import draw_grip
from jdsr_cli.synthesis.mask_prints import ink
from jdsr_cli.synthesis.occluder_canvas import Canvas, ellipse, noise, rounded_rectangle
from jdsr_cli.synthesis.occluder_scene import Colour, FaceFrame, Layer, skin_tone

_CERAMIC = ((240, 240, 236), (228, 222, 205), (40, 42, 46), (60, 80, 120), (150, 50, 44))
_PAPER = ((244, 243, 240), (196, 158, 118), (236, 236, 236), (30, 90, 60), (180, 40, 40))
_FOODS = ((196, 140, 76), (226, 190, 130), (120, 70, 40), (200, 60, 50), (236, 226, 206))


def _draw_colour(rng: np.random.Generator, colours: tuple[tuple[int, int, int], ...]) -> Colour:
    return np.array(colours[int(rng.integers(len(colours)))], np.float32)


def draw_cup(frame: FaceFrame, rng: np.random.Generator) -> list[Layer]:
    """Draw a mug, a paper cup with or without a lid, or a glass, often held by a hand."""
    kind = str(rng.choice(("mug", "paper", "glass"), p=(0.45, 0.4, 0.15)))
    colour = _draw_colour(rng, _PAPER if kind == "paper" else _CERAMIC) * frame.light
    if rng.random() < 0.3:
        colour = ink(rng) * frame.light
    top = float(rng.uniform(0.58, 0.78))
    foot = top * float(rng.uniform(0.68, 0.8) if kind == "paper" else rng.uniform(0.85, 1.0))
    height = float(rng.uniform(1.2, 2.0))
    flat = top * float(rng.uniform(0.1, 0.3))
    angle = float(rng.normal(0, 0.35))
    position = frame.at(float(rng.normal(0, 0.2)), float(rng.uniform(0.6, 1.05)))
    canvas = Canvas(frame.matrix(position, angle, float(rng.uniform(0.85, 1.1))), 0.8 * colour)
    has_hand = rng.random() < 0.6
    if kind == "mug" and (rng.random() < 0.75):
        side = float(rng.choice((-1.0, 1.0)))
        ring = ellipse((side * top, 0.48 * height), (0.38, 0.3 * height), (-100, 100))
        ring[:, 0] = side * top + side * (ring[:, 0] - side * top)
        canvas.capsule(ring, 0.1, 0.62 * colour)
        canvas.capsule(ring, 0.06, 0.95 * colour)
    foot_curve = ellipse((0, height), (foot, 0.6 * flat), (0, 180))
    canvas.polygon(np.concatenate([[[-top, 0], [top, 0]], foot_curve]), colour)
    if kind != "glass":
        _draw_pattern(canvas, top, foot, height, 0.6 * flat, rng)
    if kind == "paper" and rng.random() < 0.5:
        lid = _draw_colour(rng, ((245, 245, 245), (40, 38, 38))) * frame.light
        canvas.polygon([(-1.06 * top, 0.12), (-0.95 * top, -0.12), (0.95 * top, -0.12),
                        (1.06 * top, 0.12)], lid)  # fmt: skip
        canvas.capsule([(-1.04 * top, 0.12), (1.04 * top, 0.12)], 0.035, 0.75 * lid)
    else:
        canvas.ellipse((0, 0), (top, flat), 1.08 * colour)
        canvas.ellipse((0, 0.2 * flat), (0.9 * top, 0.78 * flat), 0.45 * colour)
    x, y = canvas.local()
    light = _cylinder_shading(x, top + (foot - top) * np.clip(y / height, 0, 1), rng)
    opacity = float(rng.uniform(0.35, 0.6)) if kind == "glass" else 1.0
    layers = [canvas.layer(light, opacity, 0.4)]
    if has_hand:
        tone = skin_tone(frame, rng)
        hand = Canvas(canvas.matrix, 0.8 * tone)
        draw_grip(hand, tone, rng, 0.5 * (top + foot), float(rng.uniform(0.5, 0.75)) * height, 1.0)
        layers.append(hand.layer(hand.relief(0.4, 0.16, 0.5), shadow=0.3))
    return layers


def _draw_pattern(
    canvas: Canvas, top: float, foot: float, height: float, sag: float, rng: np.random.Generator
) -> None:
    """Draw a band, a disc, stripes or nothing on a cup."""
    kind, colour = rng.random(), ink(rng)
    if kind < 0.3:
        upper, lower = np.sort(rng.uniform(0.15, 0.9, 2))
        across = np.cos(np.linspace(0, np.pi, 14))
        bent = np.sqrt(1 - across**2) * sag
        a, b = (top + (foot - top) * level for level in (upper, lower))
        canvas.polygon(
            np.concatenate(
                [
                    np.column_stack([a * across, upper * height + bent]),
                    np.column_stack([b * across, lower * height + bent])[::-1],
                ]
            ),
            colour,
        )
    elif kind < 0.55:
        size = float(rng.uniform(0.15, 0.4))
        centre = (float(rng.uniform(-0.3, 0.3)), float(rng.uniform(0.45, 0.65)) * height)
        canvas.ellipse(centre, (size, size), colour)
        canvas.ellipse(centre, (0.6 * size, 0.6 * size), ink(rng))
    elif kind < 0.7:
        for x in np.linspace(-0.7, 0.7, int(rng.integers(3, 7))):
            canvas.capsule([(x * top, 0.2 * height), (x * foot, 0.95 * height)], 0.04, colour)


def _cylinder_shading(
    x: NDArray[np.float32], half: NDArray[np.float32] | float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return the shading of an upright cylinder of half width `half`."""
    light_side, gloss = float(rng.uniform(-0.5, 0.5)), float(rng.uniform(0.0, 0.4))
    across = np.clip(x / np.asarray(half, np.float32), -1.2, 1.2)
    light = 1.05 - 0.45 * across**2 * np.abs(across) + 0.2 * light_side * across
    light += gloss * np.exp(-(((across - light_side) / 0.12) ** 2))
    return np.asarray(light, np.float32)


def draw_bottle(frame: FaceFrame, rng: np.random.Generator) -> list[Layer]:
    """Draw a bottle or a can at the mouth, tilted, with or without a hand."""
    colour = ink(rng) * frame.light
    body, neck = float(rng.uniform(0.42, 0.6)), float(rng.uniform(0.16, 0.24))
    if rng.random() < 0.25:
        neck = 0.85 * body
    position = frame.at(float(rng.normal(0, 0.1)), float(rng.uniform(0.9, 1.1)))
    angle = float(rng.choice((-1.0, 1.0))) * float(rng.uniform(0.1, 1.4))
    canvas = Canvas(frame.matrix(position, angle, float(rng.uniform(0.9, 1.1))), 0.7 * colour)
    shoulder = float(rng.uniform(0.5, 1.0))
    canvas.polygon(
        [(-neck, 0), (neck, 0), (neck, 0.55 * shoulder), (body, shoulder + 0.2), (body, 4),
         (-body, 4), (-body, shoulder + 0.2), (-neck, 0.55 * shoulder)], colour,
    )  # fmt: skip
    canvas.capsule([(-neck, 0.04), (neck, 0.04)], 0.06, 0.7 * ink(rng))
    start = shoulder + float(rng.uniform(0.3, 0.6))
    label = ink(rng) * frame.light
    canvas.polygon([(-body, start), (body, start), (body, start + 1), (-body, start + 1)], label)
    canvas.capsule([(-0.6 * body, start + 0.5), (0.6 * body, start + 0.5)], 0.1, ink(rng))
    x, y = canvas.local()
    half = np.clip(neck + (body - neck) * (y - 0.55 * shoulder) / 0.6, neck, body)
    opacity = float(rng.choice((1.0, rng.uniform(0.5, 0.85)), p=(0.6, 0.4)))
    layers = [canvas.layer(_cylinder_shading(x, half, rng), opacity, 0.35)]
    if rng.random() < 0.6:
        tone = skin_tone(frame, rng)
        hand = Canvas(canvas.matrix, 0.8 * tone)
        draw_grip(hand, tone, rng, body, float(rng.uniform(1.0, 1.8)), 1.0)
        layers.append(hand.layer(hand.relief(0.4, 0.16, 0.5), shadow=0.3))
    return layers


def draw_telephone(frame: FaceFrame, rng: np.random.Generator) -> list[Layer]:
    """Draw a telephone at the ear, at the mouth or raised in front of the face."""
    side = float(rng.choice((-1.0, 1.0)))
    half_width, half_height = float(rng.uniform(0.52, 0.66)), float(rng.uniform(1.0, 1.3))
    kind = rng.random()
    if kind < 0.5:  # at the ear, viewed from its edge or obliquely from behind
        position = frame.at(side * rng.uniform(0.85, 1.25), rng.uniform(0.4, 1.0))
        angle = side * float(rng.uniform(0.1, 0.45))
        half_width *= float(rng.uniform(0.35, 1.0))
    elif kind < 0.75:  # held in front of the mouth
        position = frame.at(side * rng.uniform(0.0, 0.6), rng.uniform(1.0, 1.6))
        angle = side * float(rng.uniform(-0.4, 1.7))
        half_height *= float(rng.uniform(0.45, 1.0))
    else:  # raised as if to take a photograph
        position = frame.at(side * rng.uniform(0.0, 0.9), rng.uniform(0.7, 1.4))
        angle = side * float(rng.normal(0, 0.12)) + float(rng.choice((0.0, np.pi / 2)))
    shell = _draw_colour(rng, ((24, 24, 27), (36, 38, 44), (226, 226, 228), (190, 170, 150)))
    shell = (ink(rng) if rng.random() < 0.25 else shell) * frame.light
    canvas = Canvas(frame.matrix(position, angle, 1.0), 0.8 * shell)
    corner = 0.2 * half_width
    canvas.polygon(rounded_rectangle(half_width, half_height, corner), 0.65 * shell)
    canvas.polygon(rounded_rectangle(half_width - 0.035, half_height - 0.035, corner), shell)
    if rng.random() < 0.35:
        glow = float(rng.uniform(0.05, 1.0))
        screen = np.asarray((0.4 * ink(rng) + 0.6 * np.float32(225)) * glow, np.float32)
        canvas.polygon(rounded_rectangle(half_width - 0.08, half_height - 0.1, corner), screen)
        for _ in range(int(rng.integers(0, 5))):
            row = float(rng.uniform(-0.85, 0.85)) * half_height
            reach = float(rng.uniform(0.2, 0.8)) * half_width
            ends = [(-0.75 * half_width, row), (reach - 0.6 * half_width, row)]
            canvas.capsule(ends, 0.05, ink(rng))
    else:
        island = np.asarray(0.7 * shell + 12, np.float32)
        camera = np.array([-0.45 * half_width, -0.7 * half_height])
        outline = rounded_rectangle(0.4 * half_width, 0.24 * half_height, 0.1 * half_width)
        canvas.polygon(outline + camera, island)
        for level in (-0.1, 0.1):
            lens = (float(camera[0]), float(camera[1] + level * half_height))
            canvas.ellipse(lens, (0.17 * half_width, 0.13), np.array((14, 14, 18), np.float32))
    x, y = canvas.local()
    light = 1.0 + float(rng.uniform(-0.2, 0.2)) * x / 0.6
    light += float(rng.uniform(0, 0.3)) * (np.abs(x + 0.6 * y - rng.uniform(-1, 1)) < 0.18)
    layers = [canvas.layer(np.asarray(light, np.float32), shadow=0.45)]
    if rng.random() < 0.75:
        tone = skin_tone(frame, rng)
        hand = Canvas(canvas.matrix, 0.8 * tone)
        draw_grip(hand, tone, rng, half_width, float(rng.uniform(-0.1, 0.5)) * half_height, 0.95)
        layers.append(hand.layer(hand.relief(0.4, 0.16, -0.5), shadow=0.35))
    return layers


def draw_microphone(frame: FaceFrame, rng: np.random.Generator) -> list[Layer]:
    """Draw a microphone below or in front of the mouth: a ball of mesh or foam on a handle."""
    ball = float(rng.uniform(0.3, 0.6))
    position = frame.at(float(rng.normal(0, 0.25)), float(rng.uniform(0.95, 1.5)))
    angle = float(rng.normal(0, 0.5))
    foam = _draw_colour(rng, ((28, 28, 30), (60, 60, 64), (150, 150, 152)))
    foam = (ink(rng) if rng.random() < 0.3 else foam) * frame.light
    stick = _draw_colour(rng, ((22, 22, 24), (60, 60, 62), (170, 170, 172))) * frame.light
    canvas = Canvas(frame.matrix(position, angle, 1.0), 0.8 * stick)
    canvas.polygon([(-0.6 * ball, 0.4), (0.6 * ball, 0.4), (0.22, 4), (-0.22, 4)], stick)
    canvas.polygon([(-0.15 * ball, 0.4), (0.2 * ball, 0.4), (0.06, 4), (-0.06, 4)], 1.3 * stick)
    canvas.ellipse((0, 0), (ball, 1.1 * ball), foam)
    canvas.capsule([(-0.85 * ball, 0.6 * ball), (0.85 * ball, 0.6 * ball)], 0.05, 0.6 * stick)
    light = canvas.relief(0.5, 0.3, float(rng.uniform(-1, 1)))
    light = light + noise(rng, 64, float(rng.uniform(0.03, 0.15)))
    return [canvas.layer(np.asarray(light, np.float32), shadow=0.4)]


def draw_cigarette(frame: FaceFrame, rng: np.random.Generator) -> list[Layer]:
    """Draw a cigarette, straw or pen between the lips, sometimes between two fingers."""
    angle = float(rng.choice((-1.0, 1.0))) * float(rng.uniform(0.2, 1.3))
    position = frame.at(float(rng.normal(0, 0.15)), 1.0)
    canvas = Canvas(frame.matrix(position, angle, 1.0), frame.skin)
    length, radius = float(rng.uniform(0.7, 1.6)), float(rng.uniform(0.05, 0.08))
    body = (np.array((240, 238, 232), np.float32) if rng.random() < 0.6 else ink(rng)) * frame.light
    canvas.capsule([(0, 0), (0, length)], radius, 0.75 * body)
    canvas.capsule([(0, 0.35), (0, length)], 0.7 * radius, body)
    filter_colour = np.array((205, 150, 90), np.float32) * frame.light
    canvas.capsule([(0, 0), (0, 0.3)], radius, filter_colour)
    layers = [canvas.layer(shadow=0.3)]
    if rng.random() < 0.6:
        tone = skin_tone(frame, rng)
        hand = Canvas(canvas.matrix, 0.8 * tone)
        draw_grip(hand, tone, rng, 0.15, float(rng.uniform(0.5, 0.9)), 0.9)
        layers.append(hand.layer(hand.relief(0.4, 0.16, 0.5), shadow=0.3))
    return layers


def draw_food(frame: FaceFrame, rng: np.random.Generator) -> list[Layer]:
    """Draw bread, fruit or a sandwich of layers at the mouth, held by a hand."""
    colour = _draw_colour(rng, _FOODS) * frame.light
    half_width, half_height = float(rng.uniform(0.4, 0.9)), float(rng.uniform(0.3, 0.7))
    position = frame.at(float(rng.normal(0, 0.25)), float(rng.uniform(1.0, 1.35)))
    canvas = Canvas(frame.matrix(position, float(rng.normal(0, 0.5)), 1.0), 0.8 * colour)
    corner = 0.9 * min(half_width, half_height)
    canvas.polygon(rounded_rectangle(half_width, half_height, corner), colour)
    if rng.random() < 0.5:
        for level in np.sort(rng.uniform(-0.4, 0.4, int(rng.integers(1, 4)))):
            y = float(level) * half_height
            ends = [(-0.9 * half_width, y), (0.9 * half_width, y)]
            canvas.capsule(ends, 0.06, ink(rng) * frame.light)
    light = canvas.relief(0.5, 0.3, float(rng.uniform(-1, 1))) + noise(rng, 26, 0.1)
    layers = [canvas.layer(light, shadow=0.35)]
    tone = skin_tone(frame, rng)
    hand = Canvas(canvas.matrix, 0.8 * tone)
    draw_grip(hand, tone, rng, half_width, float(rng.uniform(0.2, 0.6)), 1.0)
    layers.append(hand.layer(hand.relief(0.4, 0.16, 0.5), shadow=0.3))
    return layers
