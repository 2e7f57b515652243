"""Headers of EBML elements, of which Matroska and WebM consist (RFC 8794, 4 to 6)."""

from __future__ import annotations

from dataclasses import dataclass

_MAX_IDENTIFIER, _MAX_SIZE = 4, 8
"""Numbers of bytes of an identifier and of a size."""


@dataclass(frozen=True)
class ElementHeader:
    """The header of an element.

    Attributes:
        identifier: Its identifier with the bits that state its length.
        length: Number of bytes of the header.
        size: Number of bytes of the content; None if it is unknown.

    """

    identifier: int
    length: int
    size: int | None


def element_header(data: bytes) -> ElementHeader | None:
    """Return the header of the element that `data` starts with, None if it is none."""
    name = _length(data)
    size = _length(data[name:])
    if not 0 < name <= _MAX_IDENTIFIER or not size:
        return None
    length = name + size
    unknown = (1 << 7 * size) - 1
    count = int.from_bytes(data[name:length], "big") & unknown
    identifier = int.from_bytes(data[:name], "big")
    return ElementHeader(identifier, length, None if count == unknown else count)


def _length(data: bytes) -> int:
    """Return the length of the variable-length number that `data` starts with, 0 if none."""
    length = 9 - data[0].bit_length() if data else 0
    return length if length <= min(_MAX_SIZE, len(data)) else 0
