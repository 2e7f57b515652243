"""Deadlines, the schedule of a stage under a time limit, and interruption of a computation.

A step of a large network can take minutes on a CPU, longer than the remaining time. It is
interrupted between modules of the network, in the forward or the backward pass, and never during
the update of the weights.
"""

from __future__ import annotations

import math
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from jdsr_cli.errors import TrainingError
from jdsr_cli.progress import Progress
from jdsr_train.recipe import OptimiserRecipe

if TYPE_CHECKING:
    from lightning_fabric import Fabric

RESERVED = 3.0
"""Seconds reserved at the end of a stage, besides its last validation and checkpoint."""
MAX_RESERVED_SHARE = 0.05
"""Largest share of a stage's time that may be reserved."""
VALIDATION_COST = 400
"""Cost of a validation, in faces of a training step."""
RECENT_STEPS = 5
"""Number of recent steps from which the duration of the next one is estimated."""
TRIAL_SHARE = 0.2
"""Share of a stage's time after which the number of steps that fit is extrapolated."""


class OutOfTimeError(TrainingError):
    """The time of a stage is too short for the smallest useful number of steps."""


class TimeLimitReached(Exception):  # noqa: N818 - not an error
    """A computation was interrupted because its time is over."""


@dataclass(frozen=True)
class Deadline:
    """The time at which a run must have ended."""

    at: float
    """On the clock of `time.monotonic`, in seconds."""

    @classmethod
    def after(cls, seconds: float, started: float | None = None) -> Self:
        """Return the deadline this many seconds after a start time (None: now)."""
        return cls((time.monotonic() if started is None else started) + seconds)

    @property
    def left(self) -> float:
        """Seconds until the deadline; negative once it has passed."""
        return self.at - time.monotonic()

    def limit(self, progress: Progress, work: str) -> Progress:
        """Return a progress whose `advance` raises TrainingError once the deadline has passed.

        Args:
            progress: Receives every report.
            work: Description of the work, for the error.

        """
        return _LimitedProgress(self, progress, work)


class _LimitedProgress:
    def __init__(self, deadline: Deadline, progress: Progress, work: str) -> None:
        self._deadline, self._progress, self._work = deadline, progress, work
        self.begin, self.end, self.note = progress.begin, progress.end, progress.note

    def advance(self, task: str, units: int = 1) -> None:
        self._progress.advance(task, units)
        if self._deadline.left <= 0:
            raise TrainingError(
                f"the deadline passed while {self._work}",
                where="--deadline",
                hint="Give it more time; the same command continues from what was done",
            )


@dataclass
class StepTimer:
    """The time of a stage, and the share of its schedule that it covers."""

    started: float
    """On the clock of `time.monotonic`, in seconds."""
    limit: float
    """Time on the same clock at which everything must be written."""
    initial_share: float = 0.0
    """Share of the schedule that was completed before `started`, 0 to 1."""
    reserved: float = 0.0
    """Seconds at the end for the last validation and checkpoint, in which no step is taken."""

    @property
    def steps_end(self) -> float:
        """Time at which the last step must have been taken."""
        return self.limit - self.reserved

    def share_after(self, seconds: float) -> float:
        """Return the share of the schedule after this many seconds, `initial_share` to 1."""
        length = self.steps_end - self.started
        passed = (time.monotonic() + seconds - self.started) / length if length > 0 else 1.0
        return min(1.0, self.initial_share + (1.0 - self.initial_share) * max(0.0, passed))

    @property
    def left(self) -> float:
        """Seconds that are left for steps."""
        return self.steps_end - time.monotonic()

    def reserve(self, saving: float, face: float) -> None:
        """Reserve time at the end for the last validation and checkpoint.

        Args:
            saving: Seconds that a checkpoint takes.
            face: Seconds that a face takes in a step.

        """
        most = max(RESERVED, MAX_RESERVED_SHARE * (self.limit - self.started))
        self.reserved = min(most, RESERVED + 2 * saving + VALIDATION_COST * face)


