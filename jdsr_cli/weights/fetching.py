"""Fetch weight files by name from a folder or an address; nothing is fetched at import."""

from __future__ import annotations

import hashlib
import os
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import IO
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit

from jdsr_cli import __version__
from jdsr_cli.atomic import atomic_file
from jdsr_cli.errors import OutputError, UsageError, WeightsError, WeightsMissingError
from jdsr_cli.progress import Progress, Silent
from jdsr_cli.weights.inventory import AuxiliaryFile, check_auxiliary, select_entries, verified_path
from jdsr_cli.weights.locations import cache_directory, check_digest, find_file
from jdsr_cli.weights.registry import WeightEntry, check_size

TIMEOUT = 30.0
"""Seconds without an answer after which a download is given up."""
SCHEMES = ("https", "http")

Origin = Path | str
"""A file in a folder, or the address of one."""


def origin_of(file: str, source: str) -> Origin:
    """Return where `source` has the file of that name, whether or not it does.

    Args:
        file: Name of a weight file, without folders.
        source: A folder, or an https:// or http:// address to whose path the name is appended.

    Raises:
        UsageError: it is neither.

    """
    if "://" not in source:
        folder = Path(source).expanduser()
        if folder.is_dir():
            return folder / file
        raise _no_source(source, "is a file" if folder.exists() else "there is no such folder")
    try:
        address = urlsplit(source)
    except ValueError as error:
        raise _no_source(source, f"is no address ({error})") from error
    if address.scheme not in SCHEMES or not address.hostname:
        raise _no_source(source, "is no https:// or http:// address")
    path = f"{address.path.rstrip('/')}/{quote(file)}"
    return address._replace(path=path, fragment="").geturl()


def open_origin(origin: Origin) -> tuple[IO[bytes], int | None]:
    """Open a file at its origin; return its bytes, to be closed, and their number where told.

    Raises:
        OSError, ValueError, http.client.HTTPException: it is not there, or nobody answers.

    """
    if isinstance(origin, Path):
        stream = origin.open("rb")
        return stream, os.fstat(stream.fileno()).st_size
    request = urllib.request.Request(origin, headers={"User-Agent": f"jdsr/{__version__}"})
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)
    except HTTPError as error:
        error.close()  # it would keep the connection
        raise
    stated = answer.headers.get("Content-Length", "")
    return answer, int(stated) if stated.isdecimal() else None


def _no_source(source: str, what: str) -> UsageError:
    return UsageError(
        what,
        where=f"--from {source}",
        hint="Give a folder that holds weight files, or an https:// address below which they lie.",
    )


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
    (wanted,) = select_entries([name])
    if find_file(wanted.file) is not None:
        return verified_path(wanted)
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
