"""What a degradation makes of a face: the network's input and everything it is compared with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Pair:
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
