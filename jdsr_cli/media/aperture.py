"""The part of a stored picture that is displayed."""

from __future__ import annotations

from dataclasses import dataclass

from jdsr_cli.media.frames import Image

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
