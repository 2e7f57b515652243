"""What a stage must remember at the end of a segment, in one file without pickles."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.atomic import atomic_file
from jdsr_cli.errors import InputUnreadableError

_VALUES = "values"


@dataclass(frozen=True)
class Snapshot:
    """Numbers and arrays that bring a stage back to where it was, to the bit."""

    values: Mapping[str, Any] = field(default_factory=dict)
    """What JSON holds exactly: numbers, texts, lists and tables of them."""
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def part(self, name: str) -> Snapshot:
        """Return what was stored under `name` by `join`."""
        start = f"{name}/"
        arrays = {
            key.removeprefix(start): array
            for key, array in self.arrays.items()
            if key.startswith(start)
        }
        return Snapshot(self.values[name], arrays)

    @classmethod
    def join(cls, **parts: Snapshot) -> Snapshot:
        """Return one snapshot that holds several by name."""
        arrays = {
            f"{name}/{key}": array
            for name, part in parts.items()
            for key, array in part.arrays.items()
        }
        return cls({name: part.values for name, part in parts.items()}, arrays)

    def write(self, path: Path) -> None:
        """Write the file whole, or not at all; OutputError where it cannot be written."""
        text = json.dumps(self.values, ensure_ascii=False)
        stored: dict[str, Any] = {f"array/{name}": one for name, one in self.arrays.items()}
        stored[_VALUES] = np.frombuffer(text.encode(), np.uint8)
        with atomic_file(path) as partial, partial.open("wb") as file:
            np.savez(file, **stored)

    @classmethod
    def read(cls, path: Path) -> Snapshot:
        """Read a file that `write` wrote.

        Raises:
            InputUnreadableError: It is missing or damaged.

        """
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
                values = json.loads(stored[_VALUES].tobytes())
                names = [name for name in stored.files if name.startswith("array/")]
                arrays = {name.removeprefix("array/"): stored[name] for name in names}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as fault:
            raise InputUnreadableError(
                "the state of the interrupted run is damaged",
                where=path,
                hint="Start anew with --force.",
            ) from fault
        return cls(values, arrays)
