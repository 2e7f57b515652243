"""From a trained generator to an entry of the weights registry."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from jdsr_cli.atomic import atomic_file
from jdsr_cli.errors import WeightsError
from jdsr_cli.settings import StoredPrecision
from jdsr_cli.weights import WeightEntry, entries, save_network
from jdsr_cli.weights.default import compare_gates
from jdsr_cli.weights.registry import CARRIED, MANIFEST
from jdsr_train.origin import commit
from jdsr_train.recipe import Recipe

_TABLES = ("figures", "gates")
"""Of an entry, written one key a line."""
LICENCE = "Terms of the training faces; state them before passing the file on"


def export(
    path: Path,
    recipe: Recipe,
    arguments: Mapping[str, Any],
    network: nn.Module,
    *,
    data: str,
    step: int,
    figures: Mapping[str, float],
    deviations: tuple[str, ...],
    gates: Mapping[str, object] | None = None,
    precision: StoredPrecision = "float16",
) -> None:
    """Write the weights, and beside them a manifest that lists them.

    They are listed under the recipe's name; where the gates show that they beat the carried ones,
    under the name that the recipe says they earn.

    Other files' entries in that manifest stay as they are.

    `JDSR_WEIGHTS=<its folder>` puts them at once within reach of every command; to ship them, move
    the file into `weights/` and its table into the manifest there.

    Args:
        path: The weight file; `manifest.toml` goes beside it.
        recipe: What made the network.
        arguments: What the network is built from.
        network: The network.
        data: What it was trained on, in words.
        step: At which the network was.
        figures: Measured quality.
        deviations: In what the run differs from the recipe's paper.
        gates: What `jdsr_train.gates.measure` found.
        precision: Of the values in the file.

    Raises:
        WeightsError: A parameter is not finite, or beyond what `precision` can hold.
        OutputError: The folder cannot be written.

    """
    sha256 = save_network(
        path, recipe.generator.network, arguments, network,
        {
            "recipe": recipe.name,
            "steps": str(step),
            "data": data,
            "deviations": "; ".join(deviations) or "none",
        },
        precision=precision,
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
            **{n: round(float(value), 4) for n, value in figures.items() if n != "step"},
            "protocol": f"{_protocol(figures)}; deviations: {'; '.join(deviations) or 'none'}",
        },
        "gates": dict(gates or {}),
    }
    if recipe.earns is not None and _is_earned(WeightEntry(**entry)):
        entry["name"] = recipe.earns
    manifest = path.with_name(MANIFEST)
    text = manifest.read_text(encoding="utf-8") if manifest.exists() else ""
    with atomic_file(manifest) as temporary:
        temporary.write_text(_with(text, entry), encoding="utf-8")


def _protocol(figures: Mapping[str, float]) -> str:
    if "step" not in figures:
        return "not measured"
    seen = "the first" if "validation_faces" in figures else "all"
    return f"{seen} validation faces of the training data, step {figures['step']:.0f}"


def _with(text: str, entry: Mapping[str, Any]) -> str:
    """Put an entry into a manifest in place of that of the same file, or at its end."""
    head, *tables = re.split(r"(?m)^(?=\[\[weights\]\])", text)
    file = f"file = {_value(entry['file'])}"
    kept = [table.rstrip() for table in tables if file not in table.splitlines()]
    parts = [head.rstrip(), *kept, _toml(entry).rstrip()]
    return "\n\n".join(part for part in parts if part) + "\n"


def _is_earned(made: WeightEntry) -> bool:
    """Whether the gates of an entry show that it beats the weights that are carried now."""
    try:
        carried = next((one for one in entries() if one.name == CARRIED), None)
    except WeightsError:  # no manifest, or none that can be read: nothing to compare with
        carried = None
    return compare_gates(made, carried).passed


def _toml(entry: Mapping[str, Any]) -> str:
    lines = ["[[weights]]"]
    lines += [f"{name} = {_value(value)}" for name, value in entry.items() if name not in _TABLES]
    for table in _TABLES:
        if entry[table]:
            lines += ["", f"[weights.{table}]"]
            lines += [f"{name} = {_value(value)}" for name, value in entry[table].items()]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    """Write a value as TOML, whose strings, numbers and booleans are JSON's."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{name} = {_value(item)}" for name, item in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)  # TOML's inf and nan are Python's, not JSON's
    return json.dumps(value, ensure_ascii=False)
