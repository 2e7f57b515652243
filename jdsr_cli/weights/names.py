"""Resolution of what a user gives as weights: the name of a manifest entry, or a file."""

from __future__ import annotations

from pathlib import Path

from jdsr_cli.errors import WeightsError, WeightsMissingError
from jdsr_cli.weights.locations import check_digest
from jdsr_cli.weights.registry import (
    MANIFEST,
    WeightEntry,
    altered_hint,
    entries,
    read_manifest,
)

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".onnx")
"""Suffixes by which a text is taken for a file."""


def path_of(name_or_path: str | Path) -> Path | None:
    """Return the file, None if a name is given; a name has precedence over a file of that name.

    Raises:
        WeightsMissingError: The file does not exist.

    """
    path = Path(name_or_path).expanduser()
    if not (isinstance(name_or_path, Path) or len(path.parts) > 1 or path.suffix in SUFFIXES):
        return None
    if not path.is_file():
        raise no_such_file(path)
    return path


def no_such_file(path: Path) -> WeightsMissingError:
    """Return the error for a weight file that does not exist."""
    return WeightsMissingError(
        "there is no such weight file",
        where=path,
        hint="Give a file, or a name that `jdsr weights list` shows.",
    )


def entry_of_file(path: Path, digest: str) -> WeightEntry | None:
    """Return the manifest entry of a file, or of an exported form, by its SHA-256.

    Raises:
        WeightsCorruptError: The manifest beside the file lists it with another SHA-256.

    """
    manifest = path.with_name(MANIFEST)
    try:
        beside = read_manifest(manifest) if manifest.is_file() else ()
        known = entries()
    except WeightsError:
        # A file whose metadata describe the network needs no manifest.
        return None
    for one in beside:
        listed = {one.file: one.sha256}
        listed |= {export.file: export.sha256 for export in one.exports.values()}
        if path.name in listed:
            check_digest(path, digest, listed[path.name], altered_hint(one))
    for one in known:
        if digest in (one.sha256, *(export.sha256 for export in one.exports.values())):
            return one
    return None
