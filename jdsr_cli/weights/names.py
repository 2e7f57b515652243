"""Resolution of what a user gives as weights: the name of a manifest entry, or a file."""

from __future__ import annotations

from pathlib import Path

from jdsr_cli.errors import WeightsError, WeightsMissingError
from jdsr_cli.weights.registry import WeightEntry, entries

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


def listed_by_hash(digest: str) -> WeightEntry | None:
    """Return the manifest entry of a file, or of an exported form, by its SHA-256."""
    try:
        known = entries()
    except WeightsError:
        # A file whose metadata describe the network needs no manifest.
        return None
    for one in known:
        if digest in (one.sha256, *(export.sha256 for export in one.exports.values())):
            return one
    return None
