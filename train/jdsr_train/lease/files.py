"""Small files that are whole or not there, digests, and words for the one who reads a call."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jdsr_cli.atomic import atomic_file
from jdsr_cli.errors import InputUnreadableError

MIB = 1 << 20
CHUNK = 1 << 20
FIXED_TIME = 1_767_225_600
"""Modification time of everything that travels, in seconds: 2026-01-01 UTC. Prepared faces are told
by names, sizes and times, which must be the same after every copy."""


def say(text: str) -> None:
    """Print a line at once: a call that is cut off shows what was printed until then."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def mib(size: float) -> str:
    """Return a size in MiB with one decimal."""
    return f"{size / MIB:.1f} MiB"


def write_json(path: Path, value: Any) -> None:
    """Write a value so that the file is the old or the new one at any time.

    Raises:
        OutputError: It cannot be written.

    """
    with atomic_file(path, make_folder=True) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read what `write_json` wrote; None where there is no such file.

    Raises:
        InputUnreadableError: It is damaged.

    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputUnreadableError(
            f"cannot be read ({error})", where=path, hint="Delete it and give the command again"
        ) from error


def digest(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def copy_range(
    source: Path, target: Path, first: int, length: int, see: Callable[[bytes], None]
) -> str:
    """Copy a range of a file's bytes into a new file, with the fixed time.

    Args:
        source: What is read.
        target: What is written; its folder is made.
        first: Where the range begins.
        length: Bytes of it.
        see: Gets the bytes as they pass.

    Returns:
        The SHA-256 of the range.

    """
    target.parent.mkdir(parents=True, exist_ok=True)
    found, left = hashlib.sha256(), length
    with source.open("rb") as reading, atomic_file(target) as temporary:
        reading.seek(first)
        with temporary.open("wb") as writing:
            while left and (data := reading.read(min(CHUNK, left))):
                writing.write(data)
                found.update(data)
                see(data)
                left -= len(data)
        os.utime(temporary, (FIXED_TIME, FIXED_TIME))
    return found.hexdigest()


def tail(path: Path, size: int) -> bytes:
    """Return the last bytes of a file, nothing where it is not there."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - size))
            return stream.read()
    except FileNotFoundError:
        return b""
