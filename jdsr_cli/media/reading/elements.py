"""Follow the top level of a container from one element to the next, without reading its content."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Protocol

HEAD = 300
"""Number of bytes that are read of each element; a header of an Ogg page has 282 at most."""

_MAX_ELEMENTS = 1 << 21
"""Number of elements that are followed; the limit stops files that consist of empty ones."""

ENDLESS = sys.maxsize
"""Length of an element that extends to the end of the file."""

Step = Callable[[bytes, int, int, dict[bytes, int]], int]
"""Return the length of an element.

It is 0 if the recording ends before the element, and negative if it ended earlier. The arguments
are the first bytes of the element, its position in the recording, the number of bytes from there to
the end of the file, and what was noted of earlier elements, to be extended.
"""


class Layout(Protocol):
    """How a recording is stored in a file.

    Attributes:
        searched: Whether `find` is reliable enough to search recordings in any bytes.
        continuous: Whether recordings that follow one another are one stream, and FFmpeg reads on
            after lost or damaged elements.

    """

    @property
    def searched(self) -> bool:
        """See above."""

    @property
    def continuous(self) -> bool:
        """See above."""

    def starts(self, head: bytes) -> bool:
        """Whether a recording starts with these bytes."""

    def find(self, data: bytes, start: int) -> int | None:
        """Return where the next recording may start in `data`, None if nowhere."""

    def follow(self, stream: BinaryIO, position: int, size: int) -> int:
        """Return where the recording ends that starts at a position, beyond `size` if cut off."""


@dataclass(frozen=True)
class Structure:
    """A kind of container that consists of elements.

    Attributes:
        start: Pattern of the first bytes of a recording.
        step: Measures the elements at its top level.
        least: Minimum number of bytes of an element.
        searched, continuous: See `Layout`.

    """

    start: re.Pattern[bytes]
    step: Step
    least: int
    searched: bool = True
    continuous: bool = False

    def starts(self, head: bytes) -> bool:
        """Whether a recording starts with these bytes."""
        return self.start.match(head) is not None

    def find(self, data: bytes, start: int) -> int | None:
        """Return where the next recording may start in `data`, None if nowhere."""
        match = self.start.search(data, start)
        return None if match is None else match.start()

    def follow(self, stream: BinaryIO, position: int, size: int) -> int:
        """Return where the recording ends that starts at a position, beyond `size` if cut off."""
        start, seen = position, dict[bytes, int]()
        for _ in range(_MAX_ELEMENTS):
            if position + self.least > size:
                return position
            stream.seek(position)
            length = self.step(stream.read(HEAD), position - start, size - position, seen)
            position += length
            if length <= 0:
                return position
        return size


def endless(head: bytes, position: int, rest: int, seen: dict[bytes, int]) -> int:
    """Measure a container whose elements do not state their length."""
    return ENDLESS
