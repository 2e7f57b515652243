"""The crop of a Matroska or WebM track.

It is read from the file: FFmpeg's demuxer reads it, but PyAV neither exposes nor applies it.
Invalid or damaged elements count as absent. The package enzyme is not used, since damaged headers
raise errors of any type in it, including `MemoryError`.

Source: RFC 9559, 5.1.4.1.28.6 to 5.1.4.1.28.11 (size and crop of a video track).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

from jdsr_cli.media.geometry import Margins
from jdsr_cli.media.reading.ebml import element_header
from jdsr_cli.media.slices import DataFile

_SEGMENT, _TRACKS, _TRACK_ENTRY, _VIDEO, _TRACK_TYPE = 0x18538067, 0x1654AE6B, 0xAE, 0xE0, 0x83
_FIELDS = (0xB0, 0xBA, 0x54CC, 0x54BB, 0x54DD, 0x54AA)
"""PixelWidth and PixelHeight; PixelCropLeft, PixelCropTop, PixelCropRight and PixelCropBottom."""
_VIDEO_TYPE = 1
_MAX_ELEMENTS = 512
"""Number of sibling elements that are read; an intact file has some dozens. The limit stops files
that consist of empty elements within seconds."""

Span = tuple[int, int, int]
"""Identifier of an element, and the positions where its content starts and ends in the file."""


def pixel_crop(file: DataFile, number: int) -> Margins | None:
    """Return the margins that are cropped from a video track.

    Args:
        file: A Matroska or WebM file.
        number: Number of the track among the video tracks, from 0.

    Returns:
        The margins; None if the track is missing.

    """
    try:
        with file.open("rb") as stream:
            return _track_crop(stream, number)
    except OSError:
        return None


def _track_crop(stream: BinaryIO, number: int) -> Margins | None:
    parent = (0, 0, stream.seek(0, os.SEEK_END))
    for name in (_SEGMENT, _TRACKS):
        found = next((one for one in _elements(stream, parent) if one[0] == name), None)
        if found is None:
            return None
        parent = found
    videos = []
    for entry in _elements(stream, parent):
        inner = (
            {one[0]: one for one in _elements(stream, entry)} if entry[0] == _TRACK_ENTRY else {}
        )
        if _TRACK_TYPE in inner and _value(stream, inner[_TRACK_TYPE]) == _VIDEO_TYPE:
            videos.append(inner.get(_VIDEO))
    video = videos[number] if number < len(videos) else None
    if video is None:
        return None
    inner = {one[0]: one for one in _elements(stream, video)}
    return Margins(*(_value(stream, inner[name]) if name in inner else 0 for name in _FIELDS))


def _elements(stream: BinaryIO, parent: Span) -> Iterator[Span]:
    """Yield the children of an element, up to the first that is damaged."""
    _, position, end = parent
    for _ in range(_MAX_ELEMENTS):
        stream.seek(position)
        head = element_header(stream.read(16))
        if head is None or position >= end:
            return
        start = position + head.length
        # An element of unknown size extends to the end of its parent.
        last = end if head.size is None else start + head.size
        # A truncated file ends within its segment.
        yield head.identifier, start, min(last, end)
        position = last


def _value(stream: BinaryIO, element: Span) -> int:
    _, start, end = element
    stream.seek(start)
    return int.from_bytes(stream.read(max(0, min(8, end - start))), "big")
