"""What a run would be: its stages, their sizes, and what a step costs on this machine.

Steps are timed with made-up faces, so that a plan needs neither data nor preparation.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from jdsr_cli.errors import JdsrError
from jdsr_cli.faces.alignment import TEMPLATE
from jdsr_cli.progress import Progress, Silent
from jdsr_train.data import FaceSet, Packed, ParsingSamples, ParsingSet
from jdsr_train.fabric import open_fabric
from jdsr_train.features import FeatureExtractor
from jdsr_train.masks import landmarks_from_five
from jdsr_train.materials import Materials, TrainRequest
from jdsr_train.networks import IdentityNetwork
from jdsr_train.run import PREPARE, relevant, stages_of
from jdsr_train.stages import build_stage
from jdsr_train.trainer import Trainer

if TYPE_CHECKING:
    from lightning_fabric import Fabric

TRIAL_FACES = 2
TRIAL_STEPS = 2
MADE_UP = 8


@dataclass(frozen=True)
class StagePlan:
    """One stage of a plan."""

    stage: str
    steps: int
    batch: int
    """Faces of a step, over all processes."""
    parameters: dict[str, int]
    """Trained parameters of each network."""
    seconds: float
    """Of the whole stage, from steps timed on this machine and the number of processes."""
    gigabytes: float
    """Memory of one process: weights, gradients, optimiser, average and activations."""


@dataclass(frozen=True)
class Plan:
    """What `jdsr train --dry-run` tells."""

    stages: tuple[StagePlan, ...]
    device: str
    processes: int
    missing: str | None
    """What stands in the way of a start; None if nothing does."""
    deviations: tuple[str, ...]
    """In what the run would differ from the paper, as far as can be told without the data."""


def plan(request: TrainRequest, progress: Progress | None = None) -> Plan:
    """Time a few steps of each stage on made-up faces.

    Raises:
        UsageError: A stage or a network that cannot be.

    """
    progress = progress or Silent()
    fabric = open_fabric(request.run.device)
    stages = stages_of(request)
    missing = None
    try:
        Materials(request, fabric, progress).check(stages)
    except JdsrError as error:
        missing = str(error)
    found = []
    with TemporaryDirectory() as scratch:
        trial = _MadeUp(request, Path(scratch), fabric, features=missing is None)
        trained = [stage for stage in stages if stage != PREPARE]
        progress.begin("timing steps", len(trained))
        for stage in trained:
            found.append(_time(stage, trial, fabric.world_size))
            progress.advance("timing steps")
        progress.end("timing steps")
        deviations = trial.deviations()
    return Plan(tuple(found), str(fabric.device), fabric.world_size, missing, deviations)


class _MadeUp(Materials):
    """Materials whose faces are noise."""

    def __init__(self, request: TrainRequest, out: Path, fabric: Fabric, *, features: bool) -> None:
        settings = dataclasses.replace(
            request.run, out=out, workers=0, validate_every=10**9, checkpoint_every=10**9
        )
        super().__init__(dataclasses.replace(request, run=settings), fabric, Silent())
        self._has_features = features

    def faces(self, split: str) -> FaceSet:
        rng = np.random.default_rng(0)
        dense = np.stack([landmarks_from_five(TEMPLATE)] * MADE_UP)
        points = (
            dense
            if self.request.landmarks != "five"
            else np.stack([TEMPLATE.astype(np.float32)] * MADE_UP)
        )
        return FaceSet(
            tuple(f"{split}{place}" for place in range(MADE_UP)),
            rng.integers(0, 255, (MADE_UP, 128, 128, 3), np.uint8),
            dense,
            points,
            tuple(f"person{place % 4}" for place in range(MADE_UP)),
            rng.integers(0, 11, (MADE_UP, 64, 64)).astype(np.uint8),
        )

    def parsing_samples(self, split: str) -> ParsingSamples:
        rng = np.random.default_rng(0)
        pictures = ParsingSet(
            tuple(f"{split}{place}" for place in range(MADE_UP)),
            rng.integers(0, 255, (MADE_UP, 160, 160, 3), np.uint8),
            rng.integers(0, 11, (MADE_UP, 160, 160)).astype(np.uint8),
        )
        return ParsingSamples(pictures, 0)

    def start(self, generator: torch.nn.Module) -> None:
        """Leave the generator as it is."""

    def _open_features(self) -> FeatureExtractor | None:
        return super()._open_features() if self._has_features else None

    def _fill_identity(self, network: IdentityNetwork) -> None:
        """Leave the identity network as it is."""


def _time(stage: str, materials: Materials, processes: int) -> StagePlan:
    recipe = materials.recipe
    task = build_stage(stage, materials)
    options = recipe.steps(stage)
    trainer = Trainer(task, materials.request.run, relevant(recipe, stage), fabric=materials.fabric)
    trainer.step = options.steps  # late enough for every term to act
    started, saved = 0.0, 0
    last = 1 + TRIAL_STEPS * recipe.critic.steps_per_update
    batches: Iterator[Packed[Any]] = task.batches(
        0, last, 0, 0, max(1, options.batch // TRIAL_FACES)
    )
    with _count_saved() as counted:
        for number, batch in enumerate(batches):
            trainer.advance(batch)
            saved = max(saved, counted.pop_bytes())
            if number == 0:
                started = time.monotonic()
    seconds = (time.monotonic() - started) / (last - 1) / TRIAL_FACES
    parameters = {
        name: sum(weight.numel() for weight in player.network.parameters() if weight.requires_grad)
        for name, player in task.players.items()
    }
    share = max(1, options.batch // processes)
    weights = sum(parameters.values()) * 4 * 5
    return StagePlan(
        stage,
        options.steps,
        options.batch,
        parameters,
        seconds * share * options.steps,
        (weights + saved / TRIAL_FACES * share) / 2**30,
    )


class _Saved:
    def __init__(self) -> None:
        self.seen: dict[int, int] = {}

    def add(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        self.seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    def pop_bytes(self) -> int:
        total = sum(self.seen.values())
        self.seen.clear()
        return total


@contextmanager
def _count_saved() -> Iterator[_Saved]:
    """Count the bytes that are kept for the backward pass."""
    saved = _Saved()
    with torch.autograd.graph.saved_tensors_hooks(saved.add, lambda tensor: tensor):
        yield saved
