"""The manifest of the generators' weights: reading of entries, and location and check of the files.

``manifest.toml`` in a search directory has one ``[[weights]]`` table for each file beside it.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from jdsr_cli.errors import UsageError, WeightsCorruptError, WeightsMissingError
from jdsr_cli.excerpts import brief
from jdsr_cli.file_names import LONGEST, as_text
from jdsr_cli.toml_files import read_toml
from jdsr_cli.weights.gates import gate_table_error
from jdsr_cli.weights.headers import ALTERED_HINT
from jdsr_cli.weights.locations import (
    cache_directory,
    check_digest,
    find_file,
    search_directories,
    sha256_of,
)

CARRIED = "lite-camera"
"""The small generator for footage that every installation carries; others are compared with it."""


MANIFEST = "manifest.toml"


@dataclass(frozen=True)
class ExportedFile:
    """An exported form of weights, in the table ``[weights.exports.PRECISION]``."""

    file: str
    """Name of the file, without folders."""
    sha256: str
    """64 lower-case hexadecimal digits."""
    bytes: int
    """Size of the file."""
    figures: Mapping[str, float | str] = field(default_factory=dict)
    """Measured difference from the weights."""


@dataclass(frozen=True)
class WeightEntry:
    """The manifest entry of a file of generator weights."""

    name: str
    """Name on the command line, such as ``lite-camera``."""
    file: str
    """Name of the file, without folders."""
    sha256: str
    """64 lower-case hexadecimal digits."""
    bytes: int
    """Size of the file."""
    network: str
    """Name of the network for `jdsr_cli.networks.build`."""
    scale: int
    """Enlargement factor, 128 divided by `lr_size`; 1 if the generator only restores."""
    lr_size: int
    """Side of the generator's input in pixels."""
    data: str
    """Training data."""
    licence: str
    """Licence, with the permitted use."""
    commit: str
    """Commit of this repository with which it was trained."""
    recipe: str
    """Recipe with which it was trained."""
    arguments: Mapping[str, object] = field(default_factory=dict)
    """Arguments of `jdsr_cli.networks.build`."""
    figures: Mapping[str, float | str] = field(default_factory=dict)
    """Measured quality, such as ``psnr_db``."""
    mask_decision: Mapping[str, object] = field(default_factory=dict)
    """Parameters of its occlusion maps, see `jdsr_cli.faces.occlusion.MaskCalibration`."""
    occlusion_calibration: Mapping[str, object] = field(default_factory=dict)
    """Parameters `a`, `b`, `c`, see `jdsr_cli.faces.occlusion_calibration.OcclusionCalibration`."""
    doubt: Mapping[str, object] = field(default_factory=dict)
    """Thresholds of the errors of its pixels, see `jdsr_cli.faces.error_bounds.DoubtCalibration`;
    without them faces have no doubt map."""
    gates: Mapping[str, object] = field(default_factory=dict)
    """Metrics of these weights and of the carried ones, see `jdsr_cli.weights.gates`; empty if not
    measured."""
    exports: Mapping[str, ExportedFile] = field(default_factory=dict)
    """Exported forms of the weights (ONNX) by precision; carried where the weights are."""
    base: str | None = None
    """Name of the weights that the file refers to for a part of its network; None if it is
    complete."""
    carried: bool = True
    """Whether the installed package contains the file; other files are fetched by name."""
    url: str | None = None
    """Address from which the file is fetched by default; None if it is not published."""


_LONGEST_TEXT = 10_000
"""Characters of a text."""
_LARGEST = 1 << 50
"""Largest number, as of bytes."""
_TYPES = {f.name: f.type for f in fields(WeightEntry)}
_EXPORT_TYPES = {"file": str, "sha256": str, "bytes": int, "figures": dict}
_TOML_TYPES = {"str": str, "int": int, "bool": bool, "str | None": str}
"""TOML type of a field by its annotation; a table for any other."""
_OPTIONAL = (
    "arguments", "figures", "mask_decision", "occlusion_calibration", "doubt", "gates", "exports",
    "base", "carried", "url",
)  # fmt: skip
_OF_SINGLE_SHOTS = ("mask_decision", "occlusion_calibration", "doubt", "gates", "exports")
"""Tables about pictures of single shots, which weights with a base do not restore."""


