"""The journal of one input: a line for each segment that is safe on the disk.

The first line holds the request. A line is written after every file that it names has reached
the disk, and reaches the disk itself before work goes on, so that after a loss of power the
journal never promises what is not there. A last line that was cut off counts as not written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from jdsr_cli.atomic import output_error
from jdsr_cli.errors import OutputError
from jdsr_cli.restoration.journal.request import Request

try:
    import fcntl
except ImportError:  # Windows: no lock, as its files cannot be shared by two writers anyway
    fcntl = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Segment:
    """A run of finished frames."""

    number: int
    """From 0."""
    frames: int
    """Frames in all segments up to this one."""
    next_index: int
    """Index in the input of the frame that follows."""
    files: dict[str, int]
    """Bytes of each of its files, by name."""


class Journal:
    """Journal in a folder; open from construction to `close`.

    Args:
        folder: Of the work in progress, which exists.
        request: What is being done; written as the first line of a new journal.

    Raises:
        OutputError: Another run works here, the journal is of another request, or it cannot be
            written.

    """

    NAME = "journal.jsonl"

    def __init__(self, folder: Path, request: Request) -> None:
        self._path = folder / self.NAME
        self.segments: list[Segment] = []
        try:
            self._file: IO[bytes] = self._path.open("ab+")
        except OSError as fault:
            raise output_error(fault, self._path) from fault
        try:
            self._lock()
            lines = self._read()
            if lines:
                self._check(request, lines[0])
                self.segments = _complete(folder, lines[1:])
                self._rewrite(lines[: 1 + len(self.segments)])
            else:
                self._rewrite([request.to_json()])
        except BaseException:
            self._file.close()
            raise

    @property
    def frames(self) -> int:
        """Frames in finished segments."""
        return self.segments[-1].frames if self.segments else 0

    def add(self, segment: Segment) -> None:
        """Note a segment whose files are on the disk.

        Raises:
            OutputError: The disk is full or failing.

        """
        try:
            self._file.write(_line(asdict(segment)))
            self._flush()
        except OSError as fault:
            raise output_error(fault, self._path) from fault
        self.segments.append(segment)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _lock(self) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            raise OutputError(
                "another run is at work on this result",
                where=self._path.parent,
                hint="Wait for it, or choose another folder with --out.",
            ) from fault

    def _read(self) -> list[Any]:
        self._file.seek(0)
        found = []
        for line in self._file.read().split(b"\n")[:-1]:
            try:
                found.append(json.loads(line))
            except ValueError:
                break
        return found

    def _check(self, request: Request, stored: Any) -> None:
        differences = request.differences(stored if isinstance(stored, dict) else {})
        if differences:
            more = f" and {len(differences) - 3} more" if len(differences) > 3 else ""
            raise OutputError(
                f"the interrupted run here was another: {'; '.join(differences[:3])}{more}",
                where=self._path.parent,
                hint="Repeat the same command with --resume, or start anew with --force.",
            )

    def _rewrite(self, lines: Sequence[Any]) -> None:
        """Keep these lines only."""
        try:
            self._file.truncate(0)
            self._file.write(b"".join(map(_line, lines)))
            self._flush()
        except OSError as fault:
            raise output_error(fault, self._path) from fault

    def _flush(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())


def _line(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


def _complete(folder: Path, lines: Sequence[Any]) -> list[Segment]:
    """Return the segments whose files are all there, up to the first that is not."""
    found: list[Segment] = []
    for line in lines:
        try:
            segment = Segment(**line)
            there = all(_size(folder / name) == size for name, size in segment.files.items())
        except (TypeError, AttributeError):
            break
        if not there or segment.number != len(found):
            break
        found.append(segment)
    return found


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
