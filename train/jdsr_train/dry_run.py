"""`jdsr train --dry-run`: the stages of a run, their sizes, and the time of a step on this machine.

Steps are timed with synthetic data, so that no data has to be read or prepared.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor, nn

from jdsr_cli.datasets.face_set import FaceSet
from jdsr_cli.errors import JdsrError
from jdsr_cli.faces.alignment import TEMPLATE
from jdsr_cli.progress import Progress, Silent
from jdsr_cli.synthesis.masks import landmarks_from_five
from jdsr_train.components import TrainingComponents
from jdsr_train.data.parsing_set import ParsingSet
from jdsr_train.frozen_features import FeatureExtractor, load_features
from jdsr_train.recipe import GeneratorRecipe
from jdsr_train.request import TrainRequest
from jdsr_train.requirements import check_given_weights, check_requirements
from jdsr_train.run import PREPARE, open_components, stages_of
from jdsr_train.stages import build_stage
from jdsr_train.timing import Speed, time_batches, time_stage
from jdsr_train.training.fabric import open_fabric
from jdsr_train.training.trainer import Trainer

TRIAL_FACES = 2
TRIAL_BATCHES = 2
TRIAL_SECONDS = 2.0
SYNTHETIC_FACES = 8


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
    """Speed of one process on this machine."""
    workers: int
    """Processes that prepare samples for each training process."""
    gigabytes: float
    """Memory of one process: weights, gradients, optimiser, average and activations."""

    @property
    def seconds(self) -> float:
        """Time of the whole stage."""
        return self.steps * self.speed.step(self.workers)

    @property
    def trained_per_second(self) -> float:
        """Samples that all processes could train on in a second."""
        return self.batch / self.speed.computing

    @property
    def prepared_per_second(self) -> float:
        """Samples that one worker of each process prepares in a second."""
        return self.batch / self.speed.sampling

    @property
    def limit(self) -> str:
        """The bottleneck of the stage: `computing`, or `making samples`."""
        sampling = self.speed.sampling / max(1, self.workers)
        return "computing" if self.speed.computing >= sampling else "making samples"

    def steps_in(self, minutes: float) -> int:
        """Return the number of steps in this time, without validations and checkpoints."""
        return int(60 * minutes / self.speed.step(self.workers))


@dataclass(frozen=True)
class TrainingPlan:
    """The report of `jdsr train --dry-run`."""

    stages: tuple[StagePlan, ...]
    device: str
    processes: int
    missing: str | None
    """The error that a start of the run would raise; None if there is none."""
    deviations: tuple[str, ...]
    """Differences from the paper that are known without the data."""


def plan_training(
    request: TrainRequest, progress: Progress | None = None, *, promised: bool = False
) -> TrainingPlan:
    """Time a few steps of each stage on synthetic data.

    Args:
        request: The request.
        progress: Receives reports.
        promised: Whether the given networks are yet to be trained, and their files placeholders.

    Raises:
        UsageError: A stage does not exist, or a network cannot be built.

    """
    progress = progress or Silent()
    fabric = open_fabric(request.run.device)
    stages = stages_of(request)
    missing = None
    try:
        opened = open_components(request, fabric, progress)
        check_requirements(opened, stages)
        if not promised:
            check_given_weights(opened, stages)
    except JdsrError as error:
        missing = str(error)
    planned = []
    with TemporaryDirectory() as scratch:
        settings = dataclasses.replace(
            request.run, out=Path(scratch), workers=0, validate_every=10**9, checkpoint_every=10**9
        )
        components = TrainingComponents(
            dataclasses.replace(request, run=settings),
            SyntheticResources(request, has_features=missing is None),
            fabric,
            Silent(),
        )
        trained = [stage for stage in stages if stage != PREPARE]
        progress.begin("timing steps", len(trained))
        for stage in trained:
            planned.append(_plan_stage(stage, components, request.run.workers))
            progress.advance("timing steps")
        progress.end("timing steps")
        deviations = components.deviations()
    return TrainingPlan(tuple(planned), str(fabric.device), fabric.world_size, missing, deviations)


class SyntheticResources:
    """Random faces and untrained networks, for timing; see `TrainingResources`.

    Args:
        request: The request; selects the number of landmarks and the feature network.
        has_features: Whether the feature network can be loaded.

    """

    def __init__(self, request: TrainRequest, *, has_features: bool) -> None:
        self.request, self.has_features = request, has_features

    def faces(self, split: str) -> FaceSet:
        """Return random faces with people, landmarks and labels."""
        rng = np.random.default_rng(0)
        dense = np.stack([landmarks_from_five(TEMPLATE)] * SYNTHETIC_FACES)
        five = np.stack([TEMPLATE.astype(np.float32)] * SYNTHETIC_FACES)
        return FaceSet(
            tuple(f"{split}{number}" for number in range(SYNTHETIC_FACES)),
            rng.integers(0, 255, (SYNTHETIC_FACES, 128, 128, 3), np.uint8),
            dense,
            five if self._has_five_points else dense,
            tuple(f"person{number % 4}" for number in range(SYNTHETIC_FACES)),
            rng.integers(0, 11, (SYNTHETIC_FACES, 64, 64)).astype(np.uint8),
        )

    @property
    def _has_five_points(self) -> bool:
        """Whether faces have five landmarks, which DIC cannot use."""
        network = self.request.recipe.generator.network
        return self.request.landmarks == "five" and network != "dic"

    def parsing_set(self, split: str) -> ParsingSet:
        """Return random pictures and labels."""
        rng = np.random.default_rng(0)
        return ParsingSet(
            tuple(f"{split}{number}" for number in range(SYNTHETIC_FACES)),
            rng.integers(0, 255, (SYNTHETIC_FACES, 160, 160, 3), np.uint8),
            rng.integers(0, 11, (SYNTHETIC_FACES, 160, 160)).astype(np.uint8),
        )

    def features(self, half: bool) -> FeatureExtractor | None:
        """Return the feature network of the request if it can be loaded."""
        if not self.has_features:
            return None
        return load_features(self.request.features, half=half)

    def load_identity(self, network: nn.Module) -> None:
        """Keep the random weights."""

    def load_denoiser(self, network: nn.Module) -> None:
        """Keep the random weights."""

    def load_initial(self, generator: nn.Module) -> None:
        """Keep the random weights."""

    def load_base(self, generator: nn.Module, recipe: GeneratorRecipe) -> None:
        """Keep the random weights."""


def _plan_stage(name: str, components: TrainingComponents, workers: int) -> StagePlan:
    recipe, fabric = components.recipe, components.fabric
    processes = fabric.world_size
    stage = build_stage(name, components)
    options = recipe.steps(name)
    trainer = Trainer(stage, components.request.run, {}, fabric=fabric)
    local_batch = max(1, options.batch // processes)
    # A GPU needs whole batches to be busy; on a CPU a few faces are enough.
    parts = 1 if fabric.device.type == "cuda" else max(1, local_batch // TRIAL_FACES)
    batches, sampling = time_batches(stage, TRIAL_BATCHES, processes * parts, workers)
    with _count_saved() as counted:
        trainer.step = options.steps  # late enough for every term to be active
        trainer.train_step(batches[0])
        saved = counted.pop_bytes()
    computing = time_stage(trainer, name, recipe, batches, TRIAL_SECONDS)
    parameters = {
        key: sum(weight.numel() for weight in model.network.parameters() if weight.requires_grad)
        for key, model in stage.models.items()
    }
    weights = sum(parameters.values()) * 4 * 5
    return StagePlan(
        name, options.steps, options.batch, parameters, Speed(computing * parts, sampling * parts),
        workers, (weights + saved * parts) / 2**30,
    )  # fmt: skip


class _SavedTensors:
    """Adds up the storage of tensors, each storage once."""

    def __init__(self) -> None:
        self._sizes: dict[int, int] = {}

    def add(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        self._sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    def pop_bytes(self) -> int:
        total = sum(self._sizes.values())
        self._sizes.clear()
        return total


@contextmanager
def _count_saved() -> Iterator[_SavedTensors]:
    """Count the bytes that are saved for the backward pass."""
    saved = _SavedTensors()
    with torch.autograd.graph.saved_tensors_hooks(saved.add, lambda tensor: tensor):
        yield saved
