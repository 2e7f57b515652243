"""From the options of `jdsr train` to a request."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from jdsr_cli.errors import UsageError
from jdsr_cli.settings import TrainSettings
from jdsr_cli.weights import resolve_device
from jdsr_train import recipe_files
from jdsr_train.request import RunSettings, TrainRequest
from jdsr_train.training.time_limit import Deadline

VALIDATE_EVERY = 500
"""Optimiser steps between validations where no deadline divides the time."""


def make_request(settings: TrainSettings, began: float) -> TrainRequest:
    """Return what a training run is asked to do.

    Args:
        settings: Options of the command.
        began: When the command was given, on the clock of `time.monotonic`, in seconds.

    Raises:
        UsageError: There is no such recipe, or it has another scale than `settings`.
        DeviceError: The device is not on this machine.

    """
    recipe = recipe_files.load(settings.recipe or f"lite_x{settings.scale or 4}")
    if settings.scale not in (None, recipe.generator.scale):
        raise UsageError(
            f"recipe {recipe.name} enlarges {recipe.generator.scale} times, not {settings.scale}",
            where="--scale",
            hint="Leave --scale out or choose another --recipe.",
        )
    if settings.steps is not None:
        recipe = recipe_files.shortened(recipe, settings.steps)
    deadline = None if settings.deadline is None else Deadline.after(settings.deadline, began)
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
        deadline=deadline,
    )  # fmt: skip


def is_first_process() -> bool:
    """Whether this is the only process of the run or the first that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


def without_option(option: str, words: Sequence[str]) -> list[str]:
    """Return the words of a command line without an option and its value."""
    kept: list[str] = []
    skipped = False
    for word in words:
        if not skipped and not word.startswith(f"{option}=") and word != option:
            kept.append(word)
        skipped = word == option
    return kept
