"""Weight files of other projects, fetched on request, and the state of every weight file.

The sizes and hashes of facexlib's files come from public records and were not compared with a
download; the message of a mismatch says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jdsr_cli.errors import WeightsError, WeightsMissingError
from jdsr_cli.weights.bases import check_base
from jdsr_cli.weights.locations import cache_directory, check_digest, find_file, sha256_of
from jdsr_cli.weights.registry import WeightEntry, entries, unknown_name, verify

_RELEASES = "https://github.com/xinntao/facexlib/releases/download"


@dataclass(frozen=True)
class AuxiliaryFile:
    """A weight file of another project."""

    name: str
    """Name on the command line, such as ``retinaface-mobile``."""
    file: str
    """Name of the file, as in the release."""
    url: str
    """Address from which it is fetched."""
    sha256: str
    """64 lower-case hexadecimal digits, from public records."""
    bytes: int | None
    """Size of the file, None if unknown."""
    purpose: str
    """Short description of its use."""
    also: tuple[str, ...] = ()
    """SHA-256 of other accepted files."""


def _facexlib(
    name: str,
    tag: str,
    file: str,
    sha256: str,
    purpose: str,
    size: int | None = None,
    also: tuple[str, ...] = (),
) -> AuxiliaryFile:
    return AuxiliaryFile(name, file, f"{_RELEASES}/{tag}/{file}", sha256, size, purpose, also)


AUXILIARY: tuple[AuxiliaryFile, ...] = (
    _facexlib(
        "retinaface-mobile",
        "v0.1.0",
        "detection_mobilenet0.25_Final.pth",
        "2979b33ffafda5d74b6948cd7a5b9a7a62f62b949cef24e95fd15d2883a65220",
        "face detection, small",
        1_789_735,
        # Saved again by a newer torch: it loads in facexlib and detects faces, but its tensors were
        # not compared with those of the release.
        ("7c417d4a43c5e2100ef40c2fbd2177d2fd0e5090d8e87c0fa31806cfb895c12f",),
    ),
    _facexlib(
        "retinaface-r50",
        "v0.1.0",
        "detection_Resnet50_Final.pth",
        "6d1de9c2944f2ccddca5f5e010ea5ae64a39845a86311af6fdf30841b0a5a16d",
        "face detection, accurate",
        109_497_761,
    ),
    _facexlib(
        "parsing-parsenet",
        "v0.2.2",
        "parsing_parsenet.pth",
        "3d558d8d0e42c20224f13cf5a29c79eba2d59913419f945545d8cf7b72920de2",
        "face parts",
        85_331_193,
    ),
    _facexlib(
        "parsing-bisenet",
        "v0.2.0",
        "parsing_bisenet.pth",
        "468e13ca13a9b43cc0881a9f99083a430e9c0a38abd935431d1c28ee94b26567",
        "face parts, 19 classes",
    ),
    _facexlib(
        "landmarks-wflw",
        "v0.1.0",
        "alignment_WFLW_4HG.pth",
        "bbfd137307a4c7debd5c283b9b0ce539466cee417ac0a155e184d857f9f2899c",
        "98 landmarks",
        193_670_248,
    ),
    _facexlib(
        "identity-arcface",
        "v0.1.0",
        "recognition_arcface_ir_se50.pth",
        "a035c768259b98ab1ce0e646312f48b9e1e218197a0f80ac6765e88f8b6ddf28",
        "identity, to measure restoration",
    ),
)
"""The files of facexlib's releases that jdsr can use."""

_UNCHECKED = (
    "The recorded hash comes from public records and was not checked against a download: the "
    "file is damaged, altered, or of another release."
)


def auxiliary_entry(name: str) -> AuxiliaryFile:
    """Return the entry of that name or file name.

    Raises:
        UsageError: There is none; the message states the most similar name.

    """
    for one in AUXILIARY:
        if name in (one.name, one.file):
            return one
    raise unknown_name(name, [one.name for one in AUXILIARY])


