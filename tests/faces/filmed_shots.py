"""Shots of one face as a poor camera films them, for tests of registration and fusion."""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.faces.burst import align_shots, fuse

Crop = NDArray[np.uint8]


def similarity(x: float, y: float, turn: float, zoom: float) -> NDArray[np.float64]:
    """Return (2, 3) about the middle of the template: shift, degrees and scale."""
    matrix = np.asarray(cv2.getRotationMatrix2D((63.5, 63.5), turn, zoom), np.float64)
    matrix[:, 2] += (x, y)
    return matrix


def film(
    face: Crop,
    matrix: NDArray[np.float64],
    rng: np.random.Generator,
    *,
    width: int = 128,
    noise: float = 0.0,
    quality: int | None = None,
) -> Crop:
    """Film a crop (128, 128, 3), moved by a matrix, at a native width, and enlarge it again."""
    moved = cv2.warpAffine(
        face, matrix, (128, 128), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    small = cv2.resize(moved, (width, width), interpolation=cv2.INTER_AREA).astype(np.float32)
    small += rng.normal(0.0, noise, small.shape) if noise else 0.0
    sensed = np.clip(np.rint(small), 0, 255).astype(np.uint8)
    if quality is not None:
        _, data = cv2.imencode(".jpg", sensed, [cv2.IMWRITE_JPEG_QUALITY, quality])
        sensed = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    enlarged = cv2.resize(sensed, (128, 128), interpolation=cv2.INTER_CUBIC)
    return np.asarray(enlarged, np.uint8)


def put_mask(face: Crop, colour: tuple[int, int, int]) -> tuple[Crop, NDArray[np.float32]]:
    """Return a face with a plain mask from the nose down, and its occlusion (128, 128)."""
    y, x = np.mgrid[:128, :128].astype(np.float32)
    inside = ((np.abs(x - 63.0) / 42.0) ** 2.5 + (np.abs(y - 112.0) / 32.0) ** 2.5) < 1.0
    occlusion = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 1.0)[..., None]
    worn = face + occlusion * (np.array(colour, np.float32) - face)
    return np.rint(worn).astype(np.uint8), np.asarray(occlusion[..., 0], np.float32)


class Fused(NamedTuple):
    """Shots that were registered and fused."""

    image: Crop
    support: NDArray[np.float32]
    used: tuple[int, ...]


def fuse_inputs(crops: Crop, weights: Any, **others: Any) -> Fused:
    """Register shots, see `align_shots`, and fuse them."""
    registered = align_shots(crops, weights, **others)
    fused = fuse(registered)
    return Fused(fused.image, fused.support, registered.used)
