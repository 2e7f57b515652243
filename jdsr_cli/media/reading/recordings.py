"""Find recordings that follow one another in one file, and bytes that belong to none.

Files are joined byte by byte (`cat a.mp4 b.mp4`), and recorders append to a file. FFmpeg reads MP4,
FLV, ASF and Ogg up to the end of the first recording only; of Matroska it reads all, but with the
decoder parameters of the first; other formats it ends with an invented frame or without a word.
Transport and program streams are continuous: several of a kind are one recording. The structure of
a container is followed from one element to the next, without reading the media data, up to where
the next recording starts. Where a recording is cut off or has no such structure, the next one is
searched in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from jdsr_cli.media.reading.elements import ENDLESS, Layout
from jdsr_cli.media.reading.recording_starts import find_start, layout_at
from jdsr_cli.media.reading.structures import ASF
from jdsr_cli.media.slices import FileSlice
from jdsr_cli.parallel import check_stopped

_SEARCH_LENGTH = 16 << 20
"""Number of bytes after a recording in which the next one is searched."""

_MAX_LOSSES = 100
"""Number of losses after which a transport or program stream is not followed further."""

_MAX_ELEMENT = 6 + 0xFFFF
"""Maximum number of bytes of a packet of a transport or program stream."""

_BLOCK = 1 << 20

_PADDING = b"\x00\xff"

_MIN_UNREAD = 16
"""Number of bytes that may follow the last recording without being reported."""


@dataclass(frozen=True)
class Contents:
    """What a file contains.

    Attributes:
        recordings: The recordings in order; one that covers the whole file if its structure is
            unknown.
        unknown: The parts that belong to no recording, other than padding.
        missing: Number of bytes by which an ASF file is cut off, of which FFmpeg reports nothing.

    """

    recordings: tuple[FileSlice, ...]
    unknown: tuple[FileSlice, ...]
    missing: int = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence about what is missing, if anything is."""
        if not self.missing:
            return ()
        return (f"the file is cut off: {self.missing} bytes are missing at its end",)


def unread_note(part: FileSlice) -> str:
    """Return the sentence about a part that belongs to no recording."""
    return f"{part.size} bytes after byte {part.start} belong to no recording; they were not read"


def find_recordings(file: Path) -> Contents:
    """Find the recordings in a file.

    The result is kept until the file changes: the whole file may have to be searched, at about
    120 MB/s, and an input is opened several times in a run.

    Raises:
        OSError: The file cannot be read.

    """
    state = file.stat()
    return _find_recordings(file, (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns))


@lru_cache(maxsize=64)
def _find_recordings(file: Path, state: tuple[int, ...]) -> Contents:
    """Find the recordings in a file; `state` identifies its content."""
    with file.open("rb") as stream:
        size = stream.seek(0, 2)
        recordings, unknown, missing = [], [], 0
        start = 0 if layout_at(stream, 0) is not None else find_start(stream, 0, size, size)
        if start is None:
            return Contents((FileSlice(file, 0, size),), ())
        if is_meaningful(stream, 0, start):
            unknown.append(FileSlice(file, 0, start))
        while start is not None:
            layout = layout_at(stream, start)
            assert layout is not None
            stated = _end_of(stream, layout, start, size)
            if layout is ASF and size < stated < ENDLESS:
                missing = stated - size
            end = min(size, stated)
            recordings.append(FileSlice(file, start, end))
            start = next_recording(stream, end, size)
            following = size if start is None else start
            if is_meaningful(stream, end, following):
                unknown.append(FileSlice(file, end, following))
    return Contents(tuple(recordings), tuple(unknown), missing)


def _end_of(stream: BinaryIO, layout: Layout, position: int, size: int) -> int:
    """Return where a recording ends, beyond the file if it is cut off there."""
    if not layout.continuous:
        return max(_intact_end(stream, layout, position, size), position + 1)
    for _ in range(_MAX_LOSSES):
        end = _intact_end(stream, layout, position, size)
        following = _resumption(stream, layout, position, end, size)
        if following is None:
            return end
        position = following
    return size


