"""Run the jobs of a queue one after another; what is finished is not started again."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from jdsr_cli.errors import EXIT_OK, EXIT_PARTIAL, JdsrError, UsageError, WeightsError
from jdsr_cli.progress import Progress, Silent
from jdsr_cli.settings import TrainSettings
from jdsr_cli.weights import resolve_device, sha256_of
from jdsr_cli.weights.headers import read_metadata
from jdsr_train.queue import records
from jdsr_train.queue.children import ChildResult, Interruption, run_child
from jdsr_train.queue.estimates import Estimates, describe_remaining
from jdsr_train.queue.job_options import (
    QueueOptions,
    chain_words,
    describe_difference,
    result_options,
    to_words,
)
from jdsr_train.queue.plan_files import ChainJob, TrainingJob, TrainingQueue, load_queue
from jdsr_train.queue.records import JobRecord, QueueRecords, hold_folder
from jdsr_train.training.trainer import CHECKPOINT

LOG = "output.txt"
"""Output of a job, in its folder."""

Start = Callable[..., ChildResult]
"""Starts the process of a job and awaits it, as `children.run_child` does."""


@dataclass(frozen=True)
class JobOutcome:
    """What came of a job."""

    name: str
    record: JobRecord


@dataclass(frozen=True)
class QueueOutcome:
    """What came of a queue."""

    jobs: tuple[JobOutcome, ...]
    """In the order of the queue."""
    evaluations: tuple[str, ...]
    """Commands that fill the tables of the paper."""

    @property
    def exit_code(self) -> int:
        """0 if every job is finished."""
        unfinished = [one for one in self.jobs if one.record.state != records.FINISHED]
        return EXIT_PARTIAL if unfinished else EXIT_OK


def open_queue(settings: TrainSettings) -> tuple[TrainingQueue, QueueOptions]:
    """Read the plan of `settings`, and return it with the options of its jobs.

    Raises:
        UsageError: The plan or a recipe does not exist or is faulty, or this process was started by
            torchrun.
        DeviceError: The device is not on this machine.

    """
    assert settings.plan is not None
    if "WORLD_SIZE" in os.environ:
        raise UsageError(
            "a queue starts the processes of its jobs itself",
            where="--plan",
            hint="Start it without torchrun; the plan states the GPUs of each job",
        )
    found = load_queue(settings.plan)
    device = resolve_device(settings.device)
    several = device.type == "cuda" and device.index is None
    gpus = torch.cuda.device_count() if several else int(device.type == "cuda")
    return found, QueueOptions(settings, settings.out or Path("runs") / found.name, gpus)


def run_queue(
    settings: TrainSettings, progress: Progress | None = None, start: Start = run_child
) -> QueueOutcome:
    """Run the jobs of a plan that are not finished.

    A job that fails does not stop the others; those that need its results are left out. Ctrl-C,
    SIGTERM and SIGHUP are passed on to the running job, whose weights are exported. The same call
    continues.

    Args:
        settings: Options of the command, with a plan.
        progress: Receives a task for each job, and the lines that the jobs print.
        start: Starts the process of a job.

    Raises:
        UsageError: As for `open_queue`, or a job was finished with other options.
        TrainingError: `queue.json` or `estimates.json` is damaged.
        OutputError: The folder cannot be written, or another process runs the queue there.
        KeyboardInterrupt: On a signal, after the running job has ended.

    """
    found, options = open_queue(settings)
    with hold_folder(options.out) as lock:
        run = _QueueRun(found, options, progress or Silent(), start, lock)
        return run.run()


class _QueueRun:
    """One start of a queue, in a folder that is locked."""

    def __init__(
        self, found: TrainingQueue, options: QueueOptions, progress: Progress, start: Start,
        lock: int,
    ) -> None:  # fmt: skip
        self.queue, self.options, self.progress = found, options, progress
        self.start, self.lock = start, lock
        self.records = QueueRecords(options.out, (one.name for one in found.jobs))
        self.estimates = Estimates(options, found)
        self.trainings = {one.name: one for one in found.jobs if isinstance(one, TrainingJob)}
        self.interruption = Interruption()

    def run(self) -> QueueOutcome:
        """Run every job that is not finished."""
        jobs = self.queue.jobs
        for training in self.trainings.values():
            self._check_options(training)
        self.records.save()
        with self.interruption.handled():
            for number, job in enumerate(jobs, 1):
                self.interruption.check()
                self._run_job(job, f"job {number} of {len(jobs)} ({job.name})")
        outcomes = tuple(JobOutcome(one.name, self.records[one.name]) for one in jobs)
        return QueueOutcome(outcomes, _evaluations(self.queue, self.options))

    def _check_options(self, job: TrainingJob) -> None:
        """Raise `UsageError` if an option is not allowed, or a job was finished with other ones."""
        taken = self.options.taken(job, self.trainings)
        settings = self.options.settings_of(job, {name: path for name, (_, path) in taken.items()})
        record = self.records[job.name]
        if record.state != records.FINISHED or not self.options.weights(job).is_file():
            return
        now = result_options(settings, job, {name: one.name for name, (one, _) in taken.items()})
        difference = describe_difference(record.options, now, self.trainings)
        if difference is not None:
            raise UsageError(
                f"{job.name} was finished with {difference}",
                where=self.options.out / records.RECORD,
                hint=f"Use the same options or another --out, or delete {self.options.folder(job)} "
                "to train it again",
            )
        record.options = now  # files by their absolute paths, also where a relative one was given

    def _run_job(self, job: TrainingJob | ChainJob, title: str) -> None:
        record = self.records[job.name]
        files, needed = self._needed(job)
        if needed is not None:
            self._end(record, records.LEFT_OUT, f"needs {needed}")
            self.progress.note(f"{title}: left out, needs {needed}")
            return
        try:
            taken = {name: sha256_of(path) for name, path in files.items()}
            intact = record.is_intact(self.options.out)
        except WeightsError as error:
            self._fail(job, record, str(error))
            return
        changed = [name for name in record.taken if record.taken[name] != taken.get(name)]
        begun = (self.options.folder(job) / "joint" / CHECKPOINT).is_file()
        if changed and begun and isinstance(job, TrainingJob):
            self._refuse_changed(job, record, changed[0])
            return
        if intact and not changed:
            return
        if record.state == records.FINISHED:
            self.progress.note(f"{title}: its weights are missing or altered, it runs again")
        if isinstance(job, TrainingJob):
            settings = self.options.settings_of(job, files)
            names = {name: job.sources[name] for name in files}
            record.options, words = result_options(settings, job, names), to_words(settings)
        else:
            words = chain_words(
                files["denoiser"], files["super_resolver"], self.options.weights(job)
            )
        record.command, record.taken, record.error = words, taken, ""
        left = describe_remaining(self.estimates.remaining(self.records))
        self.progress.note(f"{title}{left}")
        self._start(job, record, title)

    def _needed(self, job: TrainingJob | ChainJob) -> tuple[dict[str, Path], str | None]:
        """Return the files that a job takes, and the first job whose result is missing, if any.

        Weights are taken of finished jobs only; parsers and identity networks, whose stages write
        them at their end, wherever they are there.
        """
        if isinstance(job, ChainJob):
            parts = {"denoiser": job.denoiser, "super_resolver": job.super_resolver}
            found = {name: (part, self.options.weights(part)) for name, part in parts.items()}
        else:
            found = self.options.taken(job, self.trainings)
        for option, (source, path) in found.items():
            unfinished = self.records[source.name].state != records.FINISHED
            if not path.is_file() or (unfinished and option not in ("labels", "identity")):
                return {}, source.name
        return {option: path for option, (_, path) in found.items()}, None

    def _refuse_changed(self, job: TrainingJob, record: JobRecord, option: str) -> None:
        """Record that a job that has begun took another file from an earlier one."""
        error = (
            f"its --{option} of {job.sources[option]} has changed since it began: delete "
            f"{self.options.folder(job)} to train it again"
        )
        self._fail(job, record, error)

    def _start(self, job: TrainingJob | ChainJob, record: JobRecord, title: str) -> None:
        expected = self.estimates.seconds(job) if isinstance(job, TrainingJob) else None
        began = ticked = time.monotonic()
        before = record.seconds

        def tick() -> None:
            nonlocal ticked
            passed = int(time.monotonic() - ticked)
            ticked += passed
            self.progress.advance(title, passed)

        record.state = records.RUNNING
        self.records.save()
        self.progress.begin(title, None if expected is None else max(1, round(expected)))
        try:
            result = self.start(
                record.command, self.options.folder(job) / LOG, self.interruption,
                lambda line: self.progress.note(f"{job.name}: {line}"), tick, self.lock,
            )  # fmt: skip
        except KeyboardInterrupt:
            record.seconds = before + time.monotonic() - began
            self._end(record, records.INTERRUPTED, "")
            raise
        except JdsrError as error:  # of its log, or of the start of its process
            result = ChildResult(error.exit_code, str(error))
        finally:
            self.progress.end(title)
        record.seconds = before + time.monotonic() - began
        self._record_result(job, record, result)

    def _record_result(
        self, job: TrainingJob | ChainJob, record: JobRecord, result: ChildResult
    ) -> None:
        path = self.options.weights(job)
        error = result.error or f"ended with {result.code}"
        if result.code == 0:
            error = "" if path.is_file() else "ended without weights"
        if error:
            self._fail(job, record, error)
            return
        try:
            digest, steps = sha256_of(path), read_metadata(path).get("steps", "")
        except WeightsError as unusable:
            self._fail(job, record, str(unusable))
            return
        record.weights = str(path.relative_to(self.options.out))
        record.sha256, record.steps = digest, steps
        self._end(record, records.FINISHED, "")

    def _fail(self, job: TrainingJob | ChainJob, record: JobRecord, error: str) -> None:
        self._end(record, records.FAILED, error)
        self.progress.note(f"{job.name}: failed, {error}")

    def _end(self, record: JobRecord, state: str, error: str) -> None:
        record.state, record.error = state, error
        self.records.save()


def _evaluations(found: TrainingQueue, options: QueueOptions) -> tuple[str, ...]:
    """Return the commands that fill the tables of the paper."""
    settings = options.settings
    masks = [] if settings.masks is None else ["--masks", str(settings.masks)]
    commands = []
    for table in found.tables:
        data = "helen/" if table == "generality" else str(settings.data)
        words = [
            "jdsr", "eval", "--table", table, "--checkpoints", str(options.out), "--data", data,
            *masks, "--out", str(options.out / f"table-{table}"),
        ]  # fmt: skip
        commands.append(shlex.join(words))
    return tuple(commands)
