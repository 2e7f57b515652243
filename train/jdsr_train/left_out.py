"""Stages that a run with a deadline goes on without: they did not fit into its time, or failed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from jdsr_cli.atomic import atomic_file
from jdsr_cli.errors import TrainingError
from jdsr_train.recipe import Recipe

LEFT_OUT = "left_out.json"
"""In the folder of the run."""


def without(recipe: Recipe, stage: str) -> Recipe:
    """Return the recipe without a stage, and without the term that needs what it makes."""
    if stage == "identity":
        recipe = replace(recipe, loss=replace(recipe.loss, identity=0.0))
    return replace(recipe, stages=tuple(one for one in recipe.stages if one != stage))


def read_left_out(run: Path) -> dict[str, str]:
    """Return which stages a run has left out, and why; none where nothing is kept.

    Raises:
        TrainingError: The file is damaged.

    """
    path = run / LEFT_OUT
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(stage): str(why) for stage, why in found.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise TrainingError(
            f"which stages were left out cannot be read ({error})",
            where=path,
            hint="Delete it to try them again",
        ) from error


def keep_left_out(run: Path, left_out: Mapping[str, str]) -> None:
    """Keep it for later starts of the run.

    Raises:
        OutputError: The folder cannot be written.

    """
    with atomic_file(run / LEFT_OUT, make_folder=True) as temporary:
        temporary.write_text(json.dumps(dict(left_out), indent=1), encoding="utf-8")
