"""Wall time spent in each stage of a run."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class StageClock:
    """Adds up seconds by stage; stages do not overlap."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._start = time.perf_counter()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time of the block as that of stage `name`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            self._seconds[name] = self._seconds.get(name, 0.0) + spent

    def timed(self, name: str, items: Iterable[T]) -> Iterator[T]:
        """Pass `items` on, counting the wait for each as stage `name`."""
        iterator = iter(items)
        while True:
            with self.stage(name):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item

    def report(self) -> dict[str, float]:
        """Return seconds by stage in the order of their first use, and `total`, to the ms."""
        total = time.perf_counter() - self._start
        return {name: round(s, 3) for name, s in (*self._seconds.items(), ("total", total))}
