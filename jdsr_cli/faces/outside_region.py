"""Removal of the part of a mask outside the template, below the restored chin.

The template ends at the chin, and the lower edge of a mask would remain as a coloured strip. It is
segmented by colour, connected to the occluded pixels, and inpainted from the restored chin above
and the picture around. If the segmentation is uncertain, nothing is changed.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.faces.regions import SOFTEN, face_region, inner_region
from jdsr_cli.faces.resampling import average_blocks, chain, cut_out, extent

FIRST = 48
"""First row of the template that is read; the cheeks give the colour of skin."""
BELOW = 56
"""Number of rows below the template that are analysed."""
CLEAR = 12
"""Number of the last of these rows, which no mask may reach: longer regions are clothes."""
CERTAIN = 0.6
"""Occlusion above which a pixel belongs to the mask."""
LOWEST = 16
"""Rows at the template's lower edge that give the mask's colour."""
MIN_COLUMNS = 16
"""Minimum number of occluded columns at the lower edge; fewer are a hand or hair."""
MANY_COLUMNS = 34
"""Number of occluded columns at the lower edge below which the colour must be more uniform."""
NEAR = 8
"""Columns beside the region in which the mask is removed above it as well."""
MIN_PIXELS = 8
"""Minimum number of mask pixels below the template."""
LIGHTNESS = 0.5
"""Weight of lightness relative to colour in distances, since shade mostly changes lightness."""
SHADES = (1.0, 0.85, 0.7, 0.55, 0.4)
"""Factors of brightness of skin, since a neck is in the shade."""
TOLERANCE = 14.0
"""Distance in Lab from the mask's colours above which a pixel is not part of the mask."""
UNLIKE = 8.0
"""Minimum median distance in Lab of the mask's colours from skin."""
CLEARLY = 0.6
"""Maximum ratio of a mask pixel's distances to the mask's colours and to skin."""
UNIFORM = (0.95, 0.8)
"""Minimum share of occluded pixels that are clearly mask, with few and with many columns.

Otherwise they may be beard or skin.
"""
ASIDE = 6
"""Columns by which the mask may be wider below the template than inside."""
STRAY = 0.1
"""Maximum share of pixels outside these columns. Otherwise they may be clothes."""
JOINT = 5
"""Rows of the restored face that are inpainted as well, since its border is least reliable."""
LEVELS = 5
"""Levels of the inpainting pyramid; its coarsest pixels are 32 pixels wide."""
LEAST = 1e-6


