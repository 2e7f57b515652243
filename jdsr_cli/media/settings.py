"""What a user may choose about the reading of an input."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, get_args

from jdsr_cli.errors import UsageError

Deinterlacing = Literal["auto", "on", "off"]

_HIGHEST_RATE = 1000
"""Frames per second above which a rate is taken for a slip of the pen."""


@dataclass(frozen=True)
class ReadSettings:
    """How an input is to be read; the defaults read everything as the file says it is.

    Attributes:
        frame_rate: Frames per second of an input that holds no timestamps (raw .h264, a sequence
            of pictures), where its own guess is wrong. Files with timestamps keep theirs, and
            a warning says so.
        stream: Which of several video streams is read, from 1; None for the first.
        start: Seconds after the first frame from which on frames are delivered, None for all.
        end: Seconds after the first frame before which delivery ends, None for all: the
            window is half open, so that windows that meet share no frame.
        aspect: Width of the whole displayed picture over its height, where the file does not
            tell or tells it wrongly; None for what the file says.
        deinterlace: "auto" deinterlaces the frames that are flagged as interlaced, "on" all
            frames, "off" none. Pictures and animations are never deinterlaced.

    Raises:
        UsageError: A value that cannot be.

    """

    frame_rate: Fraction | None = None
    stream: int | None = None
    start: Fraction | None = None
    end: Fraction | None = None
    deinterlace: Deinterlacing = "auto"
    aspect: Fraction | None = None

    def __post_init__(self) -> None:
        if self.frame_rate is not None and not 0 < self.frame_rate <= _HIGHEST_RATE:
            raise UsageError(
                f"a frame rate of {_number(self.frame_rate)} cannot be",
                where="--fps",
                hint=f"Give frames per second, up to {_HIGHEST_RATE}.",
            )
        if self.stream is not None and self.stream < 1:
            raise UsageError(
                f"there is no video stream {self.stream}",
                where="--stream",
                hint="Streams are counted from 1.",
            )
        if self.start is not None and self.start < 0:
            raise UsageError(
                f"a start {_number(-self.start)} s before the first frame cannot be",
                where="--start",
                hint="Give seconds after the first frame.",
            )
        if self.end is not None and self.end <= (self.start or 0):
            raise UsageError(
                f"an end at {_number(self.end)} s leaves nothing",
                where="--end",
                hint="It must lie after the start.",
            )
        if self.deinterlace not in get_args(Deinterlacing):
            raise UsageError(
                f"{self.deinterlace!r} is no way to deinterlace",
                where="--deinterlace",
                hint="Use auto, on or off.",
            )

        if self.aspect is not None and not Fraction(1, 8) <= self.aspect <= 8:
            raise UsageError(
                f"a picture {_number(self.aspect)} times as wide as high cannot be",
                where="--aspect",
                hint="Give width and height of the displayed picture, such as 16:9.",
            )

    @property
    def trims(self) -> bool:
        """Whether a part of the input is left out."""
        return bool(self.start) or self.end is not None


def _number(value: Fraction) -> str:
    return f"{float(value):g}"
