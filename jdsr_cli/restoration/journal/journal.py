"""The journal of one input: a line for each segment that is safe on the disk.

The first line holds the request. A line is written after every file that it names has reached
the disk, and reaches the disk itself before work goes on, so that after a loss of power the
journal never promises what is not there. A last line that was cut off counts as not written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
        try:
            self._file: IO[bytes] = self._path.open("ab+")
        except OSError as fault:
            raise output_error(fault, self._path) from fault
        try:
            _lock(self._file, folder, alone=True)
            self.segments, length = _read(self._file, folder, request)
            self._keep(length, request)
        except BaseException:
            self._file.close()
            raise

    @classmethod
    def look(cls, folder: Path, request: Request) -> int:
        """Return the number of frames in finished segments, changing nothing.

        Raises:
            OutputError: As the constructor.

        """
        with _opened(folder) as file:
            segments, _ = _read(file, folder, request)
        return segments[-1].frames if segments else 0

    @classmethod
    def refuse_busy(cls, folder: Path) -> None:
        """Raise `OutputError` where another run has the journal of `folder` open."""
        with _opened(folder):
            pass

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

    def _keep(self, length: int, request: Request) -> None:
        """Cut off what is no whole line of use; begin with the request where nothing is left.

        Never is there a moment at which a line of use is not on the disk.
        """
        try:
            if self._file.seek(0, os.SEEK_END) > length:
                self._file.truncate(length)
                self._flush()
            if not length:
                self._file.write(_line(request.to_json()))
                self._flush()
        except OSError as fault:
            raise output_error(fault, self._path) from fault

    def _flush(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())


def _line(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


@contextmanager
def _opened(folder: Path) -> Iterator[IO[bytes]]:
    """Open the journal of a folder to look at it, while no other run writes to it."""
    try:
        file = (folder / Journal.NAME).open("rb")
    except OSError as fault:
        raise output_error(fault, folder) from fault
    with file:
        _lock(file, folder, alone=False)
        yield file


def _lock(file: IO[bytes], folder: Path, *, alone: bool) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError as fault:
        raise OutputError(
            "another run is at work on this result",
            where=folder,
            hint="Wait for it, or choose another folder with --out.",
        ) from fault


def _read(file: IO[bytes], folder: Path, request: Request) -> tuple[list[Segment], int]:
    """Return the segments that are safe, and the bytes of the journal that tell of them."""
    file.seek(0)
    lines = file.read().split(b"\n")[:-1]
    values: list[Any] = []
    for line in lines:
        try:
            values.append(json.loads(line))
        except ValueError:
            break
    if not values:
        return [], 0
    _check(folder, request, values[0])
    segments = _complete(folder, values[1:])
    return segments, sum(len(line) + 1 for line in lines[: 1 + len(segments)])


def _check(folder: Path, request: Request, stored: Any) -> None:
    differences = request.differences(stored if isinstance(stored, dict) else {})
    if differences:
        more = f" and {len(differences) - 3} more" if len(differences) > 3 else ""
        raise OutputError(
            f"the interrupted run here was another: {'; '.join(differences[:3])}{more}",
            where=folder,
            hint="Repeat the same command with --resume (with the --weights of that run, if they "
            "are not the default now), or start anew with --force.",
        )


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