def auxiliary(name: str) -> Path:
    """Return the path of an auxiliary file after checking its hash; nothing is fetched.

    Raises:
        UsageError: The name is unknown.
        WeightsMissingError: The file is not on this machine; the message states its source and
            where to store it.
        WeightsCorruptError: Its hash is not the recorded one.

    """
    item = auxiliary_entry(name)
    path = find_file(item.file)
    if path is None:
        raise WeightsMissingError(
            f"the weights {item.name} ({item.purpose}) are not on this machine",
            where=item.file,
            hint=f"Run `jdsr weights fetch {item.name}` (offline with --from FOLDER), or put "
            f"{item.url} at {cache_directory() / item.file}.",
        )
    advice = f"Delete it and run `jdsr weights fetch {item.name}`."
    check_auxiliary(path, sha256_of(path), item, advice)
    return path


def check_auxiliary(where: str | Path, found: str, item: AuxiliaryFile, advice: str) -> None:
    """Compare the SHA-256 of a file with the accepted ones.

    Raises:
        WeightsCorruptError: It is none of them; the message ends with `advice`.

    """
    if found not in item.also:
        check_digest(where, found, item.sha256, f"{_UNCHECKED} {advice}")


@dataclass(frozen=True)
class WeightStatus:
    """State of one weight file on this machine."""

    described: WeightEntry | AuxiliaryFile
    """Its recorded description."""
    state: Literal["verified", "present", "missing", "unusable"]
    """``present``: the hash was not compared; ``unusable``: it differs or cannot be computed, or
    the weights that the file extends are missing or others."""
    path: Path | None
    """Path of the file, None if missing."""
    error: WeightsError | None = None
    """Error if it is missing or unusable."""

    @property
    def name(self) -> str:
        """Name of the entry."""
        return self.described.name

    @property
    def carried(self) -> bool:
        """Whether every installation has it, so that its absence is an error."""
        return isinstance(self.described, WeightEntry) and self.described.carried


def weight_status(names: Sequence[str] = (), *, hashed: bool) -> tuple[WeightStatus, ...]:
    """Return the state of weight files, generators first.

    Args:
        names: Names of the files; all generators and all auxiliary files if empty.
        hashed: Whether to compare hashes (`verified` or `unusable`), or only to check existence.

    Raises:
        UsageError: A name is unknown.
        WeightsMissingError, WeightsCorruptError: There is no manifest, or one cannot be read.

    """
    return tuple(_status(one, hashed) for one in (select_entries(names) if names else _all()))


def auxiliary_status() -> tuple[WeightStatus, ...]:
    """Return the state of the auxiliary files, with their hashes; needs no manifest."""
    return tuple(_status(one, hashed=True) for one in AUXILIARY)


def select_entries(names: Sequence[str]) -> list[WeightEntry | AuxiliaryFile]:
    """Return the entries of names; auxiliary files can also be given by their file names.

    Raises:
        UsageError: A name is unknown; the message states the most similar name.
        WeightsMissingError, WeightsCorruptError: As for `entries`, if a generator is named.

    """
    known: dict[str, WeightEntry | AuxiliaryFile] = {one.name: one for one in AUXILIARY}
    known.update((one.file, one) for one in AUXILIARY)
    if not set(names) <= set(known):
        known.update((one.name, one) for one in entries())
    for name in names:
        if name not in known:
            raise unknown_name(name, [one.name for one in _all()])
    return [known[name] for name in names]


def verified_path(one: WeightEntry | AuxiliaryFile) -> Path:
    """Return the path of a weight file after checking its hash.

    Raises:
        WeightsMissingError, WeightsCorruptError: It is missing, or not the recorded file.

    """
    return verify(one) if isinstance(one, WeightEntry) else auxiliary(one.name)


def _all() -> list[WeightEntry | AuxiliaryFile]:
    return [*entries(), *AUXILIARY]


def _status(one: WeightEntry | AuxiliaryFile, hashed: bool) -> WeightStatus:
    path = find_file(one.file)
    if path is not None and not hashed:
        return WeightStatus(one, "present", path)
    try:
        found = verified_path(one)
    except WeightsMissingError as error:
        return WeightStatus(one, "missing", None, error)
    except WeightsError as error:
        return WeightStatus(one, "unusable", path, error)
    try:
        if isinstance(one, WeightEntry):
            check_base(one)
    except WeightsError as error:
        return WeightStatus(one, "unusable", found, error)
    return WeightStatus(one, "verified", found)
