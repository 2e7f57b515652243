"""Weight files that nobody carries, fetched by name: large generators and files of others.

Nothing is fetched at import or behind the user's back.
"""

from __future__ import annotations

import hashlib
from http.client import HTTPException
from pathlib import Path
from typing import IO

from jdsr_cli.atomic import atomic_file
from jdsr_cli.errors import OutputError, WeightsError, WeightsMissingError
from jdsr_cli.progress import Progress, Silent
from jdsr_cli.weights.auxiliary_files import AuxiliaryFile, check_auxiliary
from jdsr_cli.weights.condition import examined, select
from jdsr_cli.weights.places import cache_directory, check_digest, find_file
from jdsr_cli.weights.registry import WeightEntry, check_size
from jdsr_cli.weights.sources import Origin, open_origin, origin_of

CHUNK = 1 << 18
_NOT_KEPT = "What arrived was not kept."
_FAULTS = (OSError, HTTPException, ValueError)
"""What opening and reading an origin may raise."""


def fetch(name: str, source: str | None = None, progress: Progress | None = None) -> Path:
    """Bring a weight file into the cache unless it is on this machine already.

    Args:
        name: Of a generator; name or file name of one of `AUXILIARY`.
        source: A folder, or an https:// or http:// address to which the file's name is appended;
            None: the address that is recorded for the file.
        progress: Told of the bytes as they arrive, as a task named after the file.

    Returns:
        The path of the verified file.

    Raises:
        UsageError: unknown name, or a source that is neither folder nor address.
        WeightsMissingError: the source does not have it, or there is no source; says which file
            to put where by hand.
        WeightsError: it could not be read to its end.
        WeightsCorruptError: what arrived, or what was here already, is not what is recorded.
        OutputError: the cache cannot be written.

    """
    (wanted,) = select([name])
    if find_file(wanted.file) is not None:
        return examined(wanted)
    final = cache_directory() / wanted.file
    origin = _origin(wanted, source, final)
    try:
        with atomic_file(final, make_folder=True) as temporary:
            _receive(wanted, origin, temporary, final, progress or Silent())
    except OutputError as error:
        raise OutputError(
            error.what,
            where=error.where,
            hint="Free some space there, or set XDG_CACHE_HOME to a folder that can be written.",
        ) from error
    return final


def _origin(wanted: WeightEntry | AuxiliaryFile, source: str | None, final: Path) -> Origin:
    if source is not None:
        return origin_of(wanted.file, source)
    if wanted.url is not None:
        return wanted.url
    raise WeightsMissingError(
        f"the weights {wanted.name} are not on this machine, and no address is recorded for them",
        where=wanted.file,
        hint=f"Name a folder or an https:// address that has them with --from, or "
        f"{_by_hand(wanted, final)}.",
    )


def _receive(
    wanted: WeightEntry | AuxiliaryFile,
    origin: Origin,
    target: Path,
    final: Path,
    progress: Progress,
) -> None:
    """Fill `target`; faults of the origin become `WeightsError`, those of the disk pass."""
    try:
        stream, stated = open_origin(origin)
    except _FAULTS as error:
        raise _failed(wanted, origin, final, error) from error
    recorded = wanted.bytes if isinstance(wanted, WeightEntry) else None
    received, digest = 0, hashlib.sha256()
    with stream, target.open("wb") as out:
        if recorded is not None and stated is not None:
            check_size(origin, stated, recorded, _NOT_KEPT)
        progress.begin(wanted.file, stated or wanted.bytes)
        try:
            while chunk := _read(stream, wanted, origin, final):
                out.write(chunk)
                digest.update(chunk)
                received += len(chunk)
                progress.advance(wanted.file, len(chunk))
                if recorded is not None and received > recorded:
                    break
        finally:
            progress.end(wanted.file)
    if stated is not None and received < stated:
        cut = EOFError(f"it ended after {received:,} of {stated:,} bytes")
        raise _failed(wanted, origin, final, cut)
    if isinstance(wanted, AuxiliaryFile):
        check_auxiliary(origin, digest.hexdigest(), wanted, _NOT_KEPT)
        return
    check_size(origin, received, wanted.bytes, _NOT_KEPT)
    check_digest(origin, digest.hexdigest(), wanted.sha256, _NOT_KEPT)


def _read(
    stream: IO[bytes], wanted: WeightEntry | AuxiliaryFile, origin: Origin, final: Path
) -> bytes:
    try:
        return stream.read(CHUNK)
    except _FAULTS as error:
        raise _failed(wanted, origin, final, error) from error


def _failed(
    wanted: WeightEntry | AuxiliaryFile, origin: Origin, final: Path, why: Exception
) -> WeightsError:
    by_hand = _by_hand(wanted, final)
    if isinstance(origin, str):
        hint = f"Try again, name another place with --from, or {by_hand}."
        return WeightsError(f"download failed ({why})", where=origin, hint=hint)
    hint = f"Name another place with --from, or {by_hand}."
    if isinstance(why, FileNotFoundError):
        return WeightsMissingError("there is no such file", where=origin, hint=hint)
    reason = getattr(why, "strerror", None) or why
    return WeightsError(f"cannot be read ({reason})", where=origin, hint=hint)


def _by_hand(wanted: WeightEntry | AuxiliaryFile, final: Path) -> str:
    size = "" if wanted.bytes is None else f"{wanted.bytes:,} bytes, "
    return f"put {wanted.file} ({size}SHA-256 {wanted.sha256}) at {final}"
