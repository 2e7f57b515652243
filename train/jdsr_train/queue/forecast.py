"""`jdsr train --plan NAME --dry-run`: steps, speed and time of each job, and what is missing."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from jdsr_cli.errors import JdsrError
from jdsr_cli.progress import Progress, Silent
from jdsr_cli.settings import TrainSettings
from jdsr_cli.weights import resolve_device
from jdsr_train.dry_run import plan_training
from jdsr_train.queue import records
from jdsr_train.queue.estimates import Estimates, request_of
from jdsr_train.queue.execution import open_queue
from jdsr_train.queue.job_options import QueueOptions
from jdsr_train.queue.plan_files import TrainingJob
from jdsr_train.queue.records import QueueRecords, is_held
from jdsr_train.recipe import OptimiserRecipe
from jdsr_train.request import TrainRequest
from jdsr_train.run import stages_of


@dataclass(frozen=True)
class StageForecast:
    """A stage of a job."""

    stage: str
    steps: int | None
    """None if they follow from `minutes`."""
    minutes: float | None
    """The job's share of `--minutes`, for the joint stage."""
    batch: int
    """Faces of a step, over all processes."""
    precision: str
    """`bfloat16` or `float32`."""
    step_seconds: float
    """Measured seconds of a step."""


@dataclass(frozen=True)
class JobForecast:
    """A job of a queue, as it would run."""

    name: str
    state: str
    """As in `queue.json`."""
    processes: int
    stages: tuple[StageForecast, ...]
    """Those that were measured."""
    seconds: float | None
    """Time of the whole job; None if it is not known."""
    missing: str | None
    """The error that its start would raise, apart from what earlier jobs write."""


@dataclass(frozen=True)
class QueueForecast:
    """The report of a dry run."""

    name: str
    device: str
    gpus: int
    """GPUs of this machine that the jobs may use."""
    jobs: tuple[JobForecast, ...]
    chains: tuple[str, ...]
    running: bool = False
    """Whether the queue runs; from then on nothing is measured, since its job slows every step."""

    @property
    def seconds(self) -> float:
        """Time of all jobs that are not finished and whose time is known."""
        return sum(one.seconds or 0.0 for one in self.jobs if one.state != records.FINISHED)

    @property
    def missing(self) -> dict[str, list[str]]:
        """The jobs that cannot start yet, by the error that they would raise."""
        found: dict[str, list[str]] = {}
        for one in self.jobs:
            if one.missing is not None:
                found.setdefault(one.missing, []).append(one.name)
        return found

    @property
    def unknown(self) -> tuple[str, ...]:
        """Jobs that are not finished and whose time is not known."""
        return tuple(
            one.name
            for one in self.jobs
            if one.seconds is None and one.state != records.FINISHED
        )  # fmt: skip


def plan_queue(settings: TrainSettings, progress: Progress | None = None) -> QueueForecast:
    """Time a few steps of each job on synthetic data, and keep the measurements for the queue.

    A job of several GPUs is timed on one with its part of a batch, without the exchange between
    them. While the queue runs, nothing is timed or kept: earlier measurements are used.

    Raises:
        UsageError, DeviceError: As for `execution.open_queue`.
        TrainingError: `queue.json` or `estimates.json` is damaged.
        OutputError: The measurements cannot be written.

    """
    progress = progress or Silent()
    queue, options = open_queue(settings)
    estimates = Estimates(options, queue)
    names = [one.name for one in queue.jobs]
    record = QueueRecords(options.out, names)
    running = is_held(options.out)
    missing: dict[str, str | None] = {}
    task = "planning jobs"
    progress.begin(task, len(estimates.jobs))
    with TemporaryDirectory() as folder:
        written = Path(folder) / "of_an_earlier_job.safetensors"
        written.touch()
        for job in estimates.jobs.values():
            if not running:
                made, missing[job.name] = _measure(job, options, estimates.jobs, written)
                running = is_held(options.out)  # it may have started meanwhile
                if made and not running:
                    estimates.store(job, made)
            progress.advance(task)
    progress.end(task)
    if running:
        record = QueueRecords(options.out, names, running=True)
    found = tuple(
        JobForecast(
            job.name, record[job.name].state, options.processes(job),
            _stages(job, options, estimates), estimates.seconds(job), missing.get(job.name),
        )
        for job in estimates.jobs.values()
    )  # fmt: skip
    chains = tuple(one.name for one in queue.jobs if not isinstance(one, TrainingJob))
    device = str(resolve_device(settings.device))
    return QueueForecast(queue.name, device, options.gpus, found, chains, running)


def _measure(
    job: TrainingJob, options: QueueOptions, jobs: Mapping[str, TrainingJob], written: Path
) -> tuple[dict[str, float], str | None]:
    """Return the seconds of a step by stage, none if they cannot be measured, and the error."""
    try:
        request = request_of(job, options, jobs, written)
        part = _part_of_batches(request, options.processes(job))
        made = plan_training(part, promised=bool(job.sources))
    except (JdsrError, torch.OutOfMemoryError) as error:
        return {}, str(error)
    finally:
        gc.collect()
        torch.cuda.empty_cache()
    return {one.stage: one.speed.step(one.workers) for one in made.stages}, made.missing


def _part_of_batches(request: TrainRequest, processes: int) -> TrainRequest:
    """Return the request of one of several processes."""
    recipe = request.recipe

    def part(options: OptimiserRecipe) -> OptimiserRecipe:
        return replace(options, batch=max(1, options.batch // processes))

    shared = replace(
        recipe,
        optimiser=part(recipe.optimiser), denoise=part(recipe.denoise),
        identity=replace(recipe.identity, optimiser=part(recipe.identity.optimiser)),
        parser=replace(recipe.parser, optimiser=part(recipe.parser.optimiser)),
    )  # fmt: skip
    return replace(request, recipe=shared)


def _stages(
    job: TrainingJob, options: QueueOptions, estimates: Estimates
) -> tuple[StageForecast, ...]:
    """Return the stages of a job that were measured."""
    request = request_of(job, options, estimates.jobs, None)
    measured = estimates.step_seconds(job)
    found = []
    for stage in stages_of(request):
        if stage in measured:
            own, limit = request.recipe.steps(stage), request.minutes if stage == "joint" else None
            steps = own.steps if limit is None else None
            found.append(
                StageForecast(stage, steps, limit, own.batch, own.precision, measured[stage])
            )
    return tuple(found)
