"""Weights that extend others: what their file states of its base, and whether it is here.

Only the header of the file is read, without torch, so that it is known before any frame is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Self

from jdsr_cli.errors import WeightsCorruptError, WeightsMissingError
from jdsr_cli.weights.headers import read_metadata
from jdsr_cli.weights.registry import WeightEntry, entries, locate, verify_file

BASE_PREFIXES: Mapping[str, str] = MappingProxyType({"burst": "single."})
"""For networks with a frozen part that has the weights of another generator: the beginning of the
names of its parameters."""
BASE, BASE_SHA256 = "base", "base_sha256"
"""Keys of the metadata that refer to other weights."""
SAFETENSORS = ".safetensors"


@dataclass(frozen=True)
class BaseWeights:
    """Weights that the frozen part of another network has."""

    name: str
    """Name of their manifest entry."""
    sha256: str
    """Hash of their file."""

    @property
    def metadata(self) -> dict[str, str]:
        """Metadata of a file that refers to them."""
        return {BASE: self.name, BASE_SHA256: self.sha256}

    @classmethod
    def of(cls, metadata: Mapping[str, str]) -> Self | None:
        """Return what the metadata of a file refer to; None if it is complete."""
        if BASE not in metadata:
            return None
        return cls(metadata[BASE], metadata.get(BASE_SHA256, ""))


def base_of_file(path: Path) -> BaseWeights | None:
    """Return the weights to which a file refers; None if it is complete, as other formats are.

    Raises:
        WeightsError, WeightsCorruptError: As for `read_metadata`.

    """
    return BaseWeights.of(read_metadata(path)) if path.suffix == SAFETENSORS else None


def check_base(entry: WeightEntry) -> None:
    """Check that the weights that an entry extends are on this machine, and are those it needs.

    Args:
        entry: An entry whose file is on this machine.

    Raises:
        WeightsMissingError: No manifest lists its base, or the file of the base, or that of the
            entry, is not on this machine.
        WeightsCorruptError: The file states another base than the entry, or was trained with other
            weights of that name; or the file of the base was altered.
        WeightsError: A file cannot be read.

    """
    if entry.base is None:
        return
    path = locate(entry)
    stated = base_of_file(path)
    if stated is None or stated.name != entry.base:
        other = "none" if stated is None else repr(stated.name)
        raise WeightsCorruptError(
            f"the manifest states the base {entry.base!r}, the file {other}",
            where=path,
            hint="Take the file and its manifest from one version of jdsr.",
        )
    base = next((one for one in entries() if one.name == entry.base), None)
    if base is None:
        raise WeightsMissingError(
            f"extends the weights {entry.base!r}, which no manifest lists",
            where=path,
            hint=f"Use a manifest.toml that lists {entry.base} as well.",
        )
    check_same_base(path, stated, base.sha256)
    verify_file(base)


def check_same_base(path: Path, wanted: BaseWeights, found: str) -> None:
    """Compare the SHA-256 of the base to which a file refers with that of the weights here.

    Raises:
        WeightsCorruptError: They differ.

    """
    if wanted.sha256 != found:
        raise WeightsCorruptError(
            f"was trained with other weights {wanted.name!r}: those with the SHA-256 "
            f"{wanted.sha256 or '(not stated)'}, not {found}",
            where=path,
            hint=f"Use the file and {wanted.name} of one version of jdsr.",
        )
