"""What every kind of input offers to the reader."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from jdsr_cli.media.frames import Frame, Image
from jdsr_cli.media.info import MediaInfo


@dataclass(frozen=True)
class PendingFrame:
    """A frame that is decoded and timed, its picture not yet converted to RGB.

    Attributes:
        index: As in `Frame`.
        pts: As in `Frame`.
        time_base: As in `Frame`.
        render: Makes the picture; for a frame that is passed over it is never called.

    """

    index: int
    pts: int
    time_base: Fraction
    render: Callable[[], Image]

    def frame(self) -> Frame:
        """Return the finished frame."""
        return Frame(self.index, self.pts, self.time_base, self.render())


class Source(Protocol):
    """An opened input."""

    @property
    def info(self) -> MediaInfo:
        """What the input says about itself."""

    @property
    def corrupt(self) -> int:
        """Frames given out so far that the decoder marked as damaged."""

    @property
    def skipped(self) -> int:
        """Packets or pictures so far that could not be decoded at all."""

    def frames(self) -> Iterator[PendingFrame]:
        """Yield the frames in order of time; called once."""

    def warnings(self) -> list[str]:
        """Return one sentence for each thing that was amiss so far."""

    def close(self) -> None:
        """Give back what is held open."""


def resized_warning(count: int) -> str:
    """Say that frames were brought to the size of the first."""
    return f"{count} frames have another size than the first; resized to it, proportions kept"


def depth_warning(bits: int) -> str:
    """Say that a finer picture is worked on in 8 bits."""
    return f"the picture has {bits} bits per channel; it is processed in 8"
