"""Files that end in a SHA-256 of their run, name and content, so that no damage goes unnoticed.

A whole file of another segment, another kind or another run counts as damaged as well.

The checksums of formats such as ZIP do not cover their headers, and some readers raise errors of
any type for damaged ones.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from jdsr_cli.atomic import atomic_file

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

HASH_BYTES = hashlib.sha256().digest_size
_CHUNK = 1 << 20


def write_hashed(path: Path, chunks: Iterable[bytes], run: str) -> None:
    """Write a file that appears when it is complete; its hash follows its content.

    Args:
        path: The file.
        chunks: Its content.
        run: Identifier of the run, see `Request.run`.

    Raises:
        OutputError: It cannot be written.

    """
    digest = _start(path, run)
    with atomic_file(path) as partial, partial.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)
            digest.update(chunk)
        file.write(digest.digest())


def read_hashed(path: Path, run: str) -> bytes:
    """Return the content of a file that `write_hashed` wrote in the same run, without its hash.

    Raises:
        OSError: It cannot be read.
        ValueError: It is damaged, of another run, or had another name.

    """
    if not is_regular(path):
        raise ValueError("not a file")
    stored = path.read_bytes()
    content, stated = stored[:-HASH_BYTES], stored[-HASH_BYTES:]
    digest = _start(path, run)
    digest.update(content)
    if digest.digest() != stated:
        raise ValueError("the file is damaged")
    return content


def is_regular(path: Path) -> bool:
    """Whether there is a file, and no link, pipe or folder; a pipe would be waited for for ever."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def is_whole(path: Path, run: str) -> bool:
    """Whether `read_hashed` would return the content; memory is bounded."""
    if not is_regular(path):
        return False
    digest = _start(path, run)
    try:
        left = path.stat().st_size - HASH_BYTES
        with path.open("rb") as file:
            while left > 0 and (chunk := file.read(min(left, _CHUNK))):
                digest.update(chunk)
                left -= len(chunk)
            return left == 0 and file.read() == digest.digest()
    except OSError:
        return False


def _start(path: Path, run: str) -> Hash:
    """Return a digest of what identifies a file."""
    return hashlib.sha256(f"{run}/".encode() + os.fsencode(path.name) + b"\0")
