"""Targets of the prior network: heat maps of landmarks and classes of face parts."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.datasets.face_set import MAP_SIZE
from jdsr_cli.datasets.samples import HEAT_SIGMA
from jdsr_cli.errors import UsageError
from jdsr_cli.faces.resampling import chain, zoom

PARSING_CLASSES = (
    "background", "skin", "left brow", "right brow", "left eye", "right eye", "nose",
    "upper lip", "inner mouth", "lower lip", "hair",
)  # fmt: skip
"""The 11 classes of SPEC 3; left and right as seen in the picture."""

CELEBAMASK_TO_11: NDArray[np.uint8] = np.array(
    # background, skin, nose, glasses, l_eye, r_eye, l_brow, r_brow, l_ear, r_ear, mouth,
    [0, 1, 6, 1, 5, 4, 3, 2, 1, 1, 8,
     # upper lip, lower lip, hair, hat, earring, necklace, neck, cloth
     7, 9, 10, 0, 1, 0, 0, 0], np.uint8
)  # fmt: skip
"""Our class for each of the 19 of CelebAMask-HQ; left there is that of the person, which is the
right of the picture."""
CELEBAMASK_TO_11.setflags(write=False)

MIRROR_68 = np.array(
    [*range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1),
     45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
     *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), *range(67, 64, -1)]
)  # fmt: skip
"""Index of the mirror image of each iBUG point."""
MIRROR_5 = np.array([1, 0, 2, 4, 3])
"""The same for eyes, nose and mouth corners."""
MIRROR_PARSING: NDArray[np.uint8] = np.array([0, 1, 3, 2, 5, 4, 6, 7, 8, 9, 10], np.uint8)
"""The same for the parsing classes."""


def heat_maps(points: Tensor, size: int = MAP_SIZE, sigma: float = HEAT_SIGMA) -> Tensor:
    """Draw a Gaussian for each landmark (SPEC 3: sub-pixel, not truncated, amplitude 1).

    Args:
        points: (..., P, 2) x, y in pixels of the 128-px face.
        size: Side of the maps, which cover the whole face.
        sigma: Standard deviation in pixels of the maps.

    Returns:
        (..., P, size, size) float32 in [0, 1] on the device of the points; all zero for a point
        outside the face or not finite.

    """
    positions = points.double()
    inside = ((positions >= -0.5) & (positions <= TEMPLATE_SIZE - 0.5)).all(-1, keepdim=True)
    centres = (torch.where(inside, positions, 0.0) + 0.5) * (size / TEMPLATE_SIZE) - 0.5
    distances = torch.arange(size, device=points.device) - centres[..., None]
    gaussians = (torch.exp(-(distances**2) / (2.0 * sigma**2)) * inside[..., None]).float()
    return gaussians[..., 1, :, None] * gaussians[..., 0, None, :]


def mirror_points(points: NDArray[np.float32], width: int = TEMPLATE_SIZE) -> NDArray[np.float32]:
    """Mirror (68, 2) or (5, 2) points left to right and reorder them.

    Raises:
        UsageError: The number of points is neither 68 nor 5.

    """
    tables = {68: MIRROR_68, 5: MIRROR_5}
    if len(points) not in tables:
        raise UsageError(
            f"{len(points)} landmarks have no known mirror image", hint="Use 68 iBUG points or 5"
        )
    flipped: NDArray[np.float32] = points[tables[len(points)]].copy()
    flipped[:, 0] = width - 1 - flipped[:, 0]
    return flipped


def moved_labels(labels: NDArray[np.uint8], matrix: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Warp (64, 64) labels by an affine map (2, 3) of the 128-px face, with reflected borders."""
    size = labels.shape[0]
    scale = size / TEMPLATE_SIZE
    scaled = chain(zoom(scale), chain(matrix, zoom(1.0 / scale)))
    warped = cv2.warpAffine(
        labels, scaled, (size, size), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT_101
    )
    return np.asarray(warped, np.uint8)


def mirror_labels(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Mirror (H, W) labels of the 11 classes left to right and swap the left and right classes."""
    return np.ascontiguousarray(MIRROR_PARSING[labels[:, ::-1]])


def reduce_labels(labels: NDArray[np.uint8], size: int = MAP_SIZE) -> NDArray[np.uint8]:
    """Resize square (S, S) labels to (size, size) by nearest neighbours."""
    rows = ((np.arange(size) + 0.5) * labels.shape[0] / size).astype(np.int64)
    columns = ((np.arange(size) + 0.5) * labels.shape[1] / size).astype(np.int64)
    return np.ascontiguousarray(labels[rows[:, None], columns[None]])


def from_celebamask(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Convert CelebAMask-HQ's 19 classes (H, W) into our 11.

    In some copies of the set, pictures were mirrored without their labels. If the left brow or eye
    is to the right of the right one, left and right are swapped.

    Raises:
        UsageError: A label is above 18.

    """
    if labels.size and int(labels.max()) >= len(CELEBAMASK_TO_11):
        raise UsageError(
            f"label {int(labels.max())} is none of CelebAMask-HQ's 19 classes",
            hint="Use label maps with values 0 to 18",
        )
    converted = CELEBAMASK_TO_11[labels]
    votes = sum(_horizontal_order(converted, left, right) for left, right in ((2, 3), (4, 5)))
    return np.ascontiguousarray(MIRROR_PARSING[converted] if votes < 0 else converted)


def _horizontal_order(labels: NDArray[np.uint8], left: int, right: int) -> int:
    """Return 1 if the part `left` is left of `right`, -1 if it is not, 0 if one is absent."""
    columns = [np.flatnonzero((labels == part).any(axis=0)) for part in (left, right)]
    if not all(len(one) for one in columns):
        return 0
    return 1 if columns[0].mean() < columns[1].mean() else -1