def entries() -> tuple[WeightEntry, ...]:
    """Return every entry of every manifest in the search directories.

    If two manifests list the same name, the directory that is searched first has precedence.

    Raises:
        WeightsMissingError: No manifest was found, or none has an entry.
        WeightsCorruptError: A manifest cannot be read, or an entry is incomplete.

    """
    listed: dict[str, WeightEntry] = {}
    for directory in search_directories():
        if (directory / MANIFEST).is_file():
            for one in read_manifest(directory / MANIFEST):
                listed.setdefault(one.name, one)
    if not listed:
        searched = ", ".join(str(directory) for directory in search_directories())
        raise WeightsMissingError(
            f"no {MANIFEST} lists any generator weights (searched {searched})",
            hint="Install jdsr again, or set JDSR_WEIGHTS to the repository's folder weights/.",
        )
    return tuple(listed.values())


def entry(name: str) -> WeightEntry:
    """Return the entry of a name.

    Raises:
        UsageError: There is none; the message states the most similar name.
        WeightsMissingError, WeightsCorruptError: As for `entries`.

    """
    known = {one.name: one for one in entries()}
    if name not in known:
        raise unknown_name(name, known)
    return known[name]


def unknown_name(name: str, known: Iterable[str]) -> UsageError:
    """Return the error for a name that is not among the `known` ones."""
    names = list(known)
    nearest = difflib.get_close_matches(name, names, n=1)
    guess = f"Did you mean {nearest[0]}? " if nearest else ""
    return UsageError(
        f"no weights are called {name!r}", hint=f"{guess}Known are {', '.join(names)}."
    )


