"""Hands in front of a face: spread or closed fingers, fists, fingertips, and grips of objects.

A hand has its origin in the middle of its knuckles, its fingers towards negative y and its wrist
towards positive y; its unit is the distance between the wearer's eyes (63 mm).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.synthesis.mask_prints import ink
from jdsr_cli.synthesis.occluder_canvas import Canvas, Coordinates, noise
from jdsr_cli.synthesis.occluder_scene import Colour, FaceFrame, Layer, skin_tone

_LENGTHS = (1.02, 1.15, 1.06, 0.82)
"""Index to little finger."""
_PITCH = 0.3
"""Distance between two fingers."""
_RADIUS = 0.15


def draw_hand(frame: FaceFrame, rng: np.random.Generator) -> list[Layer]:
    """Draw one or both hands in front of the mouth, nose, cheek, chin or whole face."""
    side = float(rng.choice((-1.0, 1.0)))
    if rng.random() < 0.12:
        tone, tilt, reach = skin_tone(frame, rng), rng.uniform(0.2, 0.7), rng.uniform(0.1, 0.5)
        return [
            _hand(frame, rng, frame.at(s * reach, rng.uniform(0.9, 1.3)), -s * tilt, s, 1.0, tone)
            for s in (side, -side)
        ]
    position, tilt, extension = _pose(frame, rng, side)
    return [_hand(frame, rng, position, tilt, side, extension, skin_tone(frame, rng))]


def _pose(
    frame: FaceFrame, rng: np.random.Generator, side: float
) -> tuple[NDArray[np.float64], float, float]:
    """Draw the position of the knuckles, the tilt of the hand and the extension of its fingers."""
    kind = rng.random()
    if kind < 0.4:  # in front of mouth and nose, from the side or from below
        tilt = rng.uniform(0.2, 1.7)
        reach = rng.uniform(0.1, 0.75)
        position = frame.at(
            side * reach * np.sin(tilt), rng.uniform(0.75, 1.05) + reach * np.cos(tilt)
        )
        return position, -side * tilt, rng.uniform(0.75, 1.1)
    if kind < 0.58:  # a fist in front of the mouth or under the chin
        position = frame.at(side * rng.uniform(-0.2, 0.5), rng.uniform(1.0, 1.75))
        return position, -side * rng.uniform(-0.2, 0.8), rng.uniform(0.28, 0.45)
    if kind < 0.8:  # along the cheek
        position = frame.at(side * rng.uniform(0.6, 1.1), rng.uniform(0.9, 1.6))
        return position, -side * rng.uniform(-0.25, 0.5), rng.uniform(0.8, 1.1)
    if kind < 0.92:  # fingertips at nose, lips or chin
        position = frame.at(side * rng.uniform(0.2, 0.6), rng.uniform(1.6, 2.1))
        return position, -side * rng.uniform(0.1, 0.5), rng.uniform(0.8, 1.1)
    position = frame.at(side * rng.uniform(-0.2, 0.4), rng.uniform(0.5, 1.3))
    return position, -side * rng.uniform(-0.2, 0.6), rng.uniform(0.9, 1.1)


def _hand(
    frame: FaceFrame,
    rng: np.random.Generator,
    position: NDArray[np.float64],
    tilt: float,
    side: float,
    extension: float,
    tone: Colour,
) -> Layer:
    scale = side * float(rng.uniform(0.82, 1.12))
    canvas = Canvas(frame.matrix(position, tilt, scale), 0.8 * tone)
    fist = extension < 0.5
    count = 4 if fist else int(rng.choice((2, 3, 4), p=(0.15, 0.2, 0.65)))
    spread = 0.0 if fist else float(rng.choice((0.02, rng.uniform(0.05, 0.2))))
    _arm(canvas, tone, rng)
    _palm(canvas, tone)
    light_side = float(rng.uniform(-1, 1))
    nails = rng.random() < 0.6  # otherwise the palm side is visible
    for finger in range(4):
        base = ((finger - 1.5) * _PITCH, (-0.05, -0.1, -0.06, 0.06)[finger])
        short = finger >= count
        length = _LENGTHS[finger] * (0.35 if short else extension) * float(rng.uniform(0.93, 1.07))
        angle = spread * (finger - 1.5) + float(rng.normal(0, 0.03))
        bend = float(rng.normal(0, 0.08)) * (0.3 if fist else 1.0)
        _finger(canvas, base, angle, length, bend, tone, light_side, nails)
    if (count == 4 and rng.random() < 0.75) or fist:
        thumb = 0.5 if fist else float(rng.uniform(0.5, 1.15))
        across = float(rng.uniform(1.0, 1.5)) if fist else -float(rng.uniform(0.3, 1.0))
        _finger(
            canvas, (-0.62, 0.55), across, 0.7 * thumb + 0.35, 0.1, tone, light_side, nails, 1.15
        )
    light = canvas.relief(0.45, 0.16, light_side) * (1.0 + noise(rng, 20, 0.03))
    return canvas.layer(
        light, shadow=float(rng.uniform(0.2, 0.5)), soft=float(rng.uniform(0.5, 0.9))
    )


def _arm(canvas: Canvas, tone: Colour, rng: np.random.Generator) -> None:
    """Draw the wrist and, in most cases, a sleeve."""
    canvas.polygon([(-0.5, 1.3), (0.5, 1.3), (0.52, 5.0), (-0.52, 5.0)], 0.86 * tone)
    canvas.polygon([(-0.25, 1.3), (0.3, 1.3), (0.3, 5.0), (-0.25, 5.0)], 0.95 * tone)
    if rng.random() < 0.6:
        start, cloth = float(rng.uniform(1.7, 2.6)), ink(rng) * float(rng.uniform(0.5, 0.9))
        canvas.polygon([(-0.68, start), (0.68, start), (0.85, 5.0), (-0.85, 5.0)], cloth)
        canvas.capsule([(-0.66, start), (0.66, start)], 0.05, 0.6 * cloth)


def _palm(canvas: Canvas, tone: Colour) -> None:
    outline = [
        (-0.6, -0.05), (-0.3, -0.16), (0.2, -0.14), (0.58, 0.04), (0.64, 0.4), (0.58, 1.0),
        (0.5, 1.5), (-0.5, 1.5), (-0.66, 1.05), (-0.7, 0.5),
    ]  # fmt: skip
    canvas.polygon(outline, 0.92 * tone)
    canvas.ellipse((-0.05, 0.5), (0.48, 0.55), tone)
    for finger in range(4):  # tendons run from the knuckles towards the wrist
        x = (finger - 1.5) * _PITCH
        canvas.capsule([(x + 0.15, 0.15), (0.7 * x + 0.1, 0.5)], 0.035, 0.88 * tone)


def _finger(
    canvas: Canvas,
    base: Coordinates,
    angle: float,
    length: float,
    bend: float,
    tone: Colour,
    light_side: float,
    nails: bool = True,
    thickness: float = 1.0,
) -> None:
    """Draw three segments, darker at the sides; the back also has creases and a nail."""
    path, direction = [np.array(base)], angle
    for share in (0.42, 0.32, 0.26):
        path.append(path[-1] + share * length * np.array([np.sin(direction), -np.cos(direction)]))
        direction += bend
    joints = np.array(path)
    radius = _RADIUS * thickness
    tip = np.array([np.sin(direction - bend), -np.cos(direction - bend)])
    across = np.array([-tip[1], tip[0]])
    canvas.capsule(joints, radius, 0.62 * tone)
    canvas.capsule(joints, 0.86 * radius, 0.9 * tone)
    canvas.capsule(joints + across * (0.22 * radius * light_side), 0.5 * radius, 1.03 * tone)
    if nails and length > 0.5:
        for joint in joints[1:3]:
            ends = np.array([joint - 0.4 * radius * across, joint + 0.4 * radius * across])
            canvas.capsule(ends, 0.12 * radius, 0.87 * tone)
        nail = joints[3] + 0.25 * radius * tip
        pale = np.asarray(0.85 * tone + (32, 24, 24), np.float32)
        canvas.capsule([nail - 0.3 * radius * tip, nail + 0.25 * radius * tip], 0.5 * radius, pale)


def draw_grip(
    canvas: Canvas,
    tone: Colour,
    rng: np.random.Generator,
    half_width: float,
    y: float,
    eye_distance: float,
) -> None:
    """Draw fingers that hold an object from the right, in the coordinates of the object.

    Args:
        canvas: The drawing of the object.
        tone: Colour of the skin.
        rng: Draws the arrangement of the fingers.
        half_width: Half the width of the object.
        y: Centre of the hand.
        eye_distance: Distance between the eyes in units of the object.

    """
    light_side = float(rng.uniform(-1, 1))
    # The arm comes from the lower side of a steep object, otherwise from a random side.
    lower = float(np.sign(canvas.matrix[1, 0] or 1.0))
    steep = abs(canvas.matrix[1, 0]) > 0.5 * canvas.scale
    mirror = lower if steep else float(rng.choice((-1.0, 1.0)))
    nails = rng.random() < 0.5
    reach = float(rng.uniform(0.5, 1.3)) * half_width
    x = mirror * (half_width + 0.5 * eye_distance)
    back = Canvas(canvas.matrix @ _grip_matrix(x, y, mirror, eye_distance), tone)
    back.drawn = canvas.drawn
    back.polygon(
        [(-0.2, -0.6), (0.45, -0.66), (1.0, -0.1), (3.2, 3.6), (2.1, 4.3), (0.1, 0.75)], 0.86 * tone
    )
    for finger in range(4):
        length = (reach / eye_distance + 0.5) * (0.9, 1.0, 0.95, 0.8)[finger]
        base = (0.1, (finger - 1.5) * _PITCH)
        angle = -np.pi / 2 + float(rng.normal(0, 0.06))
        _finger(back, base, angle, length, 0.0, tone, light_side, nails)


def _grip_matrix(x: float, y: float, mirror: float, eye_distance: float) -> NDArray[np.float64]:
    return np.array([[mirror * eye_distance, 0.0, x], [0.0, eye_distance, y], [0.0, 0.0, 1.0]])
