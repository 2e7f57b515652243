"""The unit of work of a run in several processes: one input, processed from its start to its end.

Tracks, masks and smoothing depend on all frames before, so an input is not divided; its journal
lets another process continue after the last finished segment.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from jdsr_cli.errors import OutputError
from jdsr_cli.progress import Progress
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
        models, settings, state = self.open(progress), self._settings, unit.state()
        if unit.anew:
            settings = replace(settings, force=True, resume=False)
        if resumes:
            wait_for_journal(state.workspace)
            settings = replace(settings, resume=True)
        (result,) = run_stages([state], settings, models, progress)
        return result


def wait_for_journal(workspace: Workspace, seconds: float = LOCK_SECONDS) -> None:
    """Wait until no process has the journal of an interrupted run open.

    After `seconds` it returns as well: the pipeline then reports who holds the journal.
    """
    end = time.monotonic() + seconds
    while (workspace.work / Journal.NAME).exists() and time.monotonic() < end:
        try:
            Journal.check_unlocked(workspace.work)
        except OutputError:
            time.sleep(LOCK_STEP)
        else:
            return
