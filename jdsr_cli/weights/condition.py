"""The condition of every weight file on this machine, and getting one by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jdsr_cli.errors import WeightsError, WeightsMissingError
from jdsr_cli.progress import Progress
from jdsr_cli.weights.auxiliary_files import AUXILIARY, AuxiliaryFile, auxiliary, fetch
from jdsr_cli.weights.places import find_file
from jdsr_cli.weights.registry import WeightEntry, entries, unknown_name, verify


@dataclass(frozen=True)
class Condition:
    """One weight file as it was found."""

    described: WeightEntry | AuxiliaryFile
    """What it should be."""
    state: Literal["verified", "present", "missing", "unusable"]
    """``present`` was not hashed; ``unusable`` was, or could not be read."""
    path: Path | None
    """Where it is, None if missing."""
    error: WeightsError | None = None
    """Why it is missing or unusable."""

    @property
    def name(self) -> str:
        """Name of the entry."""
        return self.described.name

    @property
    def carried(self) -> bool:
        """Whether it belongs to jdsr, so that its absence is a fault."""
        return isinstance(self.described, WeightEntry)


def conditions(names: Sequence[str] = (), *, hashed: bool) -> tuple[Condition, ...]:
    """Look at weight files, generators first.

    Args:
        names: Which; all generators and all files of others if empty.
        hashed: Compare hashes (`verified` or `unusable`) or only look whether they are there.

    Raises:
        UsageError: an unknown name.
        WeightsMissingError, WeightsCorruptError: no manifest, or one that cannot be read.

    """
    return tuple(_look(one, hashed) for one in _select(names))


def examine_auxiliary() -> tuple[Condition, ...]:
    """Look at the files of others only, with their hashes; needs no manifest."""
    return tuple(_look(one, hashed=True) for one in AUXILIARY)


def obtain(name: str, progress: Progress | None = None) -> Path:
    """Return the verified file of that name, downloading it if it is one of others.

    Raises:
        UsageError: an unknown name.
        WeightsError: it is missing, cannot be downloaded, or is not what is recorded.
        OutputError: the cache cannot be written.

    """
    if any(name in (one.name, one.file) for one in AUXILIARY):
        return fetch(name, progress)
    (chosen,) = _select([name])
    assert isinstance(chosen, WeightEntry)
    return verify(chosen)


def _select(names: Sequence[str]) -> list[WeightEntry | AuxiliaryFile]:
    others = {one.name: one for one in AUXILIARY}
    if names and set(names) <= set(others):
        return [others[name] for name in names]
    known: dict[str, WeightEntry | AuxiliaryFile] = {one.name: one for one in entries()}
    known.update(others)
    for name in names:
        if name not in known:
            raise unknown_name(name, known)
    return [known[name] for name in names] or list(known.values())


def _look(one: WeightEntry | AuxiliaryFile, hashed: bool) -> Condition:
    path = find_file(one.file)
    if path is not None and not hashed:
        return Condition(one, "present", path)
    try:
        found = verify(one) if isinstance(one, WeightEntry) else auxiliary(one.name)
    except WeightsMissingError as error:
        return Condition(one, "missing", None, error)
    except WeightsError as error:
        return Condition(one, "unusable", path, error)
    return Condition(one, "verified", found)
