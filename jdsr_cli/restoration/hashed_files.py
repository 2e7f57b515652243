"""Files that end in the SHA-256 of their content, so that no damage goes unnoticed.

The checksums of formats such as ZIP do not cover their headers, and some readers raise errors of
any type for damaged ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from jdsr_cli.atomic import atomic_file

HASH_BYTES = hashlib.sha256().digest_size
_CHUNK = 1 << 20


def write_hashed(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a file that appears when it is complete; its hash follows its content.

    Raises:
        OutputError: It cannot be written.

    """
    digest = hashlib.sha256()
    with atomic_file(path) as partial, partial.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)
            digest.update(chunk)
        file.write(digest.digest())


def read_hashed(path: Path) -> bytes:
    """Return the content of a file without its hash.

    Raises:
        OSError: It cannot be read.
        ValueError: It is damaged.

    """
    stored = path.read_bytes()
    content, stated = stored[:-HASH_BYTES], stored[-HASH_BYTES:]
    if hashlib.sha256(content).digest() != stated:
        raise ValueError("the file is damaged")
    return content


def is_whole(path: Path) -> bool:
    """Whether a file is there and its content is that which was written; memory is bounded."""
    digest = hashlib.sha256()
    try:
        left = path.stat().st_size - HASH_BYTES
        with path.open("rb") as file:
            while left > 0 and (chunk := file.read(min(left, _CHUNK))):
                digest.update(chunk)
                left -= len(chunk)
            return left == 0 and file.read() == digest.digest()
    except OSError:
        return False
