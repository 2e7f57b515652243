"""Iterators that run in threads of their own, each with a bounded queue to its reader.

An exception in an iterator is raised in its reader after everything that came before; when the
reader stops, all iterators stop. The time of each is measured, which costs microseconds per item.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from threading import Condition, Thread, local
from typing import Any, Generic, Protocol, Self, TypeVar

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
Item = TypeVar("Item")


class _Stopped(BaseException):
    """Ends a stage whose reader has stopped; not caught by `except Exception`."""


class _CurrentStage(local):
    """The queue of the stage that a thread runs; None in other threads."""

    queue: BoundedQueue[Any] | None = None


_current = _CurrentStage()


def check_stopped() -> None:
    """End the stage of this thread if its reader has stopped.

    Work that takes long without yielding an item, such as reading a whole file, calls this now and
    then. In a thread that runs no stage it does nothing.
    """
    if _current.queue is not None and _current.queue.stopped:
        raise _Stopped


@dataclass(frozen=True)
class StageTimes:
    """The time of one stage, in seconds. Stages run in parallel."""

    name: str
    cpu: float
    """Processor time of its thread; libraries compute in further threads as well."""
    busy: float
    """Wall time in which it did not wait for a queue."""
    input_wait: float
    """Wall time in which it waited for the stage before."""
    output_wait: float
    """Wall time in which it waited for room in the queue to the next stage."""


class _Timed(Generic[Item]):
    """An iterator that sums the time until its items are there, that of its own input included."""

    def __init__(self, items: Iterator[Item]) -> None:
        self._items = items
        self.cpu = self.wall = 0.0

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        wall, cpu = time.perf_counter(), time.thread_time()
        try:
            return next(self._items)
        finally:
            self.cpu += time.thread_time() - cpu
            self.wall += time.perf_counter() - wall


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
        self.reader_wait = self.room_wait = 0.0
        """Seconds that the reader waited for items, and the thread for room."""
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def stopped(self) -> bool:
        """Whether the reader has stopped."""
        return self._stopped

    def _run(self) -> None:
        _current.queue = self
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
            if not (self._stopped or self._has_room(item.nbytes)):
                start = time.perf_counter()
                self._change.wait_for(lambda: self._stopped or self._has_room(item.nbytes))
                self.room_wait += time.perf_counter() - start
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
            if not (self._waiting or self._ended or self._stopped):
                start = time.perf_counter()
                self._change.wait_for(lambda: self._waiting or self._ended or self._stopped)
                self.reader_wait += time.perf_counter() - start
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


@dataclass(frozen=True, eq=False)
class _Stage:
    """A stage, and its queue if it runs in a thread of its own."""

    name: str
    timed: _Timed[Any]
    queue: BoundedQueue[Any] | None


class ParallelStages:
    """The running stages of a pipeline; a context manager that stops them all when it ends.

    Stages are added in the order of the data: each reads what the one added before it yields.
    """

    def __init__(self) -> None:
        self._stages: list[_Stage] = []
        self.stopped = False
        """Whether the stages are to end; one that works long without an element asks this."""

    def add(self, items: Iterable[T], name: str, limit: int | None = None) -> Iterator[T]:
        """Run `items` in a thread called `name`; return an iterator over the results.

        Args:
            items: The iterator.
            name: Name of the thread.
            limit: Maximum bytes of items that wait; None for `MAX_QUEUE_BYTES`.

        """
        timed = _Timed(iter(items))
        queue = BoundedQueue(timed, name, limit)
        self._stages.append(_Stage(name, timed, queue))
        return queue

    def add_inline(self, items: Iterable[Item], name: str) -> Iterator[Item]:
        """Return an iterator that runs `items` in the thread of its reader, as stage `name`."""
        timed = _Timed(iter(items))
        self._stages.append(_Stage(name, timed, None))
        return timed

    def times(self) -> tuple[StageTimes, ...]:
        """Return the time of each stage so far, in the order of the data."""
        return tuple(
            _exclusive_times(before, stage)
            for before, stage in zip([None, *self._stages], self._stages, strict=False)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped = True
        queues = [stage.queue for stage in self._stages if stage.queue is not None]
        for queue in queues:
            queue.stop()
        for queue in queues:
            queue.join()


def _exclusive_times(before: _Stage | None, stage: _Stage) -> StageTimes:
    """Return the time of `stage` without that of the stage `before` it and without waiting."""
    cpu, busy, input_wait = stage.timed.cpu, stage.timed.wall, 0.0
    if before is not None and before.queue is None:
        cpu -= before.timed.cpu
        busy -= before.timed.wall
    elif before is not None and before.queue is not None:
        input_wait = before.queue.reader_wait
        busy -= input_wait
    output_wait = 0.0 if stage.queue is None else stage.queue.room_wait
    return StageTimes(stage.name, max(0.0, cpu), max(0.0, busy), input_wait, output_wait)
