"""The scheduler: gives units to a pool of processes, repeats lost ones, and relays progress.

It is the same for processes of this machine and for the tasks of a Ray cluster.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from jdsr_cli.errors import JdsrError
from jdsr_cli.execution.units import Unit
from jdsr_cli.progress import Progress
from jdsr_cli.restoration.summary import InputResult

MAX_RETRIES = 2
"""How often a unit whose process was lost is given to another one."""


@dataclass(frozen=True)
class Progressed:
    """A call of the progress interface in the process of a unit."""

    number: int
    method: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Finished:
    """A unit has ended, with results or with an error."""

    number: int
    result: InputResult


@dataclass(frozen=True)
class Refused:
    """A process cannot work at all, for example because its weights are missing."""

    number: int
    error: JdsrError


@dataclass(frozen=True)
class Lost:
    """The process of a unit has ended without a result."""

    number: int
    reason: str


Event: TypeAlias = Progressed | Finished | Refused | Lost


class Pool(Protocol):
    """Processes that work on units."""

    def free(self) -> int:
        """Return how many more units can be submitted."""

    def submit(self, unit: Unit, *, resumes: bool) -> None:
        """Start a unit; with `resumes` it continues what a lost process began."""

    def events(self) -> Sequence[Event]:
        """Wait until something has happened, and return it in its order."""

    def close(self) -> None:
        """End idle processes."""

    def cancel(self) -> Sequence[Event]:
        """Stop all units, whose finished segments are kept; return what they still reported."""


@dataclass
class _Attempt:
    """A unit that waits or runs."""

    unit: Unit
    losses: int = 0
    begun: bool = False
    """Whether a process has begun to write its results."""
    tasks: set[str] = field(default_factory=set)
    """Open tasks of its progress."""


class _Relay:
    """Passes the progress of all processes on; a note that several give is passed on once.

    Tasks are called after the results, whose names are unique in a run.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._notes: set[str] = set()

    def note(self, message: str) -> None:
        """Pass a note on."""
        if message not in self._notes:
            self._notes.add(message)
            self._progress.note(message)

    def call(self, attempt: _Attempt, event: Progressed) -> None:
        """Pass a call on."""
        if event.method == "note":
            self.note(*event.arguments)
            return
        task = str(attempt.unit.folder / attempt.unit.name)
        if event.method == "begin":
            attempt.begun = True
            attempt.tasks.add(task)
        elif event.method == "end":
            attempt.tasks.discard(task)
        getattr(self._progress, event.method)(task, *event.arguments[1:])

    def end(self, attempt: _Attempt) -> None:
        """End the tasks of a process that was lost."""
        for task in attempt.tasks:
            self._progress.end(task)
        attempt.tasks.clear()


def run_units(
    units: Sequence[Unit], pool: Pool, progress: Progress
) -> Iterator[tuple[Unit, InputResult]]:
    """Process units and yield each with its result, in the order in which they end.

    If the caller is interrupted, all units are stopped; finished segments are kept for `--resume`.

    Args:
        units: The inputs, with numbers of their own.
        pool: The processes.
        progress: Receives the progress of all units.

    Raises:
        WeightsError, DeviceError: The processes cannot open the networks.

    """
    relay = _Relay(progress)
    waiting = deque(_Attempt(unit) for unit in units)
    running: dict[int, _Attempt] = {}
    try:
        while waiting or running:
            while waiting and pool.free():
                attempt = waiting.popleft()
                running[attempt.unit.number] = attempt
                pool.submit(attempt.unit, resumes=attempt.begun)
            for event in pool.events():
                # The last messages of a process may arrive after its loss was noticed.
                current = running.get(event.number)
                if current is None:
                    continue
                if isinstance(event, Progressed):
                    relay.call(current, event)
                    continue
                if isinstance(event, Refused):
                    raise event.error
                del running[event.number]
                if isinstance(event, Finished):
                    yield current.unit, event.result
                elif (failure := _lose(current, event, relay)) is not None:
                    yield current.unit, failure
                else:
                    waiting.appendleft(current)
    except BaseException:
        for event in pool.cancel():
            if isinstance(event, Progressed) and event.method == "note":
                relay.note(*event.arguments)
        raise


def _lose(attempt: _Attempt, event: Lost, relay: _Relay) -> InputResult | None:
    """Return the result of a unit that is not repeated again; None if it is repeated."""
    relay.end(attempt)
    attempt.losses += 1
    source = attempt.unit.source
    if attempt.losses <= MAX_RETRIES:
        relay.note(f"{source}: {event.reason}; repeated ({attempt.losses} of {MAX_RETRIES})")
        return None
    return InputResult(
        source,
        error=JdsrError(
            f"{event.reason}, {attempt.losses} times",
            where=source,
            hint="Repeat the command with --resume and fewer --jobs, if memory was short.",
        ),
    )
