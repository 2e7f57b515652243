"""The generators' weights: what exists, where it is, and whether it is what it should be.

``manifest.toml`` in a search directory holds one ``[[weights]]`` table for each file beside it.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from jdsr_cli.errors import UsageError, WeightsCorruptError, WeightsMissingError
from jdsr_cli.weights.gates import table_fault
from jdsr_cli.weights.places import (
    cache_directory,
    check_digest,
    find_file,
    search_directories,
    sha256_of,
)

MANIFEST = "manifest.toml"


@dataclass(frozen=True)
class WeightEntry:
    """One file of generator weights, as its manifest describes it."""

    name: str
    """What the command line calls it, such as ``lite-camera``."""
    file: str
    """Name of the file, without folders."""
    sha256: str
    """64 lower-case hexadecimal digits."""
    bytes: int
    """Size of the file."""
    network: str
    """Name that `jdsr_cli.networks.build` knows."""
    scale: int
    """128 divided by `lr_size`: how much the generator enlarges; 1 if it only restores."""
    lr_size: int
    """Side of the generator's input in pixels."""
    data: str
    """What it was trained on."""
    licence: str
    """What it may be used for."""
    commit: str
    """Commit of this repository that trained it."""
    recipe: str
    """Recipe that trained it."""
    arguments: Mapping[str, object] = field(default_factory=dict)
    """Arguments of `jdsr_cli.networks.build`."""
    figures: Mapping[str, float | str] = field(default_factory=dict)
    """Measured quality, such as ``psnr_db``."""
    mask_decision: Mapping[str, object] = field(default_factory=dict)
    """Of its occlusion maps, see `jdsr_cli.faces.occlusion.MaskCalibration`."""
    gates: Mapping[str, object] = field(default_factory=dict)
    """What it came to beside the carried weights, see `jdsr_cli.weights.gates`; empty where that
    was not measured."""
    carried: bool = True
    """Whether the installed package holds the file; what it does not hold is fetched by name."""
    url: str | None = None
    """Where the file is fetched from if no other place is named; None: it is not published."""


_TYPES = {f.name: f.type for f in fields(WeightEntry)}
_KINDS = {"str": str, "int": int, "bool": bool, "str | None": str}
"""What TOML must hold for a field of that type; a table for any other."""
_OPTIONAL = ("arguments", "figures", "mask_decision", "gates", "carried", "url")


def entries() -> tuple[WeightEntry, ...]:
    """Return every entry of every manifest in the search directories.

    Where two manifests hold the same name, the directory searched first wins.

    Raises:
        WeightsMissingError: no manifest was found, or none has an entry.
        WeightsCorruptError: a manifest cannot be read or an entry is not complete.

    """
    found: dict[str, WeightEntry] = {}
    for directory in search_directories():
        if (directory / MANIFEST).is_file():
            for one in read_manifest(directory / MANIFEST):
                found.setdefault(one.name, one)
    if not found:
        searched = ", ".join(str(directory) for directory in search_directories())
        raise WeightsMissingError(
            f"no {MANIFEST} lists any generator weights (searched {searched})",
            hint="Install jdsr again, or set JDSR_WEIGHTS to the repository's folder weights/.",
        )
    return tuple(found.values())


def entry(name: str) -> WeightEntry:
    """Return the entry called `name`.

    Raises:
        UsageError: there is none; the message names the nearest.
        WeightsMissingError, WeightsCorruptError: as `entries`.

    """
    known = {one.name: one for one in entries()}
    if name not in known:
        raise unknown_name(name, known)
    return known[name]


