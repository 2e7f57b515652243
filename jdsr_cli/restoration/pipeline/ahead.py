"""Stages that run beside each other: each in a thread of its own, with a bounded queue behind it.

A stage is a plain generator function from an iterator to an iterator. `Stages.add` starts a
thread that runs it ahead of whoever reads its results, until the queue is full. What a stage
raises is raised in its reader, after everything that came before; when the reader stops, for
whatever reason, all stages stop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from threading import Condition, Thread
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

QUEUE_ITEMS = 64
"""Elements that wait between two stages at most."""
QUEUE_BYTES = 48 << 20
"""Pixels that wait between two stages at most; one element always may."""


class Weighed(Protocol):
    """What knows how much memory it takes."""

    @property
    def nbytes(self) -> int:
        """Bytes of pixels that it holds."""


T = TypeVar("T", bound=Weighed)


class _Stopped(BaseException):
    """Unwinds a stage whose reader has gone; no `except Exception` in a stage can catch it."""


class Ahead(Generic[T]):
    """An iterator that is run ahead in a thread.

    Args:
        items: What to run.
        name: Of the thread.

    """

    def __init__(self, items: Iterator[T], name: str) -> None:
        self._items = items
        self._waiting: deque[T] = deque()
        self._bytes = 0
        self._change = Condition()
        self._ended = self._stopped = False
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for item in self._items:
                self._put(item)
        except _Stopped:
            pass
        except BaseException as error:
            self._error = error
        finally:
            with self._change:
                self._ended = True
                self._change.notify_all()

    def _put(self, item: T) -> None:
        with self._change:
            self._change.wait_for(lambda: self._stopped or self._has_room(item.nbytes))
            if self._stopped:
                raise _Stopped
            self._waiting.append(item)
            self._bytes += item.nbytes
            self._change.notify_all()

    def _has_room(self, size: int) -> bool:
        few = len(self._waiting) < QUEUE_ITEMS
        return not self._waiting or (few and self._bytes + size <= QUEUE_BYTES)

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        with self._change:
            self._change.wait_for(lambda: self._waiting or self._ended or self._stopped)
            if self._stopped:
                raise _Stopped
            if self._waiting:
                item = self._waiting.popleft()
                self._bytes -= item.nbytes
                self._change.notify_all()
                return item
        if self._error is not None:
            raise self._error
        raise StopIteration

    def stop(self) -> None:
        """Wake everybody who waits here, and let them go."""
        with self._change:
            self._stopped = True
            self._waiting.clear()
            self._change.notify_all()

    def join(self) -> None:
        """Wait until the thread has ended."""
        self._thread.join()


class Stages:
    """The running stages of a pipeline; a context manager that stops them all when it ends."""

    def __init__(self) -> None:
        self._running: list[Ahead[Weighed]] = []

    def add(self, items: Iterable[T], name: str) -> Iterator[T]:
        """Run `items` ahead in a thread called `name`, and return them."""
        ahead = Ahead(iter(items), name)
        self._running.append(ahead)  # type: ignore[arg-type]
        return ahead

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for ahead in self._running:
            ahead.stop()
        for ahead in self._running:
            ahead.join()
