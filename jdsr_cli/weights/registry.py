"""The manifest of the generators' weights: reading of entries, and location and check of the files.

``manifest.toml`` in a search directory has one ``[[weights]]`` table for each file beside it. Its
table ``[weights.gates]`` contains, for each gate, a pair of the figures of these weights and of the
carried ones on the same faces; see `jdsr_train.stages.validation`.
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from jdsr_cli.errors import UsageError, WeightsCorruptError, WeightsMissingError
from jdsr_cli.weights.locations import (
    cache_directory,
    check_digest,
    find_file,
    search_directories,
    sha256_of,
)

CARRIED = "lite-camera"
"""The small generator for footage that every installation carries; others are compared with it."""


@dataclass(frozen=True)
class Gate:
    """A metric that is compared."""

    name: str
    """Key in the table ``[weights.gates]``."""
    best: float
    """Best possible value; infinity if the metric has no upper bound and more is better."""
    unit: str = ""
    """Unit such as ``dB``, empty if there is none."""

    @property
    def higher(self) -> bool:
        """Whether higher is better."""
        return self.best > 0

    def beats(self, own: float, carried: float) -> bool:
        """Whether `own` is strictly better, or both are the best possible value."""
        if own == carried == self.best:
            return True
        return own > carried if self.higher else own < carried

    def describe(self, own: float, carried: float) -> str:
        """Return a text with both values, such as ``masked_psnr 25.1 against 25.5 dB``."""
        return f"{self.name} {own:g} against {carried:g} {self.unit}".rstrip()


GATES = (
    Gate("plain_psnr", math.inf, "dB"),
    Gate("plain_ssim", 1.0),
    Gate("masked_psnr", math.inf, "dB"),
    Gate("masked_ssim", 1.0),
    Gate("masked_psnr_covered", math.inf, "dB"),
    Gate("sharp_psnr", math.inf, "dB"),
    Gate("plain_covered", 0.0),
    Gate("masked_iou", 1.0),
)
"""Fidelity on bare faces, on masked faces and on the pixels under the mask; fidelity on a sharp
bare face, which should not change; share (0 to 1) of the pixels of bare faces that the occlusion
map marks as covered; intersection over union (0 to 1) of the map with the truth on masked faces."""
_TEXT_KEYS = ("against", "sha256", "protocol")
_GATE_KEYS = (*_TEXT_KEYS, *(gate.name for gate in GATES))


def gate_table_error(table: Mapping[str, object]) -> str | None:
    """Return the error in a table ``[weights.gates]``, None if it is valid."""
    unknown = sorted(set(table) - set(_GATE_KEYS))
    if unknown:
        return f"has an unknown key {unknown[0]!r}"
    for key in _TEXT_KEYS:
        value = table.get(key)
        if not isinstance(value, str) or not value:
            return f"{key} cannot be {value!r}" if key in table else f"lacks the key {key!r}"
    if not re.fullmatch(r"[0-9a-f]{64}", str(table["sha256"])):
        return "sha256 is not 64 lower-case hexadecimal digits"
    for key in set(table) - set(_TEXT_KEYS):
        if not _is_pair(table[key]):
            return f"{key} is not a pair of numbers: {table[key]!r}"
    return None


def _is_pair(value: object) -> bool:
    if not isinstance(value, list) or len(value) != 2:
        return False
    return all(type(one) in (int, float) and not math.isnan(one) for one in value)


MANIFEST = "manifest.toml"


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
    gates: Mapping[str, object] = field(default_factory=dict)
    """Metrics of these weights and of the carried ones, see `GATES`; empty if not measured."""
    carried: bool = True
    """Whether the installed package contains the file; other files are fetched by name."""
    url: str | None = None
    """Address from which the file is fetched by default; None if it is not published."""


_TYPES = {f.name: f.type for f in fields(WeightEntry)}
_TOML_TYPES = {"str": str, "int": int, "bool": bool, "str | None": str}
"""TOML type of a field by its annotation; a table for any other."""
_OPTIONAL = ("arguments", "figures", "mask_decision", "gates", "carried", "url")


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

    Raises:
        WeightsMissingError: No search directory has the file.
        WeightsCorruptError: Its size or hash is not the recorded one.

    """
    path = locate(entry)
    check_size(path, path.stat().st_size, entry.bytes, altered_hint(entry))
    check_digest(path, sha256_of(path), entry.sha256, altered_hint(entry))
    return path


ALTERED_HINT = "The file was altered or incompletely copied; take it from the repository again."


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
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise _broken(path, f"cannot be read ({error})") from error
    tables = document.get("weights", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise _broken(path, "'weights' is not a list of [[weights]] tables")
    listed = tuple(_read_entry(path, table) for table in tables)
    names = [one.name for one in listed]
    for name in names:
        if names.count(name) > 1:
            raise _broken(path, f"{name!r} is listed more than once")
    return listed


def _read_entry(path: Path, table: Mapping[str, Any]) -> WeightEntry:
    label = f"entry {table.get('name', '(without a name)')!r}"
    faulty = sorted(set(table) - set(_TYPES)) or sorted(set(_TYPES) - set(table) - set(_OPTIONAL))
    if faulty:
        state = "has an unknown field" if faulty[0] in table else "lacks the field"
        raise _broken(path, f"{label} {state} {faulty[0]!r}")
    for name, value in table.items():
        kind = _TOML_TYPES.get(str(_TYPES[name]), dict)
        if type(value) is not kind or (kind is not bool and value in (0, "")):
            raise _broken(path, f"{label}: {name} cannot be {value!r}")
    if not re.fullmatch(r"[0-9a-f]{64}", table["sha256"]):
        raise _broken(path, f"{label}: sha256 is not 64 lower-case hexadecimal digits")
    if Path(table["file"]).name != table["file"]:
        raise _broken(path, f"{label}: file must be a name without folders")
    url = table.get("url")
    if url is not None and not re.fullmatch(r"https?://[^/\s]+/\S+", url):
        raise _broken(path, f"{label}: url is not an https:// or http:// address")
    gates_error = gate_table_error(table["gates"]) if "gates" in table else None
    if gates_error is not None:
        raise _broken(path, f"{label}: its table of gates {gates_error}")
    return WeightEntry(**table)


def _broken(path: Path, what: str) -> WeightsCorruptError:
    return WeightsCorruptError(
        what, where=path, hint="Take the manifest from the repository again, or correct it."
    )
