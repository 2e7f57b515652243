"""From five points to the training template and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.faces.resample import chain, invert, resample, stretch, zoom

TEMPLATE_SIZE = 128
"""Side of the template in pixels."""
TEMPLATE: NDArray[np.float64] = np.array(
    [[45.9, 65.9], [81.3, 65.9], [63.1, 88.7], [47.3, 103.9], [78.8, 103.9]]
)
"""(5, 2): eyes, nose, mouth corners, image left first, in pixels of the template.

CelebA's aligned pictures cut to 138 x 138 at (20, 40) and scaled to 128.
"""
TEMPLATE.setflags(write=False)
POINT_WEIGHTS = (3.0, 3.0, 1.0, 1.0, 1.0)
"""Trust in each point: under a mask nose and mouth are guesses."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """An affine map from a frame to the template; a similarity where its pixels are square."""

    matrix: NDArray[np.float64]
    """(2, 3), from pixels of the frame to pixels of the 128-pixel template."""

    @property
    def native_width(self) -> float:
        """Width of the template's region in the frame, in pixels; inf for a map to one point.

        Of a frame whose pixels are not square, in the longer side of its pixels: the detail that
        was filmed in the direction that has least of it.
        """
        scale = stretch(self.matrix)
        return TEMPLATE_SIZE / scale if scale > 0.0 else float("inf")

    def inverse(self) -> NDArray[np.float64]:
        """Return (2, 3) from pixels of the template to pixels of the frame.

        Raises:
            UsageError: the alignment maps everything to one point or is not finite.

        """
        return invert(self.matrix)


def estimate(
    points: NDArray[np.floating], weights: Sequence[float] | NDArray[np.floating] | None = None
) -> Alignment:
    """Fit the similarity that takes five points nearest to the template.

    Weighted least squares over turn, uniform scale and shift (Umeyama 1991, never a
    reflection), in closed form: with points as complex numbers the map is a z + b.

    Args:
        points: (5, 2) in pixels of the frame, ordered as `TEMPLATE`.
        weights: Five numbers, none negative; `POINT_WEIGHTS` where not given.

    Raises:
        UsageError: the points or weights have another shape or are not finite, or the points
            that count are all in one place.

    """
    here = np.asarray(points, dtype=np.float64)
    share = np.asarray(POINT_WEIGHTS if weights is None else weights, dtype=np.float64)
    if here.shape != TEMPLATE.shape or not np.isfinite(here).all():
        raise UsageError(
            f"a face is aligned by five finite points (5, 2), not {here.tolist()}",
            hint="Leave the face out.",
        )
    if share.shape != (5,) or not np.isfinite(share).all() or share.min() < 0 or share.max() == 0:
        raise UsageError(
            f"five points cannot be weighted by {share.tolist()}",
            hint="Give five numbers, none negative and not all 0.",
        )
    share = share / share.sum()
    source, target = (one[:, 0] + 1j * one[:, 1] for one in (here, TEMPLATE))
    source_mean, target_mean = share @ source, share @ target
    spread = share @ np.abs(source - source_mean) ** 2
    # Coordinates of some thousand pixels leave this much of rounding behind.
    if spread <= 1e-18 * (1.0 + abs(source_mean) ** 2):
        raise UsageError(
            "the points of the face are all in one place",
            where=f"({source_mean.real:.1f}, {source_mean.imag:.1f})",
            hint="Leave the face out.",
        )
    turn = share @ (np.conj(source - source_mean) * (target - target_mean)) / spread
    shift = target_mean - turn * source_mean
    return Alignment(
        np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])
    )


def crop(
    image: NDArray[np.uint8], alignment: Alignment, size: int = TEMPLATE_SIZE
) -> NDArray[np.uint8]:
    """Cut an aligned face out of a frame, resampled once and without aliasing.

    Args:
        image: RGB uint8 (H, W, 3); beyond its border its nearest border pixel is taken.
        alignment: Of the face.
        size: Side of the crop in pixels, whatever the face's native width.

    Returns:
        RGB uint8 (size, size, 3).

    Raises:
        UsageError: `size` is not positive, or the alignment cannot be inverted.

    """
    return resample(image, chain(alignment.inverse(), zoom(TEMPLATE_SIZE / size)), size)
