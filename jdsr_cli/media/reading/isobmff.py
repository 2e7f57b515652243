"""Boxes of ISO base media files (QuickTime, MP4, HEIF, AVIF), and the clean aperture of tracks.

FFmpeg's demuxer reads the clean aperture (box `clap`), but PyAV neither exposes nor applies it, so
it is read from the file without reading the media data. Invalid or damaged boxes count as absent.
The package pymp4 is not used: it supports neither `clap` nor `ipma`, and requires an old
`construct`.

Sources: ISO/IEC 14496-12, 4.2 (boxes) and 12.1.4 (clap in a visual sample entry).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import BinaryIO, TypeVar

from jdsr_cli.media.geometry import Margins
from jdsr_cli.media.slices import DataFile

FULL_BOX = 4
"""Bytes of version and flags at the start of a full box."""
ENTRY_LIST = 8
"""Bytes before the first entry of a list of boxes: version, flags and number of entries."""
_MAX_BOXES = 1024
"""Number of sibling boxes that are read; an intact file has some hundred. The limit stops files
that consist of empty boxes within seconds."""

_LARGE_BOXES = frozenset({"mdat", "meta", "moov"})
"""Boxes that hold nearly all of a file."""


@dataclass(frozen=True)
class Box:
    """A box: type and position of its content in the file.

    Attributes:
        kind: Type, four characters.
        start: Position of the first byte of the content.
        end: Position after the last byte of the content.

    """

    kind: str
    start: int
    end: int

    @property
    def size(self) -> int:
        """Number of bytes of the content."""
        return self.end - self.start

    def read(self, stream: BinaryIO, offset: int, count: int) -> bytes:
        """Return `count` bytes of the content from `offset` on.

        Raises:
            ValueError: The content is shorter.

        """
        if offset + count > self.size:
            raise ValueError(f"the box {self.kind} is too short")
        stream.seek(self.start + offset)
        data = stream.read(count)
        if len(data) < count:
            raise ValueError(f"the box {self.kind} is truncated")
        return data


def top_level(stream: BinaryIO) -> Box:
    """Return a box whose content is the whole file."""
    return Box("file", 0, stream.seek(0, os.SEEK_END))


def children(stream: BinaryIO, box: Box, skip: int = 0) -> Iterator[Box]:
    """Yield the boxes inside a box, up to the first that is damaged.

    Args:
        stream: The file.
        box: The parent.
        skip: Number of bytes of the content before the first child.

    """
    yield from islice(siblings(stream, box, skip), _MAX_BOXES)


def siblings(stream: BinaryIO, box: Box, skip: int = 0) -> Iterator[Box]:
    """Yield the boxes inside a box as `children`, of any number."""
    position = box.start + skip
    while True:
        found = _box_at(stream, position, box.end)
        if found is None or found.end > box.end:
            return
        yield found
        position = found.end


def _box_at(stream: BinaryIO, position: int, end: int) -> Box | None:
    """Return the box at a position, which may end after its parent; None if there is none."""
    if position + 8 > end:
        return None
    stream.seek(position)
    header = stream.read(16)
    size, start = int.from_bytes(header[:4], "big"), position + 8
    if size == 1:
        size, start = int.from_bytes(header[8:16], "big"), position + 16
    elif size == 0:
        size = end - position
    if size < start - position:
        return None
    return Box(header[4:8].decode("latin-1"), start, position + size)


def missing_bytes(stream: BinaryIO) -> int:
    """Return how many bytes are missing at the end of a file, by the size of its last box."""
    whole = top_level(stream)
    last = max((box.end for box in children(stream, whole)), default=0)
    found = _box_at(stream, last, whole.end)
    # Some cameras append data that are no box.
    if found is None or found.kind not in _LARGE_BOXES:
        return 0
    return max(0, found.end - whole.end)


Found = TypeVar("Found")


def examine(file: DataFile, find: Callable[[BinaryIO], Found | None]) -> Found | None:
    """Return what a function finds in a file; None if the file is damaged or cannot be read."""
    try:
        with file.open("rb") as stream:
            return find(stream)
    except (OSError, ValueError):
        return None


def child(stream: BinaryIO, box: Box, *kinds: str, skip: int = 0) -> Box | None:
    """Return the first box at a path of types, None if there is none.

    Args:
        stream: The file.
        box: The box from which the path starts.
        kinds: Types of the boxes, each inside the previous one.
        skip: Number of bytes of the content of `box` before its first child.

    """
    found: Box | None = box
    for kind in kinds:
        inner = children(stream, found, skip) if found is not None else iter(())
        found, skip = next((one for one in inner if one.kind == kind), None), 0
    return found


_VISUAL_ENTRY = 78
"""Bytes of a visual sample entry before its boxes, without its header."""
CLAP_SIZE = 32
"""Size of a clean aperture box in bytes: four fractions."""
_VISUAL_HANDLERS = (b"pict", b"vide")
"""Handlers of visible tracks; the track of their transparency has another."""


def track_margins(file: DataFile, track: int) -> Margins | None:
    """Return the margins outside the clean aperture of a track.

    Args:
        file: A QuickTime or MP4 file, or a HEIF or AVIF file with tracks.
        track: Identifier of the track.

    Returns:
        The margins; None if the track is missing or has no valid clean aperture.

    """

    def find(stream: BinaryIO) -> Margins | None:
        matching = (box for box in tracks(stream) if _track_id(stream, box) == track)
        return next((clean_aperture(stream, box) for box in matching), None)

    return examine(file, find)


def tracks(stream: BinaryIO) -> Iterator[Box]:
    """Yield the tracks of a file."""
    movie = child(stream, top_level(stream), "moov")
    for box in () if movie is None else children(stream, movie):
        if box.kind == "trak":
            yield box


def _track_id(stream: BinaryIO, track: Box) -> int | None:
    header = child(stream, track, "tkhd")
    if header is None:
        return None
    wide = header.read(stream, 0, 1)[0] == 1
    return int.from_bytes(header.read(stream, 20 if wide else 12, 4), "big")


def is_visual(stream: BinaryIO, track: Box) -> bool:
    """Whether a track is visible."""
    handler = child(stream, track, "mdia", "hdlr")
    return handler is not None and handler.read(stream, 8, 4) in _VISUAL_HANDLERS


def clean_aperture(stream: BinaryIO, track: Box) -> Margins | None:
    """Return the margins of the first sample entry of a track that has a clean aperture."""
    entries = child(stream, track, "mdia", "minf", "stbl", "stsd")
    for entry in () if entries is None else children(stream, entries, skip=ENTRY_LIST):
        clap = child(stream, entry, "clap", skip=_VISUAL_ENTRY)
        if clap is not None:
            size = words(entry.read(stream, 24, 4), 2)
            return clap_margins(clap.read(stream, 0, CLAP_SIZE), *size)
    return None


def clap_margins(clap: bytes, width: int, height: int) -> Margins | None:
    """Read a clean aperture: width, height and offsets of the centre, each as a fraction.

    Fractions of a pixel are rounded as in FFmpeg: edges to the pixel that contains them.
    """
    numbers = [
        int.from_bytes(clap[at : at + 4], "big", signed=at >= 16) for at in range(0, CLAP_SIZE, 4)
    ]
    if min(numbers[1::2]) <= 0:
        return None
    clap_width, clap_height, right, down = (
        Fraction(*numbers[at : at + 2]) for at in range(0, 8, 2)
    )
    sides = []
    for side, part, offset in ((width, clap_width, right), (height, clap_height, down)):
        centre = Fraction(side - 1, 2) + offset
        first, last = (centre + sign * (part - 1) / 2 for sign in (-1, 1))
        if part < 1 or first < 0 or last > side - 1:
            return None
        sides.append((int(first), side - 1 - int(last)))
    (left, right_margin), (top, bottom) = sides
    return Margins(width, height, left, top, right_margin, bottom)


def words(data: bytes, width: int) -> tuple[int, ...]:
    """Split bytes into big-endian numbers of `width` bytes each."""
    return tuple(int.from_bytes(data[at : at + width], "big") for at in range(0, len(data), width))


def index_missing(file: DataFile) -> bool:
    """Whether a file of the MP4 family has no index (`moov`)."""
    kinds = examine(file, _top_level_kinds) or set()
    return "ftyp" in kinds and "moov" not in kinds


def _top_level_kinds(stream: BinaryIO) -> set[str]:
    """Return the types of the boxes of a file, with the last one if it is cut off."""
    whole, position = top_level(stream), 0
    kinds: set[str] = set()
    for _ in range(_MAX_BOXES):
        box = _box_at(stream, position, whole.end)
        if box is None:
            break
        kinds.add(box.kind)
        position = box.end
    return kinds
