"""Where weight files come from: a folder, or an address that the file's name is appended to."""

from __future__ import annotations

import os
import urllib.request
from pathlib import Path
from typing import IO
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit

from jdsr_cli import __version__
from jdsr_cli.errors import UsageError

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
