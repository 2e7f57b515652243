"""A photograph and where its face is."""

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
    """(5, 2) eyes, nose and mouth corners, read off the picture by eye."""
    width: float
    """Of the face in pixels."""
