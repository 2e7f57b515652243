"""Measure the speed of a stage, and derive the number of steps that fit into a given time.

`jdsr train --minutes` stores that number in the folder of the run before the first step. A later
start of the same command reads it, so that the schedule does not change.

A single-threaded process on a CPU measures the processor time of its own work, so that other work
on the machine hardly changes the number; the preparation of samples by workers, and everything
else, is measured in real time.
"""

from __future__ import annotations

import gc
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from jdsr_cli.atomic import atomic_file
from jdsr_cli.errors import TrainingError, UsageError
from jdsr_train.components import TrainingComponents
from jdsr_train.data.samples import Packed
from jdsr_train.recipe import Recipe
from jdsr_train.request import RunSettings
from jdsr_train.stages import build_stage
from jdsr_train.training import checkpoint
from jdsr_train.training.stage import TrainingStage
from jdsr_train.training.trainer import CHECKPOINT, CHECKPOINT_SECONDS, Trainer

MAX_CYCLES = 200
TIMED_ROUNDS = 2
"""Smallest number of batches of each worker from which its speed is measured."""
BUDGET = "budget.json"
PHASE_SECONDS = 4.0
"""Duration of the measurement of each phase."""
TIMED_BATCHES = 4


@dataclass(frozen=True)
class Phase:
    """A part of a stage in which every step has the same loss terms."""

    share: float
    """Share of the stage's steps, 0 to 1."""
    step: int
    """Number of its first step, from 0."""


@dataclass(frozen=True)
class Speed:
    """The durations that make up a step of a stage, in seconds."""

    computing: float
    """Training on a batch, averaged over the phases of the stage."""
    sampling: float
    """Preparation of a batch by one worker, while all workers of the run are busy."""

    def step(self, workers: int) -> float:
        """Return the seconds of a step with this many workers."""
        if not workers:
            return self.computing + self.sampling
        return max(self.computing, self.sampling / workers)


def phases(stage: str, recipe: Recipe) -> list[Phase]:
    """Return the phases of a stage; terms of the joint stage start at shares of its steps."""
    steps, loss = recipe.steps(stage).steps, recipe.loss
    starts = {0.0}
    if stage == "joint":
        starts |= {
            start
            for start, active in (
                (loss.perceptual_from, loss.perceptual_hr or loss.perceptual_covered),
                (loss.identity_from, loss.identity or loss.super_identity),
                (loss.adversarial_from, loss.adversarial),
            )
            if active and start < 1
        }
    ordered = sorted(starts)
    return [
        Phase(end - start, math.ceil(start * steps))
        for start, end in zip(ordered, [*ordered[1:], 1.0], strict=True)
    ]


def time_stage(
    trainer: Trainer, stage: str, recipe: Recipe, batches: Sequence[Packed[Any]], seconds: float
) -> float:
    """Train repeatedly on the same batches and return the mean seconds of a step.

    Args:
        trainer: Trainer of the stage, which the caller discards afterwards.
        stage: Name of the stage.
        recipe: Defines the phases of the stage.
        batches: Batches of the size to be timed.
        seconds: Duration of the measurement of each phase, after two warm-up updates.

    """
    adversarial = stage == "joint" and recipe.loss.adversarial > 0
    cycle = recipe.critic.steps_per_update if adversarial else 1
    return sum(
        phase.share * _time_phase(trainer, phase.step, cycle, batches, seconds)
        for phase in phases(stage, recipe)
    )


