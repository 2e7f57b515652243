import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from jdsr_cli import parallel
from jdsr_cli.parallel import ParallelStages, StageTimes, check_stopped


@dataclass(frozen=True)
class Item:
    number: int
    nbytes: int = 10


def items(count: int, taken: list[int] | None = None, size: int = 10) -> Iterator[Item]:
    for number in range(count):
        if taken is not None:
            taken.append(number)
        yield Item(number, size)


def await_length(taken: list[int], length: int) -> None:
    end = time.monotonic() + 60
    while len(taken) < length and time.monotonic() < end:
        time.sleep(0.01)


def doubled(stream: Iterator[Item]) -> Iterator[Item]:
    for item in stream:
        yield Item(2 * item.number)


def test_all_items_pass_in_their_order() -> None:
    with ParallelStages() as stages:
        first = stages.add(items(500), "one")
        second = stages.add(doubled(first), "two")
        assert [item.number for item in second] == list(range(0, 1000, 2))


def test_stages_run_in_separate_threads() -> None:
    names = []

    def named() -> Iterator[Item]:
        names.append(threading.current_thread().name)
        yield Item(0)

    with ParallelStages() as stages:
        list(stages.add(named(), "reader"))
    assert names == ["reader"]


def test_the_number_of_queued_items_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "MAX_QUEUE_ITEMS", 5)
    taken: list[int] = []
    with ParallelStages() as stages:
        stream = stages.add(items(100, taken), "one")
        next(stream)
        # One item was consumed, five are queued, and the stage holds one.
        await_length(taken, 7)
        threading.Event().wait(0.2)
        assert len(taken) == 7


def test_the_size_of_queued_items_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "MAX_QUEUE_BYTES", 25)
    taken: list[int] = []
    with ParallelStages() as stages:
        stream = stages.add(items(10, taken, size=100), "one")
        await_length(taken, 2)
        threading.Event().wait(0.2)
        assert len(taken) == 2
        assert [item.number for item in stream] == list(range(10))


def broken(stream: Iterator[Item]) -> Iterator[Item]:
    for item in stream:
        if item.number == 7:
            raise ValueError("seven")
        yield item


def test_an_exception_reaches_the_consumer_after_the_items_before_it() -> None:
    received = []
    with ParallelStages() as stages:
        stream = stages.add(doubled(stages.add(broken(items(100)), "one")), "two")
        with pytest.raises(ValueError, match="seven"):
            received.extend(item.number for item in stream)
        with pytest.raises(ValueError, match="seven"):
            next(stream)
    assert received == [0, 2, 4, 6, 8, 10, 12]


def test_leaving_the_context_early_stops_every_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "MAX_QUEUE_ITEMS", 2)

    def endless() -> Iterator[Item]:
        while True:
            yield Item(1)

    before = threading.active_count()
    with ParallelStages() as stages:
        stream = stages.add(doubled(stages.add(endless(), "one")), "two")
        next(stream)
        assert threading.active_count() == before + 2
    assert threading.active_count() == before


def test_an_error_in_the_consumer_stops_every_thread() -> None:
    before = threading.active_count()

    def fail() -> None:
        with ParallelStages() as stages:
            next(stages.add(items(10_000), "one"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert threading.active_count() == before


def test_an_empty_stream_ends_at_once() -> None:
    with ParallelStages() as stages:
        assert list(stages.add(items(0), "one")) == []


class FakeClock:
    """Replaces the clocks of the stages; work advances it."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now

    def thread_time(self) -> float:
        return self.now / 2


def test_the_time_of_a_stage_is_that_without_the_stage_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = FakeClock()
    monkeypatch.setattr(parallel, "time", clock)

    def worked(stream: Iterator[Item], seconds: float) -> Iterator[Item]:
        for item in stream:
            clock.now += seconds
            yield item

    with ParallelStages() as stages:
        first = stages.add_inline(worked(items(3), 1.0), "one")
        list(stages.add_inline(worked(first, 10.0), "two"))
        assert stages.times() == (
            StageTimes("one", 1.5, 3.0, 0.0, 0.0),
            StageTimes("two", 15.0, 30.0, 0.0, 0.0),
        )


def test_waiting_for_the_stage_before_is_not_busy_time() -> None:
    def late() -> Iterator[Item]:
        threading.Event().wait(0.3)
        yield Item(1)

    with ParallelStages() as stages:
        list(stages.add_inline(doubled(stages.add(late(), "late")), "last"))
        first, last = stages.times()
    assert first.busy >= 0.1
    assert last.input_wait >= 0.1
    assert first.input_wait == last.output_wait == 0.0


def test_waiting_for_room_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "MAX_QUEUE_ITEMS", 1)
    taken: list[int] = []
    with ParallelStages() as stages:
        stream = stages.add(items(3, taken), "one")
        next(stream)
        await_length(taken, 3)  # one was consumed, one is queued, and the stage holds one
        threading.Event().wait(0.2)
        list(stream)
        (times,) = stages.times()
    assert times.output_wait >= 0.03


def test_work_without_items_ends_when_its_reader_stops() -> None:
    begun, ended = threading.Event(), threading.Event()

    def endless() -> Iterator[Item]:
        begun.set()
        try:
            while True:
                check_stopped()
                time.sleep(0.001)
        finally:
            ended.set()
        yield Item(0)

    with ParallelStages() as stages:
        stages.add(endless(), "endless")
        assert begun.wait(600)
        check_stopped()  # this thread runs no stage
    assert ended.is_set()
