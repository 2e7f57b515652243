"""Find recordings that follow one another in one file, and bytes that belong to none.

Files are joined byte by byte (`cat a.mp4 b.mp4`), and recorders append to a file. FFmpeg reads MP4,
FLV, ASF and Ogg up to the end of the first recording only; of Matroska it reads all, but with the
decoder parameters of the first. Transport and program streams are continuous: several of a kind are
one recording. The structure of a container is followed from one element to the next, without
reading the media data, up to where the next recording starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from jdsr_cli.media.reading.structures import (
    ASF,
    ENDLESS,
    FIRST_BOXES,
    HEAD,
    MP4,
    STRUCTURES,
    TRANSPORT,
    Structure,
)
from jdsr_cli.media.reading.transport import LEAD, TransportStream
from jdsr_cli.media.slices import DataFile, FileSlice

_SEARCH_LENGTH = 16 << 20
"""Number of bytes after a recording in which the next one is searched."""

_NEAR = 1 << 16
"""Number of bytes that are searched before all others."""

_MAX_LOSSES = 100
"""Number of losses of synchronisation after which a transport stream is not followed further."""

_BLOCK = 1 << 20

_MIN_UNREAD = 16
"""Number of bytes that may follow the last recording without being reported."""


@dataclass(frozen=True)
class Contents:
    """What a file contains.

    Attributes:
        recordings: The recordings in order; one that covers the whole file if its structure is
            unknown or continuous.
        unknown: The parts that belong to no recording, other than zero bytes.
        missing: Number of bytes by which an ASF file is cut off, of which FFmpeg reports nothing.

    """

    recordings: tuple[FileSlice, ...]
    unknown: tuple[FileSlice, ...]
    missing: int = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """One sentence for each part that belongs to no recording, and one for what is missing."""
        found = [
            f"{part.size} bytes after byte {part.start} belong to no recording; they were not read"
            for part in self.unknown
        ]
        if self.missing:
            found.append(f"the file is cut off: {self.missing} bytes are missing at its end")
        return tuple(found)


def first_recording(file: Path) -> DataFile:
    """Return the first recording of a file, or the file if it contains only one."""
    first = find_recordings(file).recordings[0]
    return file if first.size == file.stat().st_size else first


def find_recordings(file: Path) -> Contents:
    """Find the recordings in a file.

    Raises:
        OSError: The file cannot be read.

    """
    with file.open("rb") as stream:
        size = stream.seek(0, 2)
        structure = _structure_at(stream, 0)
        if structure is None:
            return Contents((FileSlice(file, 0, size),), ())
        recordings, unknown, missing = [], [], 0
        position = 0
        while structure is not None:
            follow = _follow_losses if structure is TRANSPORT else structure.follow
            stated = follow(stream, position, size)
            if structure is ASF and size < stated < ENDLESS:
                missing = stated - size
            end = min(size, stated)
            recordings.append(FileSlice(file, position, end))
            start = next_recording(stream, end, size)
            position = size if start is None else start
            if is_meaningful(stream, end, position):
                unknown.append(FileSlice(file, end, position))
            structure = None if start is None else _structure_at(stream, start)
    return Contents(tuple(recordings), tuple(unknown), missing)


def _follow_losses(stream: BinaryIO, position: int, size: int) -> int:
    """Return where a transport stream ends in which packets may be lost or damaged."""
    for _ in range(_MAX_LOSSES):
        end = TRANSPORT.follow(stream, position, size)
        start = next_recording(stream, end, size)
        if start is None or _structure_at(stream, start) is not TRANSPORT:
            return end
        position = start
    return size


def next_recording(stream: BinaryIO, position: int, size: int) -> int | None:
    """Return where the next recording starts, None if there is none."""
    if position >= size:
        return None
    if _structure_at(stream, position) is not None:
        return position
    for length in (_NEAR, _SEARCH_LENGTH):
        stream.seek(position)
        data = stream.read(length)
        starts = (structure.start.search(data) for structure in STRUCTURES)
        found = min((match.start() for match in starts if match is not None), default=None)
        if found is not None:
            return position + found
    return None


def is_meaningful(stream: BinaryIO, start: int, end: int) -> bool:
    """Whether bytes are more than padding."""
    if end - start < _MIN_UNREAD:
        return False
    stream.seek(start)
    while start < end:
        block = stream.read(min(_BLOCK, end - start))
        if not block or block.count(0) < len(block):
            return bool(block)
        start += len(block)
    return False


def _structure_at(stream: BinaryIO, position: int) -> Structure | TransportStream | None:
    """Return the structure of the recording that starts at a position."""
    stream.seek(position)
    head = stream.read(max(HEAD, LEAD))
    if head[4:8] in FIRST_BOXES:
        return MP4
    return next((one for one in STRUCTURES if one.start.match(head)), None)
