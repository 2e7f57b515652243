"""Blending of restored faces into frames of more than 8 bits per channel, or of other colours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class DeepBase:
    """A frame with more colours or levels than `compose` works in, which gets the same faces.

    Attributes:
        image: RGB uint16 (H, W, 3), writeable, of the same size as the base.
        convert: Converts RGB float32 (h, w, 3) from levels of the base, 0 to 255, to levels of the
            image, 0 to 65535.

    """

    image: NDArray[np.uint16]
    convert: Callable[[NDArray[np.float32]], NDArray[np.float32]]

    def blend(
        self, left: int, top: int, patch: NDArray[np.float32], weight: NDArray[np.float32]
    ) -> None:
        """Blend a patch into the image, in place; where the weight is 0, pixels keep their values.

        Args:
            left: Column of the image at which the patch begins.
            top: Row of the image at which it begins.
            patch: RGB (h, w, 3) in levels of the base, 0 to 255.
            weight: (h, w) in [0, 1].

        """
        height, width = weight.shape
        box = self.image[top : top + height, left : left + width]
        before = box.astype(np.float32)
        change = self.convert(patch)
        change -= before
        change *= weight[..., None]
        change += before
        box[...] = np.rint(np.clip(change, 0.0, 65535.0))
