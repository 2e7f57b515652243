"""Recipes with the same stages and terms as given ones, and networks that a CPU trains at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

STEPS = 12
"""Of the stages before the joint one, which runs until its time is over."""
ABSURD = 1e30
"""A rate with which no loss stays finite."""
_ARGUMENTS = {
    "jdsr": {
        "hourglass_blocks": 1,
        "noise_width": 16,
        "denoiser_widths": [16, 16, 16],
        "width": 16,
        "prior_width": 32,
    },
    "lite": {
        "widths": [16, 16],
        "encoder_blocks": [1, 1],
        "decoder_blocks": [1],
        "tail_width": 16,
        "tail_blocks": 1,
    },
}


def tiny(recipe: str, *, failing: bool = False) -> tuple[str, bool]:
    """Return the text of a recipe file, and whether the run as a whole must fail.

    Args:
        recipe: A recipe's name or file.
        failing: Whether its identity stage has a rate at which the loss cannot stay finite; the
            joint stage where the recipe has no other.

    Raises:
        UsageError: There is no such recipe.

    """
    from jdsr_train import recipes  # imports torch

    whole = recipes.load(recipe)
    few: dict[str, Any] = {"batch": 2, "warmup": 0}
    identity = {**few, "steps": STEPS, "kind": "sgd", "rate": 0.01}
    joint = dict(few)
    staged = "identity" in whole.stages
    if failing:
        (identity if staged else joint)["rate"] = ABSURD
    base = recipe if not recipe.endswith(".toml") else str(Path(recipe).absolute())
    tables: dict[str, dict[str, Any]] = {
        "generator": {"arguments": _ARGUMENTS[whole.generator.network]},
        "data": {"drawn_masks": 4},
        "critic": {"widths": [4] * len(whole.critic.widths)},
        "identity": {
            "widths": [4, 4, 8, 8],
            "blocks": [1, 1, 1, 1],
            "features": 16,
            "optimiser": identity,
        },
        "parser": {"width": 4, "optimiser": {**few, "steps": STEPS}},
        "optimiser": joint,
        "denoise": {**few, "steps": STEPS},
    }
    lines = [f"base = {json.dumps(base)}", f"name = {json.dumps(whole.name)}"]
    for title, values in tables.items():
        lines += ["", f"[{title}]", *(f"{key} = {_value(value)}" for key, value in values.items())]
    return "\n".join(lines) + "\n", failing and not staged


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(item)}" for key, item in value.items()) + " }"
    return json.dumps(value)
