"""What darkens a lower face without covering it: beards, moustaches, shadows from the side."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.synthesis.occluders.canvas import (
    Canvas,
    ellipse,
    face_coordinates,
    face_matrix,
    noise,
    plain,
)
from jdsr_cli.synthesis.occluders.frame import Colour, FaceFrame
from jdsr_cli.synthesis.occluders.scene import SIZE, Layer, lit
from jdsr_cli.synthesis.occluders.worn import hair_colour


def draw_beard(frame: FaceFrame, rng: np.random.Generator) -> list[Layer]:
    """Draw a beard along the jaw and around the mouth: stubble, full, or at the chin only."""
    colour = hair_colour(frame, rng)
    canvas = Canvas(face_matrix(frame), colour)
    x, y = _in_face(frame)
    first = int(rng.choice((2, 3, 5), p=(0.45, 0.35, 0.2)))
    outer = np.column_stack([x, y])[first : 17 - first]
    outer = outer + (0.0, float(rng.uniform(0.0, 0.3))) * np.clip(outer[:, 1:] - 0.8, 0, 1)
    cheek = float(rng.uniform(0.45, 0.75))
    upper = float(rng.uniform(0.62, 0.85))
    inner = [(cheek, 0.9), (0.42, upper), (0.12, upper - 0.06), (-0.12, upper - 0.06),
             (-0.42, upper), (-cheek, 0.9)]  # fmt: skip
    canvas.polygon(np.concatenate([outer, inner]), colour)
    _mouth(canvas, rng)
    return [_hairy(canvas, colour, frame, rng, float(rng.uniform(0.3, 0.92)))]


def draw_moustache(frame: FaceFrame, rng: np.random.Generator) -> list[Layer]:
    """Draw a moustache between nose and mouth, sometimes with a tuft on the chin."""
    colour = hair_colour(frame, rng)
    canvas = Canvas(face_matrix(frame), colour)
    wide, thick = float(rng.uniform(0.35, 0.6)), float(rng.uniform(0.12, 0.24))
    droop = float(rng.uniform(0.0, 0.25))
    canvas.polygon(
        [(-wide, 0.94 + droop), (-0.3, 0.9 - thick), (0, 0.93 - thick), (0.3, 0.9 - thick),
         (wide, 0.94 + droop), (0.25, 0.93), (0, 0.9), (-0.25, 0.93)], colour,
    )  # fmt: skip
    if rng.random() < 0.4:
        tuft = float(rng.uniform(0.15, 0.35))
        canvas.ellipse((0, 1.55), (tuft, float(rng.uniform(0.15, 0.35))), colour)
    return [_hairy(canvas, colour, frame, rng, float(rng.uniform(0.5, 0.95)))]


def _in_face(frame: FaceFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    matrix = np.linalg.inv(np.column_stack([frame.across, frame.drop]))
    x, y = matrix @ (frame.jaw - frame.eyes).T
    return x, y


def _mouth(canvas: Canvas, rng: np.random.Generator) -> None:
    """Leave the lips free."""
    wide = float(rng.uniform(0.36, 0.46))
    pixels = ellipse((0, 1.02), (wide, float(rng.uniform(0.12, 0.2))))
    canvas.erase(pixels)


def _hairy(
    canvas: Canvas, colour: Colour, frame: FaceFrame, rng: np.random.Generator, dense: float
) -> Layer:
    """Give what was drawn a soft edge and the texture of short hair."""
    edge = canvas.alpha(max(0.6, 0.05 * frame.unit * float(rng.uniform(0.6, 2.0))))
    raw = rng.standard_normal((SIZE, SIZE), dtype=np.float32)
    grain = np.asarray(cv2.GaussianBlur(raw, (0, 0), sigmaX=0.6, sigmaY=1.2), np.float32)
    alpha = np.clip(edge * dense * (1.0 + 0.3 * grain + noise(rng, 8, 0.15)), 0, 0.97)
    light = np.asarray(1.0 + 0.3 * np.roll(grain, 2, axis=1), np.float32)
    alpha = np.asarray(alpha, np.float32)
    return Layer(lit(plain(colour), light * alpha), alpha, beneath=True)


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
    nothing = np.zeros((SIZE, SIZE), np.float32)
    return [Layer(plain(np.zeros(3, np.float32)), nothing, np.asarray(shade, np.float32))]
