"""Turning frames upright: display matrices of video and EXIF orientation of stills."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from jdsr_cli.media.frames import Image

_SLANT_LIMIT = 0.05
"""Share of the off-axis part of a display matrix above which the angle is not a right one."""


@dataclass(frozen=True)
class Orientation:
    """How a stored picture is turned upright: mirrored left to right, then turned clockwise.

    Attributes:
        rotation: Degrees clockwise: 0, 90, 180 or 270.
        mirrored: Whether the picture is mirrored left to right before it is turned.

    """

    rotation: int = 0
    mirrored: bool = False

    @property
    def swaps_sides(self) -> bool:
        """Whether width and height change places."""
        return self.rotation in (90, 270)

    def apply(self, image: Image) -> Image:
        """Return `image` (height, width, 3) upright, contiguous in memory."""
        if self.mirrored:
            image = image[:, ::-1]
        return np.ascontiguousarray(np.rot90(image, -(self.rotation // 90)))


UPRIGHT = Orientation()

EXIF_ORIENTATIONS = {
    1: UPRIGHT,
    2: Orientation(0, mirrored=True),
    3: Orientation(180),
    4: Orientation(180, mirrored=True),
    5: Orientation(270, mirrored=True),
    6: Orientation(90),
    7: Orientation(90, mirrored=True),
    8: Orientation(270),
}
"""Meaning of the EXIF tag 0x0112."""


def from_display_matrix(data: bytes) -> tuple[Orientation, bool]:
    """Read a display matrix.

    Args:
        data: Nine native 32-bit integers, rows (a b u), (c d v), (x y w): a stored point
            (x, y) is shown at (a x + c y, b x + d y), x to the right and y downwards.

    Returns:
        The nearest orientation by right angles, and whether the matrix is exactly that.

    """
    if len(data) < 36:
        return UPRIGHT, True
    a, b, _, c, d = struct.unpack_from("=5i", data)
    upright, turned = abs(a) + abs(d), abs(b) + abs(c)
    if upright + turned == 0:
        return UPRIGHT, True
    exact = min(upright, turned) <= _SLANT_LIMIT * (upright + turned)
    if upright < turned:
        a = d = 0
    else:
        b = c = 0
    mirrored = a * d - b * c < 0
    if mirrored:
        a, b = -a, -b
    rotation = (0 if a > 0 else 180) if upright >= turned else (90 if b > 0 else 270)
    return Orientation(rotation, mirrored), exact
