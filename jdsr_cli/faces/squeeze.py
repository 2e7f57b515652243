"""Does a picture look squeezed? By the boxes of its faces.

Recorders that store half the rows or half the columns often leave out the tag that tells so, and
faces are then judged in a shape that no face has. The boxes of the detector follow that shape; its
points hardly do, since they are drawn to the proportions that it was trained on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from jdsr_cli.faces.detection import Detection

USUAL_SHAPE = (1.12, 1.45)
"""Median height over width of the boxes of upright faces between which nothing is said.

CenterFace, 12 frames of each of 7 development clips with square pixels: 1.19 to 1.32; the same
with half the rows 0.77 to 1.08, with half the columns 1.47 to 2.15. RetinaFace was not measured.
"""
LEAST_FACES = 8
"""Upright faces, whole in the frame, by which a picture is judged."""
MOST_TILT = 0.35
"""Slope of the line between the eyes of a face that counts as upright."""
_STEPS = 100
"""Of a ratio, in which they are counted."""


class SqueezeJudge:
    """Collects the shapes of the faces of one input.

    Args:
        width: Of the displayed frame, in pixels.
        height: Of the same.

    """

    def __init__(self, width: int, height: int) -> None:
        self._last = (width - 1.5, height - 1.5)
        self._shapes: Counter[int] = Counter()

    def see(self, faces: Iterable[Detection]) -> None:
        """Take in the faces found in a frame, in displayed pixels."""
        for face in faces:
            across, down = (face.points[1] - face.points[0]).tolist()
            left, top, right, bottom = face.box
            whole = left > 0.5 and top > 0.5 and right < self._last[0] and bottom < self._last[1]
            upright = face.turn == 0.0 and abs(down) <= MOST_TILT * across
            if whole and upright and face.width > 0.0:
                self._shapes[round(_STEPS * face.height / face.width)] += 1

    def note(self) -> str | None:
        """Return a hint where the faces have the shape of a squeezed picture."""
        total = self._shapes.total()
        if total < LEAST_FACES:
            return None
        median = sorted(self._shapes.elements())[total // 2] / _STEPS
        if USUAL_SHAPE[0] <= median <= USUAL_SHAPE[1]:
            return None
        return (
            f"faces are {median:.2f} times as high as wide (usual: 1.2 to 1.35), so the picture "
            "may be squeezed; --aspect W:H tells the shape in which it is displayed, such as 4:3"
        )
