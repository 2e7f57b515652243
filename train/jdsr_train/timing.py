"""How fast a stage is on this machine: what a step computes, and what its faces cost to make."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from jdsr_train.data.batches import Packed
from jdsr_train.recipe import Recipe
from jdsr_train.task import Task
from jdsr_train.trainer import Trainer

MOST_CYCLES = 200
TIMED_ROUNDS = 2
"""Batches of each process that makes samples, at least, by which it is timed."""


@dataclass(frozen=True)
class Phase:
    """A part of a stage in which every step computes the same terms."""

    share: float
    """Of the stage's steps, 0 to 1."""
    step: int
    """One of its steps, counted from 0."""


@dataclass(frozen=True)
class Speed:
    """What a step of a stage takes, in seconds."""

    computing: float
    """To train on a batch that is there, meaned over the stage's phases."""
    making: float
    """One process's time to make the samples of a batch, as many at work as the run has."""

    def step(self, workers: int) -> float:
        """Seconds of a step with this many processes that make samples."""
        if not workers:
            return self.computing + self.making
        return max(self.computing, self.making / workers)


def phases(stage: str, recipe: Recipe) -> list[Phase]:
    """Return the phases of a stage: terms of the joint stage join in at shares of its steps."""
    steps, loss = recipe.steps(stage).steps, recipe.loss
    begins = {0.0}
    if stage == "joint":
        begins |= {
            begin
            for begin, acts in (
                (loss.perceptual_from, loss.perceptual_hr or loss.perceptual_covered),
                (loss.identity_from, loss.identity),
                (loss.adversarial_from, loss.adversarial),
            )
            if acts and begin < 1
        }
    ordered = sorted(begins)
    return [
        Phase(end - begin, math.ceil(begin * steps))
        for begin, end in zip(ordered, [*ordered[1:], 1.0], strict=True)
    ]


def time_stage(
    trainer: Trainer, stage: str, recipe: Recipe, batches: Sequence[Packed[Any]], seconds: float
) -> float:
    """Train on the same few batches again and again; return the mean seconds of a step.

    What the trainer has learnt is worth nothing afterwards.

    Args:
        trainer: Of the stage; thrown away by the caller.
        stage: Its name.
        recipe: Says how its phases differ.
        batches: As large as those that are to be timed.
        seconds: Time to spend on each phase, after two updates to warm up.

    """
    cycle = recipe.critic.steps_per_update if stage == "joint" else 1
    return sum(
        phase.share * _time_phase(trainer, phase.step, cycle, batches, seconds)
        for phase in phases(stage, recipe)
    )


def _time_phase(
    trainer: Trainer, step: int, cycle: int, batches: Sequence[Packed[Any]], seconds: float
) -> float:
    begin = -(-step // cycle) * cycle

    def run(cycles: int) -> float:
        started = time.monotonic()
        for number in range(cycles * cycle):
            trainer.step = begin + number % cycle
            trainer.advance(batches[number % len(batches)])
        wait_for(trainer.fabric.device)
        return (time.monotonic() - started) / (cycles * cycle)

    run(1)
    once = run(1)
    wanted = min(MOST_CYCLES, int(seconds / max(once * cycle, 1e-6)))
    cycles = int(trainer.fabric.broadcast(wanted))
    return run(cycles) if cycles > 1 else once


def take_batches(
    task: Task, count: int, world: int, workers: int
) -> tuple[list[Packed[Any]], float]:
    """Make the first batches of a process among `world`, as the run would make them.

    Args:
        task: The stage.
        count: Batches that are wanted.
        world: Processes that train.
        workers: Processes that make samples for each of them; 0 makes them here. They are ended
            before this returns.

    Returns:
        The batches, and the seconds in which one process makes one while all of them are at work.
        What each of them makes first is not counted: it opens files and fills caches.

    """
    made_by = max(1, workers)
    rounds = max(TIMED_ROUNDS if workers else 1, -(-count // made_by))
    # Of workers one more round, so that none of them is idle while the last one is timed.
    batches = task.batches(0, (rounds + (2 if workers else 1)) * made_by, workers, 0, world)
    for _ in range(made_by):
        next(batches)
    started = time.monotonic()
    found: list[Packed[Any]] = []
    for number in range(rounds * made_by):
        batch = next(batches)
        if number < count:
            found.append(batch)
    seconds = (time.monotonic() - started) / rounds
    del batches  # and with it its processes
    return found, seconds


def wait_for(device: torch.device) -> None:
    """Wait until a GPU has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
