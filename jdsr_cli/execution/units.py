"""The units of work of a run in several processes: inputs, and segments of them.

Masks and smoothing depend on all frames before, so one process takes an input from its start to its
end; its journal lets another one continue after the last finished segment. Most of the work is done
segment by segment, and processes without an input of their own take part in it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from jdsr_cli.errors import OutputError
from jdsr_cli.progress import Progress
from jdsr_cli.restoration.assistance import Assistant
from jdsr_cli.restoration.frame import InputState
from jdsr_cli.restoration.journal import Journal
from jdsr_cli.restoration.models import Models
from jdsr_cli.restoration.pipeline import run_stages
from jdsr_cli.restoration.summary import InputResult
from jdsr_cli.restoration.workspace import Workspace
from jdsr_cli.settings import DetectionSettings

LOCK_SECONDS = 60.0
"""How long a continued unit waits for the lost process to give up the journal."""
LOCK_STEP = 0.25
ASSIST_SECONDS = 60.0
"""Time after which a process that assists asks the scheduler again what to do."""


@dataclass(frozen=True)
class Unit:
    """One input, and where its results are written."""

    number: int
    """Its position in the run, from 0."""
    source: Path
    folder: Path
    """Folder that exists and will hold the folder of results."""
    name: str
    """Name of the folder of results."""
    anew: bool = False
    """Whether earlier results and an interrupted run are replaced, as the input has changed."""

    def state(self) -> InputState:
        """Return the state with which the pipeline starts."""
        return InputState(self.source, Workspace(self.folder, self.name, self.source))


Role = Literal["start", "resume", "assist"]
"""What a process does with a unit: process it, continue what a lost process began, or prepare
segments for the process that has it."""


@dataclass(frozen=True)
class Work:
    """What is given to a process."""

    unit: Unit
    role: Role


class UnitRunner:
    """Processes units with networks that are opened once, with the first unit.

    Args:
        settings: Settings of the run.
        opener: Opens the networks.

    """

    def __init__(
        self,
        settings: DetectionSettings,
        opener: Callable[[DetectionSettings, Progress], Models],
    ) -> None:
        self._settings = settings
        self._opener = opener
        self._models: Models | None = None
        self._assisted: tuple[Unit, Assistant] | None = None
        """The unit that is assisted; it stays open, since reading on is faster than anew."""

    def open(self, progress: Progress) -> Models:
        """Return the networks.

        Raises:
            WeightsError: A weight file is missing or altered.
            DeviceError: The device is not available.

        """
        if self._models is None:
            self._models = self._opener(self._settings, progress)
        return self._models

    def run(self, unit: Unit, progress: Progress, *, resumes: bool = False) -> InputResult:
        """Process a unit.

        Args:
            unit: The input.
            progress: Receives the progress.
            resumes: Whether to continue what a lost process began.

        Raises:
            WeightsError, DeviceError: As `open`.

        """
        self.close()
        models, settings, state = self.open(progress), self._settings, unit.state()
        if unit.anew:
            settings = replace(settings, force=True, resume=False)
        if resumes:
            wait_for_journal(state.workspace)
            settings = replace(settings, resume=True)
        (result,) = run_stages([state], settings, models, progress)
        return result

    def assist(self, unit: Unit, progress: Progress, seconds: float = ASSIST_SECONDS) -> bool:
        """Prepare segments of a unit that another process has.

        Args:
            unit: The input.
            progress: Receives notes.
            seconds: Time after which no segment is begun any more.

        Returns:
            Whether there may be more to prepare.

        Raises:
            JdsrError: This process cannot take part.

        """
        models = self.open(progress)
        known = self._assisted
        if known is None or known[0] != unit or not known[1].is_needed:
            self.close()
            workspace = unit.state().workspace
            if workspace.writing_token() is None:
                return False
            known = (unit, Assistant(unit.source, workspace, self._settings, models))
            self._assisted = known
        goes_on = False
        try:
            goes_on = known[1].work(seconds)
        finally:
            if not goes_on:
                self.close()
        return goes_on

    def close(self) -> None:
        """Close the input that was assisted."""
        if self._assisted is not None:
            self._assisted[1].close()
            self._assisted = None


def wait_for_journal(workspace: Workspace, seconds: float = LOCK_SECONDS) -> None:
    """Wait until no process has the journal of an interrupted run open.

    After `seconds` it returns as well: the pipeline then reports who holds the journal.
    """
    end = time.monotonic() + seconds
    while Journal.exists(workspace.work) and time.monotonic() < end:
        try:
            workspace.check_unlocked()
        except OutputError:
            time.sleep(LOCK_STEP)
        else:
            return
