"""Registration of aligned crops of one face on a reference crop.

The landmarks align a face to a few pixels only, under a mask to more. Both crops are reduced to the
band of structure that survives a bad camera, and enhanced correlation (Evangelidis and Psarakis
2008) finds the affine map between them. Its nearest similarity is taken unless the affine map
explains clearly more, since noise alone makes a narrow face wider or skewed. Dense inverse search
(Kroeger et al. 2016) then adds a smooth flow for expression and pose, kept where forward and
backward flow agree and only if it raises the correlation.

Median error in pixels of the template over 40 faces of `faces128` test, filmed twice by the camera
of training (misaligned by up to 3 px, 4 degrees and 5 %), the second time with a smooth random
deformation of so many pixels rms:

::

    native width, px                  16     24     36     56
    none, not registered             2.5    3.3    2.9    3.1
      affine                         1.79   0.79   0.36   0.23
      similarity                     1.44   0.56   0.32   0.20
      as here, with flow             1.45   0.69   0.37   0.20
    1.5, affine                      2.04   1.13   0.89   0.91
      similarity                     1.86   1.12   1.00   0.98
      as here, with flow             1.79   0.97   0.71   0.61
    3.0, affine                      2.53   1.98   1.67   1.73
      similarity                     2.44   2.09   1.84   1.98
      as here, with flow             2.32   1.49   1.21   1.09
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.errors import UsageError
from jdsr_cli.faces.optical_flow import COARSEST, band, estimate_flow, flow_levels, round_trip
from jdsr_cli.faces.regions import face_region
from jdsr_cli.faces.resampling import chain, invert, sample, zoom

MIN_CORRELATION = 0.85
"""Least correlation of the compared bands after the affine registration, `NOISE_ALLOWANCE` less in
faces narrower than `FLOW_FROM`.

