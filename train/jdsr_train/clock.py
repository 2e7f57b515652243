"""Time that a run may take: its deadline, and how far the clock has moved a schedule on."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Self

from jdsr_cli.errors import TrainingError
from jdsr_cli.progress import Progress

CLOSING, MOST_CLOSING = 3.0, 0.05
"""Seconds kept at a stage's end beside its last validation and checkpoint; share of its time that
all of it may take."""
VALIDATED = 400
"""Faces that a validation looks at, about; each costs no more than in a step."""


class OutOfTimeError(TrainingError):
    """Fewer steps fit into a stage's time than make it worth anything."""


@dataclass(frozen=True)
class Deadline:
    """When a run must have ended."""

    at: float
    """On the clock of `time.monotonic`, in seconds."""

    @classmethod
    def after(cls, seconds: float, started: float | None = None) -> Self:
        """Return the deadline so many seconds after a start; now, where None is given."""
        return cls((time.monotonic() if started is None else started) + seconds)

    @property
    def left(self) -> float:
        """Seconds that are left; below 0 once it has passed."""
        return self.at - time.monotonic()

    def watching(self, progress: Progress, what: str) -> Progress:
        """Return a progress that ends work which tells it once the deadline has passed.

        Its `advance` then raises TrainingError, which names `what` was being done.

        Args:
            progress: Told of everything that the work tells.
            what: The work, for the error.

        """
        return _Watching(self, progress, what)


class _Watching:
    def __init__(self, deadline: Deadline, progress: Progress, what: str) -> None:
        self._deadline, self._progress, self._what = deadline, progress, what
        self.begin, self.end, self.note = progress.begin, progress.end, progress.note

    def advance(self, task: str, units: int = 1) -> None:
        self._progress.advance(task, units)
        if self._deadline.left <= 0:
            raise TrainingError(
                f"the deadline passed while {self._what}",
                where="--deadline",
                hint="Give it more time; what was done is kept for the same command",
            )


@dataclass
class StageClock:
    """The time of a stage, and the share of its schedule that it covers."""

    begins: float
    """On the clock of `time.monotonic`, in seconds."""
    limit: float
    """Likewise: when everything must be written."""
    begun: float = 0.0
    """Share of the schedule that was done before this time, 0 to 1."""
    closing: float = 0.0
    """Seconds at the end in which no step is taken: for the last validation and checkpoint."""

    @property
    def ends(self) -> float:
        """When the last step must have been taken."""
        return self.limit - self.closing

    def share_in(self, seconds: float) -> float:
        """Share of the schedule that will be done in so many seconds, `begun` to 1."""
        length = self.ends - self.begins
        gone = (time.monotonic() + seconds - self.begins) / length if length > 0 else 1.0
        return min(1.0, self.begun + (1.0 - self.begun) * max(0.0, gone))

    @property
    def left(self) -> float:
        """Seconds that are left for steps."""
        return self.ends - time.monotonic()

    def keep(self, saving: float, face: float) -> None:
        """Keep as many seconds at the end as its validation and checkpoint will take.

        Args:
            saving: Seconds of a checkpoint.
            face: Seconds of a face in a step.

        """
        most = max(CLOSING, MOST_CLOSING * (self.limit - self.begins))
        self.closing = min(most, CLOSING + 2 * saving + VALIDATED * face)
