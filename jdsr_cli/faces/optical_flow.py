"""Dense optical flow between aligned crops, by dense inverse search (Kroeger et al. 2016)."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.faces.resampling import sample

COARSEST = 24.0
"""Standard deviation in pixels of the Gaussian whose result is subtracted: light and colour."""
LEAST_BLUR = 2.0
"""Least standard deviation in pixels of the Gaussian before the flow; half a native pixel if that
is more."""
CONTRAST = 40.0
"""Standard deviation in grey levels to which the band is scaled, since the flow is estimated from
8 bits."""
FINEST_SCALE = 1
"""Level of the pyramid at which the search ends; level 0 has all pixels."""
PATCH_SIZE, PATCH_STRIDE = 16, 4
"""Side and distance in pixels of the patches that are searched."""


def band(luma: NDArray[np.float32], limits: tuple[float, float]) -> NDArray[np.float32]:
    """Return what lies between two Gaussians of given standard deviations, in pixels."""
    low, high = (cv2.GaussianBlur(luma, (0, 0), limit) for limit in limits)
    return np.asarray(low - high, np.float32)


def flow_levels(luma: NDArray[np.float32], native_width: float) -> NDArray[np.uint8]:
    """Return the grey levels of a crop from which flow is estimated.

    Args:
        luma: (128, 128) in grey levels.
        native_width: Width of the face as filmed, in pixels; decides how much noise is smoothed.

    """
    structure = band(luma, (max(LEAST_BLUR, 0.5 * TEMPLATE_SIZE / native_width), COARSEST))
    scale = CONTRAST / max(float(structure.std()), 1.0)
    return np.asarray(np.clip(np.rint(128.0 + scale * structure), 0.0, 255.0), np.uint8)


def estimate_flow(
    one: NDArray[np.uint8], other: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the flow from one picture to another and back, each (side, side, 2): x and y.

    A pixel p of the first lies at p + flow[p] in the second.

    Args:
        one: Grey levels (side, side).
        other: Grey levels of the same size.

    """
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    estimator.setFinestScale(FINEST_SCALE)
    estimator.setPatchSize(PATCH_SIZE)
    estimator.setPatchStride(PATCH_STRIDE)
    nothing = np.zeros((*one.shape, 2), np.float32)
    forward, backward = (
        np.asarray(estimator.calc(first, second, nothing.copy()), np.float32)
        for first, second in ((one, other), (other, one))
    )
    return forward, backward


def positions(flow: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return where the pixels lie in the other picture, (side, side, 2): x and y."""
    y, x = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
    return np.stack([x, y], axis=2) + flow


def round_trip(forward: NDArray[np.float32], backward: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how far each pixel ends from where it started, there and back, (side, side, 2).

    It is zero where both flows agree.
    """
    return forward + sample(backward, positions(forward))
