"""Structure of program streams, broadcast formats and uncompressed video at their top level.

Sources: ITU-T H.222.0, 2.5.3 (packs of a program stream) and ISO/IEC 11172-1, 2.4.3.2 (those of
MPEG-1); SMPTE ST 336 (KLV) and ST 377-1, 7 (partitions of MXF); RealNetworks, RealMedia File
Format; MJPEG Tools, yuv4mpeg(5); IEC 61834-2, 11 (DIF blocks of DV); Adobe SWF File Format
Specification 19, 2; FFmpeg, nut.txt, wtvdec.c and smjpegdec.c; FITS Standard 4.0, 4.4.
"""

from __future__ import annotations

import re

from jdsr_cli.media.reading.elements import ENDLESS, Structure, endless

_START_CODE = b"\x00\x00\x01"
_PACK, _END_CODE, _FIRST_PACKET = 0xBA, 0xB9, 0xBB


def _packet(head: bytes, position: int, rest: int, seen: dict[bytes, int]) -> int:
    if head[:3] != _START_CODE or head[3] < _END_CODE:
        return 0
    if head[3] == _PACK:
        # MPEG-2 states the number of stuffing bytes.
        return 14 + (head[13] & 7) if len(head) > 13 and head[4] & 0xC0 == 0x40 else 12
    return 4 if head[3] < _FIRST_PACKET else 6 + int.from_bytes(head[4:6], "big")


_KEY = b"\x06\x0e\x2b\x34"
_HEADER_PARTITION = re.compile(
    re.escape(_KEY) + rb"\x02\x05\x01[\x00-\xff]\x0d\x01\x02\x01\x01\x02"
)
_KEY_LENGTH = 16


def _klv(head: bytes, position: int, rest: int, seen: dict[bytes, int]) -> int:
    if not head.startswith(_KEY) or (position and _HEADER_PARTITION.match(head)):
        return 0
    count = head[_KEY_LENGTH]
    if count < 0x80:
        return _KEY_LENGTH + 1 + count
    start = _KEY_LENGTH + 1
    end = start + (count & 0x7F)
    return end + int.from_bytes(head[start:end], "big")


_REAL_CHUNKS = b".RMF PROP MDPR CONT DATA INDX RMMD RJMD RMJE".split()


def _real_chunk(head: bytes, position: int, rest: int, seen: dict[bytes, int]) -> int:
    kind, length = head[:4], int.from_bytes(head[4:8], "big")
    if kind not in _REAL_CHUNKS or (kind == b".RMF" and position):
        return 0
    # Live recordings leave the size of the data empty.
    return length or ENDLESS


_Y4M_HEADER = re.compile(rb"YUV4MPEG2(?= )([ -~]*)\n")
_Y4M_SUBSAMPLING = {b"420": (2, 2), b"411": (4, 1), b"422": (2, 1), b"444": (1, 1)}
_Y4M_FRAME = re.compile(rb"FRAME[ -~]*\n")
_Y4M_MAX_LINE = 256


def _y4m_frame(head: bytes, position: int, rest: int, seen: dict[bytes, int]) -> int:
    if not position:
        match = _Y4M_HEADER.match(head)
        size = None if match is None else _y4m_size(match[1])
        if match is None or size is None:
            return ENDLESS
        seen[b"frame"] = size
        return match.end()
    match = _Y4M_FRAME.match(head, 0, _Y4M_MAX_LINE)
    return 0 if match is None else match.end() + seen[b"frame"]


def _y4m_size(parameters: bytes) -> int | None:
    """Return the number of bytes of a frame, None if it is unknown."""
    values = {word[:1]: word[1:] for word in parameters.split()}
    colour = re.fullmatch(
        rb"(mono|4\d\d)(alpha)?(?:jpeg|mpeg2|paldv)?p?(\d*)", values.get(b"C", b"420")
    )
    sides = (values.get(b"W", b""), values.get(b"H", b""))
    if colour is None or not all(map(bytes.isdigit, sides)):
        return None
    width, height = map(int, sides)
    samples = width * height * (2 if colour[2] else 1)
    if colour[1] != b"mono":
        if colour[1] not in _Y4M_SUBSAMPLING:
            return None
        across, down = _Y4M_SUBSAMPLING[colour[1]]
        samples += 2 * -(-width // across) * -(-height // down)
    return samples * (2 if colour[3] not in (b"", b"8") else 1)


_DIF_HEADER = re.compile(rb"\x1f[\x07\x0f]\x00[\x3f\xbf]")
_DIF_FRAME = {0x3F: 120_000, 0xBF: 144_000}
"""Bytes of a frame of 525 and 625 lines; in DVCPRO 50 and HD of a part of it."""


def _dif_frame(head: bytes, position: int, rest: int, seen: dict[bytes, int]) -> int:
    return _DIF_FRAME[head[3]] if _DIF_HEADER.match(head) else 0


def _flash(head: bytes, position: int, rest: int, seen: dict[bytes, int]) -> int:
    if position:
        return 0
    # The length of a compressed file is that of its content.
    return int.from_bytes(head[4:8], "little") if head[:1] == b"F" else ENDLESS


PROGRAM = Structure(
    re.compile(
        rb"\x00\x00\x01\xba(?:[\x40-\x7f][\x00-\xff]{8}[\xf8-\xff]\xff{0,7}"
        rb"|[\x21-\x2f][\x00-\xff]{7})\x00\x00\x01[\xb9-\xff]"
    ),
    _packet,
    4,
    continuous=True,
)

STREAM_STRUCTURES: tuple[Structure, ...] = (
    PROGRAM,
    Structure(_HEADER_PARTITION, _klv, _KEY_LENGTH + 1),
    Structure(re.compile(rb"\.RMF\x00\x00\x00\x12"), _real_chunk, 8),
    Structure(re.compile(rb"YUV4MPEG2 [WHFIAC]"), _y4m_frame, 6),
    Structure(re.compile(rb"\x1f\x07\x00[\x3f\xbf]"), _dif_frame, 4, searched=False),
    Structure(re.compile(rb"[FCZ]WS[\x01-\x40]"), _flash, 8, searched=False),
    Structure(re.compile(rb"nut/multimedia container\x00"), endless, 1),
    Structure(re.compile(re.escape(bytes.fromhex("b7d800203749da11a64e0007e95ead8d"))), endless, 1),
    Structure(re.compile(rb"SIMPLE  = {20}T"), endless, 1),
    Structure(re.compile(rb"\x00\nSMJPEG\x00"), endless, 1),
)
