"""Structure of containers at their top level: how they begin, and how long each element is.

Sources: ISO/IEC 14496-12, 4.2 (boxes); RFC 8794 (EBML elements) and RFC 9559; Microsoft, AVI RIFF
File Reference and OpenDML AVI File Format Extensions; Adobe Flash Video File Format Specification
10.1, annex E; Microsoft, Advanced Systems Format, 3 (top-level objects); RFC 3533 (Ogg pages);
libvpx, ivfdec.c (IVF).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from jdsr_cli.media.reading.transport import TransportStream

HEAD = 300
"""Number of bytes that are read of each element; a header of an Ogg page has 282 at most."""

_MAX_ELEMENTS = 1 << 21
"""Number of elements that are followed; the limit stops files that consist of empty ones."""

ENDLESS = sys.maxsize
"""Length of an element that extends to the end of the file."""

Step = Callable[[bytes, int, int, dict[bytes, int]], int]
"""Return the length of an element.

It is 0 if the recording ends before the element, and negative if it ended earlier. The arguments
are the first bytes of the element, its position in the recording, the number of bytes from there to
the end of the file, and the positions after the elements of each kind so far, to be extended.
"""


@dataclass(frozen=True)
class Structure:
    """A kind of container.

    Attributes:
        start: Pattern of the first bytes of a recording.
        step: Measures the elements at its top level.
        least: Minimum number of bytes of an element.

    """

    start: re.Pattern[bytes]
    step: Step
    least: int

    def follow(self, stream: BinaryIO, position: int, size: int) -> int:
        """Return where the recording ends that starts at a position, beyond the file if cut off."""
        start, seen = position, dict[bytes, int]()
        for _ in range(_MAX_ELEMENTS):
            if position + self.least > size:
                return position
            stream.seek(position)
            length = self.step(stream.read(HEAD), position - start, size - position, seen)
            position += length
            if length <= 0:
                return position
        return size


_BOXES = frozenset(
    b"ftyp styp moov moof mdat imda free skip wide uuid meta mfra sidx ssix prft emsg pdin bloc "
    b"pnot PICT udta junk".split()
)
"""Types of boxes at the top level; one that extends beyond the file is cut off."""

FIRST_BOXES = (b"wide", b"mdat", b"moov", b"free", b"skip")
"""First boxes of QuickTime files without the box `ftyp`."""


def _box(head: bytes, position: int, rest: int, seen: dict[bytes, int]) -> int:
    length, kind, least = int.from_bytes(head[:4], "big"), head[4:8], 8
    if length == 1:
        length, least = int.from_bytes(head[8:16], "big"), 16
    if kind == b"ftyp" and position:
        return 0
    if kind == b"moov" and kind in seen and b"mdat" in seen:
        # An index without `ftyp` is that of the next recording, whose media data may precede it.
        return max(seen[b"moov"], min(seen[b"mdat"], position)) - position
    if not (kind in _BOXES or (kind.isalnum() and length <= rest)) or 0 < length < least:
        return 0
    # Of several parts with media data, the first one counts.
    if length:
        seen.setdefault(kind, position + length)
    return length or ENDLESS


_EBML, _SEGMENT, _CLUSTER = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"

_EBML_TOP_LEVEL = (
    *(_EBML, _SEGMENT, _CLUSTER),
    *(b"\x11\x4d\x9b\x74", b"\x15\x49\xa9\x66", b"\x16\x54\xae\x6b", b"\x1c\x53\xbb\x6b"),
    *(b"\x19\x41\xa4\x69", b"\x10\x43\xa7\x70", b"\x12\x54\xc3\x67", b"\xec", b"\xbf"),
    *(b"\xe7", b"\xa3", b"\xa0", b"\xa7", b"\xab"),
)
"""Identifiers of the elements of a file, a segment and a cluster."""


def _element(head: bytes, position: int, rest: int, seen: dict[bytes, int]) -> int:
    name = 9 - head[0].bit_length()
    length = 9 - head[name].bit_length() if name <= 4 and name < len(head) else 9
    if length > 8 or len(head) < name + length:
        return 0
    identifier, content = head[:name], name + length
    value = int.from_bytes(head[name:content], "big") & ((1 << 7 * length) - 1)
    if identifier == _EBML and position:
        return 0
    if value == (1 << 7 * length) - 1:
        # The content of an element of unknown size is followed like its siblings.
        seen[identifier] = position
        return content if identifier in (_SEGMENT, _CLUSTER) else ENDLESS
    known = identifier in _EBML_TOP_LEVEL or (_SEGMENT in seen and content + value <= rest)
    return content + value if known else 0


def _chunk(head: bytes, position: int, rest: int, seen: dict[bytes, int]) -> int:
    length = int.from_bytes(head[4:8], "little")
    kind = head[8:12] if head[:4] == b"RIFF" else head[:4]
    if kind not in (b"AVI ", b"AVIX", b"JUNK", b"idx1") or (kind == b"AVI " and position):
        return 0
    # Recorders that were interrupted leave the size empty or at its maximum.
    return ENDLESS if length in (0, 0xFFFFFFFF) else 8 + length + length % 2


_FLV_TAGS = (8, 9, 18)
"""Types of the tags of sound, video and data."""


def _tag(head: bytes, position: int, rest: int, seen: dict[bytes, int]) -> int:
    if not position:
        return int.from_bytes(head[5:9], "big") + 4
    if head[0] & 0x1F not in _FLV_TAGS:
        return 0
    return 11 + int.from_bytes(head[1:4], "big") + 4


_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_EMPTY_ASF_DATA = 50
"""Length of the data object before the first packet, which interrupted recorders leave."""
_ASF_OBJECTS = (
    _ASF_HEADER,
    _ASF_DATA,
    bytes.fromhex("90080033b1e5cf1189f400a0c90349cb"),
    bytes.fromhex("d329e2d6da35d111903400a0c90349be"),
    bytes.fromhex("f803b1fead12644c840f2a1d2f7ad48c"),
    bytes.fromhex("3cb73fd00c4a4803953dedf7b6228f0c"),
)
"""Header, data, and the four kinds of index."""


def _object(head: bytes, position: int, rest: int, seen: dict[bytes, int]) -> int:
    kind, length = head[:16], int.from_bytes(head[16:24], "little")
    if kind not in _ASF_OBJECTS or (kind == _ASF_HEADER and position):
        return 0
    least = _EMPTY_ASF_DATA + 1 if kind == _ASF_DATA else 24
    return length if length >= least else ENDLESS


def _page(head: bytes, position: int, rest: int, seen: dict[bytes, int]) -> int:
    first = bool(head[5] & 2)
    if head[:4] != b"OggS" or (first and seen):
        return 0
    if not first:
        seen[b"data"] = position
    segments = head[26]
    return 27 + segments + sum(head[27 : 27 + segments])


_IVF_FRAME_HEADER = 12


def _frame(head: bytes, position: int, rest: int, seen: dict[bytes, int]) -> int:
    if not position:
        return int.from_bytes(head[6:8], "little")
    if head[:4] in (b"DKIF", bytes(4)):
        return 0
    length = _IVF_FRAME_HEADER + int.from_bytes(head[:4], "little")
    # What is longer than the rest is cut off, or no frame.
    return length if length <= rest or head[8:12] == bytes(4) else 0


MP4 = Structure(re.compile(rb"[\x00-\xff]{4}ftyp[0-9A-Za-z ]{4}"), _box, 8)
ASF = Structure(re.compile(re.escape(_ASF_HEADER)), _object, 24)
TRANSPORT = TransportStream()
STRUCTURES: tuple[Structure | TransportStream, ...] = (
    MP4,
    Structure(
        re.compile(rb"\x1a\x45\xdf\xa3[\x00-\xff]{1,60}?\x42\x82[\x00-\xff](?:matroska|webm)"),
        _element,
        2,
    ),
    Structure(re.compile(rb"RIFF[\x00-\xff]{4}AVI LIST"), _chunk, 12),
    Structure(re.compile(rb"FLV\x01[\x00-\x05]\x00\x00\x00\x09\x00\x00\x00\x00"), _tag, 9),
    ASF,
    Structure(re.compile(rb"OggS\x00\x02\x00{8}"), _page, 27),
    Structure(re.compile(rb"DKIF\x00\x00\x20\x00"), _frame, _IVF_FRAME_HEADER),
    TRANSPORT,
)
