"""The table of what is staged: every file, the pieces that it was cut into, and their SHA-256."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jdsr_cli.errors import InputMissingError, InputUnreadableError
from jdsr_train.lease.files import read_json, write_json

TABLE = "parts.json"


@dataclass(frozen=True)
class Piece:
    """A range of a file that travels in one part; a file that is not cut is one piece."""

    part: int
    path: str
    """In the part's folder."""
    bytes: int
    sha256: str


@dataclass(frozen=True)
class StagedFile:
    """A file as it will lie in the machine's data folder."""

    kind: str
    """`faces`, `masks`, `features`, `parsing` or `weights`."""
    path: str
    bytes: int
    sha256: str
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class Table:
    """Everything that is staged."""

    parts: int
    files: tuple[StagedFile, ...]
    given: Mapping[str, str]
    """What `jdsr train` is given for each kind of input, in the data folder."""

    def of_kind(self, kind: str) -> list[StagedFile]:
        """Return the files of a kind."""
        return [file for file in self.files if file.kind == kind]

    def save(self, folder: Path) -> None:
        """Write the table into a folder."""
        write_json(folder / TABLE, asdict(self))


def read_table(folder: Path) -> Table:
    """Read the table of a folder.

    Raises:
        InputMissingError: There is none.
        InputUnreadableError: It is damaged.

    """
    values = read_json(folder / TABLE)
    if values is None:
        raise InputMissingError(
            "no table of parts", where=folder / TABLE, hint="Name its folder in what is carried"
        )
    try:
        return Table(values["parts"], tuple(map(_file, values["files"])), dict(values["given"]))
    except (KeyError, TypeError) as error:
        raise InputUnreadableError(
            f"is no table of parts ({error!r})", where=folder / TABLE, hint="Stage again"
        ) from error


def _file(values: dict[str, Any]) -> StagedFile:
    pieces: Sequence[dict[str, Any]] = values.pop("pieces")
    return StagedFile(**values, pieces=tuple(Piece(**one) for one in pieces))
