"""Boxes of the ISO base media file format (MP4, MOV, HEIF, AVIF), found without reading the rest.

Source: ISO/IEC 14496-12, 4.2.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_MOST_BOXES = 1024
"""Boxes side by side that are looked at; a whole file has some hundred. A file made of nothing but
empty ones is given up within seconds."""


@dataclass(frozen=True)
class Box:
    """A box.

    Attributes:
        kind: Its four letters.
        start: Position in the file of what it holds.
        end: Position behind it.

    """

    kind: str
    start: int
    end: int

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        return self.end - self.start

    def read(self, stream: BinaryIO, offset: int, count: int) -> bytes:
        """Return `count` bytes from `offset` on within the box.

        Raises:
            ValueError: It does not hold so many.

        """
        if offset + count > self.size:
            raise ValueError(f"the box {self.kind} is too short")
        stream.seek(self.start + offset)
        data = stream.read(count)
        if len(data) < count:
            raise ValueError(f"the box {self.kind} is cut off")
        return data


def top_level(stream: BinaryIO) -> Box:
    """Return the whole file as a box."""
    return Box("file", 0, stream.seek(0, os.SEEK_END))


def children(stream: BinaryIO, box: Box, skip: int = 0) -> Iterator[Box]:
    """Yield the boxes within one, up to the first that is damaged.

    Args:
        stream: The file.
        box: That which holds them.
        skip: Bytes before the first.

    """
    position = box.start + skip
    for _ in range(_MOST_BOXES):
        if position + 8 > box.end:
            return
        stream.seek(position)
        header = stream.read(16)
        size, start = int.from_bytes(header[:4], "big"), position + 8
        if size == 1:
            size, start = int.from_bytes(header[8:16], "big"), position + 16
        elif size == 0:
            size = box.end - position
        if size < start - position or position + size > box.end:
            return
        yield Box(header[4:8].decode("latin-1"), start, position + size)
        position += size


def child(stream: BinaryIO, box: Box, *kinds: str, skip: int = 0) -> Box | None:
    """Return the first box at a path of kinds, None where there is none.

    Args:
        stream: The file.
        box: Where the path begins.
        kinds: Of the boxes, each in the one before it.
        skip: Bytes before the first box in `box`.

    """
    found: Box | None = box
    for kind in kinds:
        inner = children(stream, found, skip) if found is not None else iter(())
        found, skip = next((one for one in inner if one.kind == kind), None), 0
    return found
