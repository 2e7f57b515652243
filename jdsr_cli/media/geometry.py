"""Display geometry of stored pictures: orientation, clean aperture and pixel aspect ratio."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np

from jdsr_cli.errors import UsageError
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


_LEAST_SIDE = 16
"""Pixels: a smaller aperture is taken for a fault of the file."""


@dataclass(frozen=True)
class Aperture:
    """A part of a stored picture, in pixels."""

    left: int
    top: int
    width: int
    height: int

    def cut(self, image: Image) -> Image:
        """Return that part of a stored picture (H, W, 3), as a view."""
        return image[self.top : self.top + self.height, self.left : self.left + self.width]

    def note(self, width: int, height: int) -> str:
        """Tell the user of it.

        Args:
            width: Of the stored picture, in pixels.
            height: Of the same.

        """
        return (
            f"the frames of {width}x{height} are cut to the clean aperture of "
            f"{self.width}x{self.height} that the file names"
        )


@dataclass(frozen=True)
class Margins:
    """What a container says is not displayed, in stored pixels.

    Attributes:
        width: Of the whole picture, as the container states it.
        height: Of the same.
        left: Columns that are not displayed.
        top: Rows.
        right: Columns.
        bottom: Rows.

    """

    width: int
    height: int
    left: int
    top: int
    right: int
    bottom: int

    def aperture(self, width: int, height: int) -> Aperture | None:
        """Return what they leave of a decoded picture, None where that is all or cannot be.

        Where the picture was decoded to another size than the container states, nothing is left
        out: the decoder may have done so already.

        Args:
            width: Of the decoded picture, in pixels.
            height: Of the same.

        """
        across, down = width - self.left - self.right, height - self.top - self.bottom
        margins = (self.left, self.top, self.right, self.bottom)
        if (self.width, self.height) != (width, height) or not any(margins):
            return None
        if min(margins) < 0 or min(across, down) < _LEAST_SIDE:
            return None
        return Aperture(self.left, self.top, across, down)


MOST_ASPECT = 8
"""Largest ratio of the sides of a stored pixel that is believed."""
SAME_SHAPE = 0.02
"""Relative difference of proportions up to which pictures have the same: sizes that were rounded to
whole macroblocks differ by as much."""


def tagged_aspect(tag: Fraction | None) -> tuple[Fraction, str | None]:
    """Return the sample aspect by a file's tag, and a sentence where the tag cannot be."""
    if not tag:
        return Fraction(1), None
    if Fraction(1, MOST_ASPECT) <= tag <= MOST_ASPECT:
        return tag, None
    return Fraction(1), (
        f"the file says that its pixels are {float(tag):g} times as wide as high, which cannot be; "
        "square ones taken (--aspect tells better)"
    )


def chosen_aspect(picture: Fraction, width: int, height: int) -> Fraction:
    """Return the sample aspect of an upright picture that is displayed with a given shape.

    Args:
        picture: Width over height of the displayed picture.
        width: Of the stored picture, upright, in pixels.
        height: Of the same.

    Raises:
        UsageError: pixels of that shape cannot be.

    """
    ratio = (picture * height / width).limit_denominator(4096)
    if not Fraction(1, MOST_ASPECT) <= ratio <= MOST_ASPECT:
        raise UsageError(
            f"{width}x{height} pixels shown {float(picture):g} times as wide as high would each "
            f"be {float(ratio):g} times as wide as high",
            where="--aspect",
            hint="Give width and height of the displayed picture, such as 4:3.",
        )
    return ratio


def fit(image: Image, width: int, height: int, aspect: Fraction = Fraction(1)) -> Image:
    """Return a picture in a frame of another size, its proportions kept by black bars.

    Args:
        image: uint8 RGB (h, w, 3).
        width: Of the frame, in pixels.
        height: Of the frame.
        aspect: Width over height of a pixel of `image`, where one of the frame has 1.

    Returns:
        uint8 RGB (height, width, 3).

    """
    wide, high = image.shape[1] * aspect, Fraction(image.shape[0])
    scale = min(width / wide, height / high)
    across, down = max(1, round(wide * scale)), max(1, round(high * scale))
    if across >= (1 - SAME_SHAPE) * width and down >= (1 - SAME_SHAPE) * height:
        across, down = width, height
    smaller = across < image.shape[1] and down < image.shape[0]
    method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    resized = np.asarray(cv2.resize(image, (across, down), interpolation=method), np.uint8)
    if (across, down) == (width, height):
        return resized
    framed = np.zeros((height, width, 3), np.uint8)
    left, top = (width - across) // 2, (height - down) // 2
    framed[top : top + down, left : left + across] = resized
    return framed
