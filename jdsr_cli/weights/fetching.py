"""Fetch weight files by name from a folder or an address; nothing is fetched at import."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, urlsplit

from jdsr_cli.atomic import atomic_file
from jdsr_cli.errors import OutputError, UsageError, WeightsError, WeightsMissingError
from jdsr_cli.excerpts import first_line
from jdsr_cli.progress import Progress, Silent
from jdsr_cli.weights.downloading import (
    CHUNK,
    MOST_BYTES,
    READ_ERRORS,
    SCHEMES,
    Download,
    download,
)
from jdsr_cli.weights.inventory import AuxiliaryFile, check_auxiliary, select_entries, verified_path
from jdsr_cli.weights.locations import cache_directory, check_digest, find_file
from jdsr_cli.weights.registry import WeightEntry, check_size

Origin = Path | str
"""Path or address of a file."""


def origin_of(file: str, source: str) -> Origin:
    """Return the path or address of a file below a source; the file need not exist.

    Args:
        file: Name of a weight file, without folders.
        source: A folder, or an https:// or http:// address to whose path the name is appended.

    Raises:
        UsageError: `source` is neither.

    """
    if "://" not in source:
        folder = Path(source).expanduser()
        if folder.is_dir():
            return folder / file
        raise _source_error(source, "is a file" if folder.exists() else "there is no such folder")
    try:
        address = urlsplit(source)
    except ValueError as error:
        raise _source_error(source, f"is not an address ({error})") from error
    if address.scheme not in SCHEMES or not address.hostname:
        raise _source_error(source, "is not an https:// or http:// address")
    path = f"{address.path.rstrip('/')}/{quote(file)}"
    return address._replace(path=path, fragment="").geturl()


def open_origin(origin: Origin) -> Download:
    """Open a file at its origin.

    Raises:
        OSError, ValueError, http.client.HTTPException: there is no such file, or no response; also
            while chunks are read.

    """
    if not isinstance(origin, Path):
        return download(origin)
    # To open a named pipe, or to read a device, may take for ever.
    if origin.exists() and not origin.is_file():
        raise OSError(errno.EINVAL, "it is not a file")
    size = origin.stat().st_size
    chunks = _chunks_of(origin)
    return Download(size, chunks, chunks.close)


def _chunks_of(path: Path) -> Generator[bytes]:
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            yield chunk


def _source_error(source: str, what: str) -> UsageError:
    return UsageError(
        what,
        where=f"--from {source}",
        hint="Give a folder with weight files, or an https:// address of such a folder.",
    )


_DISCARDED = "The downloaded data were discarded."


def fetch(name: str, source: str | None = None, progress: Progress | None = None) -> Path:
    """Fetch a weight file into the cache unless it is on this machine already.

    Args:
        name: Name of a generator, or the name or file name of one of `AUXILIARY`.
        source: A folder, or an https:// or http:// address to which the file's name is appended;
            None for the address that is recorded for the file.
        progress: Receives the number of bytes, as a task named after the file.

    Returns:
        The path of the verified file.

    Raises:
        UsageError: The name is unknown, or the source is neither a folder nor an address.
        WeightsMissingError: The source does not have the file, or no source is known; the message
            states the file and where to store it.
        WeightsError: The file could not be read to its end.
        WeightsCorruptError: The downloaded or the existing file is not the recorded one.
        OutputError: The cache cannot be written.

    """
    (item,) = select_entries([name])
    if find_file(item.file) is not None:
        return verified_path(item)
    final = cache_directory() / item.file
    origin = _origin(item, source, final)
    try:
        with atomic_file(final, make_folder=True) as temporary:
            _receive(item, origin, temporary, final, progress or Silent())
    except OutputError as error:
        raise OutputError(
            error.what,
            where=error.where,
            hint="Free some space there, or set XDG_CACHE_HOME to a folder that can be written.",
        ) from error
    return final


def _origin(item: WeightEntry | AuxiliaryFile, source: str | None, final: Path) -> Origin:
    if source is not None:
        return origin_of(item.file, source)
    if item.url is not None:
        return item.url
    raise WeightsMissingError(
        f"the weights {item.name} are not on this machine, and no address is recorded for them",
        where=item.file,
        hint=f"Give a folder or an https:// address that has them with --from, or "
        f"{_manual_hint(item, final)}.",
    )


def _receive(
    item: WeightEntry | AuxiliaryFile,
    origin: Origin,
    target: Path,
    final: Path,
    progress: Progress,
) -> None:
    """Download to `target`; errors of the origin, not of the disk, become `WeightsError`."""
    recorded = item.bytes if isinstance(item, WeightEntry) else None
    # Accepted files of others (`AuxiliaryFile.also`) may be somewhat larger than recorded.
    most = recorded or (MOST_BYTES if item.bytes is None else 2 * item.bytes)
    received, digest = 0, hashlib.sha256()
    try:
        found = open_origin(origin)
    except READ_ERRORS as error:
        raise _failed(item, origin, final, error) from error
    stated = found.size
    with closing(found), target.open("wb") as out:
        if recorded is not None and stated is not None:
            check_size(origin, stated, recorded, _DISCARDED)
        if stated is not None and stated > most:
            raise _failed(item, origin, final, ValueError(f"it has {stated:,} bytes"))
        progress.begin(item.file, stated or item.bytes)
        try:
            while received <= most and (chunk := _next(found.chunks, item, origin, final)):
                out.write(chunk)
                digest.update(chunk)
                received += len(chunk)
                progress.advance(item.file, len(chunk))
        finally:
            progress.end(item.file)
    if received > most and recorded is None:
        raise _failed(item, origin, final, ValueError(f"it has more than {most:,} bytes"))
    if stated is not None and received < stated:
        truncated = EOFError(f"it ended after {received:,} of {stated:,} bytes")
        raise _failed(item, origin, final, truncated)
    if isinstance(item, AuxiliaryFile):
        check_auxiliary(origin, digest.hexdigest(), item, _DISCARDED)
        return
    check_size(origin, received, item.bytes, _DISCARDED)
    check_digest(origin, digest.hexdigest(), item.sha256, _DISCARDED)


def _next(
    chunks: Iterator[bytes], item: WeightEntry | AuxiliaryFile, origin: Origin, final: Path
) -> bytes:
    try:
        return next(chunks, b"")
    except READ_ERRORS as error:
        raise _failed(item, origin, final, error) from error


def _failed(
    item: WeightEntry | AuxiliaryFile, origin: Origin, final: Path, cause: Exception
) -> WeightsError:
    manual = _manual_hint(item, final)
    if isinstance(origin, str):
        hint = f"Try again, give another source with --from, or {manual}."
        return WeightsError(f"download failed ({first_line(cause)})", where=origin, hint=hint)
    hint = f"Give another source with --from, or {manual}."
    if isinstance(cause, FileNotFoundError):
        return WeightsMissingError("there is no such file", where=origin, hint=hint)
    reason = getattr(cause, "strerror", None) or cause
    return WeightsError(f"cannot be read ({reason})", where=origin, hint=hint)


def _manual_hint(item: WeightEntry | AuxiliaryFile, final: Path) -> str:
    size = "" if item.bytes is None else f"{item.bytes:,} bytes, "
    return f"put {item.file} ({size}SHA-256 {item.sha256}) at {final}"
