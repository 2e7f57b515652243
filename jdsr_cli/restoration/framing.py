"""Geometry of results: how much frames and crops are enlarged, and where the template lies."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.faces import TEMPLATE_SIZE, Alignment
from jdsr_cli.settings import RestoreSettings

LONGEST_SIDE = 4096
"""Pixels of the longer side of a frame that was enlarged without being asked to."""
LARGEST_CANVAS = 1024
"""Side of the largest crop in pixels."""


@dataclass(frozen=True)
class FramePlan:
    """How frames of one input are enlarged."""

    scale: int
    width: int
    """Of the enlarged frame, pixels."""
    height: int
    note: str | None = None
    """Said to the person when the factor is not the one asked for."""


def plan_frames(width: int, height: int, settings: RestoreSettings) -> FramePlan:
    """Choose the factor for frames of `width` x `height`.

    A factor asked for is taken; otherwise `scale`, lowered until the longer side has at most
    4096 pixels. Faces are restored from the input's own pixels whatever the factor.
    """
    scale, note = settings.scale if settings.frame_scale is None else settings.frame_scale, None
    if settings.frame_scale is None:
        fitting = max(1, min(scale, LONGEST_SIDE // max(width, height)))
        if fitting < scale:
            note = (
                f"frames are enlarged {fitting} times instead of {scale}, so that their longer "
                f"side stays within {LONGEST_SIDE} px; --frame-scale {scale} insists"
            )
        scale = fitting
    return FramePlan(scale, width * scale, height * scale, note)


def enlarge(image: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Return a new image, `factor` times as large by bicubic interpolation."""
    if factor == 1:
        return image.copy()
    size = (image.shape[1] * factor, image.shape[0] * factor)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def template_to_frame(alignment: Alignment, factor: int) -> NDArray[np.float64]:
    """Return (2, 3) from 128-pixel template coordinates to those of the enlarged frame."""
    matrix = alignment.inverse()
    matrix[:, 2] += 0.5
    matrix *= factor
    matrix[:, 2] -= 0.5
    return matrix


def template_to_canvas(side: int) -> NDArray[np.float64]:
    """Return (2, 3) from 128-pixel template coordinates to a canvas of `side` pixels."""
    factor = side / TEMPLATE_SIZE
    shift = 0.5 * factor - 0.5
    return np.array([[factor, 0.0, shift], [0.0, factor, shift]])


def canvas_side(native_width: float, scale: int) -> int:
    """Return the side of the crop of a face whose region is `native_width` px wide."""
    return min(LARGEST_CANVAS, max(TEMPLATE_SIZE, round(scale * native_width)))
