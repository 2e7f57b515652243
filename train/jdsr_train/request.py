"""The request of a training run: its options, and where the run stores its weights."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jdsr_cli.errors import UsageError
from jdsr_cli.settings import TrainSettings
from jdsr_cli.weights import resolve_device
from jdsr_train import recipe_files
from jdsr_train.recipe import Recipe
from jdsr_train.training.time_limit import Deadline

OWN_PARSER = "own"


@dataclass(frozen=True)
class RunSettings:
    """Where and how a recipe is run; these settings do not change the result."""

    out: Path
    """Folder of the run, with a folder for each stage."""
    device: str = "cpu"
    workers: int = 1
    """Processes that prepare samples, for each training process."""
    checkpoint_every: int | None = None
    """Steps between checkpoints; None: one minute, in runs of several processes at the next logged
    step."""
    validate_every: int | None = 500
    """Steps between validations and measurements of the gradient shares; None: at the end only."""
    log_every: int = 50
    """Steps between log records."""
    compiled: bool = False
    """Whether to compile the main network (`torch.compile`), which takes about a minute and changes
    the rounding."""


@dataclass(frozen=True)
class TrainRequest:
    """The options of `jdsr train`."""

    recipe: Recipe
    data: Path
    """An official CelebA folder, a folder or archives of faces, or prepared faces."""
    run: RunSettings
    stage: str = "all"
    """A stage of the recipe, `prepare`, or `all`."""
    masks: Path | None = None
    """Folder of mask templates, used as often as the drawn masks."""
    init: str | None = None
    """Initial weights of the joint stage: a name of the registry or a file."""
    features: str | None = None
    """Frozen features: a file of VGG-16 or SqueezeNet 1.1 weights; `vgg16` to download
    torchvision's VGG-16; that of its cache when None."""
    parsing: Path | None = None
    """Faces labelled like CelebAMask-HQ, for the parser stage."""
    labels: str = OWN_PARSER
    """Source of the parsing labels: `own` (the parser stage's network if it was trained),
    `facexlib`, `none`, or a parser file."""
    landmarks: str = "five"
    """`five`, `fan`, or an ONNX landmark file; see `PrepareSettings`."""
    identity: Path | None = None
    """A frozen identity network of another run; `all` then skips its stage."""
    minutes: float | None = None
    """Time of the joint stage, which takes as many steps as fit; see `timing`."""
    deadline: Deadline | None = None
    """Time at which the run must end."""
    export_every: float | None = None
    """Seconds between exports of the averaged generator during the joint stage."""
    cache: Path | None = None
    """Folder of the prepared faces; `cache` in the output folder when None."""
    validation_faces: int = 200
    """Number of validation faces that are measured, evenly spaced."""
    planned_faces: int | None = None
    """Faces of the recipe's joint stage where `--steps` has shortened it."""

    @property
    def cache_folder(self) -> Path:
        """Folder of the prepared faces."""
        return self.cache or self.run.out / "cache"


def stage_weights_path(run: Path, stage: str, recipe: Recipe) -> Path:
    """Return the path of the weights that a stage writes in the folder of a run."""
    if stage == "joint":
        return run / "weights" / f"{recipe.name}.safetensors"
    return run / stage / f"{stage}.safetensors"


VALIDATE_EVERY = 500
"""Optimiser steps between validations without a deadline."""


def make_request(settings: TrainSettings, start: float) -> TrainRequest:
    """Return the request of a training run.

    Args:
        settings: Options of the command.
        start: Start of the command on the clock of `time.monotonic`, in seconds.

    Raises:
        UsageError: There is no such recipe, or it has another scale than `settings`.
        DeviceError: The device is not on this machine.

    """
    recipe = recipe_files.load(
        settings.recipe or f"{settings.model or 'lite'}_x{settings.scale or 4}"
    )
    if settings.scale not in (None, recipe.generator.scale):
        raise UsageError(
            f"recipe {recipe.name} enlarges {recipe.generator.scale} times, not {settings.scale}",
            where="--scale",
            hint="Leave --scale out or choose another --recipe.",
        )
    planned_faces = None
    if settings.steps is not None:
        planned_faces = recipe.optimiser.steps * recipe.optimiser.batch
        recipe = recipe_files.shortened(recipe, settings.steps)
    deadline = None if settings.deadline is None else Deadline.after(settings.deadline, start)
    run = RunSettings(
        settings.out or Path("runs") / recipe.name,
        device=str(resolve_device(settings.device)),
        workers=settings.workers,
        checkpoint_every=settings.checkpoint_every,
        validate_every=settings.validate_every or (VALIDATE_EVERY if deadline is None else None),
        compiled=settings.compiled,
    )
    return TrainRequest(
        recipe, settings.data, run, stage=settings.stage, masks=settings.masks,
        init=settings.init, features=settings.features, parsing=settings.parsing,
        labels=settings.labels, landmarks=settings.landmarks, identity=settings.identity,
        cache=settings.cache, minutes=settings.minutes, export_every=settings.export_every,
        deadline=deadline, validation_faces=settings.validation_faces,
        planned_faces=planned_faces,
    )  # fmt: skip


def is_first_process() -> bool:
    """Whether this is the only process of the run or the first that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


def without_option(option: str, words: Sequence[str]) -> list[str]:
    """Return the words of a command line without an option and its value."""
    remaining: list[str] = []
    skipped = False
    for word in words:
        if not skipped and not word.startswith(f"{option}=") and word != option:
            remaining.append(word)
        skipped = word == option
    return remaining