def unknown_name(name: str, known: Iterable[str]) -> UsageError:
    """Make the error for a name that is not among the `known`."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    guess = f"Did you mean {near[0]}? " if near else ""
    return UsageError(
        f"no weights are called {name!r}", hint=f"{guess}Known are {', '.join(names)}."
    )


def locate(entry: WeightEntry) -> Path:
    """Return the path of the entry's file; its bytes are not looked at.

    Raises:
        WeightsMissingError: no search directory has it.

    """
    path = find_file(entry.file)
    if path is None:
        raise WeightsMissingError(
            f"the weights {entry.name} are not on this machine",
            where=entry.file,
            hint=_carried_hint(entry) if entry.carried else _fetched_hint(entry),
        )
    return path


def _carried_hint(entry: WeightEntry) -> str:
    place = search_directories()[0] / entry.file
    return (
        f"The file belongs to the repository's folder weights/; copy it to {place} or install "
        "jdsr again."
    )


def _fetched_hint(entry: WeightEntry) -> str:
    place = cache_directory() / entry.file
    return (
        f"Run `jdsr weights fetch {entry.name}` (--from FOLDER names a place that has it), or put "
        f"the file at {place}."
    )


def verify(entry: WeightEntry) -> Path:
    """Return the path of the entry's file after comparing its size and SHA-256.

    Raises:
        WeightsMissingError: no search directory has it.
        WeightsCorruptError: its bytes are not those recorded.

    """
    path = locate(entry)
    check_size(path, path.stat().st_size, entry.bytes, altered_hint(entry))
    check_digest(path, sha256_of(path), entry.sha256, altered_hint(entry))
    return path


ALTERED_HINT = "The file was altered or only half copied; take it from the repository again."


def altered_hint(entry: WeightEntry) -> str:
    """Return what to do about an entry's file that is not as recorded."""
    if entry.carried:
        return ALTERED_HINT
    return (
        "The file was altered or only half copied; delete it and run "
        f"`jdsr weights fetch {entry.name}`."
    )


def check_size(where: str | Path, found: int, recorded: int, hint: str) -> None:
    """Compare a size in bytes with the recorded one, which says more than a hash can.

    Raises:
        WeightsCorruptError: they differ; the message ends in `hint`.

    """
    if found != recorded:
        raise WeightsCorruptError(
            f"has {found:,} bytes, recorded are {recorded:,}", where=where, hint=hint
        )


def read_manifest(path: Path) -> tuple[WeightEntry, ...]:
    """Read the entries of one manifest, in its order; an empty file has none.

    Raises:
        WeightsCorruptError: it is not TOML, or an entry lacks a field, has one too many, or has
            one of a wrong kind.

    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise _broken(path, f"cannot be read ({error})") from error
    tables = document.get("weights", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise _broken(path, "'weights' is not a list of [[weights]] tables")
    made = tuple(_read_entry(path, table) for table in tables)
    names = [one.name for one in made]
    for name in names:
        if names.count(name) > 1:
            raise _broken(path, f"{name!r} is listed more than once")
    return made


def _read_entry(path: Path, table: Mapping[str, Any]) -> WeightEntry:
    label = f"entry {table.get('name', '(without a name)')!r}"
    wrong = sorted(set(table) - set(_TYPES)) or sorted(set(_TYPES) - set(table) - set(_OPTIONAL))
    if wrong:
        state = "has an unknown field" if wrong[0] in table else "lacks the field"
        raise _broken(path, f"{label} {state} {wrong[0]!r}")
    for name, value in table.items():
        kind = _KINDS.get(str(_TYPES[name]), dict)
        if type(value) is not kind or (kind is not bool and value in (0, "")):
            raise _broken(path, f"{label}: {name} cannot be {value!r}")
    if not re.fullmatch(r"[0-9a-f]{64}", table["sha256"]):
        raise _broken(path, f"{label}: sha256 is not 64 lower-case hexadecimal digits")
    if Path(table["file"]).name != table["file"]:
        raise _broken(path, f"{label}: file must be a name without folders")
    url = table.get("url")
    if url is not None and not re.fullmatch(r"https?://[^/\s]+/\S+", url):
        raise _broken(path, f"{label}: url is no https:// or http:// address")
    unclear = table_fault(table["gates"]) if "gates" in table else None
    if unclear is not None:
        raise _broken(path, f"{label}: its table of gates {unclear}")
    return WeightEntry(**table)


def _broken(path: Path, what: str) -> WeightsCorruptError:
    return WeightsCorruptError(
        what, where=path, hint="Take the manifest from the repository again, or correct it."
    )
