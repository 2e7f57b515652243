"""Finding where footage begins in a file that is not what it seems.

Recorders put headers of their own before the stream, and copies are cut anywhere.
The patterns are those of the standards: ITU-T H.264 and H.265 Annex B with their parameter
sets, ISO/IEC 13818-1 (transport and program stream), 13818-2 and 14496-2 (start codes), and
the marks that AVI, Matroska, MP4 and Dahua's DHAV begin with.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_DEPTH = 16 << 20
"""Bytes from the start of a file that are searched."""

_NEIGHBOURHOOD = 1024
"""Bytes within which the second mark of a pattern must follow the first."""

_PICTURES_IN_A_ROW = 3
"""JPEG pictures that make a motion JPEG stream, where fewer are a photo in some document."""

_DOCUMENTS = (b"%PDF", b"PK\x03\x04", b"{\\rtf", b"\xd0\xcf\x11\xe0", b"ID3", b"OggS", b"fLaC")
"""Beginnings of files that may hold pictures but are no footage."""


@dataclass(frozen=True)
class Signature:
    """A place where a stream seems to begin.

    Attributes:
        demuxer: FFmpeg's name of the format.
        offset: Byte of the file at which it begins.

    """

    demuxer: str
    offset: int


_CONTAINERS = {
    "mov": rb"[\x00-\xff]{4}ftyp[0-9A-Za-z ]{4}",
    "matroska": rb"\x1a\x45\xdf\xa3[\x00-\xff]{1,60}?\x42\x82[\x00-\xff](?:matroska|webm)",
    "avi": rb"RIFF[\x00-\xff]{4}AVI LIST",
    "dhav": rb"DHAV[\xf0\xf1\xfb\xfc\xfd]",
    "mpegts": rb"\x47(?=(?:[\x00-\xff]{187}\x47){5})",
    "mpeg": rb"\x00\x00\x01\xba(?:[\x44-\x47\x4c-\x4f\x54-\x57\x5c-\x5f]|[\x21\x23\x25\x27-\x2f])",
}
"""Formats that hold times, which makes them the first choice."""

TIMED_DEMUXERS = frozenset(_CONTAINERS)
"""Names of the formats that hold times."""

_STREAMS = {
    "h264": (
        rb"\x00\x00\x01[\x27\x47\x67][\x42\x4d\x58\x64\x6e\x7a\xf4]",
        rb"\x00\x00\x01[\x28\x48\x68]",
    ),
    "hevc": (rb"\x00\x00\x01\x40[\x01-\x07]", rb"\x00\x00\x01\x42[\x01-\x07]"),
    "mpegvideo": (rb"\x00\x00\x01\xb3", rb"\x00\x00\x01\xb8"),
    "m4v": (rb"\x00\x00\x01[\x00-\x1f]\x00\x00\x01[\x20-\x2f]", rb"\x00\x00\x01\xb6"),
}  # fmt: skip
"""Elementary streams: the mark that they begin with, and one that must follow it."""

_JPEG = re.compile(rb"\xff\xd8\xff[\xc0\xc4\xdb\xe0-\xef\xfe]")
_JPEG_END = re.compile(rb"\xff\xd9")


def find_signatures(file: Path) -> list[Signature]:
    """Return where footage may begin, the likeliest first; empty where nothing looks like it.

    Raises:
        OSError: The file cannot be read.

    """
    with file.open("rb") as stream:
        data = stream.read(_DEPTH)
    if data.startswith(_DOCUMENTS):
        return []
    return sorted(_containers(data), key=lambda found: found.offset) + list(_streams(data))


def _containers(data: bytes) -> Iterator[Signature]:
    for demuxer, pattern in _CONTAINERS.items():
        match = re.search(pattern, data)
        if match is not None:
            yield Signature(demuxer, match.start())


def _streams(data: bytes) -> Iterator[Signature]:
    for demuxer, (first, second) in _STREAMS.items():
        follows = re.compile(second)
        for match in re.finditer(first, data):
            if follows.search(data, match.end(), match.end() + _NEIGHBOURHOOD):
                yield Signature(demuxer, _with_zero(data, match.start()))
                break
    start = _JPEG.search(data)
    if start is not None and _pictures(data, start.start()) >= _PICTURES_IN_A_ROW:
        yield Signature("mjpeg", start.start())


def _with_zero(data: bytes, offset: int) -> int:
    """Return the start of a start code of four bytes where it is one."""
    return offset - 1 if offset and data[offset - 1] == 0 else offset


def _pictures(data: bytes, start: int) -> int:
    """Return the number of JPEG pictures that follow closely on each other, up to the limit."""
    count = 0
    while count < _PICTURES_IN_A_ROW:
        end = _JPEG_END.search(data, start)
        if end is None:
            return count
        count += 1
        after = _JPEG.search(data, end.end(), end.end() + _NEIGHBOURHOOD)
        if after is None:
            return count
        start = after.start()
    return count
