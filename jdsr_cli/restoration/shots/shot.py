"""One face of one frame, with all that its picture needs after the frame has gone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.faces import TEMPLATE_SIZE, Alignment, ComposeSettings, compose, crop
from jdsr_cli.faces.resampling import cut_out, invert
from jdsr_cli.restoration.framing import canvas_side, template_to_canvas
from jdsr_cli.restoration.generate import RestoredFace


@dataclass(frozen=True, eq=False)
class Shot:
    """A restored face and the part of its frame that it was made of."""

    frame: int
    """Index of the frame in the input."""
    seconds: float
    """Time of the frame."""
    quality: float
    """0 to 1, see `faces.quality`."""
    patch: NDArray[np.uint8]
    """Part of the frame that the template reads, RGB (h, w, 3)."""
    alignment: Alignment
    """From pixels of the patch to the template."""
    face: RestoredFace

    @classmethod
    def cut(
        cls,
        image: NDArray[np.uint8],
        alignment: Alignment,
        face: RestoredFace,
        *,
        frame: int,
        seconds: float,
        quality: float,
    ) -> Shot:
        """Cut what is needed out of the frame `image`, to whose pixels `alignment` belongs."""
        part, to_part = cut_out(image, alignment.inverse(), TEMPLATE_SIZE, TEMPLATE_SIZE)
        return cls(frame, seconds, quality, part.copy(), Alignment(invert(to_part)), face)

    def side(self, scale: int) -> int:
        """Return the side in pixels of the face's picture, `scale` times as large as filmed."""
        return canvas_side(self.alignment.native_width, scale)

    def render(self, side: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return the face as filmed and as restored, each RGB uint8 (side, side, 3), aligned."""
        before = crop(self.patch, self.alignment, side)
        after = before.copy()
        compose(
            after,
            self.face.image,
            self.face.occlusion,
            template_to_canvas(side),
            self.alignment.native_width,
            ComposeSettings.of_input(self.face.side),
        )
        return before, after
