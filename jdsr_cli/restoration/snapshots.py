"""The state of stages and sinks at the end of a segment, from which a run resumes."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import InputUnreadableError
from jdsr_cli.restoration.hashed_files import read_hashed, write_hashed

DAMAGED_STATE = "the state of the interrupted run is damaged"
_VALUES = "values"
_READING = Lock()
"""NumPy parses headers by `ast.literal_eval`, which at times raises SystemError when several
threads call it (CPython 3.11 and 3.12, gh-106905)."""


@dataclass(frozen=True)
class Snapshot:
    """The exact state of a stage or sink at the end of a segment; stored without pickles."""

    values: Mapping[str, Any] = field(default_factory=dict)
    """JSON-compatible values."""
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def part(self, name: str) -> Snapshot:
        """Return the snapshot that `join` stored under `name`."""
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

    def write(self, path: Path, run: str) -> None:
        """Write the file atomically; OutputError if it cannot be written.

        Args:
            path: The file.
            run: Identifier of the run, see `Request.run`.

        """
        text = json.dumps(self.values, ensure_ascii=False)
        stored: dict[str, Any] = {f"array/{name}": one for name, one in self.arrays.items()}
        stored[_VALUES] = np.frombuffer(text.encode(), np.uint8)
        content = io.BytesIO()
        np.savez(content, **stored)
        write_hashed(path, [content.getvalue()], run)

    @classmethod
    def read(cls, path: Path, run: str, what: str = DAMAGED_STATE) -> Snapshot:
        """Read a file written by `write`.

        Args:
            path: The file.
            run: Identifier of the run that wrote it.
            what: Message if it is damaged.

        Raises:
            InputUnreadableError: It is missing, damaged or of another run.

        """
        try:
            content = io.BytesIO(read_hashed(path, run))
            with _READING, np.load(content, allow_pickle=False) as stored:
                values = json.loads(stored[_VALUES].tobytes())
                names = [name for name in stored.files if name.startswith("array/")]
                arrays = {name.removeprefix("array/"): stored[name] for name in names}
        except (OSError, ValueError, KeyError) as fault:
            hint = "Repeat the command with --resume."
            raise InputUnreadableError(what, where=path, hint=hint) from fault
        return cls(values, arrays)
