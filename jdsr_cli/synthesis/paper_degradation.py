"""The paper's degradation: mask the face at 128 px, then reduce by bicubic interpolation."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True)
class DegradedPair:
    """A low-resolution input and its truths; images are uint8 RGB."""

    lr: NDArray[np.uint8]
    """(s, s, 3): I_M_LR, the degraded face with its mask on."""
    lr_clean: NDArray[np.uint8]
    """(s, s, 3): I_GT_LR, the same face without mask, reduced and otherwise undegraded."""
    hr: NDArray[np.uint8]
    """(128, 128, 3): I_HR, the face without mask."""
    occlusion: NDArray[np.float32]
    """(s, s) in [0, 1]: how much of each low-resolution pixel the mask covers."""
    matrix: NDArray[np.float64] | None = None
    """(2, 3) from pixels of the face to those of `hr`; None where they are the same."""


def resize_bicubic(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Bring an RGB picture to (size, size, 3) as PIL does: antialiased, a = -0.5, rounded."""
    picture = Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(picture, np.uint8)


def degrade_paper(
    clean: NDArray[np.uint8],
    masked: NDArray[np.uint8],
    alpha: NDArray[np.float32],
    lr_size: int,
) -> DegradedPair:
    """Reduce a face with and without its mask (PAPER section 4.2).

    Args:
        clean: (128, 128, 3) the face.
        masked: (128, 128, 3) the same face with its mask on.
        alpha: (128, 128) how much of each pixel the mask covers.
        lr_size: Side of the low-resolution picture: 32 for x4, 16 for x8.

    """
    covered = cv2.resize(alpha, (lr_size, lr_size), interpolation=cv2.INTER_AREA)
    return DegradedPair(
        lr=resize_bicubic(masked, lr_size),
        lr_clean=resize_bicubic(clean, lr_size),
        hr=clean,
        occlusion=np.asarray(covered, np.float32),
    )
