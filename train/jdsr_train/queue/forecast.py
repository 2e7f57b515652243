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
from jdsr_train.dry_run import TrainingPlan, plan_training
from jdsr_train.queue import records
from jdsr_train.queue.estimates import Estimates, request_of
from jdsr_train.queue.execution import open_queue
from jdsr_train.queue.job_options import QueueOptions
from jdsr_train.queue.plan_files import TrainingJob
from jdsr_train.queue.records import QueueRecords
from jdsr_train.recipe import OptimiserRecipe
from jdsr_train.request import TrainRequest


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
    """Empty if they cannot be measured."""
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
    them.

    Raises:
        UsageError, DeviceError: As for `execution.open_queue`.
        TrainingError: `queue.json` or `estimates.json` is damaged.
        OutputError: The measurements cannot be written.

    """
    progress = progress or Silent()
    queue, options = open_queue(settings)
    estimates = Estimates(options, queue)
    record = QueueRecords(options.out, (one.name for one in queue.jobs))
    found: list[JobForecast] = []
    device = ""
    task = "planning jobs"
    progress.begin(task, len(estimates.jobs))
    with TemporaryDirectory() as folder:
        written = Path(folder) / "of_an_earlier_job.safetensors"
        written.touch()
        for job in estimates.jobs.values():
            made, missing = _measure(job, options, estimates.jobs, written)
            stages: tuple[StageForecast, ...] = ()
            if made is not None:
                device = made.device
                stages = _stages(made, options, job)
                estimates.store(job, {one.stage: one.step_seconds for one in stages})
            found.append(
                JobForecast(
                    job.name, record[job.name].state, options.processes(job), stages,
                    estimates.seconds(job), missing,
                )
            )  # fmt: skip
            progress.advance(task)
    progress.end(task)
    chains = tuple(one.name for one in queue.jobs if not isinstance(one, TrainingJob))
    return QueueForecast(queue.name, device, options.gpus, tuple(found), chains)


def _measure(
    job: TrainingJob, options: QueueOptions, jobs: Mapping[str, TrainingJob], written: Path
) -> tuple[TrainingPlan | None, str | None]:
    try:
        request = request_of(job, options, jobs, written)
        part = _part_of_batches(request, options.processes(job))
        made = plan_training(part, promised=bool(job.sources))
    except (JdsrError, torch.OutOfMemoryError) as error:
        return None, str(error)
    finally:
        gc.collect()
        torch.cuda.empty_cache()
    return made, made.missing


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
    made: TrainingPlan, options: QueueOptions, job: TrainingJob
) -> tuple[StageForecast, ...]:
    minutes = options.settings.minutes
    if minutes is not None:
        minutes *= job.table.share
    found = []
    for one in made.stages:
        own, limit = job.recipe.steps(one.stage), minutes if one.stage == "joint" else None
        steps = one.steps if limit is None else None
        seconds = one.speed.step(one.workers)
        found.append(StageForecast(one.stage, steps, limit, own.batch, own.precision, seconds))
    return tuple(found)
