"""What a run would be: its stages, their sizes, and what a step costs on this machine.

Steps are timed with made-up faces, so that a plan needs neither data nor preparation.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from jdsr_cli.datasets.face_set import FaceSet
from jdsr_cli.errors import JdsrError
from jdsr_cli.faces.alignment import TEMPLATE
from jdsr_cli.progress import Progress, Silent
from jdsr_cli.synthesis.masks import landmarks_from_five
from jdsr_train.data.parsing_set import ParsingSamples, ParsingSet
from jdsr_train.fabric import open_fabric
from jdsr_train.frozen_features import FeatureExtractor
from jdsr_train.materials import Materials
from jdsr_train.networks import IdentityNetwork
from jdsr_train.request import TrainRequest
from jdsr_train.run import PREPARE, stages_of
from jdsr_train.stages import build_stage
from jdsr_train.timing import Speed, take_batches, time_stage
from jdsr_train.trainer import Trainer

if TYPE_CHECKING:
    from lightning_fabric import Fabric

TRIAL_FACES = 2
TRIAL_BATCHES = 2
TRIAL_SECONDS = 2.0
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
    speed: Speed
    """Of one process, timed on this machine."""
    workers: int
    """Processes that make samples for it."""
    gigabytes: float
    """Memory of one process: weights, gradients, optimiser, average and activations."""

    @property
    def seconds(self) -> float:
        """Time of the whole stage."""
        return self.steps * self.speed.step(self.workers)

    @property
    def computed(self) -> float:
        """Samples that all processes could train on in a second."""
        return self.batch / self.speed.computing

    @property
    def made(self) -> float:
        """Samples that all processes' workers, one each, make in a second."""
        return self.batch / self.speed.making

    @property
    def limit(self) -> str:
        """What the stage waits for: `computing`, or `making samples`."""
        making = self.speed.making / max(1, self.workers)
        return "computing" if self.speed.computing >= making else "making samples"

    def fitting(self, minutes: float) -> int:
        """Return the steps of so many minutes, validations and checkpoints not counted."""
        return int(60 * minutes / self.speed.step(self.workers))


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
        self.workers = request.run.workers
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


def _time(stage: str, materials: _MadeUp, processes: int) -> StagePlan:
    recipe, device = materials.recipe, materials.fabric.device
    task = build_stage(stage, materials)
    options = recipe.steps(stage)
    trainer = Trainer(task, materials.request.run, {}, fabric=materials.fabric)
    share = max(1, options.batch // processes)
    # A GPU is only busy with whole batches; of a CPU, time for a few faces is enough.
    parts = 1 if device.type == "cuda" else max(1, share // TRIAL_FACES)
    batches, making = take_batches(task, TRIAL_BATCHES, processes * parts, materials.workers)
    with _count_saved() as counted:
        trainer.step = options.steps  # late enough for every term to act
        trainer.advance(batches[0])
        saved = counted.pop_bytes()
    computing = time_stage(trainer, stage, recipe, batches, TRIAL_SECONDS)
    parameters = {
        name: sum(weight.numel() for weight in player.network.parameters() if weight.requires_grad)
        for name, player in task.players.items()
    }
    weights = sum(parameters.values()) * 4 * 5
    return StagePlan(
        stage, options.steps, options.batch, parameters, Speed(computing * parts, making * parts),
        materials.workers, (weights + saved * parts) / 2**30,
    )  # fmt: skip


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
