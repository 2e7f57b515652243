"""The small visible label on restored frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

LABEL_TEXT = "Faces restored by AI (jdsr)"
SHORT_TEXT = "AI (jdsr)"
HEIGHT_SHARE = 1 / 40
"""Height of the letters as a share of the frame's shorter side."""
LEAST_HEIGHT = 9
"""Pixels below which letters cannot be read."""
WIDEST_SHARE = 0.6
"""Of the frame's width: a longer label gives way to the short text."""
BACKING = 0.55
"""How dark the field behind the letters is, 0 to 1."""


class Label:
    """A label rendered once for frames of one size and blended into their lower left corner.

    Args:
        width: Of the frames, pixels.
        height: Of the frames, pixels.

    """

    def __init__(self, width: int, height: int) -> None:
        size = max(LEAST_HEIGHT, round(min(width, height) * HEIGHT_SHARE))
        letters = _render(LABEL_TEXT, size)
        if letters.shape[1] > WIDEST_SHARE * width:
            letters = _render(SHORT_TEXT, size)
        letters = letters[:height, :width]
        self.height, self.width = letters.shape
        self._letters = letters[..., None]
        self._keep = (1.0 - self._letters) * (1.0 - BACKING)

    def stamp(self, image: NDArray[np.uint8]) -> None:
        """Blend the label into `image`, RGB uint8 (height, width, 3), in place."""
        corner = image[image.shape[0] - self.height :, : self.width]
        corner[:] = np.rint(corner * self._keep + 255.0 * self._letters).astype(np.uint8)


def _render(text: str, size: int) -> NDArray[np.float32]:
    """Return the coverage of white letters with a margin, float32 (h, w) in [0, 1]."""
    font = ImageFont.load_default(size)
    left, top, right, bottom = font.getbbox(text)
    margin = max(2, size // 3)
    canvas = Image.new("L", (round(right - left) + 2 * margin, round(bottom - top) + 2 * margin))
    ImageDraw.Draw(canvas).text((margin - left, margin - top), text, fill=255, font=font)
    return np.asarray(canvas, dtype=np.float32) / 255.0