def _resumption(stream: BinaryIO, layout: Layout, position: int, end: int, size: int) -> int | None:
    """Return where a continuous stream continues after a loss, None if it does not.

    Args:
        stream: The file.
        layout: The layout of the stream.
        position: Where its intact elements start.
        end: Where they end: the last one may have lost bytes, and extend into the next one.
        size: Number of bytes of the file.

    """
    if end >= size:
        return None
    found = max(position, end - _MAX_ELEMENT)
    while (place := find_start(stream, found + 1, end, size)) is not None:
        if layout_at(stream, place) is layout and layout.follow(stream, place, size) > end:
            return place
        found = place
    following = next_recording(stream, end, size)
    return following if following and layout_at(stream, following) is layout else None


def _intact_end(stream: BinaryIO, layout: Layout, position: int, size: int) -> int:
    """Return where the elements end that start at a position.

    The last one may be cut off, so that it states to extend into the recording that follows.
    """
    stated = layout.follow(stream, position, size)
    if stated == size or (stated < size and not _ends_in_other_bytes(stream, stated, size)):
        return stated
    limit, found = min(stated, size), position
    # What is stored within a recording, such as an attachment, ends in it.
    least = limit + 1 if stated < size else limit
    # Another start of a continuous stream is not that of another recording.
    same = layout if layout.continuous else None
    while (place := find_start(stream, found + 1, limit, size, other_than=same)) is not None:
        if stated >= ENDLESS:
            return place
        first, last = _followed(stream, place, least, size)
        if last >= least or (stated > size and _is_most(stream, place, last, size)):
            return place
        # Every packet of a continuous stream is a start, and all of them lead to the same end.
        found = max(place, first - 1)
    return stated


def _ends_in_other_bytes(stream: BinaryIO, end: int, size: int) -> bool:
    """Whether neither a recording nor padding follows."""
    return layout_at(stream, end) is None and is_meaningful(stream, end, size)


def _followed(stream: BinaryIO, position: int, limit: int, size: int) -> tuple[int, int]:
    """Return how far the recordings from a position on extend, without bytes between.

    Args:
        stream: The file.
        position: Where a recording starts.
        limit: From where on no further one is followed.
        size: Number of bytes of the file.

    Returns:
        Up to where a further search would find only parts of the first one, which is `position`
        unless it is continuous; and the end of the last one.

    """
    layout, first = layout_at(stream, position), position
    while layout is not None and position < limit:
        end = _end_through_losses(stream, layout, position, size)
        if end <= position:
            break
        if layout.continuous and first == position:
            first = end
        position = end
        layout = layout_at(stream, position) if position < limit else None
    return first, position


def _end_through_losses(stream: BinaryIO, layout: Layout, position: int, size: int) -> int:
    """Return where a recording ends as it states; a continuous one extends across losses."""
    end = layout.follow(stream, position, size)
    for _ in range(_MAX_LOSSES if layout.continuous else 0):
        following = _resumption(stream, layout, position, end, size)
        if following is None:
            return end
        position, end = following, layout.follow(stream, following, size)
    return end


def _is_most(stream: BinaryIO, start: int, end: int, size: int) -> bool:
    """Whether recordings are all or most of the rest of a file, and not stored within another."""
    return 2 * (end - start) >= size - start or not is_meaningful(stream, end, size)


def next_recording(stream: BinaryIO, position: int, size: int) -> int | None:
    """Return where the next recording starts, None if there is none."""
    if position >= size:
        return None
    if layout_at(stream, position) is not None:
        return position
    return find_start(stream, position, min(size, position + _SEARCH_LENGTH), size)


def is_meaningful(stream: BinaryIO, start: int, end: int) -> bool:
    """Whether bytes are more than padding, which is zeros or, from erased memory, ones."""
    if end - start < _MIN_UNREAD:
        return False
    stream.seek(start)
    while start < end:
        check_stopped()
        block = stream.read(min(_BLOCK, end - start))
        if not block or block.strip(_PADDING):
            return bool(block)
        start += len(block)
    return False
