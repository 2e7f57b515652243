"""The frames of an input by number."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from jdsr_cli.media import Frame, Reader


class NumberedFrames:
    """The frames of an input by number; reading on is fast, going back starts anew.

    Args:
        opener: Opens the input.
        reader: A reader that is open already.

    """

    def __init__(self, opener: Callable[[], Reader], reader: Reader | None = None) -> None:
        self._opener = opener
        self._reader = reader
        self._recent: deque[tuple[int, Frame]] = deque(maxlen=2)
        """The last two frames, with their numbers."""
        self._next = 0

    def get(self, number: int) -> Frame | None:
        """Return a frame; None if the input has ended before it."""
        for known, frame in self._recent:
            if known == number:
                return frame
        if self._reader is not None and number < self._next:
            self._reader.close()
            self._reader, self._next = None, 0
        if self._reader is None:
            self._reader = self._opener()
        self._next += self._reader.skip(number - self._next)
        read = next(self._reader, None)
        if read is not None:
            self._next += 1
            self._recent.append((number, read))
        return read
