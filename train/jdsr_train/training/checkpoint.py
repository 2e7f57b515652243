"""Checkpoints: the complete state of a stage, written atomically.

The file is that of `torch.save` and is read with `weights_only=True`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from jdsr_cli.atomic import atomic_file
from jdsr_cli.errors import OutputError, TrainingError


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint; at any time `path` is either the old or the new one.

    Raises:
        OutputError: The disk is full or the folder cannot be written.

    """
    try:
        with atomic_file(path) as partial:
            torch.save(state, partial)
    except RuntimeError as error:  # torch reports a full disk like this
        raise OutputError(
            f"cannot be written ({error})", where=path, hint="Free some space, or use another --out"
        ) from error


def load(path: Path, recipe: dict[str, Any]) -> dict[str, Any]:
    """Read a checkpoint of the same recipe.

    Raises:
        TrainingError: The file is damaged or belongs to another recipe.

    """
    state = read(path)
    saved = state["recipe"]
    if saved != recipe:
        keys = sorted({*saved, *recipe})
        changed = [key for key in keys if saved.get(key) != recipe.get(key)]
        raise TrainingError(
            f"the checkpoint was written with other settings ({', '.join(changed)})",
            where=path,
            hint="Use another --out, or the same settings",
        )
    return state


def read(path: Path) -> dict[str, Any]:
    """Read the checkpoint of any recipe on the CPU.

    Raises:
        TrainingError: The file is damaged.

    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        state["recipe"] = dict(state["recipe"])
    except Exception as error:  # damaged files raise many types of errors
        raise _error(path, error) from error
    return state


def restore(path: Path, state: dict[str, Any], apply: Callable[[dict[str, Any]], None]) -> None:
    """Apply a checkpoint's state with a function that loads its parts.

    Raises:
        TrainingError: A part is missing or does not fit.

    """
    try:
        apply(state)
    except (KeyError, RuntimeError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise _error(path, error) from error


def _error(path: Path, error: Exception) -> TrainingError:
    return TrainingError(
        f"the checkpoint cannot be read ({type(error).__name__})",
        where=path,
        hint="Delete it to start again",
    )
