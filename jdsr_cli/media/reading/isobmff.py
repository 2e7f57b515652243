"""Clean aperture of ISO base media files (QuickTime, MP4, HEIF, AVIF): the box `clap`.

FFmpeg's demuxer reads it, but PyAV neither exposes nor applies it, and Pillow ignores that of AVIF,
so it is read from the file without reading the media data. Invalid or damaged boxes count as
absent.

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


_VISUAL_ENTRY = 78
"""Bytes of a visual sample entry before its boxes, its header not counted."""
_PICTURE_BRAND = b"avif"
"""Main brand of a file that is a picture, though it may hold tracks too."""
_CLAP = 32
"""Bytes of a clean aperture: four fractions."""
_SHOWN_HANDLERS = (b"pict", b"vide")
"""Handlers of tracks that are looked at; that of their transparency is another."""
_MOST_ASSOCIATIONS = 1 << 20
"""Bytes of a list of item properties that are read; that of a whole file has some thousand."""


def track_margins(file: Path, track: int) -> Margins | None:
    """Return what the clean aperture of a track leaves out.

    Args:
        file: A QuickTime or MP4 file, or one of pictures in tracks.
        track: Identifier of the track in it.

    Returns:
        The margins; None where the track is missing, names no aperture or a wrong one.

    """
    try:
        with file.open("rb") as stream:
            found = (one for one in _tracks(stream) if _number(stream, one) == track)
            return next((_of_track(stream, one) for one in found), None)
    except (OSError, ValueError):
        return None


def item_margins(file: Path, item: int) -> Margins | None:
    """Return what the clean aperture of a picture in a HEIF or AVIF file leaves out.

    Args:
        file: The file.
        item: Identifier of the picture in it.

    Returns:
        The margins; None where the picture is missing, names no aperture or a wrong one.

    """
    try:
        with file.open("rb") as stream:
            return _of_item(stream, item)
    except (OSError, ValueError):
        return None


def shown_margins(file: Path) -> Margins | None:
    """Return what is left out of the picture or animation that libavif reads of an AVIF file.

    That is the first track that is shown, unless the file is a picture by its main brand or has
    no tracks; then it is the primary picture.

    Args:
        file: The file.

    Returns:
        The margins; None where the picture names no aperture or a wrong one.

    """
    try:
        with file.open("rb") as stream:
            brand = child(stream, top_level(stream), "ftyp")
            still = brand is not None and brand.read(stream, 0, 4) == _PICTURE_BRAND
            for track in () if still else _tracks(stream):
                if _handler(stream, track) in _SHOWN_HANDLERS:
                    return _of_track(stream, track)
            item = _primary(stream)
            return None if item is None else _of_item(stream, item)
    except (OSError, ValueError):
        return None


def _tracks(stream: BinaryIO) -> Iterator[Box]:
    movie = child(stream, top_level(stream), "moov")
    for box in () if movie is None else children(stream, movie):
        if box.kind == "trak":
            yield box


def _number(stream: BinaryIO, track: Box) -> int | None:
    header = child(stream, track, "tkhd")
    if header is None:
        return None
    wide = header.read(stream, 0, 1)[0] == 1
    return int.from_bytes(header.read(stream, 20 if wide else 12, 4), "big")


def _handler(stream: BinaryIO, track: Box) -> bytes:
    handler = child(stream, track, "mdia", "hdlr")
    return b"" if handler is None else handler.read(stream, 8, 4)


def _of_track(stream: BinaryIO, track: Box) -> Margins | None:
    """Read the first description of a track's samples that has an aperture."""
    entries = child(stream, track, "mdia", "minf", "stbl", "stsd")
    for entry in () if entries is None else children(stream, entries, skip=8):
        clap = child(stream, entry, "clap", skip=_VISUAL_ENTRY)
        if clap is not None:
            size = _words(entry.read(stream, 24, 4), 2)
            return _margins(clap.read(stream, 0, _CLAP), *size)
    return None


def _primary(stream: BinaryIO) -> int | None:
    """Return the identifier of the primary picture."""
    meta = child(stream, top_level(stream), "meta")
    named = None if meta is None else child(stream, meta, "pitm", skip=4)
    if named is None:
        return None
    wide = named.read(stream, 0, 1)[0] > 0
    return int.from_bytes(named.read(stream, 4, 4 if wide else 2), "big")


def _of_item(stream: BinaryIO, item: int) -> Margins | None:
    """Read the properties of an item."""
    meta = child(stream, top_level(stream), "meta")
    described = None if meta is None else child(stream, meta, "iprp", skip=4)
    store = None if described is None else child(stream, described, "ipco")
    if described is None or store is None:
        return None
    properties = list(children(stream, store))
    size: tuple[int, ...] = ()
    clap: bytes | None = None
    for index in _associations(stream, described, item):
        if not 1 <= index <= len(properties):
            continue
        found = properties[index - 1]
        if found.kind == "ispe":
            size = _words(found.read(stream, 4, 8), 4)
        elif found.kind == "clap":
            clap = found.read(stream, 0, _CLAP)
    return None if clap is None or not size else _margins(clap, *size)


def _associations(stream: BinaryIO, described: Box, item: int) -> Iterator[int]:
    """Yield the numbers, from 1, of the properties of an item."""
    for box in children(stream, described):
        if box.kind != "ipma":
            continue
        head = box.read(stream, 0, 8)
        name, step = 4 if head[0] else 2, 2 if head[3] & 1 else 1
        data = box.read(stream, 8, min(box.size - 8, _MOST_ASSOCIATIONS))
        at = 0
        for _ in range(int.from_bytes(head[4:], "big")):
            if at + name >= len(data):
                break
            owner, count = int.from_bytes(data[at : at + name], "big"), data[at + name]
            at += name + 1
            if owner == item:
                listed = _words(data[at : at + count * step], step)
                yield from (value & (0x7FFF if step == 2 else 0x7F) for value in listed)
            at += count * step


def _margins(clap: bytes, width: int, height: int) -> Margins | None:
    """Read a clean aperture: width, height and offsets of the centre, each as a fraction.

    Fractions of a pixel are rounded as FFmpeg does it: edges to the pixel that they lie in.
    """
    numbers = [
        int.from_bytes(clap[at : at + 4], "big", signed=at >= 16) for at in range(0, _CLAP, 4)
    ]
    if min(numbers[1::2]) <= 0:
        return None
    wide, high, right, down = (Fraction(*numbers[at : at + 2]) for at in range(0, 8, 2))
    sides = []
    for side, part, offset in ((width, wide, right), (height, high, down)):
        centre = Fraction(side - 1, 2) + offset
        first, last = (centre + sign * (part - 1) / 2 for sign in (-1, 1))
        if part < 1 or first < 0 or last > side - 1:
            return None
        sides.append((int(first), side - 1 - int(last)))
    (left, right_margin), (top, bottom) = sides
    return Margins(width, height, left, top, right_margin, bottom)


def _words(data: bytes, width: int) -> tuple[int, ...]:
    """Return the numbers of that many bytes each that follow on each other."""
    return tuple(int.from_bytes(data[at : at + width], "big") for at in range(0, len(data), width))


def index_missing(file: Path) -> bool:
    """Whether the file is of the MP4 family and lacks its index."""
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