Of 30 faces filmed twice, 95 % are above 0.78, 0.90, 0.94 and 0.95 at 16, 24, 36 and 56 px; of pairs
of different people 95 % are below 0.74, 0.76, 0.69 and 0.72. Of the other shots of 67 people of a
street clip, 48 % are above 0.85 and within `MAX_SHIFT` of the best one.
"""
NOISE_ALLOWANCE = 0.05
MAX_SHIFT = 16.0
"""Maximum displacement of the middle of the face, in pixels of the template."""
MAX_ROTATION = 0.2
"""Maximum change of scale or rotation (radians)."""
LEAST_VISIBLE = 0.15
"""Share of the face region that must be visible in both crops."""
ITERATIONS = 60
CONVERGED = 1e-4
"""Maximum iterations of the registration, and the gain of correlation at which it ends."""
SMOOTHING = 5
"""Side in pixels of the Gaussian that enhanced correlation applies to both crops."""
REGISTERED_BAND = (1.0, COARSEST)
COMPARED_BAND = (2.5, 16.0)
"""Standard deviations in pixels of the Gaussians that limit the bands in which crops are registered
and compared: without light and colour above, without noise below."""
FILL_REACH = 16.0
"""Standard deviation in pixels of the Gaussian by which what is covered is filled."""
AFFINE_GAIN = 0.01
"""Gain of correlation from which the affine map replaces its nearest similarity."""
FLOW_FROM = 20.0
"""Native width in pixels from which flow is estimated; in narrower faces it follows the noise."""
FLOW_SMOOTHNESS = 7.0
"""Standard deviation in pixels of the Gaussian that smooths the flow."""
MAX_FLOW = 6.0
"""Pixels above which a displacement is not believed."""
INCONSISTENT = 1.0
"""Pixels by which forward and backward flow may differ."""
FLOW_GAIN = 0.002
"""Gain of correlation from which flow is kept."""

_COARSE = (TEMPLATE_SIZE, TEMPLATE_SIZE)


@dataclass(frozen=True, eq=False)
class Registration:
    """Where the pixels of a reference crop lie in another crop of the same face."""

    matrix: NDArray[np.float64]
    """(2, 3) from pixels of the reference to pixels of the picture."""
    flow: NDArray[np.float32] | None
    """(side, side, 2): displacement x and y of each pixel of the reference before the matrix is
    applied; None if the matrix suffices."""
    correlation: float
    """Correlation of both crops after registration, at most 1."""

    def coordinates(self, side: int) -> NDArray[np.float32]:
        """Return the point of the picture for each pixel of the reference, (side, side, 2).

        Args:
            side: Side of the crops that were registered, in pixels.

        """
        y, x = np.mgrid[:side, :side].astype(np.float32)
        points = np.stack([x, y], axis=2)
        if self.flow is not None:
            points += self.flow
        return np.asarray(points @ self.matrix[:, :2].T + self.matrix[:, 2], np.float32)


def register(
    reference: NDArray[np.uint8],
    picture: NDArray[np.uint8],
    *,
    weight: NDArray[np.float32] | None = None,
    native_width: float = float(TEMPLATE_SIZE),
) -> Registration | None:
    """Register an aligned crop on another one of the same face.

    Args:
        reference: RGB uint8 (side, side, 3), in the template, in canonical colours.
        picture: Likewise.
        weight: (128, 128) in [0, 1]: where both may be compared, such as where neither is covered;
            everywhere by default.
        native_width: Width of the narrower of both faces as filmed, in pixels; decides whether flow
            is estimated, and how much noise is smoothed before.

    Returns:
        None if they do not match: the registration does not converge or exceeds `MAX_SHIFT` or
        `MAX_ROTATION`, too little is visible in both, or they remain unlike, since they show
        another expression, another pose or another person.

    Raises:
        UsageError: The crops are not square RGB pictures of one size, or the weight has another
            shape.

    """
    _check(reference, picture, weight)
    seen = np.ones(_COARSE, np.float32) if weight is None else np.clip(weight, 0.0, 1.0)
    region = np.asarray(face_region() * seen, np.float32)
    if float(region.sum()) < LEAST_VISIBLE * float(face_region().sum()):
        return None
    fixed, moving = (_fill(_luma(one, TEMPLATE_SIZE), seen) for one in (reference, picture))
    least = MIN_CORRELATION - (NOISE_ALLOWANCE if native_width < FLOW_FROM else 0.0)
    found = _register_affine(fixed, moving, region, least)
    if found is None:
        return None
    matrix, correlation = found
    side = len(reference)
    factor = side / TEMPLATE_SIZE
    scaled = matrix
    if side != TEMPLATE_SIZE:
        start = chain(zoom(factor), chain(matrix, zoom(1.0 / factor)))
        scaled = _refine(reference, picture, start, region)
        matrix = chain(zoom(1.0 / factor), chain(scaled, zoom(factor)))
    flow = None
    if native_width >= FLOW_FROM:
        flow, correlation = _find_flow(fixed, moving, matrix, region, native_width, correlation)
    if flow is not None and side != TEMPLATE_SIZE:
        flow = np.asarray(cv2.resize(flow, (side, side)) * np.float32(factor), np.float32)
    return Registration(scaled, flow, correlation)


def _check(
    reference: NDArray[np.uint8], picture: NDArray[np.uint8], weight: NDArray[np.float32] | None
) -> None:
    square = reference.ndim == 3 and reference.shape == (len(reference), len(reference), 3)
    if not square or not reference.size or picture.shape != reference.shape:
        raise UsageError(
            f"a crop {picture.shape} cannot be registered on one {reference.shape}",
            hint="Give two square RGB crops of one size.",
        )
    if weight is not None and weight.shape != _COARSE:
        raise UsageError(
            f"crops cannot be compared by a weight of shape {weight.shape}",
            hint="Give (128, 128).",
        )


def _luma(picture: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """Return the luma of a crop, reduced or enlarged to (side, side)."""
    luma = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    if len(luma) != side:
        way = cv2.INTER_AREA if len(luma) > side else cv2.INTER_CUBIC
        luma = cv2.resize(luma, (side, side), interpolation=way)
    return np.asarray(luma, np.float32)


def _fill(luma: NDArray[np.float32], seen: NDArray[np.float32]) -> NDArray[np.float32]:
    """Continue what is visible smoothly into what is not, so that no band contains a mask's edge.

    Args:
        luma: (128, 128).
        seen: (128, 128) in [0, 1].

    """
    if seen.min() == 1.0:
        return luma
    inside = cv2.GaussianBlur(luma * seen, (0, 0), FILL_REACH)
    around = inside / (cv2.GaussianBlur(seen, (0, 0), FILL_REACH) + 1e-3)
    return np.asarray(seen * luma + (1.0 - seen) * around, np.float32)


def _register_affine(
    fixed: NDArray[np.float32],
    moving: NDArray[np.float32],
    region: NDArray[np.float32],
    least: float,
) -> tuple[NDArray[np.float64], float] | None:
    """Return the map between two lumas and their correlation under it.

    None if they do not match: their correlation is less than `least`, or they are too far apart.
    """
    here, there = (band(one, REGISTERED_BAND) for one in (fixed, moving))
    affine = _correlate(here, there, np.eye(2, 3), region)
    if affine is None:
        return None
    similarity = _nearest_similarity(affine, region)
    here, there = (band(one, COMPARED_BAND) for one in (fixed, moving))
    by_affine, by_similarity = (
        _correlation(here, warp(there, one), region) for one in (affine, similarity)
    )
    better = by_affine > by_similarity + AFFINE_GAIN
    matrix, correlation = (affine, by_affine) if better else (similarity, by_similarity)
    if correlation < least or not _is_near(matrix, region):
        return None
    return matrix, correlation


def _correlate(
    fixed: NDArray[np.float32],
    moving: NDArray[np.float32],
    start: NDArray[np.float64],
    region: NDArray[np.float32],
) -> NDArray[np.float64] | None:
    """Return the affine map of largest enhanced correlation; None if it does not converge."""
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, ITERATIONS, CONVERGED)
    within = (region > 0.1).astype(np.uint8)
    try:
        _, found = cv2.findTransformECC(
            *(fixed, moving, start.astype(np.float32), cv2.MOTION_AFFINE),
            *(criteria, within, SMOOTHING),
        )
    except cv2.error:
        return None
    matrix = np.asarray(found, np.float64)
    return matrix if np.isfinite(matrix).all() else None


def _nearest_similarity(
    matrix: NDArray[np.float64], region: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the similarity that moves the points of the region most nearly as a map (2, 3)."""
    y, x = np.nonzero(region > 0.1)
    share = region[y, x] / region[y, x].sum()
    there = np.stack([x, y], axis=1) @ matrix[:, :2].T + matrix[:, 2]
    source, target = x + 1j * y, there[:, 0] + 1j * there[:, 1]
    middle, moved = share @ source, share @ target
    source = source - middle
    turn = (share @ (source.conj() * (target - moved))) / (share @ np.abs(source) ** 2)
    shift = moved - turn * middle
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def _is_near(matrix: NDArray[np.float64], region: NDArray[np.float32]) -> bool:
    """Return whether a map is within the limits, over the middle of the template."""
    if np.abs(matrix[:, :2] - np.eye(2)).max() > MAX_ROTATION:
        return False
    low, high = 0.25 * TEMPLATE_SIZE, 0.75 * TEMPLATE_SIZE
    corners = np.array([[low, low], [high, low], [low, high], [high, high]])
    moved = corners @ matrix[:, :2].T + matrix[:, 2] - corners
    return bool(np.abs(moved).max() <= MAX_SHIFT)


