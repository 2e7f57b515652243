"""Stored pixels and the square pixels in which a picture is displayed.

Recorders store pixels that are not square: 352x288 with wide ones, half-height fields, 1080 rows
of 960 columns. A player enlarges the axis whose pixels are longer until they are square. Faces are
detected, followed, recorded and aligned in such displayed pixels, and resampled once from the
stored ones: the affine maps here go between both.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.faces.alignment import Alignment, estimate
from jdsr_cli.faces.resample import chain, invert

SQUARE = Fraction(1)
"""Aspect of square pixels."""


@dataclass(frozen=True)
class Display:
    """How a stored picture is displayed.

    Attributes:
        stored: Width and height in stored pixels.
        aspect: Width of a stored pixel over its height.

    """

    stored: tuple[int, int]
    aspect: Fraction = SQUARE

    @classmethod
    def of(cls, image: NDArray[np.uint8], aspect: Fraction = SQUARE) -> Display:
        """Return the display of an image (H, W, 3) with pixels of that aspect."""
        return cls((image.shape[1], image.shape[0]), aspect)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in displayed pixels, each rounded and at least that of `stored`."""
        width, height = self.stored
        return round(width * max(self.aspect, SQUARE)), round(height / min(self.aspect, SQUARE))

    @property
    def square(self) -> bool:
        """Whether displayed pixels are the stored ones."""
        return self.size == self.stored

    def from_stored(self) -> NDArray[np.float64]:
        """Return (2, 3) from stored to displayed pixels."""
        across, down = (out / own for out, own in zip(self.size, self.stored, strict=True))
        return np.array(
            [[across, 0.0, 0.5 * across - 0.5], [0.0, down, 0.5 * down - 0.5]], np.float64
        )

    def to_stored(self) -> NDArray[np.float64]:
        """Return (2, 3) from displayed to stored pixels."""
        return invert(self.from_stored())

    def squared(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a stored picture (H, W, 3) as it is displayed; itself where pixels are square."""
        if self.square:
            return image
        return np.asarray(cv2.resize(image, self.size, interpolation=cv2.INTER_CUBIC), np.uint8)

    def align(self, points: NDArray[np.floating]) -> Alignment:
        """Fit the template to five displayed points and return the map from stored pixels.

        Args:
            points: (5, 2) in displayed pixels, see `faces.alignment.estimate`.

        Raises:
            UsageError: the points cannot be aligned.

        """
        alignment = estimate(points)
        if self.square:
            return alignment
        return Alignment(chain(alignment.matrix, self.from_stored()))

    def stored_points(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return displayed points (n, 2) in pixels of the stored picture."""
        if self.square:
            return points
        matrix = self.to_stored()
        return np.asarray(points @ matrix[:, :2].T + matrix[:, 2], np.float32)

    def stored_box(
        self, box: tuple[float, float, float, float]
    ) -> tuple[float, float, float, float]:
        """Return a displayed box (left, top, right, bottom) in pixels of the stored picture."""
        if self.square:
            return box
        corners = self.stored_points(np.array(box, np.float32).reshape(2, 2))
        (left, top), (right, bottom) = corners.tolist()
        return left, top, right, bottom
