"""Glasses, hair, beards, hats, hoods, visors, and shadows on a face."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.synthesis.mask_prints import ink
from jdsr_cli.synthesis.occluder_canvas import (
    Canvas,
    ellipse,
    face_coordinates,
    face_matrix,
    noise,
    rounded_rectangle,
    uniform_image,
)
from jdsr_cli.synthesis.occluder_scene import Colour, FaceFrame, Layer, apply_light

HAIR = (
    (26, 22, 20), (44, 34, 28), (74, 52, 36), (112, 80, 52), (160, 122, 78), (204, 172, 122),
    (128, 126, 124), (198, 196, 192), (112, 52, 32),
)  # fmt: skip
"""Colours of hair and beards in full light, RGB."""


_METALS = ((20, 20, 22), (70, 50, 36), (150, 140, 120), (60, 60, 66))
_HAIR_SHARES = (0.24, 0.24, 0.2, 0.1, 0.05, 0.04, 0.06, 0.03, 0.04)


def hair_colour(frame: FaceFrame, rng: np.random.Generator) -> Colour:
    """Draw a hair colour in the light of the face."""
    colour = np.array(HAIR[int(rng.choice(len(HAIR), p=_HAIR_SHARES))], np.float32)
    return np.asarray(colour * frame.light * rng.uniform(0.8, 1.15), np.float32)


def draw_glasses(frame: FaceFrame, rng: np.random.Generator) -> list[Layer]:
    """Draw spectacles: frames, and lenses that are almost invisible except for reflections."""
    glass = np.array((205, 215, 225), np.float32) * frame.light
    return _spectacles(frame, rng, glass, float(rng.uniform(0.0, 0.15)))


def draw_sunglasses(frame: FaceFrame, rng: np.random.Generator) -> list[Layer]:
    """Draw sunglasses with semi-transparent lenses of dark, brown or mirror glass."""
    tint = ((18, 18, 20), (46, 32, 24), (30, 40, 34), (34, 44, 66), (120, 130, 140))
    glass = np.array(tint[int(rng.integers(len(tint)))], np.float32) * frame.light
    return _spectacles(frame, rng, glass, float(rng.uniform(0.55, 0.97)))


def _spectacles(
    frame: FaceFrame, rng: np.random.Generator, glass: Colour, opacity: float
) -> list[Layer]:
    half_width, half_height = float(rng.uniform(0.3, 0.42)), float(rng.uniform(0.2, 0.36))
    apart = float(rng.uniform(0.48, 0.54))
    position = frame.at(0.0, float(rng.uniform(-0.03, 0.14)))
    matrix = frame.matrix(position, float(rng.normal(0, 0.03)), 1.0)
    shape = rounded_rectangle(
        half_width, half_height, float(rng.uniform(0.3, 0.98)) * min(half_width, half_height)
    )
    if rng.random() < 0.35:  # aviator glasses taper towards the cheek
        shape[:, 0] *= 1.0 - 0.25 * np.clip(shape[:, 1] / half_height, 0, 1)
    pair = [shape + np.array([side * apart, 0.0]) for side in (-1.0, 1.0)]
    lenses = Canvas(matrix, glass)
    for lens in pair:
        lenses.polygon(lens, glass)
    x, y = lenses.local()
    light = 1.0 + float(rng.uniform(0, 1.2)) * np.clip(-y / half_height, -0.3, 1)
    reflectivity = float(rng.uniform(-0.4, 0.8))
    if reflectivity > 0.0:
        distance = np.abs(x) - apart + float(rng.uniform(-0.4, 0.4)) + 0.7 * y
        light = light + (1.5 * reflectivity) * np.exp(-((distance / 0.1) ** 2))
    layers = [lenses.layer(np.asarray(light, np.float32), opacity)]
    if reflectivity > 0.0:
        reflection = (
            lenses.alpha() * np.exp(-((distance / 0.1) ** 2)) * np.float32(0.7 * reflectivity)
        )
        white = uniform_image(np.full(3, 240.0 * frame.light, np.float32))
        layers.append(_transparent_layer(white, np.asarray(reflection, np.float32)))
    metal = np.array(_METALS[int(rng.integers(len(_METALS)))])
    tone = np.asarray((ink(rng) if rng.random() < 0.15 else metal) * frame.light, np.float32)
    rim = Canvas(matrix, tone)
    wire = float(rng.uniform(0.006, 0.032))
    for lens in pair:
        rim.capsule(np.concatenate([lens, lens[:1]]), wire, tone)
    bridge = float(rng.uniform(-0.5, 0.0)) * half_height
    inner = apart - half_width
    rim.capsule([(-inner, bridge), (0, bridge - 0.04), (inner, bridge)], 1.2 * wire, tone)
    for side in (-1.0, 1.0):
        outer = side * (apart + half_width)
        rim.capsule(
            [(outer, -0.5 * half_height), (side * 1.15, -0.4 * half_height)], 1.2 * wire, tone
        )
    layers.append(rim.layer(shadow=0.25, soft=0.45))
    return layers


def draw_hair(frame: FaceFrame, rng: np.random.Generator) -> list[Layer]:
    """Draw a fringe, long hair at one side, or single strands across the face."""
    colour = hair_colour(frame, rng)
    canvas = Canvas(face_matrix(frame), 0.8 * colour)
    kind, side = rng.random(), float(rng.choice((-1.0, 1.0)))
    if kind < 0.4:  # a fringe
        count, thickness = int(rng.integers(26, 44)), float(rng.uniform(0.02, 0.05))
        x = np.linspace(-1.25, 1.25, count)
        start = np.column_stack([0.7 * x - side * rng.uniform(0, 0.5), np.full(count, -2.4)])
        edge = rng.uniform(-0.6, -0.05) + rng.uniform(-0.1, 0.5) * x**2
        edge += rng.uniform(-0.15, 0.15) * x + rng.normal(0, 0.12, count)
        end = np.column_stack([x, edge])
        canvas.polygon(np.concatenate([start, end[::-1] - (0, 0.3)]), colour)
    elif kind < 0.75:  # long hair at one side
        count, thickness = int(rng.integers(22, 36)), float(rng.uniform(0.02, 0.05))
        inner, lower_end = float(rng.uniform(0.3, 0.9)), rng.uniform(0.6, 2.6)
        start = np.column_stack([side * np.linspace(0.2, 1.6, count), np.full(count, -2.4)])
        end = np.column_stack(
            [side * np.linspace(inner, 1.8, count), lower_end + rng.normal(0, 0.3, count)]
        )
        canvas.polygon([start[0], start[-1], end[-1], end[0]], 0.85 * colour)
    else:  # strands
        count, thickness = int(rng.integers(3, 14)), float(rng.uniform(0.008, 0.02))
        start = np.column_stack([rng.uniform(-1, 1, count), np.full(count, -2.4)])
        offset = np.column_stack([rng.normal(side * 0.5, 0.5, count), rng.uniform(1, 3.2, count)])
        end = start + offset
    steps = np.linspace(0, 1, 8)[:, None]
    tones = rng.uniform(0.65, 1.3, count)
    bow = 4 * steps * (1 - steps) * np.array([side * float(rng.normal(0.1, 0.1)), 0.0])
    for first, last, tone in zip(start, end, tones, strict=True):
        path = first + (last - first) * steps + bow * float(rng.uniform(0.6, 1.4))
        canvas.capsule(path[:6], thickness, tone * colour)
        canvas.capsule(path[5:], 0.6 * thickness, tone * colour)
    return [canvas.layer(opacity=float(rng.uniform(0.8, 1.0)), shadow=0.3, soft=0.5)]


def draw_hat(frame: FaceFrame, rng: np.random.Generator) -> list[Layer]:
    """Draw the brim of a cap or hat, or a hood around the face, and the shadow under it."""
    cloth = np.asarray(ink(rng) * float(rng.uniform(0.3, 0.9)), np.float32)
    cloth = (cloth + 0.5 * (cloth.mean() - cloth)) * np.float32(frame.light)
    canvas = Canvas(face_matrix(frame), 0.8 * cloth)
    x, y = face_coordinates(frame)
    depth = float(rng.uniform(0.2, 0.65))
    if rng.random() < 0.35:
        half_width, top = float(rng.uniform(0.95, 1.3)), float(rng.uniform(-1.1, -0.6))
        ring = ellipse((float(rng.normal(0, 0.1)), 0.75), (half_width, 0.75 - top))
        hole = np.concatenate([ring, [(5, ring[0, 1]), (5, -5), (-5, -5), (-5, 5), (5, 5),
                                      (5, ring[0, 1])]])  # fmt: skip
        canvas.polygon(hole, cloth)
        canvas.capsule(np.concatenate([ring, ring[:1]]), 0.06, 0.7 * cloth)
        inside = (x / half_width) ** 2 + ((y - 0.75) / (0.75 - top)) ** 2
        shade = 1.0 - depth * np.clip(1.3 * inside - 0.4, 0, 1)
    else:
        edge, sag = float(rng.uniform(-0.75, -0.15)), float(rng.uniform(0.05, 0.35))
        half_width = float(rng.uniform(1.15, 1.75))
        tilt = float(rng.normal(0, 0.06))
        lower = ellipse((0, edge - sag), (half_width, sag), (0, 180))
        upper = ellipse((0, edge - sag), (half_width, 0.8 * sag), (180, 360))
        crown = float(rng.uniform(1.1, 1.3))
        canvas.ellipse((0, edge - sag), (crown, float(rng.uniform(0.9, 1.6))), cloth, (180, 360))
        brim = np.concatenate([lower, upper])
        brim[:, 1] += tilt * brim[:, 0]
        canvas.polygon(brim, 0.72 * cloth)
        canvas.capsule(lower + np.column_stack([0 * lower[:, 0], tilt * lower[:, 0]]), 0.035, cloth)
        if rng.random() < 0.4:
            badge = (float(rng.normal(0, 0.15)), edge - sag - 0.5)
            canvas.ellipse(badge, (0.3, 0.2), ink(rng) * frame.light)
        under = edge + float(rng.uniform(0.2, 0.9)) + 0.15 * x * float(rng.normal())
        shade = 1.0 - depth / (1 + np.exp(np.clip((y - under) / 0.06, -20, 20)))
    light = 1.0 + noise(rng, 12, 0.06) + noise(rng, 64, 0.03)
    hat = canvas.layer(light)
    return [Layer(hat.premultiplied, hat.alpha, np.asarray(shade, np.float32))]


def _transparent_layer(colour: NDArray[np.uint8], alpha: NDArray[np.float32]) -> Layer:
    return Layer(apply_light(colour, alpha), alpha)


def draw_visor(frame: FaceFrame, rng: np.random.Generator) -> list[Layer]:
    """Draw a transparent face shield: haze, reflections, its edge and its headband."""
    veil = np.array((215, 225, 232), np.float32) * float(rng.uniform(0.6, 1.1)) * frame.light
    top, lower_end = float(rng.uniform(-1.2, -0.5)), float(rng.uniform(1.4, 2.4))
    half_width, round_off = float(rng.uniform(1.15, 1.7)), float(rng.uniform(0.3, 0.9))
    matrix = face_matrix(frame)
    shape = rounded_rectangle(half_width, 0.5 * (lower_end - top), round_off * 0.8) + np.array(
        [0, 0.5 * (lower_end + top)]
    )
    shape[:, 1] = np.where(shape[:, 1] < top + 0.8, top, shape[:, 1])
    sheet = Canvas(matrix, veil)
    sheet.polygon(shape, veil)
    x, y = sheet.local()
    inside = sheet.alpha()
    share = float(rng.uniform(0.05, 0.25)) * (1.0 + noise(rng, 4, 0.25))
    for _ in range(int(rng.integers(1, 5))):
        centre, slope, width = rng.uniform(-1.2, 1.2), rng.normal(0, 0.25), rng.uniform(0.03, 0.2)
        streak = np.exp(-(((x - centre - slope * y) / width) ** 2))
        streak *= np.exp(-(((y - rng.uniform(-0.2, 1.8)) / rng.uniform(0.3, 1.2)) ** 2))
        share = share + float(rng.uniform(0.1, 0.6)) * streak
    alpha = np.clip(share, 0, 0.85) * inside
    rim = Canvas(matrix, veil)
    rim.capsule(shape[7:21] if rng.random() < 0.3 else np.concatenate([shape, shape[:1]]),
                float(rng.uniform(0.015, 0.04)), veil)  # fmt: skip
    line = rim.alpha() * np.float32(rng.uniform(0.3, 0.8))
    share = np.asarray(np.maximum(alpha, line), np.float32)
    layers = [_transparent_layer(uniform_image(veil * np.float32(1.05)), share)]
    if rng.random() < 0.6:
        tone = ink(rng) * frame.light
        band = Canvas(matrix, tone)
        corners = [(-half_width, top - 0.3), (half_width, top - 0.3)]
        band.polygon([*corners, (half_width, top), (-half_width, top)], tone)
        layers.append(band.layer(shadow=0.25))
    return layers


def draw_beard(frame: FaceFrame, rng: np.random.Generator) -> list[Layer]:
    """Draw a beard along the jaw and around the mouth: stubble, full, or at the chin only."""
    colour = hair_colour(frame, rng)
    canvas = Canvas(face_matrix(frame), colour)
    x, y = _jaw_coordinates(frame)
    first = int(rng.choice((2, 3, 5), p=(0.45, 0.35, 0.2)))
    outer = np.column_stack([x, y])[first : 17 - first]
    outer = outer + (0.0, float(rng.uniform(0.0, 0.3))) * np.clip(outer[:, 1:] - 0.8, 0, 1)
    cheek = float(rng.uniform(0.45, 0.75))
    upper = float(rng.uniform(0.62, 0.85))
    inner = [(cheek, 0.9), (0.42, upper), (0.12, upper - 0.06), (-0.12, upper - 0.06),
             (-0.42, upper), (-cheek, 0.9)]  # fmt: skip
    canvas.polygon(np.concatenate([outer, inner]), colour)
    _erase_mouth(canvas, rng)
    return [_hair_layer(canvas, colour, frame, rng, float(rng.uniform(0.3, 0.92)))]


def draw_moustache(frame: FaceFrame, rng: np.random.Generator) -> list[Layer]:
    """Draw a moustache between nose and mouth, sometimes with a tuft on the chin."""
    colour = hair_colour(frame, rng)
    canvas = Canvas(face_matrix(frame), colour)
    half_width, thickness = float(rng.uniform(0.35, 0.6)), float(rng.uniform(0.12, 0.24))
    droop = float(rng.uniform(0.0, 0.25))
    canvas.polygon(
        [(-half_width, 0.94 + droop), (-0.3, 0.9 - thickness), (0, 0.93 - thickness),
         (0.3, 0.9 - thickness), (half_width, 0.94 + droop), (0.25, 0.93), (0, 0.9),
         (-0.25, 0.93)], colour,
    )  # fmt: skip
    if rng.random() < 0.4:
        tuft = float(rng.uniform(0.15, 0.35))
        canvas.ellipse((0, 1.55), (tuft, float(rng.uniform(0.15, 0.35))), colour)
    return [_hair_layer(canvas, colour, frame, rng, float(rng.uniform(0.5, 0.95)))]


def _jaw_coordinates(frame: FaceFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    matrix = np.linalg.inv(np.column_stack([frame.across, frame.drop]))
    x, y = matrix @ (frame.jaw - frame.eyes).T
    return x, y


def _erase_mouth(canvas: Canvas, rng: np.random.Generator) -> None:
    """Leave the lips uncovered."""
    half_width = float(rng.uniform(0.36, 0.46))
    pixels = ellipse((0, 1.02), (half_width, float(rng.uniform(0.12, 0.2))))
    canvas.erase(pixels)


def _hair_layer(
    canvas: Canvas, colour: Colour, frame: FaceFrame, rng: np.random.Generator, dense: float
) -> Layer:
    """Return the drawing with a soft edge and the texture of short hair."""
    edge = canvas.alpha(max(0.6, 0.05 * frame.unit * float(rng.uniform(0.6, 2.0))))
    raw = rng.standard_normal((TEMPLATE_SIZE, TEMPLATE_SIZE), dtype=np.float32)
    grain = np.asarray(cv2.GaussianBlur(raw, (0, 0), sigmaX=0.6, sigmaY=1.2), np.float32)
    alpha = np.clip(edge * dense * (1.0 + 0.3 * grain + noise(rng, 8, 0.15)), 0, 0.97)
    light = np.asarray(1.0 + 0.3 * np.roll(grain, 2, axis=1), np.float32)
    alpha = np.asarray(alpha, np.float32)
    return Layer(apply_light(uniform_image(colour), light * alpha), alpha, beneath=True)


def draw_shadow(frame: FaceFrame, rng: np.random.Generator) -> list[Layer]:
    """Darken one side or the lower part of the face along a soft or hard line."""
    x, y = face_coordinates(frame)
    if rng.random() < 0.6:
        angle = float(rng.choice((0.0, np.pi))) + float(rng.normal(0, 0.35))
        offset = float(rng.uniform(-0.4, 0.4))
    else:
        angle = np.pi / 2 + float(rng.normal(0, 0.3))
        offset = float(rng.uniform(0.0, 0.5))
    bend = float(rng.normal(0, 0.2))
    along = x * np.float32(np.cos(angle)) + (y - 0.5) * np.float32(np.sin(angle))
    along += bend * (y - 0.6) ** 2 + noise(rng, 5, 0.06)
    soft = float(np.exp(rng.uniform(np.log(0.02), np.log(0.4))))
    depth = float(rng.uniform(0.3, 0.8))
    shade = 1.0 - depth / (1.0 + np.exp(np.clip((offset - along) / soft, -30, 30)))
    nothing = np.zeros((TEMPLATE_SIZE, TEMPLATE_SIZE), np.float32)
    return [Layer(uniform_image(np.zeros(3, np.float32)), nothing, np.asarray(shade, np.float32))]
