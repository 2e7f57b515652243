"""Small files that state pictures, animations or indexes that would fill the memory."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from clips import encode
from PIL import Image

SIDE = 13000
"""Side of pictures of 169 million pixels, above the bound and below that of Pillow."""
HUGE = 65000


@lru_cache
def zeros(size: int) -> bytes:
    """Return zeros, compressed."""
    packer, block = zlib.compressobj(9), bytes(1 << 20)
    packed = b"".join(packer.compress(block) for _ in range(size >> 20))
    return packed + packer.compress(bytes(size & (1 << 20) - 1)) + packer.flush()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(folder: Path, name: str, chunks: bytes = b"", side: int = SIDE) -> Path:
    """A PNG whose pixels are never reached."""
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0))
    pixels = _chunk(b"IDAT", zeros(1 << 20)) + _chunk(b"IEND", b"")
    (folder / name).write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunks + pixels)
    return folder / name


def png(folder: Path) -> Path:
    return _png(folder, "a.png")


def compressed_text(folder: Path) -> Path:
    text = _chunk(b"zTXt", b"x\0\0" + zeros(1 << 28))
    return _png(folder, "text.png", text, side=8)


def compressed_profile(folder: Path) -> Path:
    return _png(folder, "icc.png", _chunk(b"iCCP", b"x\0\0" + zeros(1 << 28)), side=8)


def apng(folder: Path) -> Path:
    frame = struct.pack(">IIIIIHHBB", 0, SIDE, SIDE, 0, 0, 1, 10, 0, 0)
    chunks = _chunk(b"acTL", struct.pack(">II", 2, 0)) + _chunk(b"fcTL", frame)
    return _png(folder, "a.apng", chunks)


def gif_bytes(side: int, pictures: int) -> bytes:
    """A GIF of pictures of one pixel on a canvas."""
    head = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + bytes(3) + b"\xff" * 3
    one = b"\x21\xf9\x04\x04\x05\0\0\0\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0)
    return head + (one + b"\x02\x02\x4c\x01\0") * pictures + b";"


def gif(folder: Path) -> Path:
    (folder / "a.gif").write_bytes(gif_bytes(HUGE, 2))
    return folder / "a.gif"


def long_gif(folder: Path) -> Path:
    (folder / "long.gif").write_bytes(gif_bytes(10_000, 3000))
    return folder / "long.gif"


def webp(folder: Path) -> Path:
    packed = io.BytesIO()
    Image.new("RGB", (2, 2)).save(packed, "WEBP", lossless=True)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return kind + struct.pack("<I", len(data)) + data

    def short(*values: int) -> bytes:
        return b"".join(struct.pack("<I", value)[:3] for value in values)

    frame = chunk(b"ANMF", short(0, 0, 1, 1, 10) + b"\0" + packed.getvalue()[12:])
    canvas = chunk(b"VP8X", b"\2\0\0\0" + short(SIDE - 1, SIDE - 1))
    body = b"WEBP" + canvas + chunk(b"ANIM", bytes(6)) + frame * 3000
    (folder / "a.webp").write_bytes(chunk(b"RIFF", body))
    return folder / "a.webp"


def tiff(folder: Path) -> Path:
    tags = {
        256: (4, SIDE), 257: (4, SIDE), 258: (3, 8), 259: (3, 8), 262: (3, 1), 273: (4, 122),
        277: (3, 1), 278: (4, SIDE), 279: (4, 1000),
    }  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value)
                       for tag, (kind, value) in tags.items())  # fmt: skip
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    (folder / "a.tif").write_bytes(head + zeros(1 << 20))
    return folder / "a.tif"


def _jpeg_bytes(side: int) -> bytes:
    packed = io.BytesIO()
    Image.new("RGB", (64, 64)).save(packed, "JPEG")
    data = bytearray(packed.getvalue())
    start = data.index(b"\xff\xc0")
    data[start + 5 : start + 9] = struct.pack(">HH", side, side)
    return bytes(data)


def jpeg(folder: Path) -> Path:
    (folder / "a.jpg").write_bytes(_jpeg_bytes(SIDE))
    return folder / "a.jpg"


def mjpeg(folder: Path) -> Path:
    (folder / "a.mjpeg").write_bytes(_jpeg_bytes(SIDE) * 3)
    return folder / "a.mjpeg"


def jpeg2000(folder: Path) -> Path:
    packed = io.BytesIO()
    Image.new("RGB", (64, 64)).save(packed, "JPEG2000")
    data = bytearray(packed.getvalue())
    for mark, place in ((b"ihdr", 4), (b"\xff\x51", 6)):
        start = data.index(mark) + place
        data[start : start + 8] = struct.pack(">II", SIDE, SIDE)
    (folder / "a.jp2").write_bytes(data)
    return folder / "a.jp2"


def bmp(folder: Path) -> Path:
    header = struct.pack("<IiiHHIIiiII", 40, SIDE, SIDE, 1, 24, 0, 0, 0, 0, 0, 0)
    (folder / "a.bmp").write_bytes(b"BM" + struct.pack("<IHHI", 1000, 0, 0, 54) + header + b"\0")
    return folder / "a.bmp"


def ppm(folder: Path) -> Path:
    (folder / "a.ppm").write_bytes(b"P6\n%d %d\n255\n" % (SIDE, SIDE) + bytes(1000))
    return folder / "a.ppm"


def qoi(folder: Path) -> Path:
    header = b"qoif" + struct.pack(">IIBB", SIDE, SIDE, 3, 0)
    (folder / "a.qoi").write_bytes(header + b"\xfd" * (SIDE * SIDE // 62 + 1) + bytes(7) + b"\1")
    return folder / "a.qoi"


def psd(folder: Path) -> Path:
    header = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, HUGE, HUGE, 8, 3)
    (folder / "a.psd").write_bytes(header + bytes(12) + b"\0\1" + bytes(100))
    return folder / "a.psd"


def _box(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", 8 + len(data)) + kind + data


def _full(kind: bytes, *words: int, flags: int = 0) -> bytes:
    return _box(kind, struct.pack(f">{1 + len(words)}I", flags, *words))


_FILE_TYPE = _box(b"ftyp", b"qt  " + bytes(4))


def _movie(stbl: bytes, extra: bytes = b"") -> bytes:
    handler = _box(b"hdlr", bytes(8) + b"vide" + bytes(13))
    media = _box(b"mdia", _full(b"mdhd", 0, 0, 25, 1000, 0) + handler
                 + _box(b"minf", _box(b"stbl", stbl)))  # fmt: skip
    header = _full(b"tkhd", 0, 0, 1, 0, 1000, *[0] * 14, flags=7)
    return _box(b"moov", _full(b"mvhd", 0, 0, 25, 1000, *[0] * 20) + _box(b"trak", header + media)
                + extra)  # fmt: skip


def constant_samples(folder: Path, samples: int = 80_000_000) -> Path:
    """An index of samples of one byte each, all in one chunk."""
    entry = _box(b"raw ", bytes(7) + b"\1" + bytes(16) + b"\0\x08\0\x08" + bytes(46) + b"\xff\xff")
    tables = (
        _box(b"stsd", struct.pack(">II", 0, 1) + entry) + _full(b"stsz", 1, samples)
        + _full(b"stts", 1, samples, 1) + _full(b"stsc", 1, 1, samples, 1) + _full(b"stco", 1, 40)
    )  # fmt: skip
    path = folder / "constant.mov"
    path.write_bytes(_FILE_TYPE + _box(b"mdat", bytes(1000)) + _movie(tables))
    return path


def fragments(folder: Path, samples: int = 40_000_000) -> Path:
    """A fragment of samples about which nothing is stored, after many boxes of other kinds."""
    run = _full(b"trun", samples)
    fragment = _box(b"moof", _box(b"traf", _full(b"tfhd", 1, flags=0x20000) + run * 4))
    movie = _movie(b"", _box(b"mvex", _full(b"trex", 1, 1, 1, 1, 0)))
    path = folder / "fragments.mp4"
    path.write_bytes(_FILE_TYPE + movie + _box(b"free", b"") * 2000 + fragment)
    return path


def compressed_index(folder: Path) -> Path:
    packed = struct.pack(">I", 1 << 30) + zeros(1 << 28)
    data = _box(b"cmov", _box(b"dcom", b"zlib") + _box(b"cmvd", packed))
    (folder / "cmov.mov").write_bytes(_FILE_TYPE + _box(b"moov", data))
    return folder / "cmov.mov"


def video_of_large_frames(folder: Path) -> Path:
    """A stream of H.264 whose frames have other sizes than the ones that its header states."""
    data = bytearray(encode(folder / "small.mp4").read_bytes())
    (folder / "small.mp4").unlink()
    start = data.index(b"avc1") + 28
    data[start : start + 4] = struct.pack(">HH", 32767, 32767)
    (folder / "header.mp4").write_bytes(data)
    return folder / "header.mp4"


STATED: dict[str, Callable[[Path], Path]] = {
    "PNG": png, "APNG": apng, "GIF": gif, "3,000 pictures of a GIF": long_gif, "WebP": webp,
    "TIFF": tiff, "JPEG": jpeg, "JPEG 2000": jpeg2000, "BMP": bmp, "PPM": ppm,
    "samples of one byte": constant_samples, "samples of fragments": fragments,
    "compressed index": compressed_index,
}  # fmt: skip
"""Files of which the size is known before they are decoded."""
DECODED: dict[str, Callable[[Path], Path]] = {
    "Motion JPEG": mjpeg, "QOI": qoi, "PSD": psd, "PNG text": compressed_text,
    "PNG profile": compressed_profile,
}  # fmt: skip
"""Files that the decoder refuses."""
