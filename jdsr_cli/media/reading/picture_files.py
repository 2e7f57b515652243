"""Recognise the files of still pictures, and refuse those that no decoder reads rightly.

Pillow opens them; HEIF comes from the package pillow-heif, which uses libheif. TIFF is decoded by
libtiff only: Pillow's own decoder of uncompressed files reads planes of 16 bits and subsampled
YCbCr wrongly.
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from pathlib import Path

from PIL import Image as Pillow
from PIL import TiffImagePlugin, UnidentifiedImageError

from jdsr_cli.errors import MediaError, TooLargeError
from jdsr_cli.media.bounds import RAISE_LIMIT, check_pixels
from jdsr_cli.media.reading.heif_items import cut_off, picture_format
from jdsr_cli.settings import ReadSettings

TiffImagePlugin.READ_LIBTIFF = True
# Pillow knows inverted gray of 16 bits in one byte order only; libtiff returns that of the machine.
TiffImagePlugin.OPEN_INFO.setdefault((b"MM", 0, (1,), 1, (16,), ()), ("I;16", "I;16"))

_SUPPORTED = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "PPM", "JPEG2000")
"""Formats that are recognised by Pillow; FFmpeg tries what is none of them."""

_STREAM_SUFFIXES = frozenset({".mjpg", ".mjpeg"})
"""Motion JPEG: consecutive pictures, of which Pillow would read the first only."""

_COPY_AGAIN = "Copy it again."
_CONVERT = "Convert it to 8 or 16 bits per channel, unsigned, gray or RGB."
_DNG_VERSION = 50706
_SAMPLE_TYPES = {
    2: "signed integers",
    3: "floating-point values",
    5: "complex integers",
    6: "complex floating-point values",
}
"""Values of the tag SampleFormat that are refused."""
_MAX_BITS = 16
_BIG_TIFF = 43
"""Version of files with positions of 64 bits, whose header is longer."""
_SEPARATE, _GRAY_AND_ALPHA = 2, 2
"""Value of the tag PlanarConfiguration for planes; channels of gray with transparency."""


def open_picture(file: Path, max_pixels: int = ReadSettings().max_pixels) -> Pillow.Image | None:
    """Open `file` as a picture; return None if it is none that Pillow and libheif support.

    Args:
        file: A file that exists.
        max_pixels: Largest number of pixels of a picture. If it is above Pillow's own limit
            (`PIL.Image.MAX_IMAGE_PIXELS`), that is raised for the whole process.

    Raises:
        MediaError: It is a damaged picture, or a TIFF, HEIF or AVIF of an unsupported kind.
        TooLargeError: It has more pixels.

    """
    picture = _recognised(file, max_pixels)
    if picture is not None:
        try:
            check_pixels(*picture.size, file, max_pixels)
        except TooLargeError:
            picture.close()
            raise
    return picture


def _recognised(file: Path, max_pixels: int) -> Pillow.Image | None:
    """Open a file as `open_picture`, of any size."""
    if file.suffix.lower() in _STREAM_SUFFIXES:
        return None
    brand = picture_format(file)
    if brand is not None:
        missing = cut_off(file) if brand == "HEIF" else 0
        if missing:
            raise MediaError(
                f"the picture is cut off ({missing} bytes are missing)",
                where=file,
                hint=_COPY_AGAIN,
            )
        _register_heif()
        return _open_as(brand, file, max_pixels)
    with file.open("rb") as stream:
        tiff = stream.read(4) in TiffImagePlugin.PREFIXES
    if tiff:
        _check_tiff(file)
        return _open_as("TIFF", file, max_pixels)
    try:
        return _open(file, _SUPPORTED, max_pixels)
    except UnidentifiedImageError:
        return None


def damaged(what: str, file: Path, exc: Exception) -> MediaError:
    """Return the error for a damaged file, with the reason that the decoder gave."""
    reason = " ".join(str(exc).split()) or type(exc).__name__
    return MediaError(f"{what} is cut off or damaged ({reason})", where=file, hint=_COPY_AGAIN)


def _open(file: Path, formats: tuple[str, ...], max_pixels: int) -> Pillow.Image:
    """Open a file as one of several formats; UnidentifiedImageError if it is none."""
    if Pillow.MAX_IMAGE_PIXELS is not None and max_pixels > Pillow.MAX_IMAGE_PIXELS:
        Pillow.MAX_IMAGE_PIXELS = max_pixels
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Pillow.open(file, formats=formats)
    except UnidentifiedImageError:
        raise
    except Pillow.DecompressionBombError as exc:
        raise TooLargeError(
            f"has pictures of more than {max_pixels / 1_000_000:g} million pixels",
            where=file,
            hint=RAISE_LIMIT,
        ) from exc
    except Exception as exc:  # Pillow raises errors of any type for damaged files
        raise damaged("the picture", file, exc) from exc


def _open_as(name: str, file: Path, max_pixels: int) -> Pillow.Image:
    """Open a file whose first bytes are those of a format.

    Raises:
        MediaError: The decoder of the format refuses it; with its reason, which Pillow hides.

    """
    try:
        return _open(file, (name,), max_pixels)
    except UnidentifiedImageError as unidentified:
        try:
            with warnings.catch_warnings(), file.open("rb") as stream:
                warnings.simplefilter("ignore")
                Pillow.OPEN[name][0](stream, str(file))
        except Exception as exc:  # Pillow raises errors of any type for damaged files
            reason = " ".join(str(exc).split())
            raise MediaError(
                f"the {name} is damaged, or of a kind that is not supported ({reason})",
                where=file,
                hint="Copy it again, or convert it to PNG.",
            ) from exc
        raise damaged("the picture", file, unidentified) from unidentified


@lru_cache
def _register_heif() -> None:
    """Let Pillow open HEIF; alternatives and additions to the picture are not read."""
    from pillow_heif import register_heif_opener  # loads libheif, which few inputs need

    register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)


def _check_tiff(file: Path) -> None:
    """Refuse what Pillow would not read, or not rightly.

    Raises:
        MediaError: The TIFF has values without a fixed range, more than 16 bits, or planes of gray
            and alpha; or it is a raw camera file, of which a small preview would be read.

    """
    try:
        with warnings.catch_warnings(), file.open("rb") as stream:
            warnings.simplefilter("ignore")
            start = stream.read(8)
            start += stream.read(8) if _BIG_TIFF in start[2:4] else b""
            tags = TiffImagePlugin.ImageFileDirectory_v2(start)
            stream.seek(tags.next)
            tags.load(stream)
            bits = int(max(tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,))))
            kind = max(tags.get(TiffImagePlugin.SAMPLEFORMAT, (1,)))
            planes = tags.get(TiffImagePlugin.PLANAR_CONFIGURATION, 1) == _SEPARATE
            samples = tags.get(TiffImagePlugin.SAMPLESPERPIXEL, 1)
    except Exception:  # the tags are damaged; Pillow says so when it opens the file
        return
    if _DNG_VERSION in tags:
        raise MediaError(
            "is a raw camera file (DNG)", where=file, hint="Develop it to TIFF, PNG or JPEG first."
        )
    if kind in _SAMPLE_TYPES:
        raise MediaError(
            f"a picture of {_SAMPLE_TYPES[kind]} has no fixed range", where=file, hint=_CONVERT
        )
    if bits > _MAX_BITS:
        raise MediaError(
            f"a TIFF of {bits} bits per channel is not supported", where=file, hint=_CONVERT
        )
    if planes and samples == _GRAY_AND_ALPHA:
        raise MediaError(
            "a TIFF of gray and transparency in separate planes is not supported",
            where=file,
            hint="Save it with interleaved channels.",
        )
