"""The crop of a video track of Matroska and WebM, read from the header without the frames.

FFmpeg's demuxer reads it, but PyAV neither passes it on nor applies it. What is wrong or damaged
counts as absent.

Sources: RFC 8794 (EBML); RFC 9559, 5.1.4.1.28.6 to 5.1.4.1.28.11 (size and crop of a video track).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from jdsr_cli.media.aperture import Margins

_SEGMENT, _TRACKS, _ENTRY, _VIDEO, _KIND = 0x18538067, 0x1654AE6B, 0xAE, 0xE0, 0x83
_FIELDS = (0xB0, 0xBA, 0x54CC, 0x54BB, 0x54DD, 0x54AA)
"""PixelWidth and PixelHeight; PixelCropLeft, PixelCropTop, PixelCropRight and PixelCropBottom."""
_IS_VIDEO = 1
_MOST_ELEMENTS = 512
"""Elements side by side that are looked at; a whole file has some dozens. A file made of nothing
but empty ones is given up within seconds."""

Span = tuple[int, int, int]
"""Identifier of an element, and where its content begins and ends in the file."""


def pixel_crop(file: Path, number: int) -> Margins | None:
    """Return what is cut off at the edges of a video track.

    Args:
        file: A Matroska or WebM file.
        number: Of the track among those of video, from 0.

    Returns:
        The margins; None where the track is missing.

    """
    try:
        with file.open("rb") as stream:
            return _of_track(stream, number)
    except OSError:
        return None


def _of_track(stream: BinaryIO, number: int) -> Margins | None:
    whole = (0, 0, stream.seek(0, os.SEEK_END))
    for name in (_SEGMENT, _TRACKS):
        found = next((one for one in _elements(stream, whole) if one[0] == name), None)
        if found is None:
            return None
        whole = found
    videos = []
    for entry in _elements(stream, whole):
        inner = {one[0]: one for one in _elements(stream, entry)} if entry[0] == _ENTRY else {}
        if _KIND in inner and _value(stream, inner[_KIND]) == _IS_VIDEO:
            videos.append(inner.get(_VIDEO))
    video = videos[number] if number < len(videos) else None
    if video is None:
        return None
    inner = {one[0]: one for one in _elements(stream, video)}
    return Margins(*(_value(stream, inner[name]) if name in inner else 0 for name in _FIELDS))


def _elements(stream: BinaryIO, parent: Span) -> Iterator[Span]:
    """Yield the elements within one, up to the first that is damaged."""
    _, position, end = parent
    for _ in range(_MOST_ELEMENTS):
        stream.seek(position)
        head = stream.read(16)
        name = _length(head)
        size = _length(head[name:])
        if not name or not size or position >= end:
            return
        start = position + name + size
        count = int.from_bytes(head[name : name + size], "big") - (1 << 7 * size)
        # A size of ones only is not known yet: the recording went on to the end of the file.
        last = end if count == (1 << 7 * size) - 1 else start + count
        # A file that was cut off ends within its segment.
        yield int.from_bytes(head[:name], "big"), start, min(last, end)
        position = last


def _length(data: bytes) -> int:
    """Return the bytes of the number of variable length that `data` begins with, 0 for none."""
    length = 9 - data[0].bit_length() if data else 9
    return length if length <= min(8, len(data)) else 0


def _value(stream: BinaryIO, element: Span) -> int:
    _, start, end = element
    stream.seek(start)
    return int.from_bytes(stream.read(max(0, min(8, end - start))), "big")
