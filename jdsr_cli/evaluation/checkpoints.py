"""Checkpoints of a folder: weights that manifests list, by the recipes that trained them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.errors import (
    InputMissingError,
    WeightsCorruptError,
    WeightsError,
    WeightsMissingError,
)
from jdsr_cli.evaluation.methods import NamedRestorer
from jdsr_cli.weights import WeightEntry, load_generator, read_manifest, sha256_of
from jdsr_cli.weights.bases import SAFETENSORS
from jdsr_cli.weights.headers import read_metadata
from jdsr_cli.weights.locations import check_digest
from jdsr_cli.weights.registry import MANIFEST, check_size

_EXPORT_AGAIN = "Export it again: jdsr weights export RUN/joint/checkpoint.pt"
_PLACES = (".", "weights", "*/weights")
"""Where a folder of checkpoints is searched for manifests."""


@dataclass(frozen=True)
class TrainedCheckpoint:
    """Weights that a manifest of a folder lists; the file need not exist."""

    entry: WeightEntry
    path: Path
    """The file, beside its manifest."""

    @cached_property
    def modified(self) -> int:
        """Time of the file in nanoseconds; -1 if it does not exist."""
        try:
            return self.path.stat().st_mtime_ns
        except OSError:
            return -1

    @cached_property
    def metadata(self) -> dict[str, str]:
        """Metadata of the file; empty if it has none or cannot be read."""
        try:
            return read_metadata(self.path) if self.path.suffix == SAFETENSORS else {}
        except WeightsError:
            # `load` reports what is wrong with the file.
            return {}

    @cached_property
    def digest(self) -> str | None:
        """SHA-256 of the file as it is; None if it cannot be read."""
        try:
            return sha256_of(self.path)
        except WeightsError:
            return None

    @property
    def steps(self) -> int | None:
        """Optimiser steps of its training; None if the file does not say."""
        return _number(self.stated_steps)

    @property
    def stated_steps(self) -> str | None:
        """What the file says of its steps; of a chain those of its parts."""
        return self.metadata.get("steps")

    @property
    def batch(self) -> int | None:
        """Faces of a step; None if the file does not say."""
        return _number(self.metadata.get("batch"))

    @property
    def deviations(self) -> str | None:
        """What its training lacks compared with the paper; None if the file does not say."""
        return self.metadata.get("deviations")

    def load(self, label: str, scale: int, device: str) -> NamedRestorer:
        """Load the weights.

        Args:
            label: Name in tables.
            scale: Enlargement that they must have.
            device: Device of the network, which runs in float32.

        Raises:
            WeightsError: The file is missing, is not the listed one, cannot be loaded, or takes
                inputs of another size.

        """
        if not self.path.is_file():
            raise WeightsMissingError(
                f"the manifest lists this file for {self.entry.name}, but it does not exist",
                where=self.path, hint=_EXPORT_AGAIN,
            )  # fmt: skip
        check_size(self.path, self.path.stat().st_size, self.entry.bytes, _EXPORT_AGAIN)
        check_digest(
            self.path, self.digest or sha256_of(self.path), self.entry.sha256, _EXPORT_AGAIN
        )
        loaded = load_generator(self.path, device, "float32")
        if loaded.lr_size * scale != TEMPLATE_SIZE:
            raise WeightsError(
                f"takes inputs of {loaded.lr_size} px, and enlarging by {scale} needs "
                f"{TEMPLATE_SIZE // scale}",
                where=self.path, hint=f"Train {self.entry.recipe} for this scale",
            )  # fmt: skip
        return NamedRestorer(label, replace(loaded, entry=self.entry))


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def find_checkpoints(folder: Path) -> tuple[list[TrainedCheckpoint], list[WeightsError]]:
    """Return the checkpoints of a folder, and the errors of manifests that cannot be read.

    Args:
        folder: It, `weights` in it, and `weights` in each of its folders are searched for
            `manifest.toml`, as `jdsr train --out FOLDER/NAME` writes them.

    Raises:
        InputMissingError: The folder does not exist.
        WeightsMissingError: It has no manifest.

    """
    if not folder.is_dir():
        raise InputMissingError("no such folder of checkpoints", where=folder)
    manifests = [one for place in _PLACES for one in sorted(folder.glob(f"{place}/{MANIFEST}"))]
    if not manifests:
        raise WeightsMissingError(
            f"no {MANIFEST} in the folder, its folder weights, or a folder weights one level below",
            where=folder, hint="Train there: jdsr train --recipe NAME --out DIR/NAME",
        )  # fmt: skip
    found: list[TrainedCheckpoint] = []
    errors: list[WeightsError] = []
    for manifest in manifests:
        try:
            listed = read_manifest(manifest)
        except WeightsCorruptError as error:
            errors.append(error)
            continue
        found += [TrainedCheckpoint(one, manifest.with_name(one.file)) for one in listed]
    return found, errors


def choose_variant(
    found: Sequence[TrainedCheckpoint], recipes: Sequence[str], full: str
) -> tuple[str, list[str]]:
    """Return the one variant of recipes whose checkpoints are compared, and what is left out.

    Names of variants continue with an underscore: `paper_x4_budget` for `paper_x4`. The exact
    recipes are compared if there is a checkpoint of the full model's, otherwise the variant of most
    recipes; of several with as many, the first by name.

    Args:
        found: Checkpoints.
        recipes: Recipes of the rows that are compared.
        full: That of them which the others are compared with.

    Returns:
        What its names add to those of the recipes, empty for the exact recipes; the recipes of
        checkpoints of other variants, in order of name.

    """
    present = {
        recipe: {
            one.entry.recipe.removeprefix(recipe)
            for one in found
            if one.entry.recipe == recipe or one.entry.recipe.startswith(f"{recipe}_")
        }
        for recipe in recipes
    }
    counts = Counter(variant for own in present.values() for variant in own)
    chosen = ""
    if "" not in present.get(full, ()):
        chosen = min(counts, key=lambda one: (-counts[one], one), default="")
    others = {f"{recipe}{one}" for recipe, own in present.items() for one in own - {chosen}}
    return chosen, sorted(others)


def choose_checkpoint(found: Sequence[TrainedCheckpoint], recipe: str) -> TrainedCheckpoint | None:
    """Return the checkpoint of a recipe; of several the one whose file was written last."""
    own = [one for one in found if one.entry.recipe == recipe]
    return max(own, key=lambda one: one.modified, default=None)
