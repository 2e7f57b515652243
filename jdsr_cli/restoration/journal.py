"""The journal of one input: a line for each segment that is safe on the disk.

The first line holds the request. A line is written after every file that it names has reached
the disk, and is flushed to the disk before work continues, so that after a loss of power the
journal never names a file that is not there. The journal is written twice, and a line counts if
either copy has it. Other damage, to lines or files, is found when it is opened, see `recovery`.

sqlite3 and diskcache were considered and not used: a journal that is appended to can be read by
eye, recovers from a torn write by dropping its last line, and leaves no side files to clean up.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from jdsr_cli.atomic import atomic_file, flush_folder, output_error
from jdsr_cli.errors import OutputError
from jdsr_cli.restoration.finished_segments import (
    FinishedSegment,
    StoredFile,
    describe_segment,
    read_line,
    read_segments,
    write_line,
)
from jdsr_cli.restoration.hashed_files import is_regular
from jdsr_cli.restoration.recovery import Examination
from jdsr_cli.restoration.request import Request, resume_advice
from jdsr_cli.restoration.segment_files import SegmentFiles


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
    NAMES = (NAME, "journal.copy.jsonl")
    """Names of both copies."""

    def __init__(self, folder: Path, request: Request) -> None:
        self._folder = folder
        self._root = folder.parent
        self._run = request.run
        self._files: list[IO[bytes]] = []
        lines = _read_lines(folder)
        _check_request(folder, request, lines)
        known = read_segments(lines, self._run)
        examined = Examination(known, self._root)
        written = SegmentFiles(folder).written()
        # The state of a segment is written before its line.
        complete = written <= len(known) + (not _is_damaged(lines))
        self.recovered = examined.recover(complete=complete)
        self.segments = list(self.recovered.segments)
        try:
            for path in self._paths(folder):
                write_journal(path, request, self.segments)
                self._files.append(path.open("ab"))
        except BaseException as fault:
            self.close()
            if isinstance(fault, OSError) and not isinstance(fault, OutputError):
                raise output_error(fault, folder) from fault
            raise

    @classmethod
    def exists(cls, folder: Path) -> bool:
        """Return whether a folder holds a journal."""
        return any(is_regular(path) for path in cls._paths(folder))

    @classmethod
    def is_lost(cls, folder: Path) -> bool:
        """Return whether there are segments, but no line of a journal."""
        return SegmentFiles(folder).written() > 0 and not any(_read_lines(folder))

    @classmethod
    def examine(cls, folder: Path, request: Request) -> Examination:
        """Compare all files with the journal; nothing is changed.

        Raises:
            OutputError: As the constructor.

        """
        lines = _read_lines(folder)
        _check_request(folder, request, lines)
        return Examination(read_segments(lines, request.run), folder.parent)

    @classmethod
    def _paths(cls, folder: Path) -> list[Path]:
        return [folder / name for name in cls.NAMES]

    @classmethod
    def finished_frames(cls, folder: Path, request: Request) -> int:
        """Return the number of frames in finished segments without changing anything.

        Files are compared by their sizes only.

        Raises:
            OutputError: The journal belongs to another request, or it cannot be read.

        """
        lines, frames = _read_lines(folder), 0
        _check_request(folder, request, lines)
        segments = read_segments(lines, request.run)
        for number in range(len(segments)):
            segment = segments.get(number)
            if segment is None or not segment.has_files(folder.parent):
                break
            frames = segment.frames
        return frames

    @classmethod
    def stored_request(cls, folder: Path) -> Mapping[str, Any]:
        """Return the request of a run that another process writes; empty if there is none."""
        try:
            return _stored_request(_read_lines(folder)) or {}
        except OutputError:
            return {}

    @property
    def frames(self) -> int:
        """Number of frames in finished segments."""
        return self.segments[-1].frames if self.segments else 0

    def add(self, frames: int, next_index: int, files: Sequence[Path], state: Path) -> None:
        """Append a segment whose files are on the disk; their names are when this returns.

        Args:
            frames: Number of frames in all segments up to and including this one.
            next_index: Index in the input of the frame that follows.
            files: Its files.
            state: File of the state at its end.

        Raises:
            OutputError: The disk is full or failing, or a file cannot be read back.

        """
        assert self._files
        try:
            stored = {self._name(path): StoredFile.of(path) for path in files}
            segment = FinishedSegment(
                len(self.segments), frames, next_index, stored, self._name(state),
                StoredFile.of(state),
            )  # fmt: skip
            for written in sorted({path.parent for path in (*files, state)}):
                flush_folder(written)
            self._write(describe_segment(segment, self._run))
        except OSError as fault:
            raise output_error(fault, self._folder) from fault
        self.segments.append(segment)

    def files(self) -> set[Path]:
        """Return the files of all segments, with their states."""
        names = {name for one in self.segments for name in (*one.files, one.state_file)}
        return {self._root / name for name in names}

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
        """Close the files."""
        for file in self._files:
            file.close()

    def _write(self, line: bytes) -> None:
        """Append a line, which reaches the disk before this returns."""
        for file in self._files:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def _name(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()


def write_journal(path: Path, request: Request, segments: Sequence[FinishedSegment]) -> None:
    """Bring a journal to a request and segments, in one step.

    Raises:
        OutputError: It cannot be written.

    """
    lines = [write_line(request.to_json())]
    lines += [describe_segment(segment, request.run) for segment in segments]
    content = b"".join(lines)
    if is_regular(path) and path.read_bytes() == content:
        return
    with atomic_file(path) as partial:
        partial.write_bytes(content)


def _read_lines(folder: Path) -> list[bytes]:
    """Return the lines of both copies of a journal, of which each may be damaged or missing.

    Raises:
        OutputError: A copy is there, but cannot be read.

    """
    lines: list[bytes] = []
    for name in Journal.NAMES:
        path = folder / name
        if not is_regular(path):
            continue
        try:
            lines += path.read_bytes().split(b"\n")
        except OSError as fault:
            raise OutputError(
                f"the journal of the interrupted run cannot be read ({fault.strerror or fault})",
                where=path,
                hint="Make it readable, and repeat the command with --resume.",
            ) from fault
    return lines


def _is_damaged(lines: Sequence[bytes]) -> bool:
    """Return whether a line of a journal is damaged, or a copy of it missing."""
    values = [read_line(line) for line in lines if line]
    requests = sum(1 for value in values if value is not None and "asked" in value)
    return None in values or requests < len(Journal.NAMES)


def _stored_request(lines: Sequence[bytes]) -> dict[str, Any] | None:
    """Return the request that intact lines of a journal hold; None if none does."""
    values = (value for line in lines if (value := read_line(line)) is not None)
    return next((value for value in values if "asked" in value), None)


def _check_request(folder: Path, request: Request, lines: Sequence[bytes]) -> None:
    """Check that a journal is of a request, as far as its intact lines say.

    Raises:
        OutputError: It is of another one.

    """
    if not any(lines):
        return
    stored = _stored_request(lines)
    if stored is None:
        # The lines of the request are damaged; every other one names the run.
        runs = {value.get("run") for line in lines if (value := read_line(line)) is not None}
        stored = _read_unchecked(lines[0])
        if request.run in runs or (not runs and stored is None):
            return
    differences = request.differences(stored or {})
    if differences:
        more = f" and {len(differences) - 3} more" if len(differences) > 3 else ""
        raise OutputError(
            f"the interrupted run here was another: {'; '.join(differences[:3])}{more}",
            where=folder,
            hint=f"{resume_advice(stored or {}, request.to_json())}, or start again with --force.",
        )


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
