"""The scheduler repeats lost units, relays progress and stops everything when it is interrupted."""

from pathlib import Path

import pytest
from fake_pool import FakePool
from reference_run import StrictProgress

from jdsr_cli.errors import WeightsMissingError
from jdsr_cli.execution.scheduler import (
    MAX_RETRIES,
    Assisted,
    Event,
    Finished,
    Lost,
    Progressed,
    Refused,
    run_units,
)
from jdsr_cli.execution.units import Unit
from jdsr_cli.progress import Silent
from jdsr_cli.restoration import InputResult

SEGMENT = 8


class Calls(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.open: list[str] = []
        self.ended: list[str] = []

    def begin(self, task: str, total: int | None) -> None:
        self.open.append(task)

    def end(self, task: str) -> None:
        self.open.remove(task)
        self.ended.append(task)

    def note(self, message: str) -> None:
        self.notes.append(message)


def units(count: int) -> list[Unit]:
    return [Unit(n, Path(f"{n}.mp4"), Path("out"), str(n)) for n in range(count)]


def done(unit: Unit) -> Finished:
    return Finished(unit.number, InputResult(unit.source))


def test_all_units_are_processed_and_no_more_at_once_than_the_pool_holds() -> None:
    pool = FakePool(2, lambda unit, *_: [done(unit)])
    results = dict(run_units(units(5), pool, Silent(), SEGMENT))
    assert {unit.number for unit in results} == set(range(5))
    assert all(unit.source == result.source for unit, result in results.items())
    assert pool.most_at_once == 2
    assert pool.cancelled == 0


def test_a_lost_unit_is_repeated_and_continues_what_it_had_begun() -> None:
    resumed: list[bool] = []

    def answer(unit: Unit, attempt: int, resumes: bool) -> list[Event]:
        resumed.append(resumes)
        begun = [Progressed(unit.number, "begin", ("clip", 9))] if attempt == 2 else []
        return [*begun, Lost(unit.number, "gone") if attempt < 3 else done(unit)]

    calls = Calls()
    ((_, result),) = run_units(units(1), FakePool(1, answer), calls, SEGMENT)
    assert result.error is None
    assert resumed == [False, False, True]
    assert calls.notes == [f"0.mp4: gone; repeated ({n} of {MAX_RETRIES})" for n in (1, 2)]
    assert calls.open == []
    assert calls.ended == [str(Path("out", "0"))]


def test_a_unit_that_is_lost_too_often_fails_and_the_others_go_on() -> None:
    def answer(unit: Unit, _: int, __: bool) -> list[Event]:
        return [Lost(0, "gone") if unit.number == 0 else done(unit)]

    results = {
        unit.number: one for unit, one in run_units(units(3), FakePool(2, answer), Calls(), SEGMENT)
    }
    assert [results[number].failed for number in range(3)] == [True, False, False]
    assert f"gone, {MAX_RETRIES + 1} times" in str(results[0].error)
    assert "--resume" in str(results[0].error)


def test_a_note_that_every_process_gives_is_passed_on_once() -> None:
    calls = Calls()
    pool = FakePool(1, lambda unit, *_: [Progressed(unit.number, "note", ("same",)), done(unit)])
    assert len(list(run_units(units(3), pool, calls, SEGMENT))) == 3
    assert calls.notes == ["same"]


@pytest.mark.parametrize("other", ["search", "input.framemd5", "restored.framemd5: 0.mp4: x"])
@pytest.mark.parametrize("nested", [True, False])
def test_other_tasks_of_an_input_are_apart_from_its_frames(other: str, nested: bool) -> None:
    frames, apart = "0.mp4", f"0.mp4: {other}"
    order = [("begin", frames, 9), ("begin", apart, 30), ("advance", apart, 30)]
    order += [("advance", frames, 4)]
    order += [("end", apart), ("end", frames)] if nested else [("end", frames), ("end", apart)]
    events: list[Event] = [Progressed(0, method, (*rest,)) for method, *rest in order]
    progress = StrictProgress()
    pool = FakePool(1, lambda unit, *_: [*events, done(unit)])
    ((_, result),) = run_units(units(1), pool, progress, SEGMENT)
    assert result.error is None
    progress.check_ended()
    task = str(Path("out", "0"))
    assert progress.done == {task: 4, f"{task}: {other}": 30}


def test_messages_after_the_loss_of_a_process_are_ignored() -> None:
    late = Progressed(0, "begin", ("clip", 1))
    pool = FakePool(1, lambda unit, *_: [done(unit), late])
    calls = Calls()
    assert len(list(run_units(units(1), pool, calls, SEGMENT))) == 1
    assert calls.open == []


def test_missing_weights_end_the_run() -> None:
    error = WeightsMissingError("no weights")
    pool = FakePool(1, lambda unit, *_: [Refused(unit.number, error)])
    with pytest.raises(WeightsMissingError):
        list(run_units(units(2), pool, Silent(), SEGMENT))
    assert pool.cancelled == 1


def begun(unit: Unit, frames: int | None) -> Progressed:
    return Progressed(unit.number, "begin", ("clip", frames))


class LongPool(FakePool):
    """A pool whose units go on until the assistants have ended as often as a test wants."""

    def __init__(self, slots: int, frames: int | None, ends: list[Event], done_at: int = 0) -> None:
        super().__init__(slots, lambda unit, *_: [begun(unit, frames)])
        self._ends = ends
        self._progress = [Progressed(0, "advance", ("clip", done_at))] if done_at else []
        self.processed = 0

    def events(self) -> list[Event]:
        self.processed += 1
        if self.processed == 1:
            return [begun(units(1)[0], self._frames()), *self._progress]
        if self._ends:
            self._running.pop()
            return [self._ends.pop(0)]
        if self.processed < 100:
            self.processed = 100
            self._running = self._running[1:]
            return [done(units(1)[0])]
        self._running.pop()
        return [Assisted(0, goes_on=True)]

    def _frames(self) -> int | None:
        (event,) = self._answer(units(1)[0], 1, False)
        return event.arguments[1]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("frames", "done_at", "assistants"),
    [(3 * SEGMENT, 0, 2), (SEGMENT, 0, 0), (SEGMENT + 1, 0, 1), (1, 0, 0), (None, 0, 4),
     (3 * SEGMENT, SEGMENT + 1, 1), (100 * SEGMENT, 0, 4)],
)  # fmt: skip
def test_free_processes_assist_where_segments_are_left(
    frames: int | None, done_at: int, assistants: int
) -> None:
    pool = LongPool(5, frames, [], done_at)
    ((_, result),) = run_units(units(1), pool, Silent(), SEGMENT)
    assert result.error is None
    assert pool.assisted == [0] * assistants
    assert pool.free() == 5


