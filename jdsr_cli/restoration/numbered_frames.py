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
        reader = self._reader_before(number)
        self._next += reader.skip(number - self._next)
        read = next(reader, None)
        if read is not None:
            self._next += 1
            self._recent.append((number, read))
        return read

    def approach(self, number: int, most: int) -> bool:
        """Skip some of the frames before one, unless the input ends.

        Args:
            number: Number of that frame.
            most: Frames that are skipped at most.

        Returns:
            Whether more remain to be skipped.

        """
        if number <= self._next:
            return False
        wanted = min(number - self._next, most)
        skipped = self._reader_before(number).skip(wanted)
        self._next += skipped
        return skipped == wanted and self._next < number

    def _reader_before(self, number: int) -> Reader:
        """Return a reader that has not passed a frame."""
        if self._reader is not None and number < self._next:
            self._reader.close()
            self._reader, self._next = None, 0
        if self._reader is None:
            self._reader = self._opener()
        return self._reader
