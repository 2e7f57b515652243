"""The journal of one input: a line for each segment that is safe on the disk.

The first line holds the request. A line is written after every file that it names has reached
the disk, and is flushed to the disk before work continues, so that after a loss of power the
journal never names a file that is not there. A last line that was cut off counts as not written.

sqlite3 and diskcache were considered and not used: a journal that is appended to can be read by
eye, recovers from a torn write by dropping its last line, and leaves no side files to clean up.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from jdsr_cli.atomic import output_error
from jdsr_cli.errors import OutputError

LOCK = "journal.lock"


@dataclass(frozen=True)
class Request:
    """Everything that determines the bytes of a result; identifies runs and their results."""

    asked: Mapping[str, Any]
    """Command, hash of the input, settings, weights and detector, ready for JSON."""
    tools: Mapping[str, Any]
    """Device and versions of the packages that affect pixels."""

    @property
    def digest(self) -> str:
        """SHA-256 of `asked`, stored in the manifest."""
        return hashlib.sha256(_canonical(self.asked).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return the request as JSON-compatible values."""
        stored: dict[str, Any] = json.loads(_canonical({"asked": self.asked, "tools": self.tools}))
        return stored

    def differences(self, stored: Mapping[str, Any]) -> list[str]:
        """Describe each difference to a stored request; empty if they are equal."""
        return [
            f"{name} was {json.dumps(before)} and is {json.dumps(now)}"
            for name, before, now in _leaves(stored, self.to_json())
            if before != now
        ]


@dataclass(frozen=True)
class FinishedSegment:
    """A run of frames whose results are on the disk."""

    number: int
    """Number of the segment, from 0."""
    frames: int
    """Number of frames in all segments up to and including this one."""
    next_index: int
    """Index in the input of the frame that follows."""
    files: dict[str, int]
    """Size in bytes of each of its files, by name."""


class Journal:
    """The journal in a folder; open and locked from construction to `close`.

    Args:
        folder: Folder of the work in progress; exists.
        request: Written as the first line of a new journal.

    Raises:
        OutputError: Another run uses the folder, the journal belongs to another request, or it
            cannot be written.

    """

    NAME = "journal.jsonl"

    def __init__(self, folder: Path, request: Request) -> None:
        self._path = folder / self.NAME
        self._lock = _acquire(folder)
        try:
            self._file: IO[bytes] = self._path.open("ab+")
        except OSError as fault:
            self._lock.release()
            raise output_error(fault, self._path) from fault
        try:
            self._file.seek(0)
            self.segments, length = _parse(self._file.read(), folder, request)
            self._truncate(length, request)
        except BaseException:
            self.close()
            raise

    @classmethod
    def finished_frames(cls, folder: Path, request: Request) -> int:
        """Return the number of frames in finished segments without changing anything.

        Raises:
            OutputError: As the constructor.

        """
        segments, _ = _parse(_locked_content(folder), folder, request)
        return segments[-1].frames if segments else 0

    @classmethod
    def check_unlocked(cls, folder: Path) -> None:
        """Raise `OutputError` if another run has the journal of `folder` open."""
        _locked_content(folder)

    @classmethod
    def stored_request(cls, folder: Path) -> Mapping[str, Any]:
        """Return the request of a run that another process writes; empty if there is none."""
        try:
            with (folder / cls.NAME).open("rb") as file:
                stored = json.loads(file.readline())
        except (OSError, ValueError):
            return {}
        return stored if isinstance(stored, dict) else {}

    @property
    def frames(self) -> int:
        """Number of frames in finished segments."""
        return self.segments[-1].frames if self.segments else 0

    def add(self, segment: FinishedSegment) -> None:
        """Append a segment whose files are on the disk.

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
        """Close the file and release the lock."""
        self._file.close()
        self._lock.release()

    def _truncate(self, length: int, request: Request) -> None:
        """Cut off everything after the valid lines; write the request if none is left.

        At no time is a valid line missing on the disk.
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


def _canonical(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


def _leaves(before: Any, now: Any, name: str = "") -> list[tuple[str, Any, Any]]:
    """Return the leaves of two trees in pairs, with their dotted names."""
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return [(name, before, now)]
    return [
        leaf
        for key in sorted(before.keys() | now.keys())
        for leaf in _leaves(before.get(key), now.get(key), f"{name}.{key}".lstrip("."))
    ]


def _line(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


def _acquire(folder: Path) -> FileLock:
    # The run is opened by one thread and closed by another.
    lock = FileLock(folder / LOCK, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout as fault:
        raise OutputError(
            "another run is writing this result",
            where=folder,
            hint="Wait for it, or choose another folder with --out.",
        ) from fault
    except OSError as fault:
        raise output_error(fault, folder) from fault
    return lock


def _locked_content(folder: Path) -> bytes:
    """Return the journal of a folder to which no other run writes."""
    lock = _acquire(folder)
    try:
        return (folder / Journal.NAME).read_bytes()
    except OSError as fault:
        raise output_error(fault, folder) from fault
    finally:
        lock.release()


def _parse(content: bytes, folder: Path, request: Request) -> tuple[list[FinishedSegment], int]:
    """Return the complete segments, and the length in bytes of their part of the journal."""
    lines = content.split(b"\n")[:-1]
    values: list[Any] = []
    for line in lines:
        try:
            values.append(json.loads(line))
        except ValueError:
            break
    if not values:
        return [], 0
    _check_request(folder, request, values[0])
    segments = _complete_segments(folder, values[1:])
    return segments, sum(len(line) + 1 for line in lines[: 1 + len(segments)])


def _check_request(folder: Path, request: Request, stored: Any) -> None:
    differences = request.differences(stored if isinstance(stored, dict) else {})
    if differences:
        more = f" and {len(differences) - 3} more" if len(differences) > 3 else ""
        raise OutputError(
            f"the interrupted run here was another: {'; '.join(differences[:3])}{more}",
            where=folder,
            hint="Repeat the same command with --resume (with the --weights of that run, if they "
            "are not the default now), or start again with --force.",
        )


def _complete_segments(folder: Path, lines: Sequence[Any]) -> list[FinishedSegment]:
    """Return the segments whose files are complete, up to the first that is not."""
    found: list[FinishedSegment] = []
    for line in lines:
        try:
            segment = FinishedSegment(**line)
            complete = all(_size(folder / name) == size for name, size in segment.files.items())
        except (TypeError, AttributeError):
            break
        if not complete or segment.number != len(found):
            break
        found.append(segment)
    return found


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
