"""Clips and pictures with a clean aperture in the container, as PyAV and Pillow do not write it."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from media.clips import encode
from numpy.typing import NDArray
from PIL import Image

Clap = Sequence[Fraction | int]
"""Width, height, and offset of the centre to the right and downwards, of a clean aperture."""

ENTRY = ("moov", "trak", "mdia", "minf", "stbl", "stsd")
"""Nested boxes that lead to the sample descriptions of a track."""
_BEFORE_CHILDREN = {"meta": 4, "stsd": 8, "avc1": 78, "av01": 78}
"""Bytes of a box before its child boxes."""

_EXIF_ORIENTATION = 0x0112


def clap_box(clap: Clap) -> bytes:
    """Return a clean aperture as a box."""
    numbers = [part for one in map(Fraction, clap) for part in one.as_integer_ratio()]
    return struct.pack(">I4s8i", 40, b"clap", *numbers)


def size_at(data: bytes, position: int) -> int:
    return int.from_bytes(data[position : position + 4], "big")


def box_positions(data: bytes, path: Sequence[str]) -> list[int]:
    """Return the position of each box of a path of nested boxes."""
    positions, start, end = [], 0, len(data)
    for kind in path:
        while data[start + 4 : start + 8] != kind.encode():
            start += size_at(data, start)
            assert start < end, kind
        positions.append(start)
        end = start + size_at(data, start)
        start += 8 + _BEFORE_CHILDREN.get(kind, 0)
    return positions


def with_box(data: bytes, path: Sequence[str], extra: bytes) -> bytes:
    """Append bytes to a box; update the sizes and file offsets."""
    grown, positions = bytearray(data), box_positions(data, path)
    end = positions[-1] + size_at(data, positions[-1])
    fields = list(positions)
    for path_of_table, offset in ((("meta", "iloc"), 22), ((*ENTRY[:-1], "stco"), 16)):
        if path_of_table[-1].encode() not in data:
            continue
        position = box_positions(data, path_of_table)[-1] + offset
        if size_at(data, position) >= end:
            fields.append(position)
    for position in fields:
        grown[position : position + 4] = struct.pack(">I", size_at(data, position) + len(extra))
    grown[end:end] = extra
    return bytes(grown)


def with_item_clap(data: bytes, clap: Clap) -> bytes:
    """Add a clean aperture to the only item of a HEIF or AVIF file."""
    (*_, ipco) = box_positions(data, ("meta", "iprp", "ipco"))
    properties, at = 0, ipco + 8
    while at < ipco + size_at(data, ipco):
        properties, at = properties + 1, at + size_at(data, at)
    data = with_box(data, ("meta", "iprp", "ipco"), clap_box(clap))
    data = with_box(data, ("meta", "iprp", "ipma"), bytes([0x80 | (properties + 1)]))
    listed = box_positions(data, ("meta", "iprp", "ipma"))[-1] + 18
    return data[:listed] + bytes([data[listed] + 1]) + data[listed + 1 :]


def avif(images: Sequence[NDArray[np.uint8]], orientation: int = 1) -> bytes:
    """Return an AVIF picture, or an animation of several, with an EXIF orientation."""
    exif = Image.Exif()
    exif[_EXIF_ORIENTATION] = orientation
    first, *more = map(Image.fromarray, images)
    stream = io.BytesIO()
    first.save(
        stream, "AVIF", quality=95, exif=exif, save_all=bool(more), append_images=more, duration=100
    )
    return stream.getvalue()


def heic(folder: Path, image: NDArray[np.uint8]) -> bytes:
    """Return a HEIC file of one picture, encoded by x265.

    B-frames are disabled, since with them a single frame has no times.
    """
    height, width = image.shape[:2]
    clip = encode(
        folder / "heic.mp4",
        [0],
        codec="libx265",
        size=(width, height),
        options={"crf": "8", "x265-params": "log-level=none:bframes=0"},
        paint=lambda _: image,
    )
    data = clip.read_bytes()
    at = data.index(b"hvcC") - 4
    decoder = data[at : at + size_at(data, at)]
    with av.open(str(clip)) as container:
        coded = b"".join(bytes(packet) for packet in container.demux(video=0) if packet.size)

    def box(kind: bytes, *parts: bytes) -> bytes:
        content = b"".join(parts)
        return struct.pack(">I4s", 8 + len(content), kind) + content

    whole = bytes(4)
    size = box(b"ispe", whole, struct.pack(">II", width, height))
    start = box(b"ftyp", b"heic", whole, b"mif1heic")

    def meta(offset: int) -> bytes:
        entry = box(b"infe", b"\2\0\0\0", struct.pack(">HH4s", 1, 0, b"hvc1"), b"\0")
        position = struct.pack(">BBHHHHII", 0x44, 0, 1, 1, 0, 1, offset, len(coded))
        return box(
            b"meta",
            whole,
            box(b"hdlr", whole, whole, b"pict", bytes(13)),
            box(b"pitm", whole, struct.pack(">H", 1)),
            box(b"iloc", whole, position),
            box(b"iinf", whole, struct.pack(">H", 1), entry),
            box(
                b"iprp",
                box(b"ipco", decoder, size),
                box(b"ipma", whole, struct.pack(">IHB", 1, 1, 2), b"\x81\x82"),
            ),
        )

    return start + meta(len(start) + len(meta(0)) + 8) + box(b"mdat", coded)


def element(name: int, value: int) -> bytes:
    """Return a Matroska element that contains a number of two bytes."""
    return name.to_bytes((name.bit_length() + 7) // 8, "big") + b"\x82" + value.to_bytes(2, "big")


def pixel_crop(left: int, top: int, right: int, bottom: int) -> bytes:
    """Return the elements that crop a Matroska video track."""
    named = ((0x54CC, left), (0x54BB, top), (0x54DD, right), (0x54AA, bottom))
    return b"".join(element(name, value) for name, value in named)


def with_elements(data: bytes, extra: bytes, number: int = 0) -> bytes:
    """Insert elements into the description of a video track, and update the parents' sizes."""
    grown, start, end, parents = bytearray(data), 0, len(data), []
    for name, skip in ((0x18538067, 0), (0x1654AE6B, 0), (0xAE, number), (0xE0, 0)):
        while True:
            assert start < end, hex(name)
            id_length = 9 - data[start].bit_length()
            position = start + id_length
            length = 9 - data[position].bit_length()
            size = int.from_bytes(data[position : position + length], "big") - (1 << 7 * length)
            unknown = size == (1 << 7 * length) - 1
            stop = end if unknown else position + length + size
            if int.from_bytes(data[start:position], "big") == name:
                if not skip:
                    break
                skip -= 1
            start = stop
        if not unknown:
            parents.append((position, length, size))
        start, end = position + length, stop
    for position, length, size in parents:
        assert size + len(extra) < (1 << 7 * length) - 1
        coded = size + len(extra) + (1 << 7 * length)
        grown[position : position + length] = coded.to_bytes(length, "big")
    grown[end:end] = extra
    return bytes(grown)
