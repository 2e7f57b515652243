"""Iterators that run in threads of their own, each with a bounded queue to its reader.

An exception in an iterator is raised in its reader after everything that came before; when the
reader stops, all iterators stop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from threading import Condition, Thread
from typing import Generic, Protocol, Self, TypeVar

MAX_QUEUE_ITEMS = 64
"""Maximum number of items that wait in a queue."""
MAX_QUEUE_BYTES = 48 << 20
"""Maximum bytes of items that wait in a queue unless stated otherwise."""


class Sized(Protocol):
    """An item whose size in memory is known."""

    @property
    def nbytes(self) -> int:
        """Size in bytes."""


T = TypeVar("T", bound=Sized)


class _Stopped(BaseException):
    """Ends a stage whose reader has stopped; not caught by `except Exception`."""


class BoundedQueue(Generic[T]):
    """An iterator that runs in a thread, ahead of its reader until the queue is full.

    Args:
        items: The iterator.
        name: Name of the thread.
        limit: Maximum bytes of items that wait, one item always may; None for `MAX_QUEUE_BYTES`.

    """

    def __init__(self, items: Iterator[T], name: str, limit: int | None = None) -> None:
        self._items = items
        self._limit = MAX_QUEUE_BYTES if limit is None else limit
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
        few = len(self._waiting) < MAX_QUEUE_ITEMS
        return not self._waiting or (few and self._bytes + size <= self._limit)

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
        """Wake and end both sides of the queue."""
        with self._change:
            self._stopped = True
            self._waiting.clear()
            self._change.notify_all()

    def join(self) -> None:
        """Wait for the thread to end."""
        self._thread.join()


class ParallelStages:
    """The running stages of a pipeline; a context manager that stops them all when it ends."""

    def __init__(self) -> None:
        self._running: list[BoundedQueue[Sized]] = []

    def add(self, items: Iterable[T], name: str, limit: int | None = None) -> Iterator[T]:
        """Run `items` in a thread called `name`; return an iterator over the results.

        Args:
            items: The iterator.
            name: Name of the thread.
            limit: Maximum bytes of items that wait; None for `MAX_QUEUE_BYTES`.

        """
        queue = BoundedQueue(iter(items), name, limit)
        self._running.append(queue)  # type: ignore[arg-type]
        return queue

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for queue in self._running:
            queue.stop()
        for queue in self._running:
            queue.join()