def _find_flow(
    fixed: NDArray[np.float32],
    moving: NDArray[np.float32],
    matrix: NDArray[np.float64],
    region: NDArray[np.float32],
    native_width: float,
    correlation: float,
) -> tuple[NDArray[np.float32] | None, float]:
    """Return the flow that remains after a map, and the correlation with it; None if it is no gain.

    Args:
        fixed: (128, 128) luma of the reference.
        moving: (128, 128) luma of the picture.
        matrix: (2, 3) from the reference to the picture.
        region: (128, 128) where both are compared.
        native_width: See `register`.
        correlation: Correlation without flow.

    """
    here, there = (flow_levels(one, native_width) for one in (fixed, warp(moving, matrix)))
    forward, backward = estimate_flow(here, there)
    mismatch = np.abs(round_trip(forward, backward)).max(axis=2)
    agreed = (mismatch < INCONSISTENT) & (np.abs(forward).max(axis=2) < MAX_FLOW)
    trust = np.asarray(agreed * region, np.float32)
    evidence = cv2.GaussianBlur(trust, (0, 0), FLOW_SMOOTHNESS)[..., None] + 0.1
    flow = np.asarray(
        cv2.GaussianBlur(forward * trust[..., None], (0, 0), FLOW_SMOOTHNESS) / evidence, np.float32
    )
    fixed, moving = (band(one, COMPARED_BAND) for one in (fixed, moving))
    moved = Registration(matrix, flow, 1.0).coordinates(TEMPLATE_SIZE)
    reached = _correlation(fixed, sample(moving, moved), region)
    return (flow, reached) if reached > correlation + FLOW_GAIN else (None, correlation)


def _refine(
    reference: NDArray[np.uint8],
    picture: NDArray[np.uint8],
    matrix: NDArray[np.float64],
    region: NDArray[np.float32],
) -> NDArray[np.float64]:
    """Return the map in all pixels of larger crops, or the given one where that fails."""
    side = len(reference)
    fixed, moving = (band(_luma(one, side), REGISTERED_BAND) for one in (reference, picture))
    within = np.asarray(cv2.resize(region, (side, side)), np.float32)
    found = _correlate(fixed, moving, matrix, within)
    if found is None:
        return matrix
    y, x = np.mgrid[0.25:0.75:5j, 0.25:0.75:5j] * side
    change = chain(invert(matrix), found)
    moved = np.abs((change[0, 0] - 1.0) * x + change[0, 1] * y + change[0, 2]).max()
    return found if moved < 2.0 * side / TEMPLATE_SIZE else matrix


def _correlation(
    one: NDArray[np.float32], other: NDArray[np.float32], weight: NDArray[np.float32]
) -> float:
    """Return the weighted correlation of two lumas."""
    total = float(weight.sum())
    here, there = (field - float((weight * field).sum()) / total for field in (one, other))
    power = float((weight * here**2).sum()) * float((weight * there**2).sum())
    return float((weight * here * there).sum()) / float(np.sqrt(max(power, 1e-12)))


def warp(picture: NDArray[np.float32], matrix: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return a picture (side, side) as the reference shows it, by an affine map (2, 3)."""
    side = picture.shape[0]
    warped = cv2.warpAffine(
        picture,
        matrix,
        (side, side),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(warped, np.float32)
