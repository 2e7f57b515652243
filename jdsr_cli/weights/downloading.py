"""How a weight file comes to this machine: from a web address or from a folder."""

from __future__ import annotations

import os
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import IO
from urllib.error import HTTPError
from urllib.parse import quote

from jdsr_cli import __version__
from jdsr_cli.errors import UsageError, WeightsError
from jdsr_cli.progress import Progress

SOURCE_VARIABLE = "JDSR_WEIGHTS_SOURCE"
"""Environment variable with the folder or web address that weight files are taken from."""
TIMEOUT = 30.0
"""Seconds without an answer after which a download is given up."""
CHUNK = 1 << 18


def address(file: str, source: str | None, published: str | None) -> str | None:
    """Return where a file is to be had from, as a URL.

    Args:
        file: Name of the file.
        source: A folder that holds it, such as a stick or another checkout's weights/, or the
            http(s) address of one. None is what `JDSR_WEIGHTS_SOURCE` says.
        published: The file's own address, which counts where there is no source.

    Returns:
        The address; None where there is neither a source nor an address of its own.

    Raises:
        UsageError: The source is neither a folder on this machine nor an http(s) address.

    """
    given = source or os.environ.get(SOURCE_VARIABLE)
    if not given:
        return published
    if given.startswith(("https://", "http://")):
        return f"{given.rstrip('/')}/{quote(file)}"
    folder = Path(given).expanduser()
    if not folder.is_dir():
        raise UsageError(
            f"{given!r} is neither a folder on this machine nor an http(s) address",
            where="--from" if source else SOURCE_VARIABLE,
            hint="Give the folder that holds the file, or the address of one",
        )
    return (folder.resolve() / file).as_uri()


def download(url: str, target: Path, final: Path, size: int | None, progress: Progress) -> None:
    """Fill `target` from an address; progress is told of the bytes, as a task of its name.

    Args:
        url: Where it is.
        target: The file that is written.
        final: Where it will lie, for messages.
        size: Bytes, where known.
        progress: Told of them.

    Raises:
        WeightsError: The network or the source fails; faults of the disk pass as they are.

    """
    try:
        request = urllib.request.Request(url, headers={"User-Agent": f"jdsr/{__version__}"})
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)
    except (OSError, HTTPException, ValueError) as error:
        if isinstance(error, HTTPError):
            error.close()
        raise _failed(url, final, str(error)) from error
    stated = answer.headers.get("Content-Length")
    total = int(stated) if stated else size
    received, task = 0, final.name
    progress.begin(task, total)
    try:
        with answer, target.open("wb") as out:
            while chunk := _read(answer, url, final):
                out.write(chunk)
                received += len(chunk)
                progress.advance(task, len(chunk))
    finally:
        progress.end(task)
    if total is not None and received != total:
        raise _failed(url, final, f"it ended after {received:,} of {total:,} bytes")


def _read(answer: IO[bytes], url: str, final: Path) -> bytes:
    try:
        return answer.read(CHUNK)
    except (OSError, HTTPException) as error:
        raise _failed(url, final, str(error)) from error


def _failed(url: str, final: Path, why: str) -> WeightsError:
    return WeightsError(
        f"download failed ({why})",
        where=url,
        hint=f"Try again, or fetch it by other means and put it at {final}.",
    )
