"""File helpers and the table of staged files with their pieces and SHA-256."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jdsr_cli.atomic import atomic_file
from jdsr_cli.errors import InputMissingError, InputUnreadableError
from jdsr_cli.file_names import as_text

MIB = 1 << 20
CHUNK = 1 << 20
FIXED_TIME = 1_767_225_600
"""Modification time of all carried files, in seconds: 2026-01-01 UTC. Prepared faces are identified
by names, sizes and times, which must be the same after every copy."""


def print_line(text: str) -> None:
    """Print text and flush it, so that an interrupted call shows what was printed before."""
    sys.stdout.writelines(f"{as_text(line)}\n" for line in text.split("\n"))
    sys.stdout.flush()


def format_mib(size: float) -> str:
    """Return a size in MiB with one decimal."""
    return f"{size / MIB:.1f} MiB"


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, atomically.

    Raises:
        OutputError: It cannot be written.

    """
    with atomic_file(path, make_folder=True) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file; None if it does not exist.

    Raises:
        InputUnreadableError: The file is damaged.

    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputUnreadableError(
            f"cannot be read ({error})", where=path, hint="Delete it and run the command again"
        ) from error


def digest(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def copy_range(
    source: Path, target: Path, first: int, length: int, on_data: Callable[[bytes], None]
) -> str:
    """Copy a range of bytes into a new file with the fixed modification time.

    Args:
        source: The file to read.
        target: The file to write; its folder is created.
        first: First byte of the range.
        length: Number of bytes.
        on_data: Called with each chunk of bytes.

    Returns:
        The SHA-256 of the range.

    """
    target.parent.mkdir(parents=True, exist_ok=True)
    hasher, remaining = hashlib.sha256(), length
    with source.open("rb") as reading, atomic_file(target) as temporary:
        reading.seek(first)
        with temporary.open("wb") as writing:
            while remaining and (data := reading.read(min(CHUNK, remaining))):
                writing.write(data)
                hasher.update(data)
                on_data(data)
                remaining -= len(data)
        os.utime(temporary, (FIXED_TIME, FIXED_TIME))
    return hasher.hexdigest()


def tail(path: Path, size: int) -> bytes:
    """Return the last bytes of a file; empty if it does not exist."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - size))
            return stream.read()
    except FileNotFoundError:
        return b""


TABLE = "parts.json"


@dataclass(frozen=True)
class Piece:
    """A range of a file that one part contains; a file that is not split has one piece."""

    part: int
    path: str
    """Path in the folder of the part."""
    bytes: int
    sha256: str


@dataclass(frozen=True)
class StagedFile:
    """A file of the data folder of the leased machine."""

    kind: str
    """`faces`, `masks`, `features`, `parsing` or `weights`."""
    path: str
    bytes: int
    sha256: str
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class PartsTable:
    """The table of all staged files."""

    parts: int
    files: tuple[StagedFile, ...]
    given: Mapping[str, str]
    """Option value of `jdsr train` for each kind of input, relative to the data folder."""

    def of_kind(self, kind: str) -> list[StagedFile]:
        """Return the files of a kind."""
        return [file for file in self.files if file.kind == kind]

    def save(self, folder: Path) -> None:
        """Write the table into a folder."""
        write_json(folder / TABLE, asdict(self))


def read_parts_table(folder: Path) -> PartsTable:
    """Read the table of a folder.

    Raises:
        InputMissingError: The table does not exist.
        InputUnreadableError: The file is damaged.

    """
    values = read_json(folder / TABLE)
    if values is None:
        raise InputMissingError(
            "no table of parts", where=folder / TABLE, hint="Add its folder to the carried paths"
        )
    try:
        return PartsTable(
            values["parts"], tuple(map(_file, values["files"])), dict(values["given"])
        )
    except (KeyError, TypeError) as error:
        raise InputUnreadableError(
            f"not a table of parts ({error!r})", where=folder / TABLE, hint="Stage again"
        ) from error


def _file(values: dict[str, Any]) -> StagedFile:
    pieces: Sequence[dict[str, Any]] = values.pop("pieces")
    return StagedFile(**values, pieces=tuple(Piece(**one) for one in pieces))
