"""The clean aperture of QuickTime and MP4: which part of the stored picture is displayed.

FFmpeg's demuxer reads it, but PyAV passes neither the value on nor applies it, so the box is read
here. Source: ISO/IEC 14496-12, 12.1.4 (`clap` in a visual sample entry).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import BinaryIO

from jdsr_cli.media.frames import Image

_LEAST_SIDE = 16
"""Pixels: a smaller aperture is taken for a fault of the file."""
_ENTRY = 86
"""Bytes of a visual sample entry before its boxes, its own header included."""
_MOST_BOXES = 4096
"""Boxes of one level that are looked at, so that no file keeps the search going."""


@dataclass(frozen=True)
class Aperture:
    """A part of a stored picture, in pixels."""

    left: int
    top: int
    width: int
    height: int

    def cut(self, image: Image) -> Image:
        """Return that part of a stored picture (H, W, 3), as a view."""
        return image[self.top : self.top + self.height, self.left : self.left + self.width]


def clean_aperture(file: Path, track: int, width: int, height: int) -> Aperture | None:
    """Return the part of the stored picture that is displayed, None where that is all of it.

    Args:
        file: A QuickTime or MP4 file.
        track: Identifier of the track in it.
        width: Of the stored picture, in pixels.
        height: Of the same.

    """
    try:
        with file.open("rb") as stream:
            numbers = _find(stream, file.stat().st_size, track)
    except (OSError, struct.error):
        return None
    if numbers is None or 0 in numbers[1::2]:
        return None
    wide, high, right, down = (Fraction(a, b) for a, b in zip(*[iter(numbers)] * 2, strict=True))
    across, tall = round(wide), round(high)
    left = floor((width - across) / Fraction(2) + right)
    top = floor((height - tall) / Fraction(2) + down)
    inside = left >= 0 and top >= 0 and left + across <= width and top + tall <= height
    if not inside or min(across, tall) < _LEAST_SIDE or (across, tall) == (width, height):
        return None
    return Aperture(left, top, across, tall)


def _find(stream: BinaryIO, end: int, track: int) -> tuple[int, ...] | None:
    """Return the eight numbers of the track's aperture: four fractions."""
    for _, moov, moov_end in _boxes(stream, 0, end, b"moov"):
        for _, trak, trak_end in _boxes(stream, moov, moov_end, b"trak"):
            if _track_id(stream, trak, trak_end) == track:
                return _aperture_of(stream, trak, trak_end)
    return None


def _track_id(stream: BinaryIO, begin: int, end: int) -> int | None:
    for _, body, _ in _boxes(stream, begin, end, b"tkhd"):
        stream.seek(body)
        version = stream.read(4)[:1]
        stream.seek(body + (20 if version == b"\x01" else 12))
        return int(struct.unpack(">I", stream.read(4))[0])
    return None


def _aperture_of(stream: BinaryIO, begin: int, end: int) -> tuple[int, ...] | None:
    """Return the numbers of the first description of a track that has an aperture."""
    level = [(begin, end)]
    for name in (b"mdia", b"minf", b"stbl", b"stsd"):
        level = [one[1:] for here in level for one in _boxes(stream, *here, name)]
    for body, stop in level:
        for entry_begin, _, entry_end in _boxes(stream, body + 8, stop):
            for _, found, _ in _boxes(stream, entry_begin + _ENTRY, entry_end, b"clap"):
                stream.seek(found)
                return struct.unpack(">IIIIiIiI", stream.read(32))
    return None


def _boxes(
    stream: BinaryIO, begin: int, end: int, wanted: bytes | None = None
) -> Iterator[tuple[int, int, int]]:
    """Yield where each box of that name begins, where its content does, and where it ends."""
    for _ in range(_MOST_BOXES):
        if begin + 8 > end:
            return
        stream.seek(begin)
        size, name = struct.unpack(">I4s", stream.read(8))
        body = begin + 8
        if size == 1:
            size, body = struct.unpack(">Q", stream.read(8))[0], begin + 16
        stop = end if size == 0 else begin + size
        if stop < body or stop > end:
            return
        if wanted is None or name == wanted:
            yield begin, body, stop
        begin = stop
