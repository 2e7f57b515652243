"""Display geometry of stored pictures: orientation, clean aperture and pixel aspect ratio."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np

from jdsr_cli.errors import UsageError
from jdsr_cli.media.frames import Pixels

_SLANT_LIMIT = 0.05
"""Share of the off-axis part of a display matrix above which the angle is not a right angle."""


@dataclass(frozen=True)
class Orientation:
    """The transformation that makes a stored picture upright: mirroring, then clockwise rotation.

    Attributes:
        rotation: Degrees clockwise: 0, 90, 180 or 270.
        mirrored: Whether the picture is mirrored left to right before it is rotated.

    """

    rotation: int = 0
    mirrored: bool = False

    @property
    def swaps_sides(self) -> bool:
        """Whether width and height are exchanged."""
        return self.rotation in (90, 270)

    def apply(self, image: Pixels) -> Pixels:
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
        The nearest orientation by right angles, and whether the matrix equals it.

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


_MIN_SIDE = 16
"""Pixels: a smaller aperture is treated as an error of the file."""


@dataclass(frozen=True)
class Aperture:
    """A part of a stored picture, in pixels."""

    left: int
    top: int
    width: int
    height: int

    def crop(self, image: Pixels) -> Pixels:
        """Return the displayed part of a stored picture (H, W, 3), as a view."""
        return image[self.top : self.top + self.height, self.left : self.left + self.width]

    def note(self, width: int, height: int) -> str:
        """Return a sentence for the user.

        Args:
            width: Width of the stored picture in pixels.
            height: Height of the stored picture in pixels.

        """
        return (
            f"the frames of {width}x{height} are cropped to the clean aperture of "
            f"{self.width}x{self.height} given by the file"
        )


@dataclass(frozen=True)
class Margins:
    """Margins that a container excludes from display, in stored pixels.

    Attributes:
        width: Width of the whole picture, as stated by the container.
        height: Height of the whole picture, as stated by the container.
        left: Number of columns excluded at the left.
        top: Number of rows excluded at the top.
        right: Number of columns excluded at the right.
        bottom: Number of rows excluded at the bottom.

    """

    width: int
    height: int
    left: int
    top: int
    right: int
    bottom: int

    def aperture(self, width: int, height: int) -> Aperture | None:
        """Return the displayed part of a decoded picture, None if that is all or is invalid.

        If the decoded picture has another size than the container states, nothing is cropped: the
        decoder may have done so already.

        Args:
            width: Width of the decoded picture in pixels.
            height: Height of the decoded picture in pixels.

        """
        across, down = width - self.left - self.right, height - self.top - self.bottom
        margins = (self.left, self.top, self.right, self.bottom)
        if (self.width, self.height) != (width, height) or not any(margins):
            return None
        if min(margins) < 0 or min(across, down) < _MIN_SIDE:
            return None
        return Aperture(self.left, self.top, across, down)


MAX_PIXEL_ASPECT = 8
"""Largest accepted ratio of the sides of a stored pixel."""
ASPECT_TOLERANCE = 0.02
"""Relative difference up to which two aspect ratios are treated as equal: sizes that were rounded
to whole macroblocks differ by as much."""


def tagged_aspect(tag: Fraction | None) -> tuple[Fraction, str | None]:
    """Return the sample aspect ratio of a file's tag, and a warning if the tag is implausible."""
    if not tag:
        return Fraction(1), None
    if Fraction(1, MAX_PIXEL_ASPECT) <= tag <= MAX_PIXEL_ASPECT:
        return tag, None
    return Fraction(1), (
        f"the file states pixels {float(tag):g} times as wide as high, which is implausible; "
        "square pixels are assumed (set --aspect)"
    )


def chosen_aspect(picture: Fraction, width: int, height: int) -> Fraction:
    """Return the sample aspect ratio with which an upright picture has a given display aspect.

    Args:
        picture: Width over height of the displayed picture.
        width: Width of the stored picture, upright, in pixels.
        height: Height of the stored picture, upright, in pixels.

    Raises:
        UsageError: The pixels would be implausibly wide or high.

    """
    ratio = (picture * height / width).limit_denominator(4096)
    if not Fraction(1, MAX_PIXEL_ASPECT) <= ratio <= MAX_PIXEL_ASPECT:
        raise UsageError(
            f"{width}x{height} pixels shown {float(picture):g} times as wide as high would each "
            f"be {float(ratio):g} times as wide as high",
            where="--aspect",
            hint="Give width and height of the displayed picture, such as 4:3.",
        )
    return ratio


def fit(image: Pixels, width: int, height: int, aspect: Fraction = Fraction(1)) -> Pixels:
    """Resize a picture to another size and keep its aspect ratio by black bars.

    Args:
        image: uint8 or uint16 RGB (h, w, 3).
        width: Width of the result in pixels.
        height: Height of the result in pixels.
        aspect: Width over height of a pixel of `image`, relative to a pixel of the result.

    Returns:
        RGB (height, width, 3) of the same type.

    """
    source_width, source_height = image.shape[1] * aspect, Fraction(image.shape[0])
    scale = min(width / source_width, height / source_height)
    across, down = max(1, round(source_width * scale)), max(1, round(source_height * scale))
    if across >= (1 - ASPECT_TOLERANCE) * width and down >= (1 - ASPECT_TOLERANCE) * height:
        across, down = width, height
    smaller = across < image.shape[1] and down < image.shape[0]
    method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    resized = np.asarray(cv2.resize(image, (across, down), interpolation=method), image.dtype)
    if (across, down) == (width, height):
        return resized
    framed = np.zeros((height, width, 3), image.dtype)
    left, top = (width - across) // 2, (height - down) // 2
    framed[top : top + down, left : left + across] = resized
    return framed