class StageTimeLimit:
    """Ends a stage within its time and moves its schedule accordingly.

    In a run of several processes the clock of the first one decides for all.

    Args:
        stage: Name of the stage, for errors.
        limit: Time of `time.monotonic` at which everything must be written; None: no limit.
        min_steps: Smallest useful number of steps.
        options: Number of steps of the schedule and faces of a step.
        fabric: The processes of the run.
        interruptible: Whether a step can be interrupted, which needs a single process on a CPU
            and networks that are not compiled.

    """

    def __init__(
        self,
        stage: str,
        limit: float | None,
        min_steps: int,
        options: OptimiserRecipe,
        fabric: Fabric,
        *,
        interruptible: bool,
    ) -> None:
        self.stage, self.limit, self.min_steps = stage, limit, min_steps
        self.options, self.fabric, self.interruptible = options, fabric, interruptible
        self.share = 0.0
        """Share of the schedule by time, 0 to 1."""
        self.saved_share = 0.0
        """Share of the schedule at the checkpoint from which the stage was resumed."""
        self.saving = 1.0
        """Seconds that a checkpoint takes."""
        self._clock: StepTimer | None = None
        self._durations: deque[float] = deque(maxlen=RECENT_STEPS)

    def start(self, step: int) -> None:
        """Start the clock at a step."""
        if self.limit is None:
            return
        # A schedule that a time limit had completed restarts at the share of its steps.
        done = step / self.options.steps
        saved = self.saved_share if self.saved_share < 1 else done
        self._clock = StepTimer(time.monotonic(), self.limit, max(saved, done))
        self._clock.reserve(self.saving, 0.0)

    def allows_step(self, step: int) -> bool:
        """Update the schedule by the clock, and return whether there is time for another step.

        Raises:
            OutOfTimeError: Fewer than `min_steps` steps will fit.

        """
        clock = self._clock
        if clock is None:
            return True
        longest, median = 0.0, 0.0
        if self._durations:
            longest, median = max(self._durations), statistics.median(self._durations)
        share, left = clock.share_after(longest), clock.left
        if self.fabric.world_size > 1:
            share, left, longest, median = self.fabric.broadcast((share, left, longest, median))
        self.share = share
        clock.reserve(self.saving, median / self.options.batch)
        tried = left < (1 - TRIAL_SHARE) * (clock.steps_end - clock.started)
        if tried and median and step + left / median < self.min_steps:
            raise self._error(step + max(0, int(left / median)))
        return left > (0.0 if self.interruptible else longest)

    def add_duration(self, seconds: float) -> None:
        """Record how long a step took."""
        self._durations.append(seconds)

    def complete(self, step: int) -> bool:
        """Complete the schedule if the limit ended it before its last step; return whether it did.

        Raises:
            OutOfTimeError: Fewer than `min_steps` steps were taken.

        """
        if self._clock is None or step == self.options.steps:
            return False
        if step < self.min_steps:
            raise self._error(step)
        self.share = 1.0
        return True

    def interrupt(self, until: float = math.inf) -> AbstractContextManager[None]:
        """Interrupt computations at a time, at the latest at the end of the steps, if possible."""
        clock = self._clock
        if clock is None or not self.interruptible:
            return nullcontext()
        return interrupt_at(lambda: clock.steps_end if math.isinf(until) else until)

    @property
    def steps_end(self) -> float:
        """Time of `time.monotonic` at which the last step must have been taken."""
        return math.inf if self._clock is None else self._clock.steps_end

    @property
    def validation_end(self) -> float | None:
        """Time at which the last validation must have ended; None without a limit."""
        return None if self._clock is None else self._clock.limit - 2 * self.saving

    def _error(self, steps: int) -> OutOfTimeError:
        few = "no step fits" if not steps else f"only {steps:,} of {self.options.steps:,} steps fit"
        return OutOfTimeError(
            f"{few} into the time of the stage",
            where=self.stage,
            hint="Give more time (--deadline), or a recipe with smaller steps",
        )


@contextmanager
def interrupt_at(when: Callable[[], float]) -> Iterator[None]:
    """Interrupt forward and backward passes of networks at a given time.

    Checks the clock after the forward pass of every module and when its output receives its
    gradient, in this thread and on a CPU only: a GPU computes long after the call.

    Args:
        when: Returns the time of `time.monotonic`, which may change.

    Raises:
        TimeLimitReached: From within the computation.

    """

    def check(*_: object) -> None:
        if time.monotonic() >= when():
            raise TimeLimitReached

    def hook(module: nn.Module, inputs: object, output: object) -> None:
        check()
        for tensor in _tensors(output):
            if tensor.requires_grad:
                tensor.register_hook(check)  # type: ignore[no-untyped-call]

    handle = register_module_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def _tensors(output: Any) -> Iterator[Tensor]:
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, Mapping):
        for part in output.values():
            yield from _tensors(part)
    elif isinstance(output, Sequence) and not isinstance(output, str):
        for part in output:
            yield from _tensors(part)
