"""Time spent in each stage of a run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class StageClock:
    """Adds up seconds by stage; stages run beside each other, so their sum may pass the total.

    Each stage is counted by one thread only.
    """

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._start: float | None = None

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time of the block as that of stage `name`."""
        start = time.perf_counter()
        if self._start is None:
            self._start = start
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - start)

    def add(self, name: str, seconds: float) -> None:
        """Count seconds as those of stage `name`."""
        self._seconds[name] = self._seconds.get(name, 0.0) + seconds

    def report(self) -> dict[str, float]:
        """Return seconds by stage and, as `total`, those since the first began, to the ms."""
        total = 0.0 if self._start is None else time.perf_counter() - self._start
        return {name: round(s, 3) for name, s in (*self._seconds.items(), ("total", total))}
