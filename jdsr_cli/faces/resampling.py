"""Affine maps of pixel coordinates, and antialiased resampling under them."""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from jdsr_cli.errors import UsageError

KERNEL_A = -0.5
"""Parameter of the cubic kernel: that of PIL, by which the training pictures were reduced."""
MAX_GRID = 16
"""Most grid points per output pixel and axis; beyond it the source is averaged in blocks first."""
MARGIN = 4
"""Pixels around the part of the source that is cut out, for the kernel's reach."""


def zoom(factor: float) -> NDArray[np.float64]:
    """Return (2, 3), the map of pixel centres x -> factor (x + 0.5) - 0.5."""
    shift = 0.5 * factor - 0.5
    return np.array([[factor, 0.0, shift], [0.0, factor, shift]])


def chain(outer: NDArray[np.float64], inner: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (2, 3), the affine map that applies `inner` and then `outer`, both (2, 3)."""
    linear = outer[:, :2] @ inner
    linear[:, 2] += outer[:, 2]
    return linear


def invert(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the inverse of an affine map (2, 3).

    Raises:
        UsageError: The map has no inverse, or is not finite.

    """
    determinant = matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0]
    if not np.isfinite(matrix).all() or determinant == 0.0:
        raise UsageError(
            f"the affine map {matrix.tolist()} cannot be inverted",
            hint="Use points that do not coincide.",
        )
    linear = np.array([[matrix[1, 1], -matrix[0, 1]], [-matrix[1, 0], matrix[0, 0]]])
    linear /= determinant
    return np.hstack([linear, -linear @ matrix[:, 2:]])


def rotation(turn: float) -> NDArray[np.float64]:
    """Return (2, 2), the rotation clockwise as seen by so many degrees."""
    angle = np.radians(turn)
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine], [sine, cosine]])


def extent(matrix: NDArray[np.float64]) -> float:
    """Return the mean enlargement of lengths by an affine map (2, 3): root of its determinant."""
    return math.sqrt(abs(matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0]))


def stretch(matrix: NDArray[np.float64]) -> float:
    """Return the largest factor by which an affine map (2, 3) enlarges lengths.

    It is the larger singular value of the linear part; for a similarity exactly `extent`.
    """
    if _is_similarity(matrix):
        return extent(matrix)
    return float(np.linalg.norm(matrix[:, :2], 2))


def steps(matrix: NDArray[np.float64]) -> tuple[float, float]:
    """Return the lengths of the images of the unit vectors along x and y under a map (2, 3)."""
    if _is_similarity(matrix):
        return extent(matrix), extent(matrix)
    return math.hypot(matrix[0, 0], matrix[1, 0]), math.hypot(matrix[0, 1], matrix[1, 1])


def _is_similarity(matrix: NDArray[np.float64]) -> bool:
    """Return whether the map scales all directions equally, without a reflection."""
    return bool(matrix[0, 0] == matrix[1, 1] and matrix[0, 1] == -matrix[1, 0])


