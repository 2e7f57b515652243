"""One decoded picture and the exact moment it belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""A picture: uint8 RGB, shape (height, width, 3), full range 0 to 255."""


@dataclass(frozen=True)
class Frame:
    """A frame of a video, or the one frame of a still.

    Attributes:
        index: Position in the file, from 0, without gaps. It is that of the whole file: where
            reading begins later (a trim), the first frame delivered has a higher one.
        pts: Presentation time in units of `time_base`; strictly increasing within a file.
        time_base: Seconds per unit of `pts`, exact.
        image: uint8 RGB, shape (height, width, 3), rotation already applied.

    """

    index: int
    pts: int
    time_base: Fraction
    image: Image

    @property
    def time(self) -> Fraction:
        """Presentation time in seconds, exact."""
        return self.pts * self.time_base
