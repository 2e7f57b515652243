"""From a trained generator to an entry of the weights registry."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from jdsr_cli.atomic import atomic_file
from jdsr_cli.weights import save_network
from jdsr_train.origin import commit
from jdsr_train.recipe import Recipe

LICENCE = "Terms of the training faces; state them before passing the file on"


def export(
    path: Path,
    recipe: Recipe,
    arguments: Mapping[str, Any],
    network: nn.Module,
    *,
    data: str,
    figures: Mapping[str, float],
    deviations: tuple[str, ...],
) -> None:
    """Write the weights, and beside them a manifest that lists them.

    `JDSR_WEIGHTS=<its folder>` puts them at once within reach of every command; to ship them, move
    the file into `weights/` and its table into the manifest there.

    Args:
        path: The weight file; `manifest.toml` goes beside it.
        recipe: What made the network.
        arguments: What the network is built from.
        network: The network.
        data: What it was trained on, in words.
        figures: Measured quality.
        deviations: In what the run differs from the recipe's paper.

    Raises:
        WeightsError: A parameter is not finite in half precision.
        OutputError: The folder cannot be written.

    """
    sha256 = save_network(
        path, recipe.generator.network, arguments, network,
        {
            "recipe": recipe.name,
            "steps": str(recipe.optimiser.steps),
            "data": data,
            "deviations": "; ".join(deviations) or "none",
        },
    )  # fmt: skip
    entry: dict[str, Any] = {
        "name": recipe.name.replace("_", "-"),
        "file": path.name,
        "sha256": sha256,
        "bytes": path.stat().st_size,
        "network": recipe.generator.network,
        "scale": recipe.generator.scale,
        "lr_size": 128 // recipe.generator.scale,
        "data": data,
        "licence": LICENCE,
        "commit": commit(),
        "recipe": recipe.name,
        "arguments": dict(arguments),
        "figures": {
            **{name: round(float(value), 4) for name, value in figures.items()},
            "protocol": "validation faces of the training data, step "
            f"{recipe.optimiser.steps}; deviations: {'; '.join(deviations) or 'none'}",
        },
    }
    with atomic_file(path.with_name("manifest.toml")) as temporary:
        temporary.write_text(_toml(entry), encoding="utf-8")


def _toml(entry: Mapping[str, Any]) -> str:
    lines = ["[[weights]]"]
    lines += [f"{name} = {_value(value)}" for name, value in entry.items() if name != "figures"]
    lines += ["", "[weights.figures]"]
    lines += [f"{name} = {_value(value)}" for name, value in entry["figures"].items()]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    """Write a value as TOML, whose strings, numbers, booleans and arrays are JSON's."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{name} = {_value(item)}" for name, item in value.items()) + " }"
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)  # TOML's inf and nan are Python's, not JSON's
    return json.dumps(value, ensure_ascii=False)
