"""Small media files of all kinds, and seeded damage to them, for fuzzing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pillow_heif
import tifffile
from clips import (
    Track,
    cameras,
    dahua,
    encode,
    gif,
    interlaced,
    interlaced_later,
    picture,
    raw_h264,
    resolution_change,
    rotated,
    ten_bit,
    vfr,
)
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageCms import ImageCmsProfile, createProfile

from jdsr_cli.media import open_reader, probe
from jdsr_cli.settings import ReadSettings

MAX_FRAMES = 300
"""Most frames that are read from one file; a damaged file can state millions."""

_EXTREMES = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\1", b"\x80\0\0\0")


def _still(name: str, **options: object) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        Image.fromarray(picture(0)).save(folder / name, **options)
        return folder / name

    return make


def _animation(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        pages = [Image.fromarray(picture(i)) for i in range(4)]
        pages[0].save(folder / name, save_all=True, append_images=pages[1:], duration=40)
        return folder / name

    return make


def _clip(name: str, **options: object) -> Callable[[Path], Path]:
    return lambda folder: encode(folder / name, **options)  # type: ignore[arg-type]


def _heic(folder: Path) -> Path:
    image = pillow_heif.from_pillow(Image.fromarray(picture(0, 160, 120)))
    image.save(folder / "h.heic", tile_size=64)
    return folder / "h.heic"


def _mpo(folder: Path) -> Path:
    first, *others = (Image.fromarray(picture(index)) for index in range(3))
    first.save(folder / "m.mpo", format="MPO", save_all=True, append_images=others)
    return folder / "m.mpo"


def _pq(folder: Path) -> Path:
    def tag(stream: av.VideoStream) -> None:
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace = 9, 16, 9

    options = {"x265-params": "log-level=none"}
    return encode(
        folder / "pq.mkv", codec="libx265", pixel_format="yuv420p10le", options=options,
        configure=tag,
    )  # fmt: skip


def _joined(folder: Path) -> Path:
    first, second = (encode(folder / f"{part}.mp4", tracks=[Track()]) for part in (1, 2))
    first.write_bytes(first.read_bytes() + second.read_bytes())
    return first


def _planar_tiff(folder: Path) -> Path:
    image = np.moveaxis(picture(0).astype(np.uint16) * 257, 2, 0)
    tifffile.imwrite(folder / "p.tif", image, photometric="rgb", planarconfig="separate")
    return folder / "p.tif"


def _playlist(folder: Path) -> Path:
    encode(folder / "other.mp4")
    path = folder / "list.mp4"
    path.write_text("ffconcat version 1.0\nfile 'other.mp4'\nduration 1\n" * 4)
    return path


SEEDS: dict[str, Callable[[Path], Path]] = {
    "mp4": _clip("plain.mp4", tracks=[Track()]),
    "mp4 variable": vfr,
    "mp4 fast": _clip("fast.mp4", container_options={"movflags": "faststart"}),
    "mp4 fragments": _clip("frag.mp4", container_options={"movflags": "frag_keyframe+empty_moov"}),
    "mp4 rotated": lambda folder: rotated(folder, 90),
    "mov": _clip("m.mov", codec="mpeg4"),
    "mkv": _clip("m.mkv", tracks=[Track()]),
    "mkv 10 bit": ten_bit,
    "mkv interlaced": lambda folder: interlaced(folder / "i.mkv"),
    "mkv cameras": cameras,
    "webm": _clip("w.webm", codec="libvpx"),
    "ts": _clip("t.ts", tracks=[Track()]),
    "ts sizes": resolution_change,
    "ts interlaced": interlaced_later,
    "ps": _clip("p.mpg", codec="mpeg2video", container="vob"),
    "avi": _clip("a.avi", codec="mpeg4"),
    "avi mjpeg": _clip("j.avi", codec="mjpeg", pixel_format="yuvj420p"),
    "flv": _clip("f.flv", tracks=[Track()]),
    "asf": _clip("a.wmv", codec="mpeg4", container="asf"),
    "asf h264": _clip("b.wmv", container="asf"),
    "mp4 joined": _joined,
    "mkv pq": _pq,
    "nut": _clip("n.nut"),
    "h264": raw_h264,
    "hevc": _clip(
        "r.hevc", codec="libx265", container="hevc", options={"x265-params": "log-level=none"}
    ),
    "m2v": _clip("r.m2v", codec="mpeg2video", container="mpeg2video"),
    "mjpeg": _clip("r.mjpeg", codec="mjpeg", pixel_format="yuvj420p", container="mjpeg"),
    "dav": dahua,
    "gif": gif,
    "apng": _animation("a.png"),
    "webp animated": _animation("a.webp"),
    "png": _still("s.png"),
    "jpg": _still("s.jpg"),
    "webp": _still("s.webp"),
    "tiff": _still("s.tif", compression="tiff_lzw"),
    "bmp": _still("s.bmp"),
    "ppm": _still("s.ppm"),
    "jp2": _still("s.jp2"),
    "gif still": _still("s.gif"),
    "png profile": _still("i.png", icc_profile=ImageCmsProfile(createProfile("sRGB")).tobytes()),
    "tiff planar": _planar_tiff,
    "heic": _heic,
    "mpo": _mpo,
    "playlist": _playlist,
}
"""Functions that write one valid file, by name."""


def _flip(data: NDArray[np.uint8], rng: Generator) -> NDArray[np.uint8]:
    positions = rng.integers(0, len(data), rng.integers(1, 60))
    data[positions] = rng.integers(0, 256, len(positions))
    return data


def _bits(data: NDArray[np.uint8], rng: Generator) -> NDArray[np.uint8]:
    positions = rng.integers(0, len(data), rng.integers(1, 30))
    data[positions] ^= (1 << rng.integers(0, 8, len(positions))).astype(np.uint8)
    return data


def _header(data: NDArray[np.uint8], rng: Generator) -> NDArray[np.uint8]:
    positions = rng.integers(0, min(len(data), 512), rng.integers(1, 12))
    data[positions] = rng.integers(0, 256, len(positions))
    return data


def _extreme(data: NDArray[np.uint8], rng: Generator) -> NDArray[np.uint8]:
    for _ in range(rng.integers(1, 5)):
        position = rng.integers(0, max(1, len(data) - 4))
        value = np.frombuffer(_EXTREMES[rng.integers(len(_EXTREMES))], np.uint8)
        data[position : position + 4] = value[: len(data) - position]
    return data


def _cut_end(data: NDArray[np.uint8], rng: Generator) -> NDArray[np.uint8]:
    return data[: rng.integers(1, len(data))]


def _cut_start(data: NDArray[np.uint8], rng: Generator) -> NDArray[np.uint8]:
    return data[rng.integers(0, len(data)) :]


def _span(data: NDArray[np.uint8], rng: Generator) -> tuple[int, int]:
    start, end = sorted(rng.integers(0, len(data) + 1, 2).tolist())
    return start, min(end, start + int(rng.choice([16, 188, 1024, len(data)])))


def _zero(data: NDArray[np.uint8], rng: Generator) -> NDArray[np.uint8]:
    start, end = _span(data, rng)
    data[start:end] = 0
    return data


def _noise(data: NDArray[np.uint8], rng: Generator) -> NDArray[np.uint8]:
    start, end = _span(data, rng)
    data[start:end] = rng.integers(0, 256, end - start)
    return data


def _repeat(data: NDArray[np.uint8], rng: Generator) -> NDArray[np.uint8]:
    start, end = _span(data, rng)
    return np.concatenate([data[:end], data[start:end], data[end:]])


def _remove(data: NDArray[np.uint8], rng: Generator) -> NDArray[np.uint8]:
    start, end = _span(data, rng)
    return np.concatenate([data[:start], data[end:]])


def _prepend(data: NDArray[np.uint8], rng: Generator) -> NDArray[np.uint8]:
    header = rng.integers(0, 256, rng.integers(1, 9000)).astype(np.uint8)
    return np.concatenate([header, data])


DAMAGE = (
    _flip, _bits, _header, _extreme, _cut_end, _cut_start, _zero, _noise, _repeat, _remove,
    _prepend,
)  # fmt: skip


def mutate(seeds: Sequence[bytes], number: int, seed: int) -> tuple[int, bytes]:
    """Return the index of the seed file and the bytes of a damaged file, by its number."""
    rng = np.random.default_rng([seed, number])
    which = int(rng.integers(len(seeds)))
    data = np.frombuffer(seeds[which], np.uint8).copy()
    if rng.random() < 0.1:
        other = np.frombuffer(seeds[rng.integers(len(seeds))], np.uint8)
        head, tail = rng.integers(0, len(data)), rng.integers(0, len(other))
        data = np.concatenate([data[:head], other[tail:]])
    for _ in range(rng.integers(1, 4)):
        if len(data):
            data = DAMAGE[rng.integers(len(DAMAGE))](data, rng)
    return which, data.tobytes()


def read_all(path: Path) -> str:
    """Probe and read a file, and check its frames and its report.

    Returns "clean" or "warned"; errors of the reader propagate.
    """
    info = probe(path)
    settings = ReadSettings(frame_rate=None if info.timestamps else Fraction(10))
    with open_reader(path, settings) as reader:
        frames = []
        for frame in reader:
            assert frame.image.shape == (reader.info.height, reader.info.width, 3)
            assert frame.image.dtype == np.uint8
            frames.append((frame.index, frame.pts))
            if len(frames) == MAX_FRAMES:
                break
        report = reader.report
    assert frames
    assert report.frames == len(frames)
    for (early, before), (late, after) in pairwise(frames):
        assert late == early + 1
        assert after > before
    assert all(text and "\n" not in text for text in report.warnings)
    return "warned" if report.warnings else "clean"
