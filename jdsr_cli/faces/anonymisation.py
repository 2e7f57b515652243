"""Make heads in a picture unrecognisable.

The picture of a head is replaced by a mosaic of `BLOCKS` x `BLOCKS` mean colours, blurred and
stretched over the head with a margin. The mosaic is made once, of one frame, and used wherever the
same head is covered. What can be learnt of a head from all covered frames together is therefore
that one mosaic: it has four blocks across the face, does not move with mouth and eyes, and frames
that are averaged or registered with each other add nothing to it. A mosaic that was made of each
frame would not have that property: from many frames whose blocks lie differently on a face, finer
detail can be computed (Park, Park and Kang 2003, "Super-resolution image reconstruction").

A mosaic is no perfect anonymity: of a few candidates whose pictures are reduced in the same way,
the right one can be found more often than by chance (Newton, Sweeney and Malin 2005, "Preserving
privacy by de-identifying face images").
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.faces.head_appearance import SIDE

Box = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels."""
Mosaic = NDArray[np.uint8]
"""(BLOCKS, BLOCKS, 3) RGB."""
Pixels = TypeVar("Pixels", NDArray[np.uint8], NDArray[np.uint16])

BLOCKS = 6
"""Blocks across the thumbnail of a head, which is 1.5 times as wide and high as the face's box: 4
across the face."""
assert SIDE % BLOCKS == 0
BLUR = 0.6
"""Standard deviation of the blur of a mosaic, in blocks."""
HEAD_SIDE = 1.9
"""Side of the square that is covered, in longer sides of the face's box. The crown lies about 0.85
box heights from the middle of the box, in any direction that the head may be rolled to."""
UNKNOWN: Mosaic = np.full((BLOCKS, BLOCKS, 3), 128, np.uint8)
"""Mosaic of a head of which no picture is known."""
UNKNOWN.setflags(write=False)


def head_square(box: Box) -> Box:
    """Return the square that covers the whole head of a face, with a margin.

    Args:
        box: Box of the face.

    """
    left, top, right, bottom = box
    half = HEAD_SIDE * max(right - left, bottom - top, 1.0) / 2
    x, y = (left + right) / 2, (top + bottom) / 2
    return x - half, y - half, x + half, y + half


def join_boxes(boxes: Sequence[Box]) -> Box:
    """Return the smallest box around boxes, at least one."""
    edges = np.array(boxes, np.float64)
    low, high = edges[:, :2].min(axis=0).tolist(), edges[:, 2:].max(axis=0).tolist()
    return low[0], low[1], high[0], high[1]


def make_mosaic(thumbnail: NDArray[np.uint8]) -> Mosaic:
    """Return the blurred mosaic of a head.

    Args:
        thumbnail: RGB uint8 (12, 12, 3), see `faces.head_appearance`.

    """
    blocks = thumbnail.astype(np.float32)
    each = SIDE // BLOCKS
    blocks = blocks.reshape(BLOCKS, each, BLOCKS, each, 3).mean(axis=(1, 3))
    blurred = cv2.GaussianBlur(blocks, (0, 0), BLUR, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(np.rint(blurred), np.uint8)


def cover_head(
    image: Pixels, head: Box, mosaic: Pixels, kept: Sequence[Box] = (), faces: Sequence[Box] = ()
) -> None:
    """Replace a head in a picture by its mosaic, in place.

    Args:
        image: RGB (H, W, 3), uint8 or uint16.
        head: The part that is replaced, in pixels of the picture; it may reach beyond it.
        mosaic: RGB (BLOCKS, BLOCKS, 3), of the type and in the colours of the picture.
        kept: Boxes of faces that are not replaced.
        faces: Boxes that are replaced nevertheless, where they overlap `kept`.

    """
    height, width = image.shape[:2]
    left, top, right, bottom = _outer(head)
    rows = slice(min(max(top, 0), height), min(max(bottom, 0), height))
    columns = slice(min(max(left, 0), width), min(max(right, 0), width))
    part = image[rows, columns]
    if not part.size:
        return
    # Pixel centres of the part in blocks; only the part is computed, however far the head reaches.
    across = (np.arange(columns.start, columns.stop) - left + 0.5) / (right - left) * BLOCKS - 0.5
    down = (np.arange(rows.start, rows.stop) - top + 0.5) / (bottom - top) * BLOCKS - 0.5
    x, y = np.meshgrid(across.astype(np.float32), down.astype(np.float32))
    patch = cv2.remap(
        mosaic.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    replaced = np.ones(part.shape[:2], np.bool_)
    for value, boxes in ((False, kept), (True, faces)):
        for box in boxes:
            x0, y0, x1, y1 = _outer(box)
            replaced[
                max(0, y0 - rows.start) : max(0, y1 - rows.start),
                max(0, x0 - columns.start) : max(0, x1 - columns.start),
            ] = value
    part[replaced] = np.rint(patch[replaced]).astype(image.dtype)


def hidden_share(face: Box, others: Sequence[Box]) -> float:
    """Return the share of a face's box that lies in other boxes, 0 to 1."""
    steps = (np.arange(32) + 0.5) / 32
    x = face[0] + steps * (face[2] - face[0])
    y = face[1] + steps * (face[3] - face[1])
    hidden = np.zeros((32, 32), np.bool_)
    for left, top, right, bottom in others:
        inside = ((y >= top) & (y <= bottom))[:, None] & ((x >= left) & (x <= right))
        hidden |= inside
    return float(hidden.mean())


def _outer(box: Box) -> tuple[int, int, int, int]:
    """Return the whole pixels that a box touches: first column and row, and those after the last.

    The centre of the first pixel is (0, 0).
    """
    left, top, right, bottom = box
    x, y = math.floor(left + 0.5), math.floor(top + 0.5)
    return x, y, max(x + 1, math.ceil(right + 0.5)), max(y + 1, math.ceil(bottom + 0.5))
