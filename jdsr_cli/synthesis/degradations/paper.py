"""The paper's degradation: the mask is worn at 128 px, then both are reduced by bicubic."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jdsr_cli.synthesis.degradations.sample import Pair


def resize_bicubic(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Bring an RGB picture to (size, size, 3) as PIL does: antialiased, a = -0.5, rounded."""
    picture = Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(picture, np.uint8)


def degrade_paper(
    clean: NDArray[np.uint8],
    masked: NDArray[np.uint8],
    alpha: NDArray[np.float32],
    lr_size: int,
) -> Pair:
    """Reduce a face with and without its mask (PAPER section 4.2).

    Args:
        clean: (128, 128, 3) the face.
        masked: (128, 128, 3) the same face with its mask on.
        alpha: (128, 128) how much of each pixel the mask covers.
        lr_size: Side of the low-resolution picture: 32 for x4, 16 for x8.

    """
    covered = cv2.resize(alpha, (lr_size, lr_size), interpolation=cv2.INTER_AREA)
    return Pair(
        lr=resize_bicubic(masked, lr_size),
        lr_clean=resize_bicubic(clean, lr_size),
        hr=clean,
        occlusion=np.asarray(covered, np.float32),
    )
