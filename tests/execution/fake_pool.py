"""A pool whose events are written down in advance."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jdsr_cli.execution.scheduler import Assisted, Event
from jdsr_cli.execution.units import Unit, Work


class FakePool:
    """Answers each submission with the events that `answer` returns.

    Args:
        slots: How many units run at once.
        answer: Takes a unit, the number of its attempt from 1, and whether it resumes.
        assist: Takes a unit that is assisted.

    """

    def __init__(
        self,
        slots: int,
        answer: Callable[[Unit, int, bool], list[Event]],
        assist: Callable[[Unit], list[Event]] | None = None,
    ) -> None:
        self._slots = slots
        self._answer = answer
        self._running: list[list[Event]] = []
        self._attempts: dict[int, int] = {}
        self._assist = assist or (lambda unit: [Assisted(unit.number, goes_on=False)])
        self.assisted: list[int] = []
        self.most_at_once = 0
        self.cancelled = 0

    def free(self) -> int:
        return self._slots - len(self._running)

    def submit(self, work: Work) -> None:
        assert self.free() > 0
        unit, resumes = work.unit, work.role == "resume"
        if work.role == "assist":
            self.assisted.append(unit.number)
            self._running.append(self._assist(unit))
            return
        number = self._attempts[unit.number] = self._attempts.get(unit.number, 0) + 1
        self._running.append(self._answer(unit, number, resumes))
        self.most_at_once = max(self.most_at_once, len(self._running))

    def events(self) -> Sequence[Event]:
        return self._running.pop()

    def close(self) -> None: ...

    def cancel(self) -> Sequence[Event]:
        self.cancelled += 1
        return []
