"""Weight files of others, fetched on request: facexlib's detectors, parsers and so on.

The sizes and hashes come from public records of the files and were not compared with a download;
a mismatch says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jdsr_cli.errors import WeightsMissingError
from jdsr_cli.weights.places import (
    cache_directory,
    check_digest,
    find_file,
    sha256_of,
)
from jdsr_cli.weights.registry import unknown_name

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
