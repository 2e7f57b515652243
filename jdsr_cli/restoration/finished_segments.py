"""The segments that a run has finished: lines of its journal, and their files.

Each line of a journal ends in a checksum of itself, names the request of its run, and holds the
hash of each file of a segment and of the state at its end.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jdsr_cli.errors import InputUnreadableError
from jdsr_cli.evidence import sha256_file
from jdsr_cli.restoration.hashed_files import is_regular

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
        """Whether there is a file, and no link to one, with this size and this hash."""
        try:
            return self.has_size_of(path) and sha256_file(path) == self.sha256
        except (OSError, InputUnreadableError):
            return False

    def has_size_of(self, path: Path) -> bool:
        """Whether there is a file, and no link to one, with this size."""
        return is_regular(path) and path.stat().st_size == self.bytes


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
            return all(one.has_size_of(root / name) for name, one in self.files.items())
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


def read_segments(lines: Iterable[bytes], run: str) -> dict[int, FinishedSegment]:
    """Return the segments of the intact lines of a run by their numbers, whatever their order."""
    segments: dict[int, FinishedSegment] = {}
    for line in lines:
        value = read_line(line)
        if value is None or value.pop("run", None) != run:
            continue
        try:
            files = {name: StoredFile(**one) for name, one in value.pop("files").items()}
            state = StoredFile(**value.pop("state"))
            segment = FinishedSegment(files=files, state=state, **value)
        except (TypeError, KeyError, AttributeError):
            continue
        segments[segment.number] = segment
    return segments
