"""Checkpoints: everything a run needs to go on as if it had not stopped, written atomically."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from jdsr_cli.atomic import atomic_file
from jdsr_cli.errors import OutputError, TrainingError


def save(path: Path, state: dict[str, Any]) -> None:
    """Write `state` so that `path` holds either the old or the new checkpoint, never half of one.

    Raises:
        OutputError: The disk is full or the folder cannot be written.

    """
    try:
        with atomic_file(path) as partial:
            torch.save(state, partial)
    except RuntimeError as error:  # so torch tells of a full disk
        raise OutputError(
            f"cannot be written ({error})", where=path, hint="Make room, or use another --out"
        ) from error


def load(path: Path, recipe: dict[str, Any]) -> dict[str, Any]:
    """Read a checkpoint that was made by the same recipe.

    Raises:
        TrainingError: The file is damaged or belongs to another recipe.

    """
    state = read(path)
    made_by = state["recipe"]
    if made_by != recipe:
        keys = sorted({*made_by, *recipe})
        changed = [key for key in keys if made_by.get(key) != recipe.get(key)]
        raise TrainingError(
            f"the checkpoint was made with other settings ({', '.join(changed)})",
            where=path,
            hint="Use another --out, or what it was made with",
        )
    return state


def read(path: Path) -> dict[str, Any]:
    """Read a checkpoint, whatever made it, on the CPU.

    Raises:
        TrainingError: The file is damaged.

    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        state["recipe"] = dict(state["recipe"])
    except Exception as error:  # bytes of any kind make torch raise errors of any kind
        raise _broken(path, error) from error
    return state


def restore(path: Path, state: dict[str, Any], put: Callable[[dict[str, Any]], None]) -> None:
    """Let `put` copy a checkpoint's parts to where they belong.

    Raises:
        TrainingError: A part is missing or does not fit.

    """
    try:
        put(state)
    except (KeyError, RuntimeError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise _broken(path, error) from error


def _broken(path: Path, error: Exception) -> TrainingError:
    return TrainingError(
        f"the checkpoint cannot be read ({type(error).__name__})",
        where=path,
        hint="Delete it to start again",
    )