def locate(entry: WeightEntry) -> Path:
    """Return the path of the entry's file; its contents are not checked.

    Raises:
        WeightsMissingError: No search directory has the file.

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
    target = search_directories()[0] / entry.file
    return (
        f"The file belongs to the repository's folder weights/; copy it to {target} or install "
        "jdsr again."
    )


def _fetched_hint(entry: WeightEntry) -> str:
    target = cache_directory() / entry.file
    return (
        f"Run `jdsr weights fetch {entry.name}` (--from FOLDER for a folder that has it), or put "
        f"the file at {target}."
    )


def verify(entry: WeightEntry) -> Path:
    """Return the path of the entry's file after comparing its size and SHA-256.

    The exported forms that are on this machine are compared as well.

    Raises:
        WeightsMissingError: No search directory has the file.
        WeightsCorruptError: Its size or hash is not the recorded one.

    """
    path = verify_file(entry)
    for precision in entry.exports:
        verify_export(entry, precision)
    return path


def verify_file(entry: WeightEntry) -> Path:
    """Return the path of the entry's own file after comparing its size and SHA-256.

    Raises:
        WeightsMissingError, WeightsCorruptError: As for `verify`.

    """
    path = locate(entry)
    check_size(path, path.stat().st_size, entry.bytes, altered_hint(entry))
    check_digest(path, sha256_of(path), entry.sha256, altered_hint(entry))
    return path


def verify_export(entry: WeightEntry, precision: str) -> Path | None:
    """Return the path of an exported form of weights after comparing its size and SHA-256.

    Returns:
        None if the manifest lists no such form, or its file is not on this machine.

    Raises:
        WeightsCorruptError: Its size or hash is not the recorded one.

    """
    export = entry.exports.get(precision)
    path = None if export is None else find_file(export.file)
    if export is None or path is None:
        return None
    check_size(path, path.stat().st_size, export.bytes, altered_hint(entry))
    check_digest(path, sha256_of(path), export.sha256, altered_hint(entry))
    return path


def altered_hint(entry: WeightEntry) -> str:
    """Return the advice for a file that is not the recorded one."""
    if entry.carried:
        return ALTERED_HINT
    return (
        "The file was altered or incompletely copied; delete it and run "
        f"`jdsr weights fetch {entry.name}`."
    )


def check_size(where: str | Path, found: int, recorded: int, hint: str) -> None:
    """Compare a size in bytes with the recorded one; a difference shows a truncated file.

    Raises:
        WeightsCorruptError: They differ; the message ends with `hint`.

    """
    if found != recorded:
        raise WeightsCorruptError(
            f"has {found:,} bytes, recorded are {recorded:,}", where=where, hint=hint
        )


def read_manifest(path: Path) -> tuple[WeightEntry, ...]:
    """Read the entries of one manifest, in order; an empty file has none.

    Raises:
        WeightsCorruptError: It is not TOML, or an entry has a missing, an unknown or an invalid
            field.

    """
    try:
        document = read_toml(path)
    except (ValueError, OSError) as error:
        raise _broken(path, f"cannot be read ({error})") from error
    tables = document.get("weights", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise _broken(path, "'weights' is not a list of [[weights]] tables")
    listed = tuple(_read_entry(path, table) for table in tables)
    name, times = Counter(one.name for one in listed).most_common(1)[0] if listed else ("", 0)
    if times > 1:
        raise _broken(path, f"{name!r} is listed more than once")
    return listed


def _read_entry(path: Path, table: Mapping[str, Any]) -> WeightEntry:
    label = f"entry {brief(table.get('name', '(without a name)'))}"
    faulty = sorted(set(table) - set(_TYPES)) or sorted(set(_TYPES) - set(table) - set(_OPTIONAL))
    if faulty:
        state = "has an unknown field" if faulty[0] in table else "lacks the field"
        raise _broken(path, f"{label} {state} {brief(faulty[0])}")
    for name, value in table.items():
        kind = _TOML_TYPES.get(str(_TYPES[name]), dict)
        if type(value) is not kind or not _is_allowed(value):
            raise _broken(path, f"{label}: {name} cannot be {brief(value)}")
    _check_file(path, label, table)
    idle = [name for name in _OF_SINGLE_SHOTS if table.get(name)] if "base" in table else []
    if idle:
        what = f"{label} extends {table['base']!r}, whose table {idle[0]} applies: leave it out"
        raise _broken(path, what)
    url = table.get("url")
    if url is not None and not re.fullmatch(r"https?://[^/\s]+/\S+", url):
        raise _broken(path, f"{label}: url is not an https:// or http:// address")
    gates_error = gate_table_error(table["gates"]) if "gates" in table else None
    if gates_error is not None:
        raise _broken(path, f"{label}: its table of gates {gates_error}")
    exports = {
        precision: _read_export(path, f"{label}, export {precision}", values)
        for precision, values in table.get("exports", {}).items()
    }
    return WeightEntry(**{**table, "exports": exports})


def _read_export(path: Path, label: str, table: object) -> ExportedFile:
    if not isinstance(table, dict) or set(table) - {"figures"} != {"file", "sha256", "bytes"}:
        raise _broken(path, f"{label} needs file, sha256, bytes and may have figures")
    for name, value in table.items():
        if type(value) is not _EXPORT_TYPES[name] or not _is_allowed(value):
            raise _broken(path, f"{label}: {name} cannot be {brief(value)}")
    _check_file(path, label, table)
    return ExportedFile(**table)


def _check_file(path: Path, label: str, table: Mapping[str, Any]) -> None:
    """Check the form of a file's name and hash."""
    if not re.fullmatch(r"[0-9a-f]{64}", table["sha256"]):
        raise _broken(path, f"{label}: sha256 is not 64 lower-case hexadecimal digits")
    name = table["file"]
    if Path(name).name != name or name == ".." or "\\" in name or len(name.encode()) > LONGEST:
        raise _broken(path, f"{label}: file must be a name without folders")


def _is_allowed(value: object) -> bool:
    """Whether a value of the right type is a positive number, or a text on one line."""
    if isinstance(value, str):
        return 0 < len(value) <= _LONGEST_TEXT and as_text(value) == value
    return not isinstance(value, int) or isinstance(value, bool) or 0 < value <= _LARGEST


def _broken(path: Path, what: str) -> WeightsCorruptError:
    return WeightsCorruptError(
        what, where=path, hint="Take the manifest from the repository again, or correct it."
    )
