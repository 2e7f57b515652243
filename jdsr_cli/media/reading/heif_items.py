"""Still pictures of HEIF and AVIF files: brands, clean aperture and colours of the main picture.

Pillow ignores the clean aperture (box `clap`), the colours (box `colr`) and the depth of AVIF.
Invalid or damaged boxes count as absent.

Sources: ISO/IEC 14496-12, 8.11 (items) and 12.1.5 to 12.1.7 (colr, mdcv, clli); ISO/IEC 23008-12,
6.5 (item properties) and 10 (brands); AV1 Codec ISO Media File Format Binding, 2.3 (av1C).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Literal

from jdsr_cli.media.geometry import Margins
from jdsr_cli.media.hdr_metadata import MASTERING_SIZE, light_text, stored_mastering
from jdsr_cli.media.reading.coded_colours import CodedColours, ColourCodes
from jdsr_cli.media.reading.isobmff import (
    CLAP_SIZE,
    FULL_BOX,
    Box,
    child,
    children,
    clap_margins,
    clean_aperture,
    examine,
    is_visual,
    missing_bytes,
    top_level,
    tracks,
    words,
)

_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2", b"mif3"})
"""Main brands of files that are still pictures, even if they also have tracks."""
_SEQUENCE_BRANDS = frozenset({b"hevc", b"hevx", b"hevm", b"hevs", b"msf1"})
"""Main brands of files that are sequences of pictures if they have a visible track."""
_HEVC_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"hevx"})
_PICTURE_BRAND = b"avif"
"""Main brand of an AVIF file that is a still picture, even if it also has tracks."""
_MAX_BRANDS = 1 << 10
"""Bytes of the list of brands that are read."""
_FULL_RANGE = 0x80
"""Flag of the box `colr`."""
_HIGH_DEPTH, _TWELVE_BITS = 0x40, 0x20
"""Flags of the box `av1C`."""
_SHALLOW = 8
_MAX_ASSOCIATIONS = 1 << 20
"""Bytes of a list of item properties that are read; an intact file has some thousand."""


def picture_format(file: Path) -> Literal["HEIF", "AVIF"] | None:
    """Return the format of a HEIF or AVIF file by its brands.

    A HEIF file whose main brand is that of a sequence of pictures, and which has one, is a video.

    Returns:
        The format; None for a HEIF sequence, and for a file of another format.

    """
    return examine(file, _picture_format)


def _picture_format(stream: BinaryIO) -> Literal["HEIF", "AVIF"] | None:
    box = next(children(stream, top_level(stream)), None)
    if box is None or box.kind != "ftyp":
        return None
    data = box.read(stream, 0, min(box.size, _MAX_BRANDS))
    main, others = data[:4], {data[at : at + 4] for at in range(8, len(data), 4)}
    if main in _AVIF_BRANDS:
        return "AVIF"
    if main not in _HEIF_BRANDS | _SEQUENCE_BRANDS:
        return None
    if _AVIF_BRANDS & others and not _HEVC_BRANDS & others:
        return "AVIF"
    moving = any(is_visual(stream, track) for track in tracks(stream))
    return None if main in _SEQUENCE_BRANDS and moving else "HEIF"


def cut_off(file: Path) -> int:
    """Return how many bytes are missing at the end of a HEIF file, 0 if none are.

    libheif fills missing tiles without an error.
    """
    with file.open("rb") as stream:
        return missing_bytes(stream)


def primary_colours(file: Path) -> CodedColours:
    """Return what a HEIF or AVIF file states about the colours of its primary picture."""
    return examine(file, _primary_colours) or CodedColours()


def _primary_colours(stream: BinaryIO) -> CodedColours:
    codes = display = light = None
    for box in _primary_properties(stream):
        with suppress(ValueError):  # A damaged box does not hide the others.
            if box.kind == "colr" and codes is None and box.read(stream, 0, 4) == b"nclx":
                full = box.read(stream, 10, 1)[0] & _FULL_RANGE
                codes = ColourCodes.of(words(box.read(stream, 4, 6), 2), full_range=bool(full))
            elif box.kind == "mdcv":
                display = stored_mastering(box.read(stream, 0, MASTERING_SIZE), "GBR")
            elif box.kind == "clli":
                light = light_text(*words(box.read(stream, 0, 4), 2))
    return CodedColours(codes, display, light)


def primary_bit_depth(file: Path) -> int:
    """Return the bits per channel of the primary picture of an AVIF file; 8 if none are stated."""
    return examine(file, _primary_bit_depth) or _SHALLOW


def _primary_bit_depth(stream: BinaryIO) -> int | None:
    for box in _primary_properties(stream):
        if box.kind == "pixi":
            count = box.read(stream, FULL_BOX, 1)[0]
            return max(box.read(stream, FULL_BOX + 1, count), default=None)
        if box.kind == "av1C":
            flags = box.read(stream, 2, 1)[0]
            return (12 if flags & _TWELVE_BITS else 10) if flags & _HIGH_DEPTH else _SHALLOW
    return None


def _primary_properties(stream: BinaryIO) -> Iterator[Box]:
    item = _primary_item(stream)
    return iter(()) if item is None else _item_properties(stream, item)


def primary_margins(file: Path) -> Margins | None:
    """Return the margins outside the clean aperture of the primary picture of a HEIF file.

    Args:
        file: The file.

    Returns:
        The margins; None if the picture has no valid clean aperture.

    """
    return examine(file, _primary_margins)


def _primary_margins(stream: BinaryIO) -> Margins | None:
    item = _primary_item(stream)
    return None if item is None else _item_margins(stream, item)


def displayed_margins(file: Path) -> Margins | None:
    """Return the margins outside the clean aperture of the picture that libavif reads from a file.

    That is the first visible track, or the primary picture if the file is a still picture by its
    main brand or has no tracks.

    Args:
        file: The file.

    Returns:
        The margins; None if the picture has no valid clean aperture.

    """
    return examine(file, _displayed_margins)


def _displayed_margins(stream: BinaryIO) -> Margins | None:
    brand = child(stream, top_level(stream), "ftyp")
    still = brand is not None and brand.read(stream, 0, 4) == _PICTURE_BRAND
    for track in () if still else tracks(stream):
        if is_visual(stream, track):
            return clean_aperture(stream, track)
    return _primary_margins(stream)


def _primary_item(stream: BinaryIO) -> int | None:
    """Return the identifier of the primary picture, None if there is none."""
    meta = child(stream, top_level(stream), "meta")
    primary = None if meta is None else child(stream, meta, "pitm", skip=FULL_BOX)
    if primary is None:
        return None
    wide = primary.read(stream, 0, 1)[0] > 0
    return int.from_bytes(primary.read(stream, 4, 4 if wide else 2), "big")


def _item_margins(stream: BinaryIO, item: int) -> Margins | None:
    """Read the size and the clean aperture among the properties of an item."""
    size: tuple[int, ...] = ()
    clap: bytes | None = None
    for found in _item_properties(stream, item):
        if found.kind == "ispe":
            size = words(found.read(stream, 4, 8), 4)
        elif found.kind == "clap":
            clap = found.read(stream, 0, CLAP_SIZE)
    return None if clap is None or not size else clap_margins(clap, *size)


def _item_properties(stream: BinaryIO, item: int) -> Iterator[Box]:
    """Yield the properties of an item."""
    meta = child(stream, top_level(stream), "meta")
    properties_box = None if meta is None else child(stream, meta, "iprp", skip=FULL_BOX)
    store = None if properties_box is None else child(stream, properties_box, "ipco")
    if properties_box is None or store is None:
        return
    properties = list(children(stream, store))
    for index in _associations(stream, properties_box, item):
        if 1 <= index <= len(properties):
            yield properties[index - 1]


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
                listed = words(data[position : position + count * step], step)
                yield from (value & (0x7FFF if step == 2 else 0x7F) for value in listed)
            position += count * step
