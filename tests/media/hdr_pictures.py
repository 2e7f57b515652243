"""Still pictures in the colours of HDR, made from sRGB pictures."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pillow_heif
import tifffile
from media.deep_clips import CODES, Deep, Picture, encoded
from numpy.typing import NDArray
from PIL import Image

from jdsr_cli.media import MediaInfo, open_reader
from jdsr_cli.media.reading.matrix_profiles import coded_space
from jdsr_cli.media.writing.scheduling import unchanged_scheduling

_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
"""Colour type of PNG by the number of channels."""


@dataclass(frozen=True)
class Tags:
    """Colour codes in FFmpeg's names."""

    transfer: str = "smpte2084"
    primaries: str = "bt2020"
    full: bool = True

    def codes(self) -> tuple[int, int]:
        return CODES[self.primaries], CODES[self.transfer]

    def chunk(self) -> tuple[bytes, bytes]:
        """Return the chunk cICP."""
        return b"cICP", bytes([*self.codes(), 0, self.full])

    def encode(self, picture: Picture) -> Deep:
        return encoded(picture, self.transfer, self.primaries)


PQ, HLG = Tags(), Tags("arib-std-b67")
PQ_P3, HLG_P3 = Tags(primaries="smpte432"), Tags("arib-std-b67", "smpte432")
ALL_TAGS = {"PQ": PQ, "HLG": HLG, "PQ, P3": PQ_P3, "HLG, P3": HLG_P3}


def reduced(deep: Deep, bits: int) -> Deep:
    """Return samples of 16 bits in the range of fewer bits."""
    return np.rint(deep / 65535 * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)


def png(path: Path, samples: NDArray[Any], *chunks: tuple[bytes, bytes]) -> Path:
    """Write a PNG of 8 or 16 bits with extra chunks before its data."""
    values = samples[..., None] if samples.ndim == 2 else samples
    height, width, channels = values.shape
    size = values.dtype.itemsize
    rows = b"".join(b"\0" + row.astype(f">u{size}").tobytes() for row in values)
    head = struct.pack(">II5B", width, height, 8 * size, _COLOUR_TYPES[channels], 0, 0, 0)
    parts = ((b"IHDR", head), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    written = b"".join(
        struct.pack(">I", len(content)) + kind + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in parts
    )  # fmt: skip
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + written)
    return path


def heic(path: Path, deep: Deep, tags: Tags, bits: int = 10, **options: Any) -> Path:
    """Write a HEIC of 8, 10 or 12 bits."""
    primaries, transfer = tags.codes()
    settings = {
        "quality": 98, "chroma": 444, "color_primaries": primaries,
        "transfer_characteristics": transfer, "matrix_coefficients": 9,
        "full_range_flag": int(tags.full), **options,
    }  # fmt: skip
    samples = reduced(deep, 8) if bits == 8 else deep
    mode = {2: "L", 3: "RGB", 4: "RGBA"}[deep.shape[2] if deep.ndim == 3 else 2]
    height, width = deep.shape[:2]
    before = pillow_heif.options.SAVE_HDR_TO_12_BIT
    pillow_heif.options.SAVE_HDR_TO_12_BIT = bits == 12
    try:
        file = pillow_heif.from_bytes(
            mode=mode if bits == 8 else f"{mode};16",
            size=(width, height),
            data=np.ascontiguousarray(samples).tobytes(),
        )
        file.save(path, **settings)
    finally:
        pillow_heif.options.SAVE_HDR_TO_12_BIT = before
    return path


def avif(path: Path, deep: Deep, tags: Tags, bits: int = 10) -> Path:
    """Write an AVIF of 8, 10 or 12 bits by OpenCV, which tags sRGB, and change its tags."""
    samples = reduced(deep, bits)
    if samples.ndim == 3:
        samples = np.ascontiguousarray(samples[..., [2, 1, 0, 3][: samples.shape[2]]])
    options = [cv2.IMWRITE_AVIF_QUALITY, 98, cv2.IMWRITE_AVIF_DEPTH, bits]
    done, found = cv2.imencode(".avif", samples, [*options, cv2.IMWRITE_AVIF_SPEED, 9])
    assert done
    data = found.tobytes()
    assert data.count(b"nclx") == 1
    at = data.index(b"nclx") + 4
    path.write_bytes(data[:at] + struct.pack(">HH", *tags.codes()) + data[at + 4 :])
    return path


def with_tag(profile: bytes, name: bytes, content: bytes) -> bytes:
    """Add a tag to an ICC profile."""
    (count,) = struct.unpack_from(">I", profile, 128)
    table = b""
    for number in range(count):
        kind, start, size = struct.unpack_from(">4sII", profile, 132 + 12 * number)
        table += struct.pack(">4sII", kind, start + 12, size)
    end = len(profile) + 12
    table += struct.pack(">4sII", name, end, len(content))
    grown = profile[4:128] + struct.pack(">I", count + 1) + table
    grown += profile[132 + 12 * count :] + content
    return struct.pack(">I", len(grown) + 4) + grown