def _time_phase(
    trainer: Trainer, step: int, cycle: int, batches: Sequence[Packed[Any]], seconds: float
) -> float:
    first = -(-step // cycle) * cycle

    clock = clock_of(trainer.fabric.device)

    def run(cycles: int) -> float:
        started = clock()
        for number in range(cycles * cycle):
            trainer.step = first + number % cycle
            trainer.train_step(batches[number % len(batches)])
        synchronise(trainer.fabric.device)
        return (clock() - started) / (cycles * cycle)

    run(1)
    once = run(1)
    target = min(MAX_CYCLES, int(seconds / max(once * cycle, 1e-6)))
    cycles = int(trainer.fabric.broadcast(target))
    return run(cycles) if cycles > 1 else once


def time_batches(
    stage: TrainingStage, count: int, world: int, workers: int
) -> tuple[list[Packed[Any]], float]:
    """Prepare the first batches of a process as the run would, and time it.

    Args:
        stage: The stage.
        count: Number of batches to return.
        world: Number of training processes.
        workers: Workers of each training process; 0 prepares the batches in this process. They
            are ended before the function returns.

    Returns:
        The batches, and the seconds that one worker takes for a batch while all are busy. The first
        batch of each worker, which opens files and fills caches, is not counted.

    """
    per_round = max(1, workers)
    rounds = max(TIMED_ROUNDS if workers else 1, -(-count // per_round))
    # Workers get one more round, so that none is idle while the last batch is timed.
    batches = stage.batches(0, (rounds + (2 if workers else 1)) * per_round, workers, 0, world)
    for _ in range(per_round):
        next(batches)
    started = time.monotonic()
    prepared: list[Packed[Any]] = []
    for number in range(rounds * per_round):
        batch = next(batches)
        if number < count:
            prepared.append(batch)
    seconds = (time.monotonic() - started) / rounds
    del batches  # ends its workers
    return prepared, seconds


def clock_of(device: torch.device) -> Callable[[], float]:
    """Return the clock of a stage's work on a device, in seconds."""
    if device.type == "cpu" and torch.get_num_threads() == 1:
        return time.process_time
    return time.monotonic


def synchronise(device: torch.device) -> None:
    """Wait until a GPU has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@dataclass(frozen=True)
class Costs:
    """The durations that make up a run of the joint stage, in seconds."""

    step: float
    """A step, including the wait for its samples."""
    validation: float
    """A validation with the measurement of the gradient shares."""
    saving: float
    """A checkpoint."""


@dataclass(frozen=True)
class Budget:
    """The number of steps that fit into a given time."""

    minutes: float
    steps: int
    costs: Costs
    """Measured at the first start."""


def fit_steps(seconds: float, costs: Costs, validate_every: float) -> int:
    """Return how many steps with validations and checkpoints fit into a time; at least 1."""
    each = costs.step * (1 + costs.saving / CHECKPOINT_SECONDS) + costs.validation / validate_every
    return max(1, int((seconds - costs.validation - costs.saving) / each))


def load_or_measure_budget(components: TrainingComponents, minutes: float) -> Budget:
    """Return the stored budget of the run's joint stage, or measure and store it.

    The measurement is part of the time. All processes of a run use the budget of the first one.

    Raises:
        UsageError: The run was started with another time, or without one.
        TrainingError: The stored budget is damaged.
        OutputError: The budget cannot be written.

    """
    folder = components.request.run.out / "joint"
    path = folder / BUDGET
    budget = _read(path) if path.exists() else None
    if budget is None:
        if (folder / CHECKPOINT).exists():
            raise UsageError(
                "the run was started without --minutes",
                where=folder,
                hint="Leave --minutes out, or use another --out",
            )
        budget = _measure(components, minutes)
        if components.fabric.is_global_zero:
            _write(path, budget)
    if budget.minutes != minutes:
        raise UsageError(
            f"the run was started with --minutes {budget.minutes:g}",
            where=path,
            hint="Give the same number, or use another --out",
        )
    return components.fabric.broadcast(budget)


def _measure(components: TrainingComponents, minutes: float) -> Budget:
    run, recipe, fabric = components.request.run, components.recipe, components.fabric
    clock = clock_of(fabric.device)
    measurement_start = clock()
    components.progress.note(f"joint: measuring how many steps fit into {minutes:g} minutes")
    stage = build_stage("joint", components)
    trainer = Trainer(stage, run, {}, fabric=fabric)
    batches, sampling = time_batches(stage, TIMED_BATCHES, fabric.world_size, run.workers)
    computing = time_stage(trainer, "joint", recipe, batches, PHASE_SECONDS)
    if fabric.is_global_zero:
        (run.out / "joint").mkdir(parents=True, exist_ok=True)
    for _ in range(2):  # the first is a warm-up and not counted
        started = clock()
        trainer.train_step(batches[0], shares=True)
        if fabric.is_global_zero:
            stage.validate(trainer.average, trainer.position)
        synchronise(fabric.device)
        validated = clock()
    if fabric.is_global_zero:
        _save_once(trainer, run)
    costs = Costs(
        Speed(computing, sampling).step(run.workers),
        validated - started,
        clock() - validated,
    )
    del stage, trainer
    gc.collect()
    torch.cuda.empty_cache()
    remaining = 60 * minutes - (clock() - measurement_start)
    return Budget(minutes, fit_steps(remaining, costs, run.validate_every or math.inf), costs)


def _save_once(trainer: Trainer, run: RunSettings) -> None:
    path = run.out / "joint" / "trial.pt"
    checkpoint.save(path, trainer.state())
    path.unlink()


def _read(path: Path) -> Budget:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        costs = Costs(**values.pop("costs"))
        return Budget(float(values["minutes"]), int(values["steps"]), costs)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrainingError(
            f"the run's number of steps cannot be read ({error})",
            where=path,
            hint="Delete it and the checkpoint beside it to start again",
        ) from error


def _write(path: Path, budget: Budget) -> None:
    with atomic_file(path, make_folder=True) as temporary:
        temporary.write_text(json.dumps(asdict(budget), indent=1), encoding="utf-8")
