"""The comparison: the enlarged input beside the same frame with its restored faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np

from jdsr_cli.evidence import FaceOverlay, Label, draw_faces
from jdsr_cli.faces.compositing import LONGEST_SIDE, FramePlan
from jdsr_cli.media import Image

DIVIDER_SHARE = 1 / 540
"""Half of the divider's width as a share of the shorter side of a picture."""
DIVIDER_LEVEL = 255
"""Grey level of the divider."""


@dataclass(frozen=True)
class ComparisonPlan:
    """Size of both pictures and of the line between them, in pixels."""

    width: int
    """Width of one picture."""
    height: int
    divider: int
    """Width of the line; even, so that the whole is as well."""
    note: str | None = None
    """Tells the user if the pictures are smaller than the restored frames."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the whole."""
        return 2 * self.width + self.divider, self.height


def plan_comparison(plan: FramePlan, *, still: bool) -> ComparisonPlan:
    """Choose the size of a comparison.

    Both pictures are as large as the restored frame. In a video they are reduced together until the
    whole has at most `LONGEST_SIDE` pixels on its longer side, which decoders in hardware and
    players have in common; a still picture has no such limit.

    Args:
        plan: How frames are enlarged.
        still: Whether it is a picture and not a video.

    """
    width, height = plan.width, plan.height
    divider = 2 * max(1, round(min(width, height) * DIVIDER_SHARE))
    across = Fraction(LONGEST_SIDE - divider, 2 * width)
    factor = min(across, Fraction(LONGEST_SIDE, height))
    if still or factor >= 1:
        return ComparisonPlan(width, height, divider)
    reduced = max(1, int(width * factor)), max(2, 2 * round(height * factor / 2))
    note = (
        f"the comparison shows both pictures with {reduced[0]}x{reduced[1]} instead of "
        f"{width}x{height} pixels, so that its longer side stays within {LONGEST_SIDE} px"
    )
    return ComparisonPlan(*reduced, divider, note)


class FrameComparison:
    """Draws the comparison of each frame.

    Args:
        plan: Its size.
        label: Whether the restored picture gets the visible label.

    """

    def __init__(self, plan: ComparisonPlan, *, label: bool) -> None:
        self._plan = plan
        self._label = Label(plan.width, plan.height) if label else None

    def draw(self, filmed: Image, restored: Image, faces: Sequence[FaceOverlay] = ()) -> Image:
        """Return both pictures side by side, RGB uint8 (height, width, 3).

        Args:
            filmed: The enlarged frame, RGB uint8 (H, W, 3).
            restored: The same with restored faces, without label.
            faces: Annotations that are drawn on both, in pixels of the enlarged frame.

        """
        plan = self._plan
        width, height = plan.size
        whole = np.full((height, width, 3), DIVIDER_LEVEL, np.uint8)
        left, right = whole[:, : plan.width], whole[:, width - plan.width :]
        size = (plan.width, plan.height)
        scaled = [
            one.scaled(plan.width / filmed.shape[1], plan.height / filmed.shape[0]) for one in faces
        ]
        for half, image in ((left, filmed), (right, restored)):
            if image.shape != half.shape:
                image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
            half[:] = image
            draw_faces(half, scaled)
        if self._label is not None:
            self._label.stamp(right)
        return whole