def profile_of(tags: Tags) -> bytes:
    """Return a profile with the tag `cicp`, whose curves are those of sRGB."""
    primaries, transfer = tags.codes()
    space = coded_space(primaries, 13)
    assert space is not None
    content = b"cicp" + bytes(4) + bytes([primaries, transfer, 0, tags.full])
    return with_tag(space.profile(), b"cicp", content)


def tiff(path: Path, samples: NDArray[Any], profile: bytes, **options: Any) -> Path:
    settings = {"photometric": "rgb", **options}
    if settings.get("planarconfig") == "separate":
        samples = np.moveaxis(samples, -1, 0)
    tifffile.imwrite(path, samples, iccprofile=profile, **settings)
    return path


def jpeg(path: Path, samples: Picture, profile: bytes) -> Path:
    Image.fromarray(samples).save(path, quality=100, subsampling=0, icc_profile=profile)
    return path


Writer = Callable[[Path, Deep, Tags], Path]


def coded_avif(path: Path, deep: Deep, tags: Tags) -> Path:
    """Write an AVIF of 10 bits whose colours are stated by the AV1 stream alone."""
    primaries, transfer = tags.codes()
    height, width = deep.shape[:2]
    # SVT-AV1 gives the calling thread real-time priority, and all processes that it starts later.
    with unchanged_scheduling(), av.open(str(path), "w", format="avif") as output:
        stream = output.add_stream(
            "libsvtav1", rate=1, options={"crf": "4", "svtav1-params": "lp=1"}
        )
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p10le"
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace = transfer, primaries, 9
        context.color_range = 1
        frame = av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(deep), format="rgb48le")
        frame = frame.reformat(format="yuv420p10le", dst_colorspace=9, dst_color_range=1)
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    data = path.read_bytes()
    assert data.count(b"colrnclx") == 1
    path.write_bytes(data.replace(b"colrnclx", b"freenclx"))
    return path


WRITERS: dict[str, tuple[str, int, Writer]] = {
    "PNG, 8 bits": ("a.png", 8, lambda p, d, t: png(p, reduced(d, 8), t.chunk())),
    "PNG, 16 bits": ("a.png", 16, lambda p, d, t: png(p, d, t.chunk())),
    "PNG, ICC, 16 bits": (
        "a.png", 16,
        lambda p, d, t: png(p, d, (b"iCCP", b"x\0\0" + zlib.compress(profile_of(t)))),
    ),
    "HEIC, 8 bits": ("a.heic", 8, lambda p, d, t: heic(p, d, t, 8)),
    "HEIC, 10 bits": ("a.heic", 10, heic),
    "HEIC, 12 bits": ("a.heic", 12, lambda p, d, t: heic(p, d, t, 12)),
    "HEIC, limited range": ("a.heic", 10, lambda p, d, t: heic(p, d, replace(t, full=False))),
    "HEIC, tiles": ("a.heic", 10, lambda p, d, t: heic(p, d, t, tile_size=64)),
    "AVIF, 8 bits": ("a.avif", 8, lambda p, d, t: avif(p, d, t, 8)),
    "AVIF, 10 bits": ("a.avif", 10, avif),
    "AVIF, 12 bits": ("a.avif", 12, lambda p, d, t: avif(p, d, t, 12)),
    "AVIF, tags of AV1": ("a.avif", 10, coded_avif),
    "JPEG": ("a.jpg", 8, lambda p, d, t: jpeg(p, reduced(d, 8), profile_of(t))),
    "TIFF, 8 bits": ("a.tif", 8, lambda p, d, t: tiff(p, reduced(d, 8), profile_of(t))),
    "TIFF, 16 bits": ("a.tif", 16, lambda p, d, t: tiff(p, d, profile_of(t))),
}  # fmt: skip
"""File name, bits and function that writes a picture."""
LOSSLESS = frozenset({"PNG, 16 bits", "PNG, ICC, 16 bits", "TIFF, 16 bits"})


def read(path: Path) -> tuple[Picture, MediaInfo, tuple[str, ...]]:
    with open_reader(path) as reader:
        (frame,) = reader
        assert reader.info.kind == "image"
        return frame.image, reader.info, reader.report.warnings


def note(tags: Tags, depth: str, peak: int = 1000) -> str:
    """Return the note that a conversion is expected to give."""
    curve = {"smpte2084": "PQ", "arib-std-b67": "HLG"}[tags.transfer]
    primaries = {"bt2020": "BT.2020", "smpte432": "Display P3"}[tags.primaries]
    return (
        f"the colours were converted from HDR ({curve}, {primaries}, {depth}) to sRGB, "
        f"tone-mapped by ITU-R BT.2390 from {peak} cd/m2"
    )


def errors(image: Picture, expected: Picture) -> Any:
    """Return the differences where HDR leaves colours as they are: below the knee."""
    assert image.shape == expected.shape
    return np.abs(image.astype(int) - expected)[(expected < 190).all(axis=2)]