def cover_outside_region(
    face: NDArray[np.float32],
    share: NDArray[np.float32],
    base: NDArray[np.uint8],
    matrix: NDArray[np.float64],
    occlusion: NDArray[np.float32],
    native_width: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Extend a restored face downward to the end of its mask.

    Args:
        face: RGB float32 (128, 128, 3) in the picture's colours, in the template.
        share: (128, 128) in [0, 1], how much of `face` is used.
        base: RGB uint8 (H, W, 3), before compositing.
        matrix: (2, 3) from the template to `base`.
        occlusion: (128, 128) in [0, 1].
        native_width: Width of the template in the frame in pixels.

    Returns:
        `face` and `share`, (184, 128, 3) and (184, 128) with the inpainted part below the
        template; the same arrays if no mask is found there.

    """
    mask = occlusion > CERTAIN
    columns = np.count_nonzero(mask[-4:].all(axis=0))
    if columns < MIN_COLUMNS:
        return face, share
    picture, inside = _read(base, matrix)
    if not inside[TEMPLATE_SIZE - FIRST :].any():
        return face, share
    found = _find(picture, inside, mask, UNIFORM[int(columns >= MANY_COLUMNS)])
    if found is None:
        return face, share
    radius = round(3.0 + min(3.0, 64.0 / native_width))
    above, start = TEMPLATE_SIZE - FIRST, TEMPLATE_SIZE - FIRST - LOWEST
    hole = cv2.dilate(found, np.ones((2 * radius + 1, 2 * radius + 1), np.uint8))
    wide = cv2.dilate(hole, np.ones((3, 3), np.uint8)).astype(np.float32)
    soft = cv2.GaussianBlur(wide, (0, 0), SOFTEN) * inner_region()[TEMPLATE_SIZE // 2]
    longer = np.concatenate([share, np.zeros((BELOW, TEMPLATE_SIZE), np.float32)])
    np.maximum(longer[FIRST:], soft, out=longer[FIRST:])
    known = picture.astype(np.float32)
    known[:above] += longer[FIRST:TEMPLATE_SIZE, :, None] * (face[FIRST:] - known[:above])
    hole[: above - JOINT] = 0
    painted = _fill(known[start:], ((hole == 0) & inside)[start:])
    np.copyto(painted[:LOWEST], face[-LOWEST:], where=hole[start:above, :, None] == 0)
    return np.concatenate([face[:-LOWEST], painted]), longer


def _fill(values: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Inpaint the unknown pixels of (H, W, 3) smoothly from the known ones with a pyramid."""
    levels: list[tuple[Any, Any]] = [(values, known.astype(np.float32))]
    for _ in range(LEVELS):
        fine, trust = levels[-1]
        weight = cv2.pyrDown(trust)
        mean = cv2.pyrDown(fine * trust[..., None]) / np.maximum(weight, LEAST)[..., None]
        levels.append((mean, np.minimum(1.0, 2.0 * weight)))
    filled = levels[-1][0]
    for fine, trust in levels[-2::-1]:
        coarse = cv2.pyrUp(filled, dstsize=(fine.shape[1], fine.shape[0]))
        filled = coarse + trust[..., None] * (fine - coarse)
    return np.asarray(filled, dtype=np.float32)


def _read(
    base: NDArray[np.uint8], matrix: NDArray[np.float64]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return the base from row FIRST to BELOW the template, and which pixels are inside it."""
    height = TEMPLATE_SIZE + BELOW - FIRST
    to_base = chain(matrix, np.array([[1.0, 0.0, 0.0], [0.0, 1.0, FIRST]]))
    source, to_source = cut_out(base, to_base, TEMPLATE_SIZE, height)
    block = int(extent(to_source))
    if block > 1:
        source, to_source = average_blocks(source, to_source, block)
    picture = cv2.warpAffine(
        source,
        to_source,
        (TEMPLATE_SIZE, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    y, x = np.ogrid[:height, :TEMPLATE_SIZE]
    u, v = (row[0] * x + row[1] * y + row[2] for row in to_base)
    inside = (u >= -0.5) & (u <= base.shape[1] - 0.5) & (v >= -0.5) & (v <= base.shape[0] - 0.5)
    return np.asarray(picture, dtype=np.uint8), inside


def _find(
    picture: NDArray[np.uint8], inside: NDArray[np.bool_], mask: NDArray[np.bool_], uniform: float
) -> NDArray[np.uint8] | None:
    """Return the mask below the template with the occluded rows above it, None if uncertain."""
    above = TEMPLATE_SIZE - FIRST
    covered = mask[FIRST:].astype(np.uint8)
    skin = (_cheeks() & (cv2.dilate(covered, np.ones((9, 9), np.uint8)) == 0)) & inside[:above]
    core = (cv2.erode(covered, np.ones((5, 5), np.uint8)) > 0) & inside[:above]
    low = core[-LOWEST:]
    if not skin.any() or np.count_nonzero(low) < MIN_PIXELS:
        return None
    values = _lab(picture)
    tone = np.median(picture[:above][skin], axis=0)
    skins = _lab(np.array([[tone * shade for shade in SHADES]]).astype(np.uint8))[0]
    sample = values[above - LOWEST : above][low]
    parts = np.array_split(sample[np.argsort(sample[:, 0])], 3)
    colours = np.array([np.median(part, axis=0) for part in parts])
    if np.median(_nearest(colours, skins)) < UNLIKE:
        return None
    some = values[:above][core][::3]
    if (_nearest(some, colours) < CLEARLY * _nearest(some, skins)).mean() < uniform:
        return None
    values, inside = values[above:], inside[above:]
    to_mask = _nearest(values, colours)
    alike = (to_mask < TOLERANCE) & (to_mask < CLEARLY * _nearest(values, skins)) & inside
    joinable = np.concatenate([mask[-LOWEST:], alike]).astype(np.uint8)
    closed = cv2.morphologyEx(joinable, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    count, labels = cv2.connectedComponents(closed, connectivity=4)
    joined = np.zeros(count, np.uint8)
    joined[labels[LOWEST - 2 : LOWEST][low[-2:]]] = 1
    part = joined[labels]
    lower = part[LOWEST:]
    columns = np.flatnonzero(low.any(axis=0))
    left, right = max(0, columns[0] - ASIDE), columns[-1] + ASIDE + 1
    area = np.count_nonzero(lower)
    beside = area - np.count_nonzero(lower[:, left:right])
    if area < MIN_PIXELS or lower[-CLEAR:].any() or beside > STRAY * area:
        return None
    near = cv2.dilate(lower.max(axis=0)[None], np.ones((1, 2 * NEAR + 1), np.uint8))
    part[:LOWEST] *= near
    return np.concatenate([np.zeros((above - LOWEST, TEMPLATE_SIZE), np.uint8), part])


@cache
def _cheeks() -> NDArray[np.bool_]:
    """Return where skin is visible unless occluded, from row FIRST on."""
    return face_region()[FIRST:] > 0.6


def _lab(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return Lab with lightness reduced, (H, W, 3)."""
    lab = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB).astype(np.float32)
    lab[..., 0] *= LIGHTNESS * 100.0 / 255.0
    return lab


def _nearest(values: NDArray[np.float32], colours: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the distance of each of `values` (..., 3) to the nearest of `colours` (n, 3)."""
    # |v - c|^2 = |v|^2 - 2 v c + |c|^2: one product for all pixels.
    products = values.reshape(-1, 3) @ (-2.0 * colours.T) + np.square(colours).sum(axis=1)
    squares = np.square(values).reshape(-1, 3) @ np.ones(3, np.float32) + products.min(axis=1)
    distances = np.sqrt(np.maximum(squares, 0.0)).reshape(values.shape[:-1])
    return np.asarray(distances, dtype=np.float32)
