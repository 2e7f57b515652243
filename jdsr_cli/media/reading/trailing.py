"""Find where a picture ends in its file: telephones append videos to photographs.

Sources: ITU-T T.81, B.1 (JPEG markers); PNG specification, third edition, 5.3 (chunks); GIF89a
specification, 18 to 27 (blocks); RFC 9649, 2.3 (RIFF header of WebP).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jdsr_cli.media.reading.recordings import is_meaningful, next_recording
from jdsr_cli.media.reading.salvage import find_stream
from jdsr_cli.media.slices import FileSlice

_SEARCHED = 1 << 26
"""Maximum number of bytes of a picture that is examined; larger ones count as whole."""

_PICTURE = re.compile(
    rb"\0*(?:\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF[\x00-\xff]{4}WEBP|BM[\x00-\xff]{4}\0{4}"
    rb"|II\x2a\0|MM\0\x2a|[\x00-\xff]{4}ftyp(?:heic|heix|mif1|msf1|avif))"
)
"""Pictures, after padding: JPEG, PNG, GIF, WebP, BMP, TIFF, HEIF and AVIF."""
_HEAD = 1 << 16
"""Number of bytes after a picture in which a picture or an elementary stream is recognised."""


@dataclass(frozen=True)
class Trailing:
    """Bytes that follow a picture.

    Attributes:
        part: Where they are.
        content: What they hold, None if that is unknown.

    """

    part: FileSlice
    content: Literal["a video", "another picture"] | None

    @property
    def unread(self) -> list[str]:
        """The note if the bytes hold a video or picture, which is not read."""
        return [] if self.content is None else [self.note]

    @property
    def note(self) -> str:
        """Sentence for the user."""
        held = "" if self.content is None else f", which hold {self.content}"
        return (
            f"{self.part.size} bytes after byte {self.part.start} follow the picture{held}; they "
            "were not read"
        )


def trailing_bytes(file: Path, picture_format: str | None) -> Trailing | None:
    """Return the bytes after a picture, None if there are none.

    Args:
        file: The file.
        picture_format: Pillow's name of its format.

    Raises:
        OSError: The file cannot be read.

    """
    end = picture_end(file, picture_format)
    if end is None:
        return None
    with file.open("rb") as stream:
        size = stream.seek(0, 2)
        if not is_meaningful(stream, end, size):
            return None
        recording = next_recording(stream, end, size)
        stream.seek(end)
        head = stream.read(_HEAD)
    part = FileSlice(file, end, size)
    if recording is not None or find_stream(head, ("mjpeg",)) is not None:
        return Trailing(part, "a video")
    return Trailing(part, None if _PICTURE.match(head) is None else "another picture")


def picture_end(file: Path, picture_format: str | None) -> int | None:
    """Return where the picture ends, None if that is unknown or it is cut off.

    Raises:
        OSError: The file cannot be read.

    """
    find = _ENDS.get(picture_format or "")
    if find is None:
        return None
    with file.open("rb") as stream:
        data = stream.read(_SEARCHED)
    try:
        return find(data)
    except IndexError:  # It ends within an element.
        return None


def _png_end(data: bytes) -> int | None:
    position = 8
    while position + 8 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        kind = data[position + 4 : position + 8]
        position += 12 + length
        if kind == b"IEND":
            return position
    return None


_STANDALONE = (0x01, *range(0xD0, 0xD8))
"""JPEG markers without a length."""
_END_OF_IMAGE = 0xD9
_JPEG_START = b"\xff\xd8\xff"


def _mpo_end(data: bytes) -> int | None:
    """Return the end of the last of several JPEG pictures, apart or not (CIPA DC-007)."""
    end = _jpeg_end(data)
    while end is not None:
        following = len(data) - len(data[end:].lstrip(b"\0"))
        if not data.startswith(_JPEG_START, following):
            break
        end = _jpeg_end(data, following)
    return end


def _jpeg_end(data: bytes, start: int = 0) -> int | None:
    position = start + 2
    while True:
        while data[position] != 0xFF or data[position + 1] in (0x00, 0xFF):
            # Coded data and fill bytes are skipped up to the next marker.
            position = data.find(b"\xff", position + 1)
            if position < 0:
                return None
        marker = data[position + 1]
        position += 2
        if marker == _END_OF_IMAGE:
            return position
        if marker not in _STANDALONE:
            position += int.from_bytes(data[position : position + 2], "big")


_GIF_IMAGE, _GIF_EXTENSION, _GIF_TRAILER = 0x2C, 0x21, 0x3B


def _gif_end(data: bytes) -> int | None:
    position = 13 + _palette(data[10])
    while True:
        kind = data[position]
        if kind == _GIF_TRAILER:
            return position + 1
        if kind == _GIF_EXTENSION:
            position += 2
        elif kind == _GIF_IMAGE:
            position += 11 + _palette(data[position + 9])
        else:
            return None
        while data[position]:
            position += 1 + data[position]
        position += 1


def _palette(flags: int) -> int:
    """Return the number of bytes of a colour table."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _webp_end(data: bytes) -> int | None:
    length = int.from_bytes(data[4:8], "little")
    return 8 + length + length % 2


_ENDS: dict[str, Callable[[bytes], int | None]] = {
    "PNG": _png_end,
    "JPEG": _jpeg_end,
    "MPO": _mpo_end,
    "GIF": _gif_end,
    "WEBP": _webp_end,
}
"""Format to the function that returns where the picture ends, None if that is unknown."""
