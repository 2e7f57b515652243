"""What chunks of PNG state that Pillow does not read: depth, colour codes and HDR metadata.

Source: PNG specification, third edition, 5.3 (chunks), 11.2.1 (IHDR) and 11.3.2.6 to 11.3.2.8
(cICP, mDCV, cLLI).
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from jdsr_cli.media.hdr_metadata import MASTERING_SIZE, light_text, stored_mastering
from jdsr_cli.media.reading.coded_colours import CodedColours, ColourCodes

_START = 8
"""Bytes of the signature of a PNG."""
_BIT_DEPTH = 24
"""Position of the bit depth."""
_SIZES = {b"cICP": 4, b"mDCV": MASTERING_SIZE, b"cLLI": 8}
_MAX_CHUNKS = 1024
_LIGHT_UNIT = 10000
"""Units of cLLI per cd/m2."""


def png_colours(file: Path) -> CodedColours:
    """Return the colours that a PNG states by codes.

    Of several chunks of a type the first counts. Chunks that are damaged count as absent.

    Args:
        file: A PNG.

    Raises:
        OSError: The file cannot be read.

    """
    found = _chunks(file)
    codes, display, light = (found.get(kind) for kind in _SIZES)
    levels = () if light is None else struct.unpack(">2I", light)
    return CodedColours(
        None if codes is None else ColourCodes.of(codes[:3], full_range=bool(codes[3])),
        None if display is None else stored_mastering(display, "RGB"),
        light_text(*(round(level / _LIGHT_UNIT) for level in levels)) if levels else None,
    )


def png_bit_depth(file: Path) -> int:
    """Return the bits per channel of a PNG, 1 to 16, as the chunk IHDR states them.

    Raises:
        OSError: The file cannot be read.

    """
    with file.open("rb") as stream:
        stream.seek(_BIT_DEPTH)
        return int.from_bytes(stream.read(1), "big")


def _chunks(file: Path) -> dict[bytes, bytes]:
    """Return the content of the chunks before the picture, by type."""
    found: dict[bytes, bytes] = {}
    with file.open("rb") as stream:
        stream.seek(_START)
        for _ in range(_MAX_CHUNKS):
            head = stream.read(8)
            size, kind = int.from_bytes(head[:4], "big"), head[4:]
            if len(head) < 8 or kind == b"IDAT":
                break
            if size != _SIZES.get(kind):
                stream.seek(size + 4, 1)
                continue
            content, checksum = stream.read(size), stream.read(4)
            if zlib.crc32(kind + content) == int.from_bytes(checksum, "big"):
                found.setdefault(kind, content)
    return found
