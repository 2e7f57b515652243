"""References of ISO base media files (QuickTime, MP4) to media data in other files.

Each sample entry of a track names an entry of the data reference box `dref`, which states that the
data are in the same file, or where else they are. FFmpeg ignores the places that it does not
follow and reads the file's own bytes instead, so they are looked up here. A QuickTime reference
movie (`rmra`) has no data of its own.

Sources: ISO/IEC 14496-12, 8.7.2 (data references) and 8.5.2 (sample descriptions); Apple, QuickTime
File Format Specification, "Reference movies" and "Data reference atoms".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from jdsr_cli.media.reading.isobmff import (
    ENTRY_LIST,
    FULL_BOX,
    Box,
    child,
    children,
    examine,
    top_level,
    tracks,
)
from jdsr_cli.media.slices import DataFile

_SAME_FILE = 1
"""Flag of a data reference: the data are in the file itself."""
_MAX_SHOWN = 80
"""Characters of a place that are shown."""


def external_references(file: DataFile) -> list[str]:
    """Return the places outside a file at which it looks for media data.

    Args:
        file: A file of the MP4 family.

    Returns:
        What the file says about each place, printable; empty if it contains all its data. Damaged
        boxes count as absent.

    """
    return examine(file, lambda stream: list(_outside(stream))) or []


def _outside(stream: BinaryIO) -> Iterator[str]:
    if child(stream, top_level(stream), "moov", "rmra") is not None:
        yield "a reference movie"
    for track in tracks(stream):
        yield from _of_track(stream, track)


def _of_track(stream: BinaryIO, track: Box) -> Iterator[str]:
    references = child(stream, track, "mdia", "minf", "dinf", "dref")
    samples = child(stream, track, "mdia", "minf", "stbl", "stsd")
    if references is None or samples is None:
        return
    places = [_place(stream, box) for box in children(stream, references, skip=ENTRY_LIST)]
    for entry in children(stream, samples, skip=ENTRY_LIST):
        number = int.from_bytes(entry.read(stream, 6, 2), "big")
        place = places[number - 1] if 1 <= number <= len(places) else None
        if place is not None:
            yield place


def _place(stream: BinaryIO, reference: Box) -> str | None:
    """Return where the data of a reference are, None for the same file."""
    flags = int.from_bytes(reference.read(stream, 1, 3), "big")
    content = reference.read(stream, FULL_BOX, min(reference.size - FULL_BOX, 1 << 12))
    if flags & _SAME_FILE or not content.strip(b"\0"):
        return None
    text = content.decode("utf-8", "replace").replace("\0", " ")
    shown = "".join(char for char in text if char.isprintable() and char != "\ufffd")
    return shown.strip()[:_MAX_SHOWN] or reference.kind.strip()
