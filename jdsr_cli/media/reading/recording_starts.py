"""Recognise the start of a recording at a position, and search for the next one."""

from __future__ import annotations

from typing import BinaryIO

from jdsr_cli.media.reading.elements import HEAD, Layout
from jdsr_cli.media.reading.structures import FIRST_BOXES, MP4, STRUCTURES
from jdsr_cli.media.reading.transport import LEAD

_FIRST_BLOCK, _BLOCK = 1 << 16, 4 << 20
"""Numbers of bytes that are searched at once: a recording often starts soon."""

_LENGTH = max(HEAD, LEAD)
"""Number of bytes by which a start is recognised."""

_MIN_RECORDING = 2048
"""Number of bytes that a recording must have which is found in other data, unless the file ends."""


def layout_at(stream: BinaryIO, position: int) -> Layout | None:
    """Return the layout of the recording that starts at a position, None if none does."""
    stream.seek(position)
    head = stream.read(_LENGTH)
    if head[4:8] in FIRST_BOXES:
        return MP4
    return next((one for one in STRUCTURES if one.starts(head)), None)


def find_start(
    stream: BinaryIO, position: int, end: int, size: int, other_than: Layout | None = None
) -> int | None:
    """Return the first position in a range at which a recording starts, None if there is none.

    Args:
        stream: The file.
        position: Start of the range.
        end: End of the range.
        size: Number of bytes of the file.
        other_than: Layout that is not searched.

    """
    layouts = [one for one in STRUCTURES if one.searched and one is not other_than]
    length = _FIRST_BLOCK
    while position < end:
        stream.seek(position)
        data = stream.read(min(length, end - position) + _LENGTH)
        for found in _candidates(data, layouts):
            if position + found >= end:
                return None
            if _is_recording(stream, position + found, size):
                return position + found
        position, length = position + length, _BLOCK
    return None


def _candidates(data: bytes, layouts: list[Layout]) -> list[int]:
    """Return the positions in `data` where a recording may start, in ascending order."""
    found = set()
    for layout in layouts:
        place = layout.find(data, 0)
        while place is not None:
            found.add(place)
            # Every packet of a continuous stream is one at which it may start.
            place = layout.find(data, place + (_MIN_RECORDING if layout.continuous else 1))
    return sorted(found)


def _is_recording(stream: BinaryIO, position: int, size: int) -> bool:
    """Whether the recording that may start at a position can be followed from there."""
    layout = layout_at(stream, position)
    if layout is None:
        return False
    return layout.follow(stream, position, size) >= min(size, position + _MIN_RECORDING)
