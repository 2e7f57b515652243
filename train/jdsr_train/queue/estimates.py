"""How long the jobs of a queue take: from `--minutes`, or from steps that a dry run measured.

The measurements are in `estimates.json` in the folder of the queue, by device. Nothing is estimated
without one.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from jdsr_cli.benchmarking.hardware import describe_machine
from jdsr_cli.errors import UsageError
from jdsr_cli.progress import duration_text
from jdsr_cli.weights import resolve_device
from jdsr_train.queue import records
from jdsr_train.queue.job_options import QueueOptions, recipe_digest
from jdsr_train.queue.plan_files import TrainingJob, TrainingQueue
from jdsr_train.queue.records import (
    QueueRecords,
    build_tables,
    read_json,
    table_in,
    write_json,
)
from jdsr_train.request import TrainRequest, make_request
from jdsr_train.run import PREPARE, stages_of

ESTIMATES = "estimates.json"
MAX_STEP_SECONDS = 86400.0
"""Time of a step that can be recorded: a day."""


def request_of(
    job: TrainingJob, options: QueueOptions, jobs: Mapping[str, TrainingJob], written: Path | None
) -> TrainRequest:
    """Return the request of the `jdsr train` of a job.

    Args:
        job: The job.
        options: Options of the queue.
        jobs: All jobs by name.
        written: File that stands for those that earlier jobs have yet to write, and which has no
            weights; None to name them although they do not exist.

    Raises:
        UsageError: An option is not allowed.
        DeviceError: The device is not on this machine.

    """
    taken = {name: path for name, (_, path) in options.taken(job, jobs).items()}
    if written is not None:
        taken = {name: path if path.is_file() else written for name, path in taken.items()}
        if taken.get("init") == written:
            del taken["init"]
    return make_request(options.settings_of(job, taken), 0.0)


@dataclass(frozen=True)
class Remaining:
    """The time that a queue still needs."""

    seconds: float
    """Of the jobs for which there is an estimate."""
    unknown: int
    """Number of jobs for which there is none."""


@dataclass(frozen=True)
class MeasuredJob:
    """What was measured of a job on a device."""

    conditions: dict[str, Any]
    """On what the time of a step depends."""
    step_seconds: dict[str, float]
    """Seconds of a step by stage, above 0 and at most `MAX_STEP_SECONDS`."""

    def __post_init__(self) -> None:
        for stage, seconds in self.step_seconds.items():
            is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
            if not (is_number and 0 < seconds <= MAX_STEP_SECONDS):
                raise UsageError(
                    f"{seconds!r} is not above 0 and at most {MAX_STEP_SECONDS:g}",
                    where=f"step_seconds: {stage}",
                )


class Estimates:
    """The measured seconds of the steps of jobs on this machine.

    Args:
        options: Options of the queue.
        queue: The queue.

    Raises:
        TrainingError: `estimates.json` is damaged or of another version.

    """

    def __init__(self, options: QueueOptions, queue: TrainingQueue) -> None:
        self.options = options
        self.jobs = {one.name: one for one in queue.jobs if isinstance(one, TrainingJob)}
        self._path = options.out / ESTIMATES
        devices = table_in(read_json(self._path).get("devices", {}), self._path, "devices")
        self._devices = {
            device: build_tables(MeasuredJob, jobs, self._path, device)
            for device, jobs in devices.items()
        }
        self._device = _device_name(options.settings.device)

    def seconds(self, job: TrainingJob) -> float | None:
        """Return the seconds of a job without preparation, validations and checkpoints.

        With `--minutes` they are the time of the joint stage, which includes them.

        Returns:
            None if a stage was not measured on this device in the same conditions.

        """
        request = request_of(job, self.options, self.jobs, None)
        measured = self.step_seconds(job)
        total = 0.0
        for stage in stages_of(request):
            if stage == PREPARE:
                continue
            if stage == "joint" and request.minutes is not None:
                total += 60 * request.minutes
            elif stage in measured:
                total += measured[stage] * request.recipe.steps(stage).steps
            else:
                return None
        return total

    def store(self, job: TrainingJob, steps: Mapping[str, float]) -> None:
        """Keep the seconds of a step of each stage of a job, and write `estimates.json`.

        Raises:
            OutputError: It cannot be written.

        """
        jobs = self._devices.setdefault(self._device, {})
        jobs[job.name] = MeasuredJob(self._conditions(job), dict(steps))
        values = {
            device: {name: asdict(one) for name, one in measured.items()}
            for device, measured in self._devices.items()
        }
        write_json(self._path, {"format": records.FORMAT, "devices": values})

    def step_seconds(self, job: TrainingJob) -> Mapping[str, float]:
        """Return the measured seconds of a step of the stages of a job.

        Returns:
            Empty if the job was not measured on this device in the same conditions.

        """
        stored = self._devices.get(self._device, {}).get(job.name)
        if stored is None or stored.conditions != self._conditions(job):
            return {}
        return stored.step_seconds

    def _conditions(self, job: TrainingJob) -> dict[str, Any]:
        settings = self.options.settings
        return {
            "recipe": recipe_digest(job.recipe), "processes": self.options.processes(job),
            "workers": settings.workers, "compiled": settings.compiled,
        }  # fmt: skip

    def remaining(self, record: QueueRecords) -> Remaining:
        """Return the time of the jobs that are not finished.

        Estimates are multiplied by the median of what finished jobs took beyond theirs, and the
        time that a job has already taken is subtracted. Chains take seconds and are not counted.
        """
        found = {name: self.seconds(job) for name, job in self.jobs.items()}
        ended = [name for name in found if record[name].state == records.FINISHED]
        ratios = [record[name].seconds / seconds for name in ended if (seconds := found[name])]
        factor = statistics.median(ratios) if ratios else 1.0
        waiting = [(record[name], seconds) for name, seconds in found.items() if name not in ended]
        total = sum(
            max(0.0, factor * seconds - one.seconds)
            for one, seconds in waiting
            if seconds is not None
        )
        return Remaining(total, sum(seconds is None for _, seconds in waiting))


def _device_name(device: str) -> str:
    """Return the name of the GPU, or of the processor."""
    resolved = resolve_device(device)
    if resolved.type == "cuda":
        return torch.cuda.get_device_name(resolved)
    return str(describe_machine()["cpu"])


def describe_remaining(left: Remaining) -> str:
    """Return the remaining time as the end of a line; empty if nothing is known."""
    if not left.seconds:
        return ""
    jobs = "1 job that was" if left.unknown == 1 else f"{left.unknown} jobs that were"
    without = f" without {jobs} not measured" if left.unknown else ""
    return f", about {duration_text(left.seconds)} left{without}"
