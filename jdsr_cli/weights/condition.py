"""The condition of every weight file on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jdsr_cli.errors import WeightsError, WeightsMissingError
from jdsr_cli.weights.auxiliary_files import AUXILIARY, AuxiliaryFile, auxiliary
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
        """Whether every installation has it, so that its absence is a fault."""
        return isinstance(self.described, WeightEntry) and self.described.carried


def conditions(names: Sequence[str] = (), *, hashed: bool) -> tuple[Condition, ...]:
    """Look at weight files, generators first.

    Args:
        names: Which; all generators and all files of others if empty.
        hashed: Compare hashes (`verified` or `unusable`) or only look whether they are there.

    Raises:
        UsageError: an unknown name.
        WeightsMissingError, WeightsCorruptError: no manifest, or one that cannot be read.

    """
    return tuple(_look(one, hashed) for one in (select(names) if names else _all()))


def examine_auxiliary() -> tuple[Condition, ...]:
    """Look at the files of others only, with their hashes; needs no manifest."""
    return tuple(_look(one, hashed=True) for one in AUXILIARY)


def select(names: Sequence[str]) -> list[WeightEntry | AuxiliaryFile]:
    """Return what the names stand for; files of others go by their file names as well.

    Raises:
        UsageError: there is none of that name; the message names the nearest.
        WeightsMissingError, WeightsCorruptError: as `entries`, where a generator is named.

    """
    known: dict[str, WeightEntry | AuxiliaryFile] = {one.name: one for one in AUXILIARY}
    known.update((one.file, one) for one in AUXILIARY)
    if not set(names) <= set(known):
        known.update((one.name, one) for one in entries())
    for name in names:
        if name not in known:
            raise unknown_name(name, [one.name for one in _all()])
    return [known[name] for name in names]


def examined(one: WeightEntry | AuxiliaryFile) -> Path:
    """Return the path of a weight file after checking its bytes.

    Raises:
        WeightsMissingError, WeightsCorruptError: it is not here, or not as recorded.

    """
    return verify(one) if isinstance(one, WeightEntry) else auxiliary(one.name)


def _all() -> list[WeightEntry | AuxiliaryFile]:
    return [*entries(), *AUXILIARY]


def _look(one: WeightEntry | AuxiliaryFile, hashed: bool) -> Condition:
    path = find_file(one.file)
    if path is not None and not hashed:
        return Condition(one, "present", path)
    try:
        found = examined(one)
    except WeightsMissingError as error:
        return Condition(one, "missing", None, error)
    except WeightsError as error:
        return Condition(one, "unusable", path, error)
    return Condition(one, "verified", found)
