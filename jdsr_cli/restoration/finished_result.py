"""Finished results: what is one, whether its files are as recorded, and what else lies in it."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from jdsr_cli.errors import InputError
from jdsr_cli.evidence import MANIFEST, REPORT, SUMS, sha256_file
from jdsr_cli.evidence.sums import parse_sum
from jdsr_cli.file_names import as_text
from jdsr_cli.progress import Silent
from jdsr_cli.restoration.face_folder import FACES

_EMPTY = hashlib.sha256(b"").hexdigest()


def is_valid_result(folder: Path) -> bool:
    """Whether a folder holds a manifest that agrees with the schema of jdsr; not so for a link."""
    from jdsr_cli.evidence.schemas import record_schema  # only what may be replaced needs it
    from jdsr_cli.evidence.verification import StoredResult  # it imports this package

    if folder.is_symlink() or not folder.is_dir():
        return False
    try:
        result = StoredResult(folder, Silent())
    except InputError:
        return False
    return result.manifest_fault is None and not record_schema("manifest").faults(result.manifest)


def unlisted_entries(folder: Path) -> list[str]:
    """Return what is in the folder of a result and that the result does not list, sorted.

    Files are listed by `SHA256SUMS`, the manifest and the records. Everything else is not of the
    result: other files, links, and folders without listed files.

    Args:
        folder: A result, see `is_valid_result`.

    """
    from jdsr_cli.evidence.verification import StoredResult  # it imports this package
    from jdsr_cli.evidence.verification.files import own_names, recorded_names

    result = StoredResult(folder, Silent())
    listed = own_names(result)
    others = set(result.sizes) - listed
    if others:
        listed |= recorded_names(result)
        others -= listed
    parents = {FACES, *(parent for name in listed for parent in _parents(name))}
    others.update(result.others)
    for root, names, _ in os.walk(folder):
        below = (Path(root).relative_to(folder) / name for name in names)
        others.update(name.as_posix() for name in below if name.as_posix() not in parents)
    return sorted(as_text(name) for name in others)


def _parents(name: str) -> Iterator[str]:
    parts = name.split("/")
    yield from ("/".join(parts[:count]) for count in range(1, len(parts)))


def describe_damage(
    result: Path, manifest: Mapping[str, Any], *, hashes: bool = False
) -> str | None:
    """Return a sentence on what `damaged_files` finds, which is made again; None if nothing."""
    damaged = list(damaged_files(result, manifest, hashes=hashes))
    if not damaged:
        return None
    more = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
    return f"the finished result is damaged and made again: {damaged[0]}{more}"


def damaged_files(
    result: Path, manifest: Mapping[str, Any], *, hashes: bool = False
) -> Iterator[str]:
    """Yield the recorded files of a result that are not as recorded, with what is wrong.

    Sizes are compared where they are recorded. The report is left out: it is not needed, and has a
    command of its own.

    Args:
        result: Folder of the result.
        manifest: Its manifest.
        hashes: Whether hashes are compared as well, for which all files are read.

    """
    outputs = manifest.get("outputs")
    stated = {
        one["file"]: one
        for one in (outputs if isinstance(outputs, list) else ())
        if isinstance(one, dict) and isinstance(one.get("file"), str)
    }
    sums = dict(_listed(result))
    if "schema_version" in manifest and not {MANIFEST, *stated} <= sums.keys():
        kind = "is damaged" if os.path.lexists(result / SUMS) else "is missing"
        yield f"{SUMS} {kind}"
    for name in {**stated, **sums}:
        size, recorded = _size(result / name), stated.get(name, {}).get("bytes")
        sha256 = {one for one in (sums.get(name), stated.get(name, {}).get("sha256")) if one}
        if size is None:
            yield f"{as_text(name)} is missing"
        elif recorded not in (None, size):
            yield f"{as_text(name)} has {size:,} bytes, recorded are {recorded:,}"
        elif size == 0 and sha256 - {_EMPTY}:
            yield f"{as_text(name)} is empty"
        elif hashes and sha256 - {_hash(result / name)}:
            yield f"{as_text(name)} was changed: its SHA-256 is not the recorded one"


def _listed(result: Path) -> Iterator[tuple[str, str]]:
    """Yield names and hashes in `SHA256SUMS`; nothing if it cannot be read."""
    content = b""
    with suppress(OSError):
        content = (result / SUMS).read_bytes() if (result / SUMS).is_file() else b""
    for line in content.split(b"\n"):
        one = parse_sum(line.decode("utf-8", "surrogateescape"))
        if one is not None and one.file != REPORT:
            yield one.file, one.sha256


def _hash(path: Path) -> str | None:
    """Return the SHA-256 of a file; None if it cannot be read."""
    try:
        return sha256_file(path)
    except InputError:
        return None


def _size(path: Path) -> int | None:
    """Return the size of a regular file; None if there is none."""
    try:
        status = path.lstat()
    except (OSError, ValueError):
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None
