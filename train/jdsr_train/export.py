"""Export a trained generator as weights with an entry in a weights manifest."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from jdsr_cli.atomic import atomic_file
from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.errors import UsageError, WeightsError
from jdsr_cli.settings import StoredPrecision
from jdsr_cli.version import __version__
from jdsr_cli.weights import WeightEntry, entries, entry, save_network
from jdsr_cli.weights.bases import BaseWeights
from jdsr_cli.weights.default import compare_gates
from jdsr_cli.weights.registry import CARRIED, MANIFEST
from jdsr_train.recipe import Recipe

try:
    import tomli_w
except ModuleNotFoundError as missing:  # before hours of training, not after them
    raise UsageError(
        "trained weights are listed by the package tomli-w, which is not installed",
        hint="pip install 'jdsr[train]'",
    ) from missing

LICENCE = "Terms of the training faces; state them before passing the file on"
NO_DEVIATIONS = "none"
"""Text of deviations where there is none."""
NOT_MEASURED = "not measured"
"""Protocol of weights without figures."""


@dataclass(frozen=True)
class WeightOrigin:
    """How weights were made, as their file and their manifest entry state it."""

    recipe: str
    """Name of the recipe."""
    data: str
    """Description of the training data."""
    steps: str
    """Number of training steps."""
    deviations: tuple[str, ...]
    """Descriptions of the differences from the paper."""
    further: Mapping[str, str] = field(default_factory=dict)
    """Further metadata of the file."""

    @property
    def differences(self) -> str:
        """The deviations in one text."""
        return "; ".join(self.deviations) or NO_DEVIATIONS


def export_weights(
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
    """Write the weights, and their entry in the manifest beside them.

    The entry has the name of the recipe, or the name that the recipe earns if the weights pass all
    gates. Entries of other files in that manifest do not change.

    With `JDSR_WEIGHTS=<its folder>` every command finds the weights. To publish them, move the file
    into `weights/` and its entry into the manifest there.

    Args:
        path: The weight file; `manifest.toml` is written beside it.
        recipe: The recipe of the network.
        arguments: Arguments of the network.
        network: The network.
        data: Description of the training data.
        step: Number of training steps.
        figures: Validation metrics.
        deviations: Descriptions of the differences from the paper.
        gates: Result of `jdsr_train.stages.validation.measure_gates`.
        precision: Precision of the values in the file.

    Raises:
        WeightsError: A parameter is not finite, or outside the range of `precision`.
        OutputError: The folder cannot be written.

    """
    name = recipe.generator.base
    base = None if name is None else BaseWeights(name, entry(name).sha256)
    table = store_weights(
        path,
        WeightOrigin(
            recipe.name, data, str(step), deviations, {"batch": str(recipe.optimiser.batch)}
        ),
        recipe.generator.network, arguments, network, precision=precision, base=base,
        figures={n: round(float(value), 4) for n, value in figures.items() if n != "step"},
        protocol=_protocol(figures, recipe),
    )  # fmt: skip
    if gates:
        table["gates"] = dict(gates)
    if recipe.earns is not None and _is_earned(WeightEntry(**table)):
        table["name"] = recipe.earns
    add_to_manifest(path, table)


def store_weights(
    path: Path,
    origin: WeightOrigin,
    network_name: str,
    arguments: Mapping[str, Any],
    network: nn.Module,
    *,
    precision: StoredPrecision = "float16",
    base: BaseWeights | None = None,
    figures: Mapping[str, float] | None = None,
    protocol: str = NOT_MEASURED,
) -> dict[str, Any]:
    """Write a weight file and return its manifest entry, which has the name of the recipe.

    Args:
        path: The weight file.
        origin: How the weights were made.
        network_name: Name of the network for `jdsr_cli.networks.build`.
        arguments: Arguments of the network.
        network: The network; its `lr_size` is the side of its input.
        precision: Precision of the values in the file.
        base: Weights to which the file refers for the frozen part of the network.
        figures: Validation metrics.
        protocol: How they were measured.

    Raises:
        WeightsError: A parameter is not finite, or outside the range of `precision`.
        OutputError: The folder cannot be written.

    """
    sha256 = save_network(
        path, network_name, arguments, network,
        {
            "recipe": origin.recipe,
            "steps": origin.steps,
            "data": origin.data,
            "deviations": origin.differences,
            **origin.further,
        },
        precision=precision, base=base,
    )  # fmt: skip
    lr_size = network.lr_size
    assert isinstance(lr_size, int)
    table: dict[str, Any] = {
        "name": origin.recipe.replace("_", "-"),
        "file": path.name,
        "sha256": sha256,
        "bytes": path.stat().st_size,
        "network": network_name,
        "scale": TEMPLATE_SIZE // lr_size,
        "lr_size": lr_size,
        "data": origin.data,
        "licence": LICENCE,
        "commit": commit(),
        "recipe": origin.recipe,
        "arguments": dict(arguments),
        "figures": {
            **(figures or {}),
            "protocol": f"{protocol}; deviations: {origin.differences}",
        },
    }
    if base is not None:
        table["base"] = base.name
    return table


def add_to_manifest(path: Path, table: Mapping[str, Any]) -> None:
    """Write the entry of a weight file into the manifest beside it, instead of its last one.

    Raises:
        OutputError: The manifest cannot be written.

    """
    manifest = path.with_name(MANIFEST)
    text = manifest.read_text(encoding="utf-8") if manifest.exists() else ""
    with atomic_file(manifest) as temporary:
        temporary.write_text(_replace_entry(text, table), encoding="utf-8")


def _protocol(figures: Mapping[str, float], recipe: Recipe) -> str:
    if "step" not in figures:
        return NOT_MEASURED
    selection = "the first of the" if "validation_faces" in figures else "the"
    described = (
        f"{selection} validation faces of the training data, evenly spaced, step "
        f"{figures['step']:.0f}"
    )
    if recipe.of_tracks:
        described += (
            f"; tracks of {max(recipe.track.shots)} shots with what registration leaves, in "
            "canonical colours; psnr_gain: over the first shot alone"
        )
    return described


def _replace_entry(text: str, entry: Mapping[str, Any]) -> str:
    """Replace the entry of the same file in a manifest, or append it; the rest is unchanged."""
    head, *tables = re.split(r"(?m)^(?=\[\[weights\]\])", text)
    file = tomli_w.dumps({"file": entry["file"]}).strip()
    others = [table.rstrip() for table in tables if file not in table.splitlines()]
    parts = [head.rstrip(), *others, tomli_w.dumps({"weights": [entry]}).rstrip()]
    return "\n\n".join(part for part in parts if part) + "\n"


def _is_earned(entry: WeightEntry) -> bool:
    """Return whether an entry passes every gate against the packaged weights."""
    try:
        carried = next((one for one in entries() if one.name == CARRIED), None)
    except WeightsError:  # no readable manifest, so there is nothing to compare with
        carried = None
    return compare_gates(entry, carried).passed


ROOT = Path(__file__).resolve().parents[2]
"""The root of the checkout; for an installed package, a folder that is not a checkout of it."""
COMMIT_FILE = "COMMIT"
"""File in the root with the commit, for copies of the code without `.git`: one line, the output of
`git describe --always --dirty`."""


def commit(root: Path = ROOT) -> str:
    """Return the commit of the code in `root`, or its version if the commit is not known.

    The file `COMMIT_FILE` has precedence. Git is used only if `root` is the top of its repository,
    since an installed package can be inside another project's. ``-dirty`` is appended if tracked
    files differ from the commit.

    Args:
        root: Folder of the code.

    Returns:
        For example ``7e9e3a6``, ``7e9e3a6-dirty`` or ``jdsr 0.1.0``.

    """
    return _recorded_commit(root) or _described_commit(root) or f"jdsr {__version__}"


def _recorded_commit(root: Path) -> str:
    try:
        lines = (root / COMMIT_FILE).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError):
        return ""
    return lines[0].strip()


def _described_commit(root: Path) -> str:
    top = _git(root, "rev-parse", "--show-toplevel")
    if not top or Path(top).resolve() != root.resolve():
        return ""
    return _git(root, "describe", "--always", "--dirty", "--exclude=*")


def _git(root: Path, *arguments: str) -> str:
    """Return the output of git in `root`; empty if it fails or is not installed."""
    # In a git hook, GIT_DIR points to the repository of the hook.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        found = subprocess.run(
            ["git", *arguments],
            cwd=root, env=environment, capture_output=True, text=True, check=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return found.stdout.strip()
