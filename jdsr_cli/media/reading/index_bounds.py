"""Indexes of ISO base media files that would fill the memory, found before FFmpeg reads them.

FFmpeg keeps one entry of about 30 bytes for each sample that an index states. Most tables store
each sample, so that the file is as large; a few bytes state any number where samples have no fields
of their own (`stsz` with a constant size, `trun` without optional fields), or where the index is
compressed (`cmov`).

Sources: ISO/IEC 14496-12, 8.7.3 (stsz) and 8.8.8 (trun); Apple, QuickTime File Format
Specification, "Compressed movie resources".
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from jdsr_cli.errors import TooLargeError
from jdsr_cli.media.reading.isobmff import (
    ENTRY_LIST,
    FULL_BOX,
    child,
    children,
    examine,
    is_visual,
    siblings,
    top_level,
    tracks,
)
from jdsr_cli.media.slices import DataFile, path_of, size_of

_LARGEST_INDEX = 64 << 20
"""Bytes of a compressed index after decompression: enough for 10 million frames."""
_FEW = 1 << 20
"""Samples that are kept in any case."""
_FIELDS_OF_SAMPLES = 0xF00
"""Flags of a `trun` whose samples have fields of their own."""


def check_index(file: DataFile) -> None:
    """Check that the index of a file states no more samples than the file has bytes.

    Args:
        file: A file of any format; others than those of the MP4 family are accepted.

    Raises:
        TooLargeError: It does, or its compressed index is larger than any of a recording.
        OSError: The file cannot be read.

    """
    path = path_of(file)
    state = path.stat()
    fault = _fault(file, (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns))
    if fault is not None:
        raise TooLargeError(
            f"its index states {fault}, which no recording of this size has",
            where=path,
            hint="Copy it again: it is damaged, or made to fill the memory.",
        )


@lru_cache(maxsize=64)
def _fault(file: DataFile, state: tuple[int | Path, ...]) -> str | None:
    """Return what is stated, None if it is plausible; `state` identifies the content."""
    size = examine(file, _compressed_size) or 0
    if size > _LARGEST_INDEX:
        return f"{size >> 20} MiB in a compressed form"
    limit = max(_FEW, size_of(file))
    constant = examine(file, lambda stream: max(_constant_samples(stream), default=0)) or 0
    fragments = 0
    with file.open("rb") as stream:
        for samples in _unstored_samples(stream):
            fragments += samples
            if fragments > limit:
                break
    samples = max(constant, fragments)
    return f"{samples} samples" if samples > limit else None


def _compressed_size(stream: BinaryIO) -> int:
    """Return the bytes of a compressed index after decompression, 0 if there is none."""
    data = child(stream, top_level(stream), "moov", "cmov", "cmvd")
    return 0 if data is None else int.from_bytes(data.read(stream, 0, 4), "big")


def _constant_samples(stream: BinaryIO) -> Iterator[int]:
    """Yield the number of samples of each track in which all have the same size.

    Of sound with a tick for each sample FFmpeg keeps entries for whole chunks.
    """
    for track in tracks(stream):
        sizes = child(stream, track, "mdia", "minf", "stbl", "stsz")
        times = child(stream, track, "mdia", "minf", "stbl", "stts")
        if sizes is None:
            continue
        size, count = (int.from_bytes(sizes.read(stream, at, 4), "big") for at in (4, 8))
        steps = b"" if times is None or times.size < ENTRY_LIST + 8 else times.read(stream, 4, 12)
        constant = steps[:4] == steps[8:] == (1).to_bytes(4, "big")
        if size and (is_visual(stream, track) or not constant):
            yield count


def _unstored_samples(stream: BinaryIO) -> Iterator[int]:
    """Yield the number of samples of each part of a fragment that stores nothing about them."""
    for box in siblings(stream, top_level(stream)):
        if box.kind != "moof":
            continue
        for fragment in children(stream, box):
            for run in children(stream, fragment) if fragment.kind == "traf" else ():
                if run.kind == "trun" and run.size >= ENTRY_LIST:
                    head = run.read(stream, 0, ENTRY_LIST)
                    if not int.from_bytes(head[1:FULL_BOX], "big") & _FIELDS_OF_SAMPLES:
                        yield int.from_bytes(head[FULL_BOX:], "big")
