"""How a frame is fitted into the input of a detector, and how results get back to the frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

STRIDE = 32
"""Sides of a network's input are multiples of this."""


@dataclass(frozen=True)
class Letterbox:
    """A frame resized without distortion, and padded at its right and lower edge.

    Networks count pixels from the outer corner of the first one, frames from its centre.
    """

    width: int
    """Of the frame, as `height`."""
    height: int
    inner_width: int
    """Of the resized frame, as `inner_height`."""
    inner_height: int

    @classmethod
    def of(cls, width: int, height: int, scale: float) -> Letterbox:
        """Plan the input for frames of `width` x `height`, resized by about `scale`."""
        return cls(width, height, max(1, round(width * scale)), max(1, round(height * scale)))

    @property
    def outer_width(self) -> int:
        """Of the network's input, padding included."""
        return -(-self.inner_width // STRIDE) * STRIDE

    @property
    def outer_height(self) -> int:
        """Of the network's input, padding included."""
        return -(-self.inner_height // STRIDE) * STRIDE

    @property
    def pixels(self) -> int:
        """Of the network's input, padding included."""
        return self.outer_width * self.outer_height

    def fit(
        self, images: Sequence[NDArray[np.uint8]], padding: Sequence[float]
    ) -> NDArray[np.uint8]:
        """Return the frames as input, RGB uint8 (n, outer height, outer width, 3).

        Args:
            images: Each RGB uint8 (height, width, 3).
            padding: Colour, RGB, of what the resized frames leave free.

        """
        shape = (len(images), self.outer_height, self.outer_width, 3)
        batch = np.empty(shape, dtype=np.uint8)
        batch[:] = np.asarray(padding, dtype=np.uint8)
        size = (self.inner_width, self.inner_height)
        method = cv2.INTER_AREA if self.inner_width < self.width else cv2.INTER_CUBIC
        for target, image in zip(batch, images, strict=True):
            same = size == (self.width, self.height)
            resized = image if same else cv2.resize(image, size, interpolation=method)
            target[: self.inner_height, : self.inner_width] = resized
        return batch

    def to_frame(self, coordinates: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map (n, 2k) coordinates x, y, x, y, ... of the input to those of the frame."""
        factors = (self.width / self.inner_width, self.height / self.inner_height)
        count, length = coordinates.shape
        pairs = coordinates.reshape(count, length // 2, 2) * np.array(factors, dtype=np.float32)
        return np.asarray(pairs.reshape(count, length) - np.float32(0.5), dtype=np.float32)
