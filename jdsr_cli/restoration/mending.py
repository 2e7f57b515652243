"""Damaged segments of an interrupted run that have whole ones after them are done again, alone.

A run is deterministic: what is done again has the hashes of the journal, or the run continues from
the last whole segment before the damage, as it does if the last segments are damaged.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from jdsr_cli.errors import JdsrError
from jdsr_cli.inference.backends import single_threads
from jdsr_cli.parallel import ParallelStages
from jdsr_cli.progress import Progress, Silent
from jdsr_cli.restoration.finished_segments import FinishedSegment
from jdsr_cli.restoration.frame import FrameItem, InputStarted, InputState
from jdsr_cli.restoration.hashed_files import is_whole
from jdsr_cli.restoration.journal import Journal, write_journal
from jdsr_cli.restoration.kept_files import remove
from jdsr_cli.restoration.models import Models
from jdsr_cli.restoration.processing import process
from jdsr_cli.restoration.publication import MENDING
from jdsr_cli.restoration.recovery import Examination
from jdsr_cli.restoration.request import Request
from jdsr_cli.restoration.segment_files import STATE
from jdsr_cli.restoration.stages.reading import make_request
from jdsr_cli.restoration.stages.segments import SegmentedSinks
from jdsr_cli.restoration.stored_detections import detections_file
from jdsr_cli.restoration.workspace import SHARED, Workspace
from jdsr_cli.settings import DetectionSettings


def mend(
    state: InputState, settings: DetectionSettings, models: Models, progress: Progress
) -> None:
    """Do the damaged segments of an interrupted run again that have whole ones after them.

    What cannot be done again stays as it is, for the run that continues it to say why.

    Args:
        state: The input, whose workspace is not open.
        settings: Settings of the run that is to continue the interrupted one.
        models: Open networks.
        progress: Receives the progress.

    """
    workspace = state.workspace
    if not settings.resume or settings.force or not Journal.exists(workspace.work):
        return
    if workspace.final.exists():
        # Only the work is left of a run that was killed after it had published its results.
        return
    asked = Journal.stored_request(workspace.work).get("asked")
    if not isinstance(asked, dict):
        return
    request = make_request(settings, models, str(asked.get("input")))
    try:
        with workspace.locked():
            examined = Journal.examine(workspace.work, request)
            gaps = list(examined.gaps())
            if gaps:
                mender = _Mender(state, settings, models, request, examined)
                task = f"{state.source.name}: damaged segments"
                progress.begin(task, len(gaps))
                for gap in gaps:
                    mender.mend(gap)
                    progress.advance(task)
                progress.end(task)
                workspace.mended = mender.note
    except (JdsrError, OSError):
        return


class _Mender:
    """Does segments of one interrupted run again."""

    def __init__(
        self,
        state: InputState,
        settings: DetectionSettings,
        models: Models,
        request: Request,
        examined: Examination,
    ) -> None:
        self._source = state.source
        self._workspace = state.workspace
        self._root = state.workspace.work.parent
        self._settings = replace(settings, resume=True)
        self._models = models
        self._request = request
        self._examined = examined
        self._known: Mapping[int, FinishedSegment] = examined.segments
        self._frames = 0
        """That were done again."""
        self._faults: list[str] = []
        """What was damaged."""

    @property
    def note(self) -> str | None:
        """Sentence on what was done again; None if nothing was."""
        if not self._faults:
            return None
        more = f" and {len(self._faults) - 1} more" if len(self._faults) > 1 else ""
        return (
            f"the interrupted run is damaged ({self._faults[0]}{more}): {self._frames} of its "
            "frames are done again"
        )

    def mend(self, gap: range) -> None:
        """Do segments again and put their files in place, if they are what they were.

        Raises:
            JdsrError, OSError: The input cannot be read, or nothing can be written.

        """
        first = self._last_state_before(gap)
        if first is None or any(number not in self._known for number in gap):
            return
        folder = self._root / MENDING
        remove(folder)
        try:
            folder.mkdir()
            state = InputState(
                self._source, Workspace(folder, self._workspace.final.name, self._source)
            )
            self._prepare(state.workspace, first)
            redone = self._redo(state, gap.stop)
            if all(
                redone.get(number) is not None and redone[number].files == self._known[number].files
                for number in gap
            ):
                for number in gap:
                    self._take(state.workspace.work.parent, number)
                self._faults += [self._examined.faults[number] for number in gap]
                self._frames += self._ends_at(gap.stop) - self._ends_at(first)
        finally:
            remove(folder)

    def _ends_at(self, number: int) -> int:
        """Return the number of frames in the first segments."""
        return self._known[number - 1].frames if number else 0

    def _last_state_before(self, gap: range) -> int | None:
        """Return the number of the segment from which one can go on, with whole detections before.

        None if there is none.
        """
        for number in range(gap.start, -1, -1):
            if number == 0 or self._examined.has_state(number - 1):
                return number if all(map(self._has_detections, range(number))) else None
        return None

    def _has_detections(self, number: int) -> bool:
        name = self._name(detections_file(self._workspace, number))
        known = self._known.get(number)
        return known is not None and known.files[name].is_at(self._root / name)

    def _name(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()

    def _prepare(self, workspace: Workspace, first: int) -> None:
        """Make a run that has finished the segments before `first`, as far as later ones need it.

        What is stored of all segments that was found in the pictures is taken over.
        """
        workspace.work.mkdir(parents=True)
        for path in self._workspace.work.iterdir():
            is_state = path.name.endswith(STATE)
            if path.name.endswith(SHARED) and not is_state and is_whole(path, self._request.run):
                _link(path, workspace.work / path.name)
        if first:
            state = self._known[first - 1].state_file
            _link(self._root / state, workspace.work.parent / state)
        segments = []
        for number in range(first):
            name = self._name(detections_file(self._workspace, number))
            known = self._known[number]
            segments.append(replace(known, files={name: known.files[name]}))
        for name in Journal.NAMES:
            write_journal(workspace.work / name, self._request, segments)

    def _redo(self, state: InputState, count: int) -> dict[int, FinishedSegment]:
        """Continue a run until it has finished so many segments; return them by number."""
        sinks: SegmentedSinks | None = None
        stages = ParallelStages()
        try:
            with single_threads(), stages:
                for element in process([state], self._settings, self._models, Silent(), stages):
                    if isinstance(element, InputStarted):
                        arguments = (element.input, self._settings, self._models)
                        sinks = state.attempt("write", SegmentedSinks, *arguments)
                    elif isinstance(element, FrameItem) and sinks is not None:
                        sinks.add(element)
                    if state.failed or state.workspace.finished_segments >= count:
                        break
            segments = [] if sinks is None else list(state.workspace.journal.segments)
            return {one.number: one for one in segments}
        finally:
            if sinks is not None:
                sinks.abandon()
            state.close()

    def _take(self, redone: Path, number: int) -> None:
        """Put the files of a segment in the place of the damaged ones."""
        known = self._known[number]
        stored = {**known.files, known.state_file: known.state}
        for name, one in stored.items():
            target = self._root / name
            if not one.is_at(target) and one.is_at(redone / name):
                remove(target)
                target.parent.mkdir(parents=True, exist_ok=True)
                (redone / name).replace(target)


def _link(path: Path, other: Path) -> None:
    """Give a file that is never written again a second name, or copy it where that is not possible.

    Raises:
        OSError: It cannot be copied.

    """
    try:
        os.link(path, other)
    except OSError:
        shutil.copy(path, other)
