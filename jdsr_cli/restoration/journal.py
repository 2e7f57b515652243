"""The journal of one input: a line for each segment that is safe on the disk.

The first line holds the request. A line is written after every file that it names has reached
the disk, and is flushed to the disk before work continues, so that after a loss of power the
journal never names a file that is not there. A last line that was cut off counts as not written;
other damage, to lines or files, is found when the journal is opened, see `finished_segments`.

sqlite3 and diskcache were considered and not used: a journal that is appended to can be read by
eye, recovers from a torn write by dropping its last line, and leaves no side files to clean up.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from jdsr_cli.atomic import atomic_file, output_error
from jdsr_cli.errors import OutputError
from jdsr_cli.restoration.finished_segments import (
    CHECK_LENGTH,
    FinishedSegment,
    StoredFile,
    describe_segment,
    listed_frames,
    read_line,
    recover,
    write_line,
)


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

    @property
    def run(self) -> str:
        """Identifier of runs that give the same bytes: of what is asked, and of the tools."""
        return hashlib.sha256(_canonical(self.to_json()).encode()).hexdigest()[:CHECK_LENGTH]

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


class Journal:
    """The journal in a folder; open from construction to `close`.

    Args:
        folder: Folder of the work in progress; exists, and no other run writes in it. The folder
            that contains it contains the results as well.
        request: Written as the first line of a new journal.

    Attributes:
        segments: The finished segments.
        recovered: What was found of an interrupted run.

    Raises:
        OutputError: The journal belongs to another request, or it cannot be written.

    """

    NAME = "journal.jsonl"

    def __init__(self, folder: Path, request: Request) -> None:
        self._path = folder / self.NAME
        self._root = folder.parent
        self._run = request.run
        self._file: IO[bytes] | None = None
        try:
            lines = _read_lines(self._path)
            _check_request(folder, request, lines)
            self.recovered = recover(lines[1:], self._run, self._root)
            self.segments = list(self.recovered.segments)
            self._rewrite(request)
            self._file = self._path.open("ab")
        except BaseException as fault:
            self.close()
            if isinstance(fault, OSError) and not isinstance(fault, OutputError):
                raise output_error(fault, self._path) from fault
            raise

    @classmethod
    def finished_frames(cls, folder: Path, request: Request) -> int:
        """Return the number of frames in finished segments without changing anything.

        Files are compared by their sizes only.

        Raises:
            OutputError: The journal belongs to another request, or it cannot be read.

        """
        try:
            lines = _read_lines(folder / cls.NAME)
        except OSError as fault:
            raise output_error(fault, folder) from fault
        _check_request(folder, request, lines)
        return listed_frames(lines[1:], request.run, folder.parent)

    @classmethod
    def stored_request(cls, folder: Path) -> Mapping[str, Any]:
        """Return the request of a run that another process writes; empty if there is none."""
        try:
            with (folder / cls.NAME).open("rb") as file:
                return read_line(file.readline().rstrip(b"\n")) or {}
        except OSError:
            return {}

    @property
    def frames(self) -> int:
        """Number of frames in finished segments."""
        return self.segments[-1].frames if self.segments else 0

    def add(self, frames: int, next_index: int, files: Sequence[Path], state: Path) -> None:
        """Append a segment whose files are on the disk.

        Args:
            frames: Number of frames in all segments up to and including this one.
            next_index: Index in the input of the frame that follows.
            files: Its files.
            state: File of the state at its end.

        Raises:
            OutputError: The disk is full or failing, or a file cannot be read back.

        """
        assert self._file is not None
        try:
            stored = {self._name(path): StoredFile.of(path) for path in files}
            segment = FinishedSegment(
                len(self.segments), frames, next_index, stored, self._name(state),
                StoredFile.of(state),
            )  # fmt: skip
            self._file.write(describe_segment(segment, self._run))
            self._flush()
        except OSError as fault:
            raise output_error(fault, self._path) from fault
        self.segments.append(segment)

    def check_files(self) -> None:
        """Check that the files of all segments are as they were written.

        Raises:
            OutputError: One is not.

        """
        for segment in self.segments:
            damaged = segment.damaged_file(self._root)
            if damaged is not None:
                raise OutputError(
                    "is not as it was written",
                    where=self._root / damaged,
                    hint="The disk may be failing.",
                )

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _flush(self) -> None:
        assert self._file is not None
        self._file.flush()
        os.fsync(self._file.fileno())

    def _name(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()

    def _rewrite(self, request: Request) -> None:
        """Bring the file to the request and the segments that are kept, in one step."""
        lines = [write_line(request.to_json())]
        lines += [describe_segment(segment, self._run) for segment in self.segments]
        content = b"".join(lines)
        if self._path.exists() and self._path.read_bytes() == content:
            return
        with atomic_file(self._path) as partial:
            partial.write_bytes(content)


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


def _read_lines(path: Path) -> list[bytes]:
    """Return the complete lines of a journal; none if there is no journal."""
    return path.read_bytes().split(b"\n")[:-1] if path.exists() else []


def _check_request(folder: Path, request: Request, lines: Sequence[bytes]) -> None:
    """Check that a journal is of a request, as far as its intact lines say.

    Raises:
        OutputError: It is of another one.

    """
    if not any(lines):
        return
    stored = read_line(lines[0])
    if stored is None:
        # The line of the request is damaged; every other one names the run.
        runs = {value.get("run") for line in lines[1:] if (value := read_line(line)) is not None}
        stored = _read_unchecked(lines[0])
        if request.run in runs or (not runs and stored is None):
            return
    differences = request.differences(stored or {})
    if differences:
        more = f" and {len(differences) - 3} more" if len(differences) > 3 else ""
        raise OutputError(
            f"the interrupted run here was another: {'; '.join(differences[:3])}{more}",
            where=folder,
            hint=f"{_advice(stored or {}, request.to_json())}, or start again with --force.",
        )


def _advice(stored: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return how a run can be continued whose stored request is not the one of now."""
    before, found = _weights(stored), _weights(now)
    several, other = before.pop("burst", None), found.pop("burst", None)
    if several == other or before != found or not isinstance(several or other, dict):
        return (
            "Repeat the same command with --resume (with the --weights of that run, if they are "
            "not the default now)"
        )
    if not several:
        return (
            f"That run had no weights for fused faces; move {other['file']} out of the folders of "
            "weights, and repeat the same command with --resume"
        )
    name, file = several.get("name"), several.get("file")
    state = "is another file now" if other is not None else "is missing, or cannot be used"
    return (
        f"The weights of that run for fused faces, {file}, {state}: put back the file with the "
        f"SHA-256 above and the weights that it extends (see `jdsr weights verify {name}`), and "
        "repeat the same command with --resume"
    )


def _weights(request: Mapping[str, Any]) -> dict[str, Any]:
    asked = request.get("asked")
    weights = asked.get("weights") if isinstance(asked, dict) else None
    return dict(weights) if isinstance(weights, dict) else {}


def _read_unchecked(line: bytes) -> dict[str, Any] | None:
    """Return the request of a version without checksums; None if the line is damaged.

    It is empty if the line is intact JSON, but not of a journal.
    """
    try:
        value = json.loads(line)
    except ValueError:
        return None
    if not isinstance(value, dict):
        return {}
    return value if value.keys() <= {"asked", "tools"} else None