def resample(image: NDArray[np.uint8], matrix: NDArray[np.float64], size: int) -> NDArray[np.uint8]:
    """Cut a square out of an image under an affine map, without aliasing.

    Enlarging is bicubic. An upright square is shrunk by ``PIL.Image.resize`` with ``BICUBIC``. For
    any other one the image is read on a grid at least as fine as its own pixels, which PIL's kernel
    then reduces; on an upright square that gives the same up to rounding and a fraction of a source
    pixel, in five times the time.

    Args:
        image: uint8 (H, W, 3). Beyond the border the nearest border pixel is used.
        matrix: (2, 3) from pixels of the square to pixels of the image.
        size: Side of the square in pixels.

    Returns:
        uint8 (size, size, 3).

    Raises:
        UsageError: `size` is not positive, the image is empty or the matrix is not finite.

    """
    if size < 1 or image.size == 0 or not np.isfinite(matrix).all():
        raise UsageError(
            f"cannot cut {size} x {size} pixels out of an image of shape {image.shape} "
            f"by {matrix.tolist()}",
            hint="Size and image must not be empty and the matrix finite.",
        )
    ratio = stretch(matrix)
    if 1.0 < ratio <= MAX_GRID and _is_upright(matrix):
        return _shrink(image, matrix, size)
    source, to_source = cut_out(image, matrix, size, size)
    if ratio > MAX_GRID:
        source, to_source = average_blocks(source, to_source, int(ratio / MAX_GRID * 2.0))
        ratio = stretch(to_source)
    fine = max(1, math.ceil(ratio - 1e-6))
    grid = cv2.warpAffine(
        source,
        chain(to_source, zoom(1.0 / fine)),
        (size * fine, size * fine),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if fine == 1:
        return np.asarray(grid, dtype=np.uint8)
    weights = _reduction(size, fine)
    rows = np.tensordot(weights, grid.astype(np.float32), axes=(1, 0))
    reduced = np.tensordot(rows, weights, axes=(1, 1)).transpose(0, 2, 1)
    return np.clip(np.rint(reduced), 0.0, 255.0).astype(np.uint8, order="C")


def _is_upright(matrix: NDArray[np.float64]) -> bool:
    """Return whether the map scales both axes by the same factor and moves, and does not turn."""
    return bool(matrix[0, 1] == matrix[1, 0] == 0.0 < matrix[0, 0] == matrix[1, 1])


def _shrink(image: NDArray[np.uint8], matrix: NDArray[np.float64], size: int) -> NDArray[np.uint8]:
    """Cut out and shrink an upright square, see `resample`."""
    step = float(matrix[0, 0])
    side, reach = size * step, math.ceil(2.0 * step) + 1
    limits = np.array([image.shape[1], image.shape[0]])
    # Beyond the border all is the same, so a square that lies far away may as well lie near.
    start = np.clip(matrix[:, 2] + 0.5 - step / 2, -side - reach, limits + reach)
    first = np.floor(start).astype(int) - reach
    last = np.ceil(start + side).astype(int) + reach
    low = np.clip(first, 0, limits - 1)
    high = np.clip(last, low + 1, limits)
    left, top = np.maximum(low - first, 0).tolist()
    right, bottom = np.maximum(last - high, 0).tolist()
    inner = image[low[1] : high[1], low[0] : high[0]]
    part = cv2.copyMakeBorder(inner, top, bottom, left, right, cv2.BORDER_REPLICATE)
    corner = start - first
    box = (*corner.tolist(), *(corner + side).tolist())
    picture = Pillow.fromarray(np.asarray(part, np.uint8))
    return np.array(picture.resize((size, size), Pillow.Resampling.BICUBIC, box=box))


def cut_out(
    image: NDArray[np.uint8], matrix: NDArray[np.float64], width: int, height: int
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Return the part of `image` that a target of `width` x `height` reads, as a view.

    Args:
        image: (H, W, 3).
        matrix: (2, 3) from pixels of the target to pixels of the image.
        width: Width of the target.
        height: Height of the target.

    Returns:
        The part, never empty, and the matrix from the target to it.

    """
    corners = np.array([[-0.5, -0.5], [width, -0.5], [-0.5, height], [width, height]])
    reached = corners @ matrix[:, :2].T + matrix[:, 2]
    limits = np.array([image.shape[1], image.shape[0]])
    first = np.clip(np.floor(reached.min(axis=0)) - MARGIN, 0, limits - 1).astype(int)
    last = np.clip(np.ceil(reached.max(axis=0)) + MARGIN + 1, first + 1, limits).astype(int)
    moved = matrix.copy()
    moved[:, 2] -= first
    return image[first[1] : last[1], first[0] : last[0]], moved


def average_blocks(
    source: NDArray[np.uint8], to_source: NDArray[np.float64], block: int
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Shrink the source by averaging blocks; incomplete blocks at the far edges are dropped."""
    width, height = (max(1, side // block) for side in (source.shape[1], source.shape[0]))
    if width * block > source.shape[1] or height * block > source.shape[0]:
        return source, to_source
    whole = source[: height * block, : width * block]
    small = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.uint8), chain(zoom(1.0 / block), to_source)


@lru_cache(maxsize=64)
def _reduction(size: int, fine: int) -> NDArray[np.float32]:
    """Return weights (size, size * fine) of PIL's bicubic kernel for a reduction by `fine`.

    At the ends of the row the kernel is truncated and normalised, as in PIL.
    """
    centres = (np.arange(size)[:, None] + 0.5) * fine
    distance = np.abs(np.arange(size * fine)[None] + 0.5 - centres) / fine
    near = ((KERNEL_A + 2.0) * distance - (KERNEL_A + 3.0)) * distance**2 + 1.0
    far = ((distance - 5.0) * distance + 8.0) * distance - 4.0
    kernel = np.where(distance < 1.0, near, np.where(distance < 2.0, KERNEL_A * far, 0.0))
    weights = np.asarray(kernel / kernel.sum(axis=1, keepdims=True), dtype=np.float32)
    weights.setflags(write=False)
    return weights


def sample(
    picture: NDArray[np.float32], coordinates: NDArray[np.float32], *, border: float | None = None
) -> NDArray[np.float32]:
    """Return a picture at given points, bicubic.

    Args:
        picture: float32 (H, W) or (H, W, C).
        coordinates: (h, w, 2) x and y in pixels of the picture.
        border: Value outside the picture; by default that of the nearest border pixel.

    """
    mode = cv2.BORDER_REPLICATE if border is None else cv2.BORDER_CONSTANT
    value = (0.0 if border is None else border,) * 4
    found = cv2.remap(
        picture,
        *(coordinates[..., 0], coordinates[..., 1], cv2.INTER_CUBIC),
        borderMode=mode,
        borderValue=value,
    )
    return np.asarray(found, np.float32)
