"""What a run would do, and how long it would take: measured on a few frames, nothing written."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from jdsr_cli.errors import EXIT_OK, EXIT_PARTIAL, InputError, JdsrError
from jdsr_cli.media import MediaInfo, expand_inputs, probe
from jdsr_cli.progress import Progress, Silent
from jdsr_cli.restoration.cropping import CropTask
from jdsr_cli.restoration.engine import open_tools
from jdsr_cli.restoration.journal import Workplace
from jdsr_cli.restoration.outputs import name_outputs
from jdsr_cli.restoration.pipeline.described import expected_frames, mark_input
from jdsr_cli.restoration.pipeline.reading import make_request
from jdsr_cli.restoration.pipeline.work import Task, Tools
from jdsr_cli.restoration.restoring import RestoreTask
from jdsr_cli.restoration.run import run_inputs
from jdsr_cli.settings import CropSettings, DetectionSettings, RestoreSettings

S = TypeVar("S", bound=DetectionSettings)

SAMPLE_FRAMES = 24
"""Frames on which the speed is measured."""
MOST_SAMPLES = 8
"""Kinds of inputs that are measured; for further kinds no time is told."""


@dataclass(frozen=True)
class PlannedInput:
    """What a run would do with one input.

    >>> from jdsr_cli import CropSettings, plan_crops
    >>> (planned,) = plan_crops(["photo.png"], "crops", CropSettings(device="cpu")).inputs
    >>> planned.state, planned.frames, planned.size
    ('new', 1, (120, 120))
    """

    source: Path
    output: Path
    state: str = "new"
    """`new`, `resume` (an interrupted run goes on), `done` (it is left out) or `failed`."""
    frames_done: int = 0
    """By the interrupted run."""
    frames: int | None = None
    """In all; None where the input does not tell."""
    size: tuple[int, int] | None = None
    """Width and height of its frames in pixels."""
    seconds: float | None = None
    """Estimate of the time for what is left to do; None where it cannot be told."""
    bytes: int | None = None
    """Estimate of the size of the results."""
    error: JdsrError | None = None


@dataclass(frozen=True)
class RunPlan:
    """What a run would do.

    >>> from jdsr_cli import CropSettings, plan_crops
    >>> plan_crops(["photo.png", "absent.png"], "crops", CropSettings(device="cpu")).exit_code
    4
    """

    inputs: tuple[PlannedInput, ...]

    @property
    def exit_code(self) -> int:
        """As that of the run: 0 where all can be done, 4 some, 3 none."""
        failed = [one for one in self.inputs if one.error is not None]
        if not failed:
            return EXIT_OK
        return EXIT_PARTIAL if len(failed) < len(self.inputs) else InputError.exit_code


def plan_restore(
    inputs: Sequence[str | Path],
    out: str | Path,
    settings: RestoreSettings | None = None,
    progress: Progress | None = None,
) -> RunPlan:
    """Tell what `restore` would do with these arguments, without writing into `out`.

    Raises:
        UsageError, WeightsError: As `restore`.

    >>> from jdsr_cli import RestoreSettings, plan_restore
    >>> plan = plan_restore(["photo.png"], "results", RestoreSettings(device="cpu"))
    >>> plan.inputs[0].output.name, plan.inputs[0].seconds > 0
    ('photo', True)
    """
    chosen, told = settings or RestoreSettings(), progress or Silent()
    return _plan(inputs, Path(out), chosen, RestoreTask, told)


def plan_crops(
    inputs: Sequence[str | Path],
    out: str | Path,
    settings: CropSettings | None = None,
    progress: Progress | None = None,
) -> RunPlan:
    """Tell what `crop_faces` would do with these arguments, without writing into `out`.

    Raises:
        UsageError, WeightsError: As `crop_faces`.

    >>> from jdsr_cli import CropSettings, plan_crops
    >>> plan = plan_crops(["photo.png"], "results", CropSettings(device="cpu"))
    >>> plan.inputs[0].output.name, plan.inputs[0].seconds > 0
    ('photo', True)
    """
    chosen, told = settings or CropSettings(), progress or Silent()
    return _plan(inputs, Path(out), chosen, CropTask, told)


def _plan(
    inputs: Sequence[str | Path],
    out: Path,
    settings: S,
    make: Callable[[S, Tools], Task],
    progress: Progress,
) -> RunPlan:
    paths, faults = expand_inputs([str(item) for item in inputs])
    failed = tuple(
        PlannedInput(Path(fault.where or ""), out, "failed", error=fault) for fault in faults
    )
    if not paths:
        return RunPlan(failed)
    tools = open_tools(settings, progress)
    task = make(settings, tools)
    sampler = _Sampler(make(replace(settings, force=False, resume=False), tools))
    planned = []
    progress.begin("plan", len(paths))
    for path, name in zip(paths, name_outputs(paths), strict=True):
        planned.append(_planned(path, Workplace(out, name, path), task, sampler))
        progress.advance("plan")
    progress.end("plan")
    return RunPlan((*failed, *planned))


def _planned(path: Path, workplace: Workplace, task: Task, sampler: _Sampler) -> PlannedInput:
    try:
        info = probe(path, task.settings.reading)
        request = make_request(task, mark_input(path).sha256)
        done = workplace.look(request, force=task.settings.force, resume=task.settings.resume)
        size = (info.width, info.height)
        if done is None:
            return PlannedInput(path, workplace.final, "done", 0, info.frames_promised, size, 0.0)
        frames = expected_frames(info, task.settings.reading)
        speed = sampler.measure(path, info)
        seconds = size_of_results = None
        if speed is not None and frames is not None:
            seconds = max(0, frames - done) * speed.seconds
            size_of_results = round(frames * speed.bytes)
        return PlannedInput(
            source=path,
            output=workplace.final,
            state="resume" if done else "new",
            frames_done=done,
            frames=frames,
            size=size,
            seconds=seconds,
            bytes=size_of_results,
        )
    except JdsrError as fault:
        return PlannedInput(path, workplace.final, "failed", error=fault)


@dataclass(frozen=True)
class _Speed:
    """Of one kind of input."""

    seconds: float
    """Per frame."""
    bytes: float
    """Of results per frame."""


class _Sampler:
    """Measures the speed on the first frames of the first input of each kind."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._known: dict[tuple[str, int, int], _Speed | None] = {}

    def measure(self, path: Path, info: MediaInfo) -> _Speed | None:
        """Return the speed for inputs like this, None where it could not be measured."""
        kind = (info.kind, info.width, info.height)
        if kind not in self._known and len(self._known) < MOST_SAMPLES:
            self._known[kind] = self._sample(path)
        return self._known.get(kind)

    def _sample(self, path: Path) -> _Speed | None:
        with tempfile.TemporaryDirectory() as folder:
            run = run_inputs(
                [path], Path(folder), lambda: self._task, Silent(), limit=SAMPLE_FRAMES
            )
            (result,) = run.results
            if result.counts is None or not result.counts.frames_read or result.output is None:
                return None
            size = sum(file.stat().st_size for file in result.output.rglob("*") if file.is_file())
            frames = result.counts.frames_read
            return _Speed(result.seconds["total"] / frames, size / frames)
