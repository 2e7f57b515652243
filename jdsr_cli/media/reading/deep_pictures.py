"""Samples of still pictures at their full depth, of which Pillow keeps 8 bits.

HEIF is decoded by libheif, AVIF by OpenCV (libavif), PNG by FFmpeg, TIFF by OpenCV (libtiff) or,
for planes, by FFmpeg. Samples of PNG and TIFF are compared with those that Pillow decoded, since
each of the two misreads some layouts of TIFF.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL.TiffImagePlugin import BITSPERSAMPLE, TiffImageFile

from jdsr_cli.errors import MediaError
from jdsr_cli.media.containers import open_container
from jdsr_cli.media.exif import ORIENTATION
from jdsr_cli.media.frames import DeepImage, Image
from jdsr_cli.media.geometry import EXIF_ORIENTATIONS, UPRIGHT
from jdsr_cli.media.reading.heif_items import primary_bit_depth
from jdsr_cli.media.reading.png_chunks import png_bit_depth

_LEVELS = 65535
_STEP = _LEVELS // 255
"""Levels of 16 bits per level of 8."""
_SHALLOW = 8
_DEPTH_OF_FLOATS = 32
_AS_STORED = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
_IN_COLOUR = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION


def bit_depth(picture: Pillow.Image, file: Path) -> int:
    """Return the bits per channel as stored; the mode of Pillow states them for gray only.

    Args:
        picture: The opened picture, whose pixels were not decoded yet.
        file: Its file.

    """
    if picture.mode == "F":
        return _DEPTH_OF_FLOATS
    if isinstance(picture, TiffImageFile):
        return int(max(_SHALLOW, *picture.tag_v2.get(BITSPERSAMPLE, (1,))))
    if picture.format == "HEIF":
        return int(picture.info.get("bit_depth", _SHALLOW))
    if picture.format == "AVIF":
        return primary_bit_depth(file)
    if picture.format == "PNG":
        return max(_SHALLOW, png_bit_depth(file))
    if picture.mode.startswith("I"):
        return 16
    stored = [tile[3] for tile in getattr(picture, "tile", ())]
    if picture.format == "PPM" and stored and isinstance(stored[0], tuple):
        return max(_SHALLOW, int(stored[0][1]).bit_length())
    return _SHALLOW


def deep_samples(picture: Pillow.Image, file: Path, bits: int, shallow: Image) -> DeepImage | None:
    """Decode a picture at its full depth.

    Args:
        picture: The picture, decoded by Pillow.
        file: Its file.
        bits: Bits per channel.
        shallow: The samples that Pillow decoded, uint8 RGB (height, width, 3), transparency left
            out.

    Returns:
        uint16 RGB of the same size, full range 0 to 65535; None where no decoder reads more than 8
        bits: of animations, tiles of planes in TIFF, premultiplied transparency, other formats.

    """
    if picture.format == "AVIF" and getattr(picture, "n_frames", 1) > 1:
        return None
    for decode in _DECODERS.get(picture.format or "", ()):
        deep = decode(file, bits)
        if deep is None or deep.shape != shallow.shape:
            continue
        if picture.format not in _COMPARED or _agree(deep, shallow):
            return deep
    return None


def _agree(deep: DeepImage, shallow: Image) -> bool:
    """Whether both have the same samples: Pillow leaves out the lower 8 bits, or rounds."""
    difference = deep.astype(np.int32) - shallow.astype(np.int32) * _STEP
    return bool(np.abs(difference).max(initial=0) <= _STEP)


def _by_libheif(file: Path, bits: int) -> DeepImage | None:
    from pillow_heif import open_heif  # loads libheif, which few inputs need

    picture = open_heif(file, convert_hdr_to_8bit=False)
    if picture.premultiplied_alpha:
        return None
    # The samples are shifted to 16 bits.
    return _rgb(np.asarray(picture) >> (16 - bits), bits)


def _by_opencv(file: Path, bits: int) -> DeepImage | None:
    data = np.fromfile(file, np.uint8)
    try:
        found = cv2.imdecode(data, _AS_STORED)
        if found is not None and found.ndim == 2:
            found = cv2.imdecode(data, _IN_COLOUR)  # gray as stored may have a limited range
    except cv2.error:
        return None
    if found is None or found.dtype != np.uint16:
        return None
    return _rgb(found[..., 2::-1], bits)


def _png_by_ffmpeg(file: Path, bits: int) -> DeepImage | None:
    samples = _by_ffmpeg(file, "png_pipe")
    return None if samples is None else _rgb(samples, bits)


def _tiff_by_ffmpeg(file: Path, bits: int) -> DeepImage | None:
    samples = _by_ffmpeg(file, "tiff_pipe")
    if samples is None:
        return None
    with Pillow.open(file, formats=("TIFF",)) as picture:
        orientation = EXIF_ORIENTATIONS.get(picture.getexif().get(ORIENTATION, 1), UPRIGHT)
    return orientation.apply(_rgb(samples, bits))


def _by_ffmpeg(file: Path, demuxer: str) -> NDArray[np.uint16] | None:
    """Decode a picture to 16 bits, without transparency."""
    try:
        with open_container(file, demuxer) as container:
            frame = next(container.decode(video=0))
            samples = frame.reformat(format="rgb48le").to_ndarray()
    except (MediaError, av.FFmpegError, StopIteration):
        return None
    return np.asarray(samples, np.uint16)


def _rgb(samples: NDArray[Any], bits: int) -> DeepImage:
    """Return samples of gray or colours, with or without transparency, as RGB of 16 bits."""
    colours = samples[..., None] if samples.ndim == 2 else samples
    colours = colours[..., : 1 if colours.shape[2] < 3 else 3]
    top = (1 << bits) - 1
    scaled = ((colours.astype(np.uint32) * _LEVELS + top // 2) // top).astype(np.uint16)
    return np.repeat(scaled, 3, axis=2) if scaled.shape[2] == 1 else scaled


_DECODERS: dict[str, tuple[Callable[[Path, int], DeepImage | None], ...]] = {
    "HEIF": (_by_libheif,),
    "AVIF": (_by_opencv,),
    "PNG": (_png_by_ffmpeg,),
    "TIFF": (_by_opencv, _tiff_by_ffmpeg),
}
_COMPARED = frozenset({"PNG", "TIFF"})
