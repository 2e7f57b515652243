"""The scheduler: gives units to a pool of processes, repeats lost ones, and relays progress.

Processes for which no unit is left assist those that have one. The scheduler is the same for
processes of this machine and for the tasks of a Ray cluster.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from jdsr_cli.errors import JdsrError
from jdsr_cli.execution.units import Unit, Work
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
    assisted: bool = False
    """Whether the process only assisted another one."""


@dataclass(frozen=True)
class Assisted:
    """A process has assisted for a while."""

    number: int
    goes_on: bool
    """Whether there may be more to do."""
    error: JdsrError | None = None
    """Why the process cannot assist."""


Event: TypeAlias = Progressed | Finished | Refused | Lost | Assisted


class Pool(Protocol):
    """Processes that work on units."""

    def free(self) -> int:
        """Return how much more work can be submitted."""

    def submit(self, work: Work) -> None:
        """Start a unit, continue it, or assist the process that has it."""

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
    frames: int | None = None
    """Number of its frames, if that is known."""
    done: int = 0
    """Number of frames that are done."""
    assistants: int = 0
    """Processes that assist it."""
    assistants_lost: int = 0
    """Processes that were lost, or could not assist."""
    is_assisted: bool = True
    """Whether assistance is of use."""

    def count(self, method: str, *arguments: Any) -> None:
        """Count frames by a call about their task."""
        if method == "begin":
            self.begun = True
            self.done, self.frames = 0, arguments[0]
        elif method == "advance":
            self.done += arguments[0]

    def assistants_needed(self, segment: int) -> int:
        """Return how many more processes could prepare segments, each another one."""
        if not (self.begun and self.is_assisted) or self.assistants_lost > MAX_RETRIES:
            return 0
        if self.frames is None:
            return 1
        left = self.frames - self.done - (segment - self.done % segment)
        return max(0, -(-left // segment) - self.assistants)


class _Relay:
    """Passes the progress of all processes on; a note that several give is passed on once.

    Tasks are called after the results, whose names are unique in a run. Beside the task of its
    frames an input has others, such as `clip.mp4: search`, whose names start with its own.
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
        name, *rest = event.arguments
        _, other, suffix = name.partition(f"{attempt.unit.source.name}: ")
        result = str(attempt.unit.folder / attempt.unit.name)
        task = f"{result}: {suffix}" if other else result
        if event.method == "begin":
            attempt.tasks.add(task)
        elif event.method == "end":
            attempt.tasks.discard(task)
        if not other:
            attempt.count(event.method, *rest)
        getattr(self._progress, event.method)(task, *rest)

    def end(self, attempt: _Attempt) -> None:
        """End the tasks of a process that was lost."""
        for task in attempt.tasks:
            self._progress.end(task)
        attempt.tasks.clear()


def run_units(
    units: Sequence[Unit], pool: Pool, progress: Progress, segment: int
) -> Iterator[tuple[Unit, InputResult]]:
    """Process units and yield each with its result, in the order in which they end.

    If the caller is interrupted, all units are stopped; finished segments are kept for `--resume`.

    Args:
        units: The inputs, with numbers of their own.
        pool: The processes.
        progress: Receives the progress of all units.
        segment: Frames of a segment, of which each can be prepared by another process.

    Raises:
        WeightsError, DeviceError: The processes cannot open the networks.

    """
    run = _Run(units, pool, progress, segment)
    try:
        while run.waiting or run.running:
            run.submit()
            for event in pool.events():
                concluded = run.process(event)
                if concluded is not None:
                    yield concluded
        while run.assistants:
            for event in pool.events():
                run.process(event)
    except BaseException:
        run.cancel()
        raise


class _Run:
    """The units that wait or run, and the processes that assist."""

    def __init__(self, units: Sequence[Unit], pool: Pool, progress: Progress, segment: int) -> None:
        self._attempts = {unit.number: _Attempt(unit) for unit in units}
        self.waiting = deque(self._attempts.values())
        self.running: dict[int, _Attempt] = {}
        self.assistants = 0
        self._pool = pool
        self._relay = _Relay(progress)
        self._segment = segment

    def submit(self) -> None:
        """Give work to all free processes, as long as there is any."""
        while self.waiting and self._pool.free():
            attempt = self.waiting.popleft()
            self.running[attempt.unit.number] = attempt
            self._pool.submit(Work(attempt.unit, "resume" if attempt.begun else "start"))
        while not self.waiting and self._pool.free():
            attempts = self.running.values()
            longest = max(attempts, key=self._assistants_needed, default=None)
            if longest is None or not self._assistants_needed(longest):
                return
            longest.assistants += 1
            self.assistants += 1
            self._pool.submit(Work(longest.unit, "assist"))

    def _assistants_needed(self, attempt: _Attempt) -> int:
        return attempt.assistants_needed(self._segment)

    def process(self, event: Event) -> tuple[Unit, InputResult] | None:
        """Take note of an event; return the result of a unit that has ended with it."""
        if isinstance(event, Assisted) or (isinstance(event, Lost) and event.assisted):
            self._end_assistance(event)
            return None
        # The last messages of a process may arrive after its loss was noticed.
        current = self.running.get(event.number)
        if current is None:
            return None
        if isinstance(event, Progressed):
            self._relay.call(current, event)
            return None
        if isinstance(event, Refused):
            raise event.error
        del self.running[event.number]
        if isinstance(event, Finished):
            return current.unit, event.result
        failure = _lose(current, event, self._relay)
        if failure is not None:
            return current.unit, failure
        self.waiting.appendleft(current)
        return None

    def _end_assistance(self, event: Assisted | Lost) -> None:
        self.assistants -= 1
        attempt = self._attempts[event.number]
        attempt.assistants -= 1
        is_over = attempt.unit.number not in self.running and attempt not in self.waiting
        if isinstance(event, Lost):
            attempt.assistants_lost += 1
            self._relay.note(f"{attempt.unit.source}: {event.reason}; it only assisted another")
        elif event.error is not None and not is_over:
            attempt.assistants_lost += 1
            self._relay.note(str(event.error))
        else:
            attempt.is_assisted = event.goes_on

    def cancel(self) -> None:
        """Stop all processes; pass their notes on."""
        for event in self._pool.cancel():
            if isinstance(event, Progressed) and event.method == "note":
                self._relay.note(*event.arguments)


def _lose(attempt: _Attempt, event: Lost, relay: _Relay) -> InputResult | None:
    """Return the result of a unit that is not repeated again; None if it is repeated."""
    relay.end(attempt)
    attempt.losses += 1
    source = attempt.unit.source
    if attempt.losses <= MAX_RETRIES:
        relay.note(f"{source}: {event.reason}; repeated ({attempt.losses} of {MAX_RETRIES})")
        return None
    attempt.unit.state().workspace.end_writing()
    return InputResult(
        source,
        error=JdsrError(
            f"{event.reason}, {attempt.losses} times",
            where=source,
            hint="Repeat the command with --resume and fewer --jobs, if memory was short.",
        ),
    )
