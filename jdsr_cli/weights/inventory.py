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
from jdsr_cli.weights.locations import cache_directory, check_digest, find_file, sha256_of
from jdsr_cli.weights.registry import WeightEntry, entries, unknown_name, verify

_RELEASES = "https://github.com/xinntao/facexlib/releases/download"


@dataclass(frozen=True)
class AuxiliaryFile:
    """A weight file that is not ours."""

    name: str
    """What the command line calls it, such as ``retinaface-mobile``."""
    file: str
    """Name of the file, the same as that of the release."""
    url: str
    """Where it is fetched from."""
    sha256: str
    """64 lower-case hexadecimal digits, from public records."""
    bytes: int | None
    """Size of the file where it is known."""
    purpose: str
    """What it is for, in a few words."""
    also: tuple[str, ...] = ()
    """SHA-256 of other files that are accepted under this name."""


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
        # The network saved again by a newer torch: loads in facexlib and finds faces, but was
        # not compared with the release tensor by tensor.
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
        UsageError: there is none; the message names the nearest.

    """
    for one in AUXILIARY:
        if name in (one.name, one.file):
            return one
    raise unknown_name(name, [one.name for one in AUXILIARY])


def auxiliary(name: str) -> Path:
    """Return the path of a file of others after checking its bytes; nothing is fetched.

    Raises:
        UsageError: unknown name.
        WeightsMissingError: it is not here; says where to get it and where to put it.
        WeightsCorruptError: its bytes are not those recorded.

    """
    wanted = auxiliary_entry(name)
    path = find_file(wanted.file)
    if path is None:
        raise WeightsMissingError(
            f"the weights {wanted.name} ({wanted.purpose}) are not on this machine",
            where=wanted.file,
            hint=f"Run `jdsr weights fetch {wanted.name}` (offline with --from FOLDER), or put "
            f"{wanted.url} at {cache_directory() / wanted.file}.",
        )
    then = f"Delete it and run `jdsr weights fetch {wanted.name}`."
    check_auxiliary(path, sha256_of(path), wanted, then)
    return path


def check_auxiliary(where: str | Path, found: str, wanted: AuxiliaryFile, then: str) -> None:
    """Compare the SHA-256 that was found with those accepted.

    Raises:
        WeightsCorruptError: it is none of them; the message ends in `then`.

    """
    if found not in wanted.also:
        check_digest(where, found, wanted.sha256, f"{_UNCHECKED} {then}")


@dataclass(frozen=True)
class WeightStatus:
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


def weight_status(names: Sequence[str] = (), *, hashed: bool) -> tuple[WeightStatus, ...]:
    """Look at weight files, generators first.

    Args:
        names: Which; all generators and all files of others if empty.
        hashed: Compare hashes (`verified` or `unusable`) or only look whether they are there.

    Raises:
        UsageError: an unknown name.
        WeightsMissingError, WeightsCorruptError: no manifest, or one that cannot be read.

    """
    return tuple(_look(one, hashed) for one in (select_entries(names) if names else _all()))


def auxiliary_status() -> tuple[WeightStatus, ...]:
    """Look at the files of others only, with their hashes; needs no manifest."""
    return tuple(_look(one, hashed=True) for one in AUXILIARY)


def select_entries(names: Sequence[str]) -> list[WeightEntry | AuxiliaryFile]:
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


def verified_path(one: WeightEntry | AuxiliaryFile) -> Path:
    """Return the path of a weight file after checking its bytes.

    Raises:
        WeightsMissingError, WeightsCorruptError: it is not here, or not as recorded.

    """
    return verify(one) if isinstance(one, WeightEntry) else auxiliary(one.name)


def _all() -> list[WeightEntry | AuxiliaryFile]:
    return [*entries(), *AUXILIARY]


def _look(one: WeightEntry | AuxiliaryFile, hashed: bool) -> WeightStatus:
    path = find_file(one.file)
    if path is not None and not hashed:
        return WeightStatus(one, "present", path)
    try:
        found = verified_path(one)
    except WeightsMissingError as error:
        return WeightStatus(one, "missing", None, error)
    except WeightsError as error:
        return WeightStatus(one, "unusable", path, error)
    return WeightStatus(one, "verified", found)
