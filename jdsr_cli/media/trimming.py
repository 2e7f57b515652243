"""The part of an input that is delivered, in seconds after its first frame."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Literal

from jdsr_cli.errors import UsageError
from jdsr_cli.settings import ReadSettings

Place = Literal["before", "inside", "after"]


TRIM_IGNORED = "a still picture has no length; the part asked for was not cut out"
"""What is said of a still for which a part was chosen."""


class TrimWindow:
    """Tells of each frame whether it lies in the window, and of an empty window why it is so.

    Args:
        settings: Its start and end; either may be missing.

    """

    def __init__(self, settings: ReadSettings) -> None:
        self._start = settings.start or Fraction(0)
        self._end = settings.end
        self._origin: Fraction | None = None
        self._last_before: Fraction | None = None
        self._first_after: Fraction | None = None
        self._inside = 0

    def place(self, time: Fraction) -> Place:
        """Return where the next frame lies.

        Args:
            time: Its time in seconds; the first one given is that of the first frame.

        """
        if self._origin is None:
            self._origin = time
        moment = time - self._origin
        if moment < self._start:
            self._last_before = moment
            return "before"
        if self._end is not None and moment >= self._end:
            self._first_after = moment
            return "after"
        self._inside += 1
        return "inside"

    def check(self, file: Path) -> None:
        """See, once delivery has ended, that there was a frame in the window.

        Raises:
            UsageError: There was none; the message gives the real extent of the clip.

        """
        if self._inside or self._last_before is None:
            return
        start, end = _seconds(self._start), self._end
        wanted = f"from {start} on" if end is None else f"from {start} to {_seconds(end)}"
        if self._first_after is None:
            extent = f"the last one lies at {_seconds(self._last_before)}"
        else:
            extent = f"they lie at {_seconds(self._last_before)} and {_seconds(self._first_after)}"
        raise UsageError(
            f"no frame lies in the part {wanted}: {extent}",
            where=file,
            hint="Choose another --start or --end; they count from the first frame.",
        )


def _seconds(value: Fraction) -> str:
    return f"{float(value):.3f} s"
