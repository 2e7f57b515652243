"""Still pictures, and animations that only Pillow decodes, as upright RGB."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import UnidentifiedImageError

from jdsr_cli.errors import MediaError
from jdsr_cli.media.frames import UNSPECIFIED, Frame, Image, MediaInfo, MediaKind, over_black
from jdsr_cli.media.geometry import EXIF_ORIENTATIONS, UPRIGHT, Aperture, Orientation
from jdsr_cli.media.reading.isobmff import shown_margins

_WANTED = ("PNG", "JPEG", "GIF", "WEBP", "AVIF", "BMP", "TIFF", "PPM", "JPEG2000")
_ANIMATED = frozenset({"GIF", "PNG", "WEBP", "AVIF"})
_BY_PYAV = frozenset({"GIF", "PNG"})
"""Animations whose exact times PyAV reads; the others FFmpeg cannot decode."""

_STREAM_SUFFIXES = frozenset({".mjpg", ".mjpeg"})
"""Motion JPEG: many pictures end to end, of which Pillow would see the first."""

_GIF_END = b";"
"""Last byte of a whole GIF."""

_EXIF_ORIENTATION = 0x0112
_MILLISECOND = Fraction(1, 1000)
_DEFAULT_MILLISECONDS = 100
"""Duration that browsers give to a picture of an animation that states none."""

_RECOPY = "Copy it again."


def open_picture(file: Path) -> Pillow.Image | None:
    """Open `file` as a picture; None where it is none that Pillow knows.

    Raises:
        MediaError: It is a picture, but damaged, or too large to be read safely.

    """
    if file.suffix.lower() in _STREAM_SUFFIXES:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Pillow.open(file, formats=_formats())
    except UnidentifiedImageError:
        return None
    except Pillow.DecompressionBombError as exc:
        raise MediaError(
            "the picture has too many pixels", where=file, hint="Make it smaller first."
        ) from exc
    except Exception as exc:  # whatever Pillow stumbles over in a damaged file
        raise _damaged("the picture", file, exc) from exc


def _damaged(what: str, file: Path, exc: Exception) -> MediaError:
    """Tell what Pillow stumbled over; any exception can come of a damaged file."""
    reason = " ".join(str(exc).split()) or type(exc).__name__
    return MediaError(f"{what} is cut off or damaged ({reason})", where=file, hint=_RECOPY)


@lru_cache
def _formats() -> tuple[str, ...]:
    """Return the wanted formats that this build of Pillow can open."""
    Pillow.init()
    return tuple(name for name in _WANTED if name in Pillow.OPEN)


def read_by_pyav(picture: Pillow.Image) -> bool:
    """Whether this animation is one that PyAV decodes, with exact times."""
    return picture.format in _BY_PYAV


@dataclass(frozen=True)
class PictureCount:
    """How many pictures a file holds.

    Attributes:
        pictures: Those that can be counted, at least 1.
        damage: What is amiss behind them, None where nothing is.

    """

    pictures: int
    damage: str | None


def count_pictures(picture: Pillow.Image, file: Path) -> PictureCount:
    """Count the pictures of a file that was just opened; to be called once.

    Raises:
        OSError: The file cannot be read.

    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            count = int(getattr(picture, "n_frames", 1))
        except Exception:  # Pillow raises whatever it meets
            count = _count_whole(picture)
            return PictureCount(count, f"the file is damaged behind its first {count} pictures")
    if picture.format == "GIF":
        with file.open("rb") as stream:
            stream.seek(-1, os.SEEK_END)
            if stream.read(1) != _GIF_END:
                damage = "the GIF does not end with its end mark: pictures may be missing"
                return PictureCount(count, damage)
    return PictureCount(count, None)


def kind_of(picture: Pillow.Image, count: PictureCount) -> MediaKind:
    """Return whether an opened picture is a still or an animation."""
    animated = picture.format in _ANIMATED and count.pictures > 1
    return "animation" if animated else "image"


def _count_whole(picture: Pillow.Image) -> int:
    """Return the number of pictures up to the first that is damaged, at least 1."""
    count = 1
    try:
        while True:
            picture.seek(count)
            count += 1
    except Exception:
        with suppress(Exception):
            picture.seek(0)
        return count


