"""Structure of containers at their top level: how they begin, and how long each element is.

Sources: ISO/IEC 14496-12, 4.2 (boxes); RFC 8794 (EBML elements) and RFC 9559; Microsoft, AVI RIFF
File Reference and OpenDML AVI File Format Extensions; Adobe Flash Video File Format Specification
10.1, annex E; Microsoft, Advanced Systems Format, 3 (top-level objects); RFC 3533 (Ogg pages);
libvpx, ivfdec.c (IVF).
"""

from __future__ import annotations

import re

from jdsr_cli.media.reading.ebml import element_header
from jdsr_cli.media.reading.elements import ENDLESS, Layout, Structure
from jdsr_cli.media.reading.stream_structures import STREAM_STRUCTURES
from jdsr_cli.media.reading.transport import TRANSPORT_STREAMS

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


_EBML, _SEGMENT, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
_EBML_ELEMENTS = (
    *(_EBML, _SEGMENT, _CLUSTER),
    *(0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367),
    *(0xEC, 0xBF, 0xE7, 0x5854, 0xA7, 0xAB, 0xA3, 0xA0, 0xAF),
)
"""Identifiers of the elements of a file, a segment and a cluster."""


def _element(head: bytes, position: int, rest: int, seen: dict[bytes, int]) -> int:
    header = element_header(head)
    if header is None or header.identifier not in _EBML_ELEMENTS:
        return 0
    if header.identifier == _EBML and position:
        return 0
    if header.size is None:
        # The content of an element of unknown size is followed like its siblings.
        return header.length if header.identifier in (_SEGMENT, _CLUSTER) else ENDLESS
    return header.length + header.size


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
    # Bit 5 says that the tag is encrypted.
    if head[0] & ~0x20 not in _FLV_TAGS:
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


MP4 = Structure(re.compile(rb"\x00\x00[\x00-\x03][\x00-\xff]ftyp[0-9A-Za-z ]{4}"), _box, 8)
ASF = Structure(re.compile(re.escape(_ASF_HEADER)), _object, 24)
STRUCTURES: tuple[Layout, ...] = (
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
    *TRANSPORT_STREAMS,
    *STREAM_STRUCTURES,
)
