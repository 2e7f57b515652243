"""Geometry of the displayed picture: pixels that are not square, and a check of their aspect.

Video may be stored with pixels that are not square: half the lines of a recorder, anamorphic
pictures. Faces are detected, tracked and recorded in square pixels of the displayed picture, which
has the axis with the longer pixels enlarged; crops are resampled once, from the stored pixels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.faces.alignment import Alignment
from jdsr_cli.faces.detection.base import Detection
from jdsr_cli.faces.resampling import chain


@dataclass(frozen=True)
class Display:
    """How stored pixels are displayed: each becomes `across` x `down` square pixels."""

    across: float = 1.0
    """At least 1."""
    down: float = 1.0
    """At least 1."""

    @classmethod
    def of(cls, aspect: Fraction) -> Display:
        """Return the display geometry of pixels that are `aspect` times as wide as high."""
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
"""Display geometry of pictures with square pixels."""

USUAL_SHAPE = (1.12, 1.45)
"""Range of the median height over width of the boxes of upright faces without a hint.

CenterFace, 12 frames of each of 7 development clips with square pixels: 1.19 to 1.32; the same
with half the rows 0.77 to 1.08, with half the columns 1.47 to 2.15. RetinaFace was not measured.
"""
MIN_FACES = 8
"""Least number of upright faces, whole in the frame, for a hint."""
MAX_TILT = 0.35
"""Largest slope of the line between the eyes of a face that counts as upright."""
_STEPS = 100
"""Histogram bins for each unit of the ratio of height to width."""


class AspectCheck:
    """Checks by the shapes of the faces of one input whether the picture is displayed squeezed.

    Recorders that store half the rows or half the columns often omit the aspect tag. The boxes of
    the detector follow the wrong shape; its points hardly do, since they are fitted to the
    proportions of its training data.

    Args:
        width: Width of the displayed frame, in pixels.
        height: Height of the displayed frame, in pixels.

    """

    def __init__(self, width: int, height: int) -> None:
        self._last = (width - 1.5, height - 1.5)
        self._shapes: Counter[int] = Counter()

    def add(self, faces: Iterable[Detection]) -> None:
        """Add the faces detected in a frame, in displayed pixels."""
        for face in faces:
            across, down = (face.points[1] - face.points[0]).tolist()
            left, top, right, bottom = face.box
            whole = left > 0.5 and top > 0.5 and right < self._last[0] and bottom < self._last[1]
            upright = face.turn == 0.0 and abs(down) <= MAX_TILT * across
            if whole and upright and face.width > 0.0:
                self._shapes[round(_STEPS * face.height / face.width)] += 1

    def hint(self) -> str | None:
        """Return a hint where the faces have the shape of a squeezed picture, None otherwise."""
        total = self._shapes.total()
        if total < MIN_FACES:
            return None
        median = sorted(self._shapes.elements())[total // 2] / _STEPS
        if USUAL_SHAPE[0] <= median <= USUAL_SHAPE[1]:
            return None
        return (
            f"faces are {median:.2f} times as high as wide (usual: 1.2 to 1.35), so the picture "
            "may be squeezed; --aspect W:H sets the shape in which it is displayed, such as 4:3"
        )