def orientation_of(picture: Pillow.Image) -> Orientation:
    """Return the orientation of the EXIF tag; upright where there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = picture.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # the tags are damaged, the picture may be whole
        return UPRIGHT
    return EXIF_ORIENTATIONS.get(value, UPRIGHT)


def aperture_of(picture: Pillow.Image, file: Path) -> Aperture | None:
    """Return the part of an opened picture that is displayed, None for all.

    Args:
        picture: The picture, of which only the header was read.
        file: The same.

    """
    margins = shown_margins(file) if picture.format == "AVIF" else None
    return None if margins is None else margins.aperture(*picture.size)


def describe(
    file: Path, picture: Pillow.Image, count: PictureCount, aperture: Aperture | None
) -> MediaInfo:
    """Return what the header of an opened picture says.

    Args:
        file: The picture.
        picture: The same, opened.
        count: How many pictures it holds.
        aperture: The part of it that is displayed, None for all.

    """
    orientation = orientation_of(picture)
    width, height = picture.size if aperture is None else (aperture.width, aperture.height)
    if orientation.swaps_sides:
        width, height = height, width
    kind = kind_of(picture, count)
    return MediaInfo(
        path=file,
        kind=kind,
        width=width,
        height=height,
        rotation=orientation.rotation,
        mirrored=orientation.mirrored,
        time_base=_MILLISECOND,
        timestamps=kind == "animation",
        frame_rate=None,
        frames_promised=count.pictures if kind == "animation" else 1,
        duration=None,
        container=(picture.format or "unknown").lower(),
        codec=(picture.format or "unknown").lower(),
        pixel_format=_pixel_format(picture.mode),
        sample_aspect_ratio=Fraction(1),
        colour_range="full",
        colour_primaries=UNSPECIFIED,
        colour_transfer=UNSPECIFIED,
        colour_matrix=UNSPECIFIED,
        audio_streams=0,
        bit_depth=_bit_depth(picture),
    )


def _bit_depth(picture: Pillow.Image) -> int:
    """Return the bits per channel as stored, which Pillow tells only of gray pictures itself."""
    if picture.mode == "F":
        return 32
    stored = [str(tile[3]) for tile in getattr(picture, "tile", ())]
    return 16 if picture.mode.startswith("I") or any(";16" in text for text in stored) else 8


def _pixel_format(mode: str) -> str:
    if mode.startswith("I"):
        return "gray16le"
    return {"1": "monow", "L": "gray", "LA": "ya8", "RGBA": "rgba", "P": "pal8"}.get(mode, "rgb24")


def pixels(picture: Pillow.Image, file: Path, aperture: Aperture | None) -> Image:
    """Decode the current picture to uint8 RGB (height, width, 3), upright, alpha over black.

    Args:
        picture: The opened picture.
        file: The same.
        aperture: The part of it that is displayed, None for all; cut before turning.

    Raises:
        MediaError: It is cut off, damaged, or of a pixel type that has no fixed range.

    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture.load()
            image = _to_rgb(picture, file)
            shown = image if aperture is None else aperture.cut(image)
            return orientation_of(picture).apply(shown)
    except MediaError:
        raise
    except Exception as exc:
        raise _damaged("the picture", file, exc) from exc


def _to_rgb(picture: Pillow.Image, file: Path) -> Image:
    if picture.mode == "F":
        raise MediaError(
            "a picture of floating-point values has no fixed range",
            where=file,
            hint="Convert it to 8 or 16 bits.",
        )
    if picture.mode.startswith("I"):
        wide = np.clip(np.asarray(picture).astype(np.int64), 0, 65535)
        gray = ((wide + 128) // 257).astype(np.uint8)
        return np.repeat(gray[..., None], 3, axis=2)
    if picture.has_transparency_data:
        return over_black(np.asarray(picture.convert("RGBA")))
    return np.array(picture.convert("RGB"), dtype=np.uint8)


def animation_frames(
    picture: Pillow.Image, file: Path, count: int, aperture: Aperture | None
) -> Iterator[Frame]:
    """Yield the pictures of an opened animation at the times that their durations add up to.

    Args:
        picture: The opened animation.
        file: The same.
        count: How many pictures it holds.
        aperture: The part of them that is displayed, None for all.

    Raises:
        MediaError: A picture is cut off or damaged.

    """
    pts = 0
    for index in range(count):
        try:
            picture.seek(index)
        except Exception as exc:
            raise _damaged(f"picture {index}", file, exc) from exc
        yield Frame(index, pts, _MILLISECOND, pixels(picture, file, aperture))
        pts += max(1, round(picture.info.get("duration") or _DEFAULT_MILLISECONDS))
