"""Clean aperture of ISO base media files (QuickTime, MP4, HEIF, AVIF): the box `clap`.

FFmpeg's demuxer reads it, but PyAV neither exposes nor applies it, and Pillow ignores that of AVIF,
so it is read from the file without reading the media data. Invalid or damaged boxes count as
absent. The package pymp4 is not used: it supports neither `clap` nor `ipma`, and requires an old
`construct`.

Sources: ISO/IEC 14496-12, 4.2 (boxes), 8.11 (items) and 12.1.4 (clap in a visual sample entry);
ISO/IEC 23008-12, 6.5 (item properties).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from jdsr_cli.media.geometry import Margins
from jdsr_cli.media.slices import DataFile

_MAX_BOXES = 1024
"""Number of sibling boxes that are read; an intact file has some hundred. The limit stops files
that consist of empty boxes within seconds."""


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
    position = box.start + skip
    for _ in range(_MAX_BOXES):
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
_PICTURE_BRAND = b"avif"
"""Main brand of a file that is a still picture, even if it also has tracks."""
_CLAP_SIZE = 32
"""Size of a clean aperture box in bytes: four fractions."""
_VISUAL_HANDLERS = (b"pict", b"vide")
"""Handlers of visible tracks; the track of their transparency has another."""
_MAX_ASSOCIATIONS = 1 << 20
"""Bytes of a list of item properties that are read; an intact file has some thousand."""


def track_margins(file: DataFile, track: int) -> Margins | None:
    """Return the margins outside the clean aperture of a track.

    Args:
        file: A QuickTime or MP4 file, or a HEIF or AVIF file with tracks.
        track: Identifier of the track.

    Returns:
        The margins; None if the track is missing or has no valid clean aperture.

    """
    try:
        with file.open("rb") as stream:
            matching = (box for box in _tracks(stream) if _track_id(stream, box) == track)
            return next((_track_margins(stream, box) for box in matching), None)
    except (OSError, ValueError):
        return None


def item_margins(file: DataFile, item: int) -> Margins | None:
    """Return the margins outside the clean aperture of a picture in a HEIF or AVIF file.

    Args:
        file: The file.
        item: Identifier of the picture.

    Returns:
        The margins; None if the picture is missing or has no valid clean aperture.

    """
    try:
        with file.open("rb") as stream:
            return _item_margins(stream, item)
    except (OSError, ValueError):
        return None


def displayed_margins(file: Path) -> Margins | None:
    """Return the margins outside the clean aperture of the picture that libavif reads from a file.

    That is the first visible track, or the primary picture if the file is a still picture by its
    main brand or has no tracks.

    Args:
        file: The file.

    Returns:
        The margins; None if the picture has no valid clean aperture.

    """
    try:
        with file.open("rb") as stream:
            brand = child(stream, top_level(stream), "ftyp")
            still = brand is not None and brand.read(stream, 0, 4) == _PICTURE_BRAND
            for track in () if still else _tracks(stream):
                if _handler(stream, track) in _VISUAL_HANDLERS:
                    return _track_margins(stream, track)
            item = _primary_item(stream)
            return None if item is None else _item_margins(stream, item)
    except (OSError, ValueError):
        return None


def _tracks(stream: BinaryIO) -> Iterator[Box]:
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


def _handler(stream: BinaryIO, track: Box) -> bytes:
    handler = child(stream, track, "mdia", "hdlr")
    return b"" if handler is None else handler.read(stream, 8, 4)


def _track_margins(stream: BinaryIO, track: Box) -> Margins | None:
    """Read the first sample entry of a track that has a clean aperture."""
    entries = child(stream, track, "mdia", "minf", "stbl", "stsd")
    for entry in () if entries is None else children(stream, entries, skip=8):
        clap = child(stream, entry, "clap", skip=_VISUAL_ENTRY)
        if clap is not None:
            size = _words(entry.read(stream, 24, 4), 2)
            return _margins(clap.read(stream, 0, _CLAP_SIZE), *size)
    return None


def _primary_item(stream: BinaryIO) -> int | None:
    """Return the identifier of the primary picture, None if there is none."""
    meta = child(stream, top_level(stream), "meta")
    primary = None if meta is None else child(stream, meta, "pitm", skip=4)
    if primary is None:
        return None
    wide = primary.read(stream, 0, 1)[0] > 0
    return int.from_bytes(primary.read(stream, 4, 4 if wide else 2), "big")


def _item_margins(stream: BinaryIO, item: int) -> Margins | None:
    """Read the size and the clean aperture among the properties of an item."""
    meta = child(stream, top_level(stream), "meta")
    properties_box = None if meta is None else child(stream, meta, "iprp", skip=4)
    store = None if properties_box is None else child(stream, properties_box, "ipco")
    if properties_box is None or store is None:
        return None
    properties = list(children(stream, store))
    size: tuple[int, ...] = ()
    clap: bytes | None = None
    for index in _associations(stream, properties_box, item):
        if not 1 <= index <= len(properties):
            continue
        found = properties[index - 1]
        if found.kind == "ispe":
            size = _words(found.read(stream, 4, 8), 4)
        elif found.kind == "clap":
            clap = found.read(stream, 0, _CLAP_SIZE)
    return None if clap is None or not size else _margins(clap, *size)


def _associations(stream: BinaryIO, properties_box: Box, item: int) -> Iterator[int]:
    """Yield the numbers, from 1, of the properties of an item."""
    for box in children(stream, properties_box):
        if box.kind != "ipma":
            continue
        head = box.read(stream, 0, 8)
        id_size, step = 4 if head[0] else 2, 2 if head[3] & 1 else 1
        data = box.read(stream, 8, min(box.size - 8, _MAX_ASSOCIATIONS))
        position = 0
        for _ in range(int.from_bytes(head[4:], "big")):
            if position + id_size >= len(data):
                break
            owner, count = (
                int.from_bytes(data[position : position + id_size], "big"),
                data[position + id_size],
            )
            position += id_size + 1
            if owner == item:
                listed = _words(data[position : position + count * step], step)
                yield from (value & (0x7FFF if step == 2 else 0x7F) for value in listed)
            position += count * step


def _margins(clap: bytes, width: int, height: int) -> Margins | None:
    """Read a clean aperture: width, height and offsets of the centre, each as a fraction.

    Fractions of a pixel are rounded as in FFmpeg: edges to the pixel that contains them.
    """
    numbers = [
        int.from_bytes(clap[at : at + 4], "big", signed=at >= 16) for at in range(0, _CLAP_SIZE, 4)
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


def _words(data: bytes, width: int) -> tuple[int, ...]:
    """Split bytes into big-endian numbers of `width` bytes each."""
    return tuple(int.from_bytes(data[at : at + width], "big") for at in range(0, len(data), width))


def index_missing(file: DataFile) -> bool:
    """Whether a file of the MP4 family has no index (`moov`)."""
    names = set()
    with file.open("rb") as stream:
        end = stream.seek(0, os.SEEK_END)
        position = 0
        while position + 8 <= end:
            stream.seek(position)
            header = stream.read(16)
            size, name = int.from_bytes(header[:4], "big"), header[4:8]
            if size == 1:
                size = int.from_bytes(header[8:16], "big")
            names.add(name)
            if size < 8 or len(names) > 64:
                break
            position += size
    return b"ftyp" in names and b"moov" not in names
