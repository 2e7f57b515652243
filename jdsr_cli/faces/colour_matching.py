"""Matching of the slowly varying colour of a restored face to the picture around it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.faces.regions import face_region
from jdsr_cli.faces.resampling import average_blocks, chain, cut_out, extent, zoom

GRID = 32
"""Side of the grid on which colours are compared; slow changes need no more."""
REACH = 5.0
"""Standard deviation in grid points of what counts as slow."""
UNLIKE = 40.0
"""Grey levels from the median difference at which the weight of a point begins to fall.

Such points belong to hair, glasses, or a mask that was not recognised.
"""
LEAST = 1e-6
"""Constant in the denominator: where all is covered, colours are not changed."""
OVERALL = 0.05
"""Weight of the mean difference of the face, which dominates far from uncovered points."""
RIM = 0.05
"""Coverage above which a point is not used."""


def match_colour(
    restored: NDArray[np.uint8],
    base: NDArray[np.uint8],
    matrix: NDArray[np.float64],
    covered: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Shift the colours of a restored face to those of the picture, by region.

    The difference between both pictures is averaged over the uncovered face near each point
    (normalised convolution), and extrapolated into covered areas.

    Args:
        restored: RGB uint8 (128, 128, 3), in the template.
        base: RGB uint8 (H, W, 3).
        matrix: (2, 3) from the template to `base`.
        covered: (128, 128) in [0, 1], see `covered_region`.

    Returns:
        RGB float32 (128, 128, 3), not clipped.

    """
    side = restored.shape[0]
    size = (GRID, GRID)
    there, inside = _read(base, chain(matrix, zoom(side / GRID)))
    here = cv2.resize(restored, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    difference = there - here
    open_face = cv2.resize(face_region() * (covered <= RIM), size, interpolation=cv2.INTER_AREA)
    trust = (open_face * inside).astype(np.float32)
    trust *= _plausible(difference, trust)
    evidence = cv2.GaussianBlur(trust, (0, 0), REACH)[..., None]
    weighted = difference * trust[..., None]
    overall = weighted.sum(axis=(0, 1)) / (trust.sum() + LEAST)
    slow = cv2.GaussianBlur(weighted, (0, 0), REACH)
    shift = (slow + OVERALL * overall) / (evidence + OVERALL)
    enlarged = cv2.resize(shift, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.asarray(restored.astype(np.float32) + enlarged, dtype=np.float32)


def _read(
    base: NDArray[np.uint8], to_base: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the colours of the base at the grid points, and which of these lie inside it."""
    source, to_source = cut_out(base, to_base, GRID, GRID)
    block = int(extent(to_source))
    if block > 1:
        source, to_source = average_blocks(source, to_source, block)
    colours = cv2.warpAffine(
        source.astype(np.float32),
        to_source,
        (GRID, GRID),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    y, x = np.mgrid[:GRID, :GRID].astype(np.float64)
    u, v = (row[0] * x + row[1] * y + row[2] for row in to_base)
    height, width = base.shape[:2]
    inside = (u >= -0.5) & (u <= width - 0.5) & (v >= -0.5) & (v <= height - 0.5)
    return np.asarray(colours, dtype=np.float32), inside


def _plausible(difference: NDArray[np.float32], trust: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (GRID, GRID) near 1 where the difference is like that of most of the open face."""
    certain = trust > 0.5 * trust.max()
    if not certain.any():
        return np.ones_like(trust)
    usual = np.median(difference[certain], axis=0)
    error = np.abs(difference - usual).max(axis=2)
    return np.asarray(1.0 / (1.0 + (error / UNLIKE) ** 4), dtype=np.float32)
