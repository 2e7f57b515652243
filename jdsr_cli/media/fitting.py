"""Pictures of another size than the first of their input: brought to it without distortion."""

from __future__ import annotations

import numpy as np

from jdsr_cli.media.frames import Image


def fitting_size(size: tuple[int, int], into: tuple[int, int]) -> tuple[int, int]:
    """Return the largest (width, height) with the proportions of `size` that lies within `into`."""
    factor = min(into[0] / size[0], into[1] / size[1])
    return tuple(max(1, round(side * factor)) for side in size)  # type: ignore[return-value]


def letterboxed(image: Image, into: tuple[int, int]) -> Image:
    """Return a picture in the middle of a black one of (width, height), where it is smaller.

    Args:
        image: RGB uint8 (H, W, 3), no larger than `into`.
        into: Width and height wanted.

    """
    height, width = image.shape[:2]
    if (width, height) == into:
        return image
    boxed = np.zeros((into[1], into[0], 3), np.uint8)
    left, top = (into[0] - width) // 2, (into[1] - height) // 2
    boxed[top : top + height, left : left + width] = image
    return boxed
