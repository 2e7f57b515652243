"""The clean aperture (`clap`) of MOV and MP4: the part of a stored picture that is shown.

FFmpeg's library decodes the whole picture; players cut it. ISO/IEC 14496-12, section 12.1.4.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from jdsr_cli.media.frames import Image

FORMATS = frozenset({"mov", "mp4", "m4a", "3gp", "3g2", "mj2"})
"""Names of the container format, of which one at least must fit."""
_MOST_INDEX = 64 << 20
"""Bytes of an index that are searched."""
_CLAP = struct.pack(">I4s", 40, b"clap")


@dataclass(frozen=True)
class Aperture:
    """The shown part of a stored picture, before it is turned upright; all in pixels."""

    left: int
    top: int
    width: int
    height: int

    def cut(self, image: Image) -> Image:
        """Return the shown part of a stored picture (height, width, 3)."""
        rows = slice(self.top, self.top + self.height)
        part = image[rows, self.left : self.left + self.width]
        return np.ascontiguousarray(part)


def clean_aperture(file: Path, container: str, width: int, height: int) -> Aperture | None:
    """Return the clean aperture of the first video track that has one; None for the whole picture.

    Args:
        file: The file.
        container: Name of its format.
        width: Of the stored picture in pixels.
        height: Of the stored picture in pixels.

    """
    if not FORMATS & set(container.split(",")):
        return None
    index = _index(file)
    place = index.find(_CLAP)
    if place < 0 or len(index) < place + 40:
        return None
    numbers = struct.unpack_from(">IIIIiIiI", index, place + 8)
    if 0 in numbers[1::2]:
        return None
    across, down, right, lower = (
        Fraction(numbers[i], numbers[i + 1]) for i in range(0, len(numbers), 2)
    )
    shown_width, shown_height = round(across), round(down)
    left = round((width - across) / 2 + right)
    top = round((height - down) / 2 + lower)
    whole = (left, top, shown_width, shown_height) == (0, 0, width, height)
    inside = left >= 0 and top >= 0 and left + shown_width <= width and top + shown_height <= height
    if whole or not inside or min(shown_width, shown_height) < 1:
        return None
    return Aperture(left, top, shown_width, shown_height)


def _index(file: Path) -> bytes:
    """Return the content of the `moov` box; empty where there is none."""
    with file.open("rb") as stream:
        while True:
            header = stream.read(8)
            if len(header) < 8:
                return b""
            size, name = struct.unpack(">I4s", header)
            body = size - 8
            if size == 1:
                body = int.from_bytes(stream.read(8), "big") - 16
            if name == b"moov":
                return stream.read(min(_MOST_INDEX, body if size else _MOST_INDEX))
            if body < 0 or size == 0:
                return b""
            stream.seek(body, 1)
