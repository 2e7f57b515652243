"""Steps for a given time: `jdsr train --minutes` measures this machine and fits the joint stage.

The number is written into the run's folder before the first step, and every later start of the
same command reads it there: the schedule stays the one that was begun.
"""

from __future__ import annotations

import gc
import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from jdsr_cli.atomic import atomic_file
from jdsr_cli.errors import TrainingError, UsageError
from jdsr_train import checkpoint
from jdsr_train.materials import Materials
from jdsr_train.request import RunSettings
from jdsr_train.stages import build_stage
from jdsr_train.timing import Speed, take_batches, time_stage, wait_for
from jdsr_train.trainer import CHECKPOINT, SAVED_EVERY, Trainer

BUDGET = "budget.json"
TIMED_SECONDS = 4.0
"""Spent on each phase of the schedule."""
TIMED_BATCHES = 4


@dataclass(frozen=True)
class Costs:
    """What a run of the joint stage is made of, in seconds."""

    step: float
    """A step, the samples it waits for included."""
    validation: float
    """A validation, and the gradient shares that are measured with it."""
    saving: float
    """A checkpoint."""


@dataclass(frozen=True)
class Budget:
    """How many steps were fitted into a time, and why."""

    minutes: float
    steps: int
    costs: Costs
    """As measured at the first start."""


def fit(seconds: float, costs: Costs, validate_every: float) -> int:
    """Return how many steps, with their validations and checkpoints, take this long; at least 1."""
    each = costs.step * (1 + costs.saving / SAVED_EVERY) + costs.validation / validate_every
    return max(1, int((seconds - costs.validation - costs.saving) / each))


def settle(materials: Materials, minutes: float) -> Budget:
    """Return the budget of a run's joint stage: the one it was begun with, or one measured now.

    The time to measure is a part of the minutes. All processes of a run get the first one's.

    Raises:
        UsageError: The run was begun with another time, or without one.
        TrainingError: The file of its budget is damaged.
        OutputError: It cannot be written.

    """
    folder = materials.request.run.out / "joint"
    path = folder / BUDGET
    found = _read(path) if path.exists() else None
    if found is None:
        if (folder / CHECKPOINT).exists():
            raise UsageError(
                "the run was begun without --minutes",
                where=folder,
                hint="Leave --minutes out, or use another --out",
            )
        made = _measure(materials, minutes)
        if materials.fabric.is_global_zero:
            _write(path, made)
        found = made
    if found.minutes != minutes:
        raise UsageError(
            f"the run was begun with --minutes {found.minutes:g}",
            where=path,
            hint="Give the same number, or use another --out",
        )
    return materials.fabric.broadcast(found)


def _measure(materials: Materials, minutes: float) -> Budget:
    began = time.monotonic()
    run, recipe, fabric = materials.request.run, materials.recipe, materials.fabric
    materials.progress.note(f"joint: measuring how many steps fit into {minutes:g} minutes")
    task = build_stage("joint", materials)
    trainer = Trainer(task, run, {}, fabric=fabric)
    batches, making = take_batches(task, TIMED_BATCHES, fabric.world_size, run.workers)
    computing = time_stage(trainer, "joint", recipe, batches, TIMED_SECONDS)
    if fabric.is_global_zero:
        (run.out / "joint").mkdir(parents=True, exist_ok=True)
    for _ in range(2):  # the first warms up and is not counted
        started = time.monotonic()
        trainer.advance(batches[0], shares=True)
        if fabric.is_global_zero:
            task.validate(trainer.average, trainer.moment)
        wait_for(fabric.device)
        validated = time.monotonic()
    if fabric.is_global_zero:
        _save_once(trainer, run)
    costs = Costs(
        Speed(computing, making).step(run.workers),
        validated - started,
        time.monotonic() - validated,
    )
    del task, trainer
    gc.collect()
    torch.cuda.empty_cache()
    left = 60 * minutes - (time.monotonic() - began)
    return Budget(minutes, fit(left, costs, run.validate_every or math.inf), costs)


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
