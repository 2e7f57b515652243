"""Stored pixels and the square pixels in which a picture is displayed.

Video may be stored with pixels that are not square: half the lines of a recorder, anamorphic
pictures. Faces are found, followed and recorded in square pixels of the displayed picture, which
has the axis with the longer pixels enlarged; crops are resampled once, from the stored pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.faces.alignment import Alignment
from jdsr_cli.faces.detection import Detection
from jdsr_cli.faces.resample import chain


@dataclass(frozen=True)
class Display:
    """How stored pixels are displayed: each becomes `across` x `down` square pixels."""

    across: float = 1.0
    """At least 1."""
    down: float = 1.0
    """At least 1."""

    @classmethod
    def of(cls, aspect: Fraction) -> Display:
        """Return the display of pixels `aspect` times as wide as high."""
        return cls(float(max(aspect, Fraction(1))), float(max(1 / aspect, Fraction(1))))

    @property
    def is_square(self) -> bool:
        """Whether stored pixels are square."""
        return self.across == 1.0 and self.down == 1.0

    def size(self, image: NDArray[np.uint8]) -> tuple[int, int]:
        """Return width and height of a stored picture (H, W, 3) in displayed pixels."""
        return self.size_of(image.shape[1], image.shape[0])

    def size_of(self, width: int, height: int) -> tuple[int, int]:
        """Return width and height in displayed pixels of a stored picture of that size."""
        return round(width * self.across), round(height * self.down)

    def squared(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a stored picture, RGB uint8 (H, W, 3), in displayed pixels (bicubic)."""
        if self.is_square:
            return image
        enlarged = cv2.resize(image, self.size(image), interpolation=cv2.INTER_CUBIC)
        return np.asarray(enlarged, np.uint8)

    def stored(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return points (..., 2) of the displayed picture in stored pixels."""
        factors = np.array([self.across, self.down])
        found: NDArray[np.float64] = (points.astype(np.float64) + 0.5) / factors - 0.5
        return found

    def stored_detection(self, face: Detection) -> Detection:
        """Return a face of the displayed picture in stored pixels."""
        if self.is_square:
            return face
        left, top, right, bottom = self.stored(np.reshape(face.box, (2, 2))).ravel().tolist()
        return replace(
            face, box=(left, top, right, bottom),
            points=self.stored(face.points).astype(np.float32),
        )  # fmt: skip

    def stored_alignment(self, alignment: Alignment) -> Alignment:
        """Return the map from stored pixels to the template, from that of displayed ones."""
        if self.is_square:
            return alignment
        shift_x, shift_y = (0.5 * factor - 0.5 for factor in (self.across, self.down))
        to_display = np.array([[self.across, 0.0, shift_x], [0.0, self.down, shift_y]])
        return Alignment(chain(alignment.matrix, to_display))


SQUARE = Display()
"""Of pictures whose pixels are square."""
