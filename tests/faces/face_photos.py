"""A photograph with the position of its face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ImageArray = NDArray[np.uint8]


@dataclass(frozen=True)
class Photo:
    """A photograph of one person."""

    image: ImageArray
    points: NDArray[np.float64]
    """(5, 2) eyes, nose and mouth corners, marked by hand."""
    width: float
    """Width of the face in pixels."""
