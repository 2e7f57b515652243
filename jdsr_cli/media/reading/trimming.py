"""Select the part of a video that was requested (`--start`, `--end`)."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Literal

from jdsr_cli.errors import UsageError
from jdsr_cli.settings import ReadSettings

Position = Literal["before", "inside", "after"]
"""Position of a frame relative to the requested part."""

TRIM_IGNORED = "a still picture has no duration; --start and --end were ignored"
"""Warning for a still picture for which a part was requested."""


class TrimWindow:
    """Select the frames between the start and the end of the requested part.

    Args:
        settings: Options with the start and the end; either may be None.

    """

    def __init__(self, settings: ReadSettings) -> None:
        self._start = settings.start or Fraction(0)
        self._end = settings.end
        self._origin: Fraction | None = None
        self._last_before: Fraction | None = None
        self._first_after: Fraction | None = None
        self._inside = 0

    def locate(self, time: Fraction) -> Position:
        """Return the position of the next frame relative to the window.

        Args:
            time: Time of the frame in seconds; in the first call, that of the first frame.

        """
        if self._origin is None:
            self._origin = time
        elapsed = time - self._origin
        if elapsed < self._start:
            self._last_before = elapsed
            return "before"
        if self._end is not None and elapsed >= self._end:
            self._first_after = elapsed
            return "after"
        self._inside += 1
        return "inside"

    def check(self, file: Path) -> None:
        """Check after the last frame that any frame was in the window.

        Raises:
            UsageError: None was; the message states the extent of the clip.

        """
        if self._inside or self._last_before is None:
            return
        start, end = _seconds(self._start), self._end
        requested = f"from {start} on" if end is None else f"from {start} to {_seconds(end)}"
        if self._first_after is None:
            extent = f"the last one is at {_seconds(self._last_before)}"
        else:
            extent = f"they are at {_seconds(self._last_before)} and {_seconds(self._first_after)}"
        raise UsageError(
            f"no frame is in the part {requested}: {extent}",
            where=file,
            hint="Choose another --start or --end; they count from the first frame.",
        )


def _seconds(value: Fraction) -> str:
    return f"{float(value):.3f} s"
