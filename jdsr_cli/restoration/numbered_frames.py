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
        limit: Number of frames after which the input counts as ended; None for its end.

    """

    def __init__(
        self,
        opener: Callable[[], Reader],
        reader: Reader | None = None,
        limit: int | None = None,
    ) -> None:
        self._opener = opener
        self._limit = limit
        self._reader = reader
        self._recent: deque[tuple[int, Frame]] = deque(maxlen=2)
        """The last two frames, with their numbers."""
        self._next = 0

    def get(self, number: int) -> Frame | None:
        """Return a frame; None if the input has ended before it."""
        if self._limit is not None and number >= self._limit:
            return None
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

    def is_near(self, number: int, most: int) -> bool:
        """Return whether a frame is there, or at most some frames ahead."""
        ahead = self._reader is not None and 0 <= number - self._next <= most
        return ahead or any(known == number for known, _ in self._recent)

    def approach(self, number: int, most: int) -> None:
        """Skip some of the frames before one, from the start if it was passed.

        Args:
            number: Number of that frame.
            most: Frames that are skipped at most.

        """
        reader = self._reader_before(number)
        skipped = reader.skip(min(number - self._next, most))
        self._next += skipped
        if not skipped and self._next < number:
            # The input has ended: there is nothing before the frame.
            self._next = number

    def _reader_before(self, number: int) -> Reader:
        """Return a reader that has not passed a frame."""
        if self._reader is not None and number < self._next:
            self.close()
        if self._reader is None:
            self._reader = self._opener()
        return self._reader

    def close(self) -> None:
        """Close the input."""
        if self._reader is not None:
            self._reader.close()
        self._reader, self._next = None, 0
        self._recent.clear()