def test_nobody_assists_while_units_wait() -> None:
    pool = FakePool(2, lambda unit, *_: [begun(unit, 99), done(unit)])
    assert len(list(run_units(units(4), pool, Silent(), SEGMENT))) == 4
    assert pool.assisted == []


def test_an_assistant_that_goes_on_is_asked_again_and_one_that_does_not_is_not() -> None:
    pool = LongPool(2, 99, [Assisted(0, goes_on=True), Assisted(0, goes_on=False)])
    list(run_units(units(1), pool, Silent(), SEGMENT))
    assert pool.assisted == [0, 0]


def test_the_loss_of_an_assistant_does_not_repeat_the_unit() -> None:
    lost = [Lost(0, "gone", assisted=True)] * (MAX_RETRIES + 1)
    pool, calls = LongPool(2, 99, [*lost]), Calls()
    ((_, result),) = run_units(units(1), pool, calls, SEGMENT)
    assert result.error is None
    assert pool.assisted == [0] * (MAX_RETRIES + 1)
    assert calls.notes == ["0.mp4: gone; it only assisted another"]


def test_a_process_that_cannot_assist_says_why() -> None:
    error = WeightsMissingError("no weights")
    calls = Calls()
    pool = LongPool(2, 99, [Assisted(0, goes_on=False, error=error)])
    ((_, result),) = run_units(units(1), pool, calls, SEGMENT)
    assert result.error is None
    assert calls.notes == [str(error)]


def test_an_interrupted_caller_stops_all_units() -> None:
    pool = FakePool(1, lambda unit, *_: [done(unit)])
    running = run_units(units(2), pool, Silent(), SEGMENT)
    next(running)
    with pytest.raises(KeyboardInterrupt):
        running.throw(KeyboardInterrupt)
    assert pool.cancelled == 1
