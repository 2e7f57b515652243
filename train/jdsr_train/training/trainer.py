"""The training loop: optimiser steps, weight averaging, validation, logging and checkpoints.

A step depends only on the recipe, the data and its own number, so that an interrupted and resumed
run gives the same result as an uninterrupted one. Under a time limit the schedule also follows the
clock: the stage ends in time, with its learning rate at its end, whatever the speed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from jdsr_cli.errors import OutputError, UsageError
from jdsr_cli.progress import Progress, Silent
from jdsr_train.data.samples import Packed
from jdsr_train.request import RunSettings
from jdsr_train.training import checkpoint
from jdsr_train.training.fabric import PrecisionWrapper, open_fabric
from jdsr_train.training.monitoring import FiniteMonitor, RunningMeans, TrainingLog, gradient_shares
from jdsr_train.training.stage import (
    OptimiserStep,
    SchedulePosition,
    TrainingStage,
    WeightAverage,
    build_optimiser,
    learning_rate,
)
from jdsr_train.training.time_limit import StageTimeLimit, TimeLimitReached

if TYPE_CHECKING:
    from lightning_fabric import Fabric

CHECKPOINT = "checkpoint.pt"
CHECKPOINT_SECONDS = 60.0
"""Seconds between checkpoints if no number of steps is given."""


class Trainer:
    """Trains one stage from its start or its last checkpoint.

    Args:
        stage: The stage.
        settings: How to run it; its files are written to a folder of its name.
        identity: Values that a checkpoint must have been written with: the parts of the recipe on
            which the stage depends, and the digests of its inputs.
        fabric: The processes and device of the run; a single process when None.
        progress: Receives a report of each step.
        limit: Time of `time.monotonic` at which `run` must have returned, with the last validation
            and checkpoint written; None: after the recipe's steps.
        min_steps: Smallest useful number of steps; used with a limit.
        metadata: Further values of the checkpoint, which the export of weights needs.
        callback: Called after every step, for example to export the average periodically.

    """

    def __init__(
        self,
        stage: TrainingStage,
        settings: RunSettings,
        identity: Mapping[str, Any],
        *,
        fabric: Fabric | None = None,
        progress: Progress | None = None,
        limit: float | None = None,
        min_steps: int = 1,
        metadata: Mapping[str, Any] | None = None,
        callback: Callable[[Trainer], None] | None = None,
    ) -> None:
        self.stage, self.settings, self.identity = stage, settings, dict(identity)
        self.metadata, self._callback = dict(metadata or {}), callback
        self.folder = settings.out / stage.name
        self.progress = progress or Silent()
        self.fabric = fabric or open_fabric(settings.device)
        self.options = stage.models[stage.main_model].options
        self.networks: dict[str, nn.Module] = {}
        self.optimisers: dict[str, torch.optim.Optimizer] = {}
        for name, model in stage.models.items():
            network = model.network.to(memory_format=torch.channels_last)
            half = model.options.precision == "bfloat16"
            optimiser = build_optimiser(network.parameters(), model.options)
            compiled = settings.compiled and name == stage.main_model
            wrapped = PrecisionWrapper(network, half, compiled)
            self.networks[name], self.optimisers[name] = self.fabric.setup(wrapped, optimiser)
        self._average = WeightAverage(stage.models[stage.main_model].network, self.options.ema)
        self.monitor = FiniteMonitor(stage.name)
        single_cpu_process = self.fabric.device.type == "cpu" and self.fabric.world_size == 1
        self._time = StageTimeLimit(
            stage.name, limit, min_steps, self.options, self.fabric,
            interruptible=single_cpu_process and not settings.compiled,
        )  # fmt: skip
        self.step = 0
        self._consistent = True  # False during the update of weights
        self._saved: tuple[int, float] = (-1, time.monotonic())

    @property
    def checkpoint(self) -> Path:
        """Path of the stage's checkpoint."""
        return self.folder / CHECKPOINT

    @property
    def average(self) -> nn.Module:
        """The averaged network of the main model, in evaluation mode."""
        return self._average.network

    @property
    def position(self) -> SchedulePosition:
        """The next step, and the completed share of the schedule by steps or by time."""
        return SchedulePosition(self.step, max(self.step / self.options.steps, self._time.share))

    def run(self) -> nn.Module:
        """Train to the last step of the stage, or to its limit, and return the averaged network.

        On Ctrl-C the state is saved before the exception is passed on.

        Raises:
            OutOfTimeError: With a limit: fewer than `min_steps` steps fit.
            TrainingError: A loss is not finite, which is detected before anything is logged or
                saved, or the checkpoint belongs to another recipe.
            OutputError: The output folder cannot be written.

        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"the folder cannot be created ({error})", where=self.folder
            ) from error
        self._resume()
        self._time.start(self.step)
        fabric, last = self.fabric, self.options.steps
        batches = self.stage.batches(
            self.step, last, self.settings.workers, fabric.global_rank, fabric.world_size
        )
        log = TrainingLog(self.folder, self.step) if fabric.is_global_zero else None
        task = f"training {self.stage.name}"
        self.progress.begin(task, last)
        self.progress.advance(task, self.step)
        try:
            if self.step and self._needs_validation(self.step):
                self._validate(log)  # if the run was stopped before this validation
            self._loop(batches, task, log)
            self._validate_at_limit(log)
        except KeyboardInterrupt:
            # During an update the last checkpoint is the newest consistent state. The other
            # processes are not waited for: Ctrl-C may have reached them at another point.
            if self._consistent:
                self._write()
            raise
        finally:
            self.progress.end(task)
            if log is not None:
                log.close()
        if self._saved[0] != self.step:
            self._save()
        return self.average

    def _loop(self, batches: Iterator[Packed[Any]], task: str, log: TrainingLog | None) -> None:
        means = RunningMeans(self.fabric)
        try:
            with self._time.interrupt():
                self._run_steps(batches, means, task, log)
        except TimeLimitReached:
            pass  # the interrupted step is not taken
        if self._time.complete(self.step) and means.steps:
            self.monitor.check()
            self._log(means, log)

    def _run_steps(
        self, batches: Iterator[Packed[Any]], means: RunningMeans, task: str,
        log: TrainingLog | None,
    ) -> None:  # fmt: skip
        settings, last = self.settings, self.options.steps
        while self.step < last and self._time.allows_step(self.step):
            started = time.monotonic()
            batch = next(batches)
            validating = self._needs_validation(self.step + 1)
            shares = self._is_validation_step(self.step + 1)
            means.add(self.train_step(batch, shares=shares))
            self.progress.advance(task)
            logging = self.step % settings.log_every == 0 or self.step == last
            if logging or validating:
                self.monitor.check()
            if logging:
                self._log(means, log)
            self._time.add_duration(time.monotonic() - started)
            if self._needs_checkpoint(logging):
                self._save()
            if self._callback is not None:
                self._callback(self)
            if validating:
                self._validate(log)
                means.reset()

    def _log(self, means: RunningMeans, log: TrainingLog | None) -> None:
        row = means.compute(self.options.batch)
        if log is not None:
            log.record({"step": self.step, **row})

    def _needs_checkpoint(self, logging: bool) -> bool:
        """Return whether to save; the clock of the first process decides for all."""
        every = self.settings.checkpoint_every
        if every is not None:
            return self.step % every == 0
        late = time.monotonic() - self._saved[1] >= CHECKPOINT_SECONDS
        if self.fabric.world_size == 1:
            return late
        return bool(self.fabric.broadcast(late)) if logging else False

    def _is_validation_step(self, step: int) -> bool:
        every = self.settings.validate_every
        return every is not None and step % every == 0

    def _needs_validation(self, step: int) -> bool:
        return self._is_validation_step(step) or step >= self.options.steps

    def _validate_at_limit(self, log: TrainingLog | None) -> None:
        """Validate a stage that its time limit ended between two validations."""
        end = self._time.validation_end
        if end is not None and not self._needs_validation(self.step):
            self._validate(log, end)

    def _validate(self, log: TrainingLog | None, until: float | None = None) -> None:
        if until is None:
            until = self._time.steps_end
        if log is not None and not log.has_validation(self.step):
            try:
                with self._time.interrupt(until):
                    metrics = self.stage.validate(self.average, self.position, until)
            except TimeLimitReached:
                metrics = {}
                self.progress.note(f"{self.stage.name}, step {self.step}: no time to validate")
            if metrics:
                log.record({"step": self.step, **metrics})
                log.add_panel(self.step)
                listed = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
                self.progress.note(f"{self.stage.name}, step {self.step}: {listed}")
        self.fabric.barrier()

    def train_step(self, batch: Packed[Any], *, shares: bool = False) -> dict[str, Tensor]:
        """Take one training step and return its loss terms.

        Whether they are finite is not known before the next check of the monitor.

        Args:
            batch: The batch.
            shares: Whether to also return the terms' shares of the gradient.

        """
        values: dict[str, Tensor] = {}
        steps = self.stage.train_steps(
            self.networks, batch.unpack(self.fabric.device), self.position
        )
        for step in steps:
            values |= step.terms
            if shares and step.model == self.stage.main_model:
                values |= gradient_shares(step.terms, self.networks[step.model].parameters())
            self._optimise(step)
        self.step += 1
        self._average.update(self.step)
        self._consistent = True
        return values

    def _optimise(self, step: OptimiserStep) -> None:
        """Take one optimiser step of one model."""
        network, optimiser = self.networks[step.model], self.optimisers[step.model]
        options = self.stage.models[step.model].options
        if not step.terms:
            raise UsageError(
                f"no loss term trains the {step.model} at step {self.step}",
                where=self.stage.name,
                hint="Set a weight above 0 in the recipe's [loss]",
            )
        loss = torch.stack(list(step.terms.values())).sum()
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(self.position, options)
        optimiser.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        norm = nn.utils.clip_grad_norm_(network.parameters(), options.clip or math.inf)
        self.monitor.add(self.step, step.model, step.terms, norm)
        self._consistent = False
        optimiser.step()

    def state(self) -> dict[str, Any]:
        """Return the content of a checkpoint."""
        return {
            "recipe": self.identity,
            "deviations": list(self.stage.deviations),
            "about": self.metadata,
            "step": self.step,
            "share": self.position.share,
            "networks": {
                name: model.network.state_dict() for name, model in self.stage.models.items()
            },
            "average": self.average.state_dict(),
            "optimisers": {name: part.state_dict() for name, part in self.optimisers.items()},
            "random": torch.get_rng_state(),
        }

    def _save(self) -> None:
        self._write()
        self.fabric.barrier()

    def _write(self) -> None:
        self.monitor.check()
        started = time.monotonic()
        self._saved = self.step, started
        if self.fabric.is_global_zero:
            checkpoint.save(self.checkpoint, self.state())
            self._time.saving = time.monotonic() - started

    def _resume(self) -> None:
        if not self.checkpoint.exists():
            return
        state = checkpoint.load(self.checkpoint, self.identity)
        checkpoint.restore(self.checkpoint, state, self._load_state)
        self.progress.note(f"{self.stage.name}: resumed at step {self.step}")
        if not state[checkpoint.HASHED]:
            self.progress.note(f"{self.stage.name}: {checkpoint.WITHOUT_HASH}")

    def _load_state(self, state: dict[str, Any]) -> None:
        for name, model in self.stage.models.items():
            model.network.load_state_dict(state["networks"][name])
            self.optimisers[name].load_state_dict(state["optimisers"][name])
        self.average.load_state_dict(state["average"])
        torch.set_rng_state(state["random"])
        self.step, self._time.saved_share = int(state["step"]), float(state["share"])
        self._saved = self.step, time.monotonic()
