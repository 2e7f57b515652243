"""The segments of an interrupted run that can be trusted: lines of a journal, and their files.

Each line of a journal ends in a checksum of itself, names the request of its run, and holds the
hash of each file of a segment and of the state at its end. What a disk or a copy has damaged is
found before a run continues; the run then continues from the last segment that is whole together
with all before it, and whose state is.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jdsr_cli.errors import InputUnreadableError
from jdsr_cli.evidence import sha256_file

CHECK_LENGTH = 16
"""Hexadecimal digits of the checksum of a line."""
_CHECKED_LINE = re.compile(rb'(\{.*), "check": "([0-9a-f]{%d})"\}' % CHECK_LENGTH)


@dataclass(frozen=True)
class StoredFile:
    """A file as it was written."""

    bytes: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> StoredFile:
        """Return size and hash of a file.

        Raises:
            OSError: It cannot be read.

        """
        return cls(path.stat().st_size, sha256_file(path))

    def is_at(self, path: Path) -> bool:
        """Whether a file has this size and this hash."""
        try:
            return path.stat().st_size == self.bytes and sha256_file(path) == self.sha256
        except (OSError, InputUnreadableError):
            return False


@dataclass(frozen=True)
class FinishedSegment:
    """A run of frames whose results are on the disk."""

    number: int
    """Number of the segment, from 0."""
    frames: int
    """Number of frames in all segments up to and including this one."""
    next_index: int
    """Index in the input of the frame that follows."""
    files: Mapping[str, StoredFile]
    """Each of its files by its path relative to the folder that contains work and results."""
    state_file: str
    """Path of the state at its end, likewise."""
    state: StoredFile

    def damaged_file(self, root: Path) -> str | None:
        """Return the first of its files that is not as it was written, None if all are."""
        damaged = (name for name, one in self.files.items() if not one.is_at(root / name))
        return next(damaged, None)

    def has_state(self, root: Path) -> bool:
        """Whether the state at its end is there as it was written."""
        return self.state.is_at(root / self.state_file)

    def has_files(self, root: Path) -> bool:
        """Whether all its files are there with their sizes."""
        try:
            return all((root / n).stat().st_size == one.bytes for n, one in self.files.items())
        except OSError:
            return False


def write_line(value: Mapping[str, Any]) -> bytes:
    """Return a line of a journal, with its checksum."""
    # Names of files may hold bytes that are no text.
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogateescape")
    return text[:-1] + f', "check": "{_checksum(text)}"}}\n'.encode()


def read_line(line: bytes) -> dict[str, Any] | None:
    """Return what `write_line` wrote, without the checksum; None if the line is damaged."""
    match = _CHECKED_LINE.fullmatch(line)
    if match is None:
        return None
    text = match[1] + b"}"
    if _checksum(text) != match[2].decode():
        return None
    value: dict[str, Any] = json.loads(text.decode("utf-8", "surrogateescape"))
    return value


def _checksum(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:CHECK_LENGTH]


def describe_segment(segment: FinishedSegment, run: str) -> bytes:
    """Return the line of a segment; `run` identifies the request."""
    return write_line({**asdict(segment), "run": run})


def read_segments(lines: Sequence[bytes], run: str) -> Iterator[FinishedSegment | None]:
    """Yield the segment of each line; None for a line that is damaged or of another request."""
    for line in lines:
        value = read_line(line)
        if value is None or value.pop("run", None) != run:
            yield None
            continue
        try:
            files = {name: StoredFile(**one) for name, one in value.pop("files").items()}
            state = StoredFile(**value.pop("state"))
            yield FinishedSegment(files=files, state=state, **value)
        except (TypeError, KeyError, AttributeError):
            yield None


@dataclass(frozen=True)
class Recovered:
    """What of an interrupted run can be trusted."""

    segments: tuple[FinishedSegment, ...] = ()
    lost: int = 0
    """Frames of finished segments that are to be done again, as far as intact lines name them."""
    fault: str | None = None
    """What is damaged; None if everything is as it was written."""

    @property
    def frames(self) -> int:
        """Number of frames in the segments."""
        return self.segments[-1].frames if self.segments else 0

    @property
    def note(self) -> str | None:
        """Sentence for the user if something is damaged."""
        if self.fault is None:
            return None
        again = f"{self.lost} of its frames are" if self.lost else "what followed is"
        return (
            f"the interrupted run is damaged ({self.fault}): it continues after {self.frames} "
            f"frames, {again} done again"
        )


def recover(lines: Sequence[bytes], run: str, root: Path) -> Recovered:
    """Return the segments from which a run can continue; hashes all their files.

    Args:
        lines: Complete lines of the journal after that of the request.
        run: Identifier of the request.
        root: Folder that contains work and results.

    """
    read = list(read_segments(lines, run))
    known = [one for one in read if one is not None]
    fault: str | None = None
    whole: list[FinishedSegment] = []
    for segment in read:
        if segment is None or segment.number != len(whole):
            fault = "its journal"
            break
        damaged = segment.damaged_file(root)
        if damaged is not None:
            fault = damaged
            break
        whole.append(segment)
    while whole and not whole[-1].has_state(root):
        fault = fault or whole[-1].state_file
        whole.pop()
    frames = whole[-1].frames if whole else 0
    total = max((one.frames for one in known), default=0)
    return Recovered(tuple(whole), total - frames, fault)


def listed_frames(lines: Sequence[bytes], run: str, root: Path) -> int:
    """Return the number of frames of the segments whose files have their sizes, without hashing."""
    frames = 0
    for number, segment in enumerate(read_segments(lines, run)):
        if segment is None or segment.number != number or not segment.has_files(root):
            break
        frames = segment.frames
    return frames
