"""Small pictures of heads, and how much two of them differ: whether one person may be the other.

A head is compared by the pattern of its luma (hair, brows, beard, glasses) and by its mean colours,
both independent of exposure and size. The box of a face moves on the head from frame to frame, so
the inner part of each thumbnail is compared with all parts of that size of the other, mirrored as
well: a head that turns shows the other side. Others often hide one half of a head. Therefore the
left, the right and the upper half are compared apart, and the one that differs least counts.

Comparing costs about 20 microseconds for a pair and needs no network. It tells people of different
hair or skin apart, not all people: see `faces.tracking.association` for the limits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import LUMA_WEIGHTS

SIDE = 12
"""Width and height of a thumbnail in pixels."""
INNER = 8
"""Width and height of the inner part in pixels, which shows the box of the face."""
MARGIN = (SIDE - INNER) / (2 * INNER)
"""By which the box is enlarged on each side, as a share of its width or height."""
FLAT = 3.0
"""Weighted standard deviation of luma in grey levels below which a half has no pattern."""
CLIPPED, MAX_CLIPPED = 250, 0.3
"""Level of a channel from which a pixel is overexposed, and the mean weighted share of such pixels
from which pattern and colours of a half are unknown."""
DARK = 8.0
"""Grey levels added to the channels before their ratios: dark pixels have little colour."""
GRAY = 0.03
"""Standard deviations of the logarithms of the channels over luma, summed, up to which a thumbnail
is gray and its colour is unknown. The faces of the development clips have 0.04 or more (99 of 100:
0.07), the same in gray, with noise and after JPEG compression, 0.003 or less."""
UNKNOWN_COLOUR = 0.06
"""Difference of colour that is assumed where one of two heads is gray: halfway between those of the
same and of different people."""
PATTERN_NOISE, COLOUR_NOISE = 0.01, 0.02
"""Differences of pattern and of colour that mean nothing, and are added to them."""

Thumbnails = NDArray[np.uint8]


def head_thumbnails(
    image: NDArray[np.uint8], boxes: Sequence[tuple[float, float, float, float]]
) -> Thumbnails:
    """Return area means of the heads in a frame, RGB uint8 (n, 12, 12, 3).

    Args:
        image: The frame, RGB uint8 (H, W, 3).
        boxes: Left, top, right and bottom of n faces in pixels. A part outside the frame repeats
            the pixels at its edge; a face that is outside is black.

    """
    heads = np.zeros((len(boxes), SIDE, SIDE, 3), np.uint8)
    for head, (left, top, right, bottom) in zip(heads, boxes, strict=True):
        aside, above = MARGIN * (right - left), MARGIN * (bottom - top)
        x0, x1 = round(left - aside), round(right + aside)
        y0, y1 = round(top - above), round(bottom + above)
        rows = slice(max(0, y0), max(0, y1))
        part = image[rows, max(0, x0) : max(0, x1)]
        if not part.size:
            continue
        height, width = part.shape[:2]
        before, over = max(0, -y0), max(0, -x0)
        sides = (before, y1 - y0 - before - height, over, x1 - x0 - over - width)
        whole = cv2.copyMakeBorder(part, *sides, cv2.BORDER_REPLICATE)
        head[:] = cv2.resize(whole, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return heads


@dataclass(frozen=True, eq=False)
class _Parts:
    """Parts of k thumbnails, p of each, in three halves."""

    patterns: NDArray[np.float32]
    """(3, k, p, 64) luma, of weighted mean 0, and length 1 or, with little pattern, less."""
    colours: NDArray[np.float32]
    """(3, k, p, 3) weighted means of the logarithms of the channels over luma."""
    unknown: NDArray[np.bool_]
    """(3, k) whether no part has a pattern, or they are overexposed."""
    has_gray: NDArray[np.bool_]
    """(k,) whether a part has no colour."""


def head_differences(known: Thumbnails, found: Thumbnails) -> NDArray[np.float64]:
    """Return how much heads differ: about 0.02 to 0.1 for the same, 0.1 to 0.5 for other people.

    The difference is the geometric mean of that of the pattern, 1 minus the normalised
    cross-correlation of luma, and of that of the colours, the sum of the absolute differences of
    the mean logarithms of the three channels over luma.

    Args:
        known: (n, 12, 12, 3) as of `head_thumbnails`.
        found: (m, 12, 12, 3) likewise.

    Returns:
        (n, m); NaN where one of them is too dark or too blurred to show a pattern, or overexposed.

    """
    return (_one_way(known, found) + _one_way(found, known).T) / 2.0


def _one_way(known: Thumbnails, found: Thumbnails) -> NDArray[np.float64]:
    """Return the differences (n, m) of inner parts of n thumbnails and all parts of m others."""
    differences = np.full((len(known), len(found)), np.nan)
    if not differences.size:
        return differences
    edge = (SIDE - INNER) // 2
    inner = known[:, edge : edge + INNER, edge : edge + INNER][:, None]
    ours = _parts(np.concatenate([inner, inner[:, :, :, ::-1]], axis=1))
    windows = np.lib.stride_tricks.sliding_window_view(found, (INNER, INNER), axis=(1, 2))
    theirs = _parts(np.moveaxis(windows, 3, 5).reshape(len(found), -1, INNER, INNER, 3))
    for row in range(len(known)):
        # (3, m, 25, 2), as all that follows.
        pattern = 1.0 - theirs.patterns @ ours.patterns[:, row].transpose(0, 2, 1)[:, None]
        change = theirs.colours[:, :, :, None] - ours.colours[:, row][:, None, None]
        colour = np.abs(change).sum(axis=-1)
        colour[:, theirs.has_gray | ours.has_gray[row]] = UNKNOWN_COLOUR
        both = np.sqrt((pattern + PATTERN_NOISE) * (colour + COLOUR_NOISE))
        least = both.min(axis=(2, 3)).astype(np.float64)
        least[theirs.unknown | ours.unknown[:, row, None]] = np.inf
        best = least.min(axis=0)
        differences[row] = np.where(np.isfinite(best), best, np.nan)
    return differences


def _weights() -> NDArray[np.float32]:
    """Return weights (3, 64) of the pixels in the left, right and upper half, of sum 1."""
    rows, columns = np.mgrid[-1 : 1 : INNER * 1j, -1 : 1 : INNER * 1j]
    central = np.exp(-(rows**2) - columns**2)
    halves = np.stack([central * (columns < 0), central * (columns > 0), central * (rows < 0)])
    weights = halves.reshape(3, -1) / halves.sum(axis=(1, 2))[:, None]
    return np.asarray(weights, np.float32)


WEIGHTS = _weights()


def _parts(pictures: NDArray[np.uint8]) -> _Parts:
    """Return parts (k, p, 8, 8, 3) of thumbnails, ready for comparison."""
    levels = pictures.reshape(*pictures.shape[:2], INNER * INNER, 3).astype(np.float32)
    luma = levels @ np.array(LUMA_WEIGHTS, np.float32)
    ratios = np.log((levels + DARK) / (luma[..., None] + DARK))
    colours = np.einsum("hp,kwpc->hkwc", WEIGHTS, ratios)
    weights = WEIGHTS[:, None, None]
    centred = luma - (luma * weights).sum(axis=-1, keepdims=True)
    variance = (centred**2 * weights).sum(axis=-1)
    scale = np.sqrt(weights / (variance[..., None] + 1.0))
    clipped = np.einsum("hp,kwp->hkw", WEIGHTS, (levels >= CLIPPED).any(axis=-1))
    unknown = np.all(variance < FLAT**2, axis=2) | (clipped.mean(axis=2) > MAX_CLIPPED)
    gray = np.any(ratios.std(axis=2).sum(axis=-1) <= GRAY, axis=1)
    return _Parts(centred * scale, colours, np.asarray(unknown), np.asarray(gray))
