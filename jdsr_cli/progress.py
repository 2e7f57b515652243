"""Progress of long work: one callback protocol, which the command line renders.

The library never prints. Functions that are called without a `Progress` use `Silent`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """Receives the progress of named tasks.

    A task is started once, advanced any number of times and ended once; `total` is None while
    the amount of work is unknown. `note` receives one line for the user.

    Examples:
        >>> from jdsr_cli import CropSettings, Silent, crop_faces
        >>> class Notes(Silent):
        ...     def note(self, message: str) -> None:
        ...         print(message)
        >>> _ = crop_faces(["photo.png"], "crops", CropSettings(detector="centerface"), Notes())
        detector: centerface

    """

    def begin(self, task: str, total: int | None) -> None:
        """Start `task`, which has `total` units of work (None: unknown)."""

    def advance(self, task: str, units: int = 1) -> None:
        """Report `units` more units of work as done."""

    def end(self, task: str) -> None:
        """Report the end of `task`, finished or not."""

    def note(self, message: str) -> None:
        """Report a line for the user."""


class Silent:
    """A `Progress` that ignores everything; a base class for implementations of single methods.

    Examples:
        >>> from jdsr_cli import Silent
        >>> Silent().note("not shown")

    """

    def begin(self, task: str, total: int | None) -> None:
        """Ignore the task."""

    def advance(self, task: str, units: int = 1) -> None:
        """Ignore the units."""

    def end(self, task: str) -> None:
        """Ignore the end."""

    def note(self, message: str) -> None:
        """Ignore the line."""


class StageClock:
    """Sums the seconds of each stage; a stage must be timed by a single thread."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._start: float | None = None

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of the block to that of stage `name`."""
        start = time.perf_counter()
        if self._start is None:
            self._start = start
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - start)

    def add(self, name: str, seconds: float) -> None:
        """Add seconds to those of stage `name`."""
        self._seconds[name] = self._seconds.get(name, 0.0) + seconds

    def report(self) -> dict[str, float]:
        """Return the seconds of each stage and, as `total`, those since the first start."""
        total = 0.0 if self._start is None else time.perf_counter() - self._start
        return {name: round(s, 3) for name, s in (*self._seconds.items(), ("total", total))}


def duration_text(seconds: float) -> str:
    """Return a duration in the unit in which it is at least two: `3.1 days`, `2.5 h`, `90 min`."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"
