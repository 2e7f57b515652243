"""Decode still pictures, and the animations that only Pillow supports, to upright RGB."""

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
from jdsr_cli.media.reading.isobmff import displayed_margins
from jdsr_cli.media.reading.trailing import picture_end, trailing_note

_SUPPORTED = ("PNG", "JPEG", "GIF", "WEBP", "AVIF", "BMP", "TIFF", "PPM", "JPEG2000")
_ANIMATED = frozenset({"GIF", "PNG", "WEBP", "AVIF"})
_BY_PYAV = frozenset({"GIF", "PNG"})
"""Animations that PyAV decodes with exact times; FFmpeg cannot decode the others."""

_STREAM_SUFFIXES = frozenset({".mjpg", ".mjpeg"})
"""Motion JPEG: consecutive pictures, of which Pillow would read the first only."""

_GIF_END = b";"
"""Last byte of a complete GIF."""

_EXIF_ORIENTATION = 0x0112
_MILLISECOND = Fraction(1, 1000)
_DEFAULT_MILLISECONDS = 100
"""Duration that browsers use for a picture of an animation without one."""

_RECOPY = "Copy it again."


def open_picture(file: Path) -> Pillow.Image | None:
    """Open `file` as a picture; return None if Pillow does not recognise it.

    Raises:
        MediaError: It is a damaged picture, or too large to be read safely.

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
            "the picture has too many pixels", where=file, hint="Reduce its size first."
        ) from exc
    except Exception as exc:  # Pillow raises errors of any type for damaged files
        raise _damaged("the picture", file, exc) from exc


def _damaged(what: str, file: Path, exc: Exception) -> MediaError:
    """Return the error for a damaged file, with the reason that Pillow gave."""
    reason = " ".join(str(exc).split()) or type(exc).__name__
    return MediaError(f"{what} is cut off or damaged ({reason})", where=file, hint=_RECOPY)


@lru_cache
def _formats() -> tuple[str, ...]:
    """Return the supported formats that this build of Pillow can open."""
    Pillow.init()
    return tuple(name for name in _SUPPORTED if name in Pillow.OPEN)


def read_by_pyav(picture: Pillow.Image) -> bool:
    """Whether PyAV decodes this animation, with exact times."""
    return picture.format in _BY_PYAV


@dataclass(frozen=True)
class PictureCount:
    """Number of pictures in a file.

    Attributes:
        pictures: Number of pictures that can be counted, at least 1; of an APNG, those of its
            animation.
        damage: Description of damage after them, None if there is none.
        separate: Whether there is also a still picture that is no part of the animation (PNG
            specification, third edition, 4.9: the default image).
        trailing: Description of bytes after the picture, None if there are none.

    """

    pictures: int
    damage: str | None
    separate: bool = False
    trailing: str | None = None

    @property
    def notes(self) -> list[str]:
        """One sentence for everything in the file that is damaged or not read."""
        separate = "a still picture that is not part of the animation was not read"
        notes = (self.damage, separate if self.separate else None, self.trailing)
        return [note for note in notes if note is not None]


def count_pictures(picture: Pillow.Image, file: Path) -> PictureCount:
    """Count the pictures of a file that was just opened; call it once.

    Raises:
        OSError: The file cannot be read.

    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        separate = bool(getattr(picture, "default_image", False))
        try:
            count = int(getattr(picture, "n_frames", 1)) - separate
        except Exception:  # Pillow raises errors of any type for damaged files
            count = max(1, _count_intact(picture) - separate)
            damage = f"the file is damaged after its first {count} pictures"
            return PictureCount(count, damage, separate)
    trailing = trailing_note(file, picture.format)
    if picture.format == "GIF" and picture_end(file, "GIF") is None:
        with file.open("rb") as stream:
            stream.seek(-1, os.SEEK_END)
            if stream.read(1) != _GIF_END:
                damage = "the GIF has no end marker: pictures may be missing"
                return PictureCount(count, damage)
    return PictureCount(count, None, separate, trailing)


def kind_of(picture: Pillow.Image, count: PictureCount) -> MediaKind:
    """Return whether an opened picture is a still or an animation."""
    animated = picture.format in _ANIMATED and (count.pictures > 1 or count.separate)
    return "animation" if animated else "image"


def _count_intact(picture: Pillow.Image) -> int:
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
    """Return the orientation of the EXIF tag, upright if there is none or it cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = picture.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # the tags are damaged, the picture may be intact
        return UPRIGHT
    return EXIF_ORIENTATIONS.get(value, UPRIGHT)


def aperture_of(picture: Pillow.Image, file: Path) -> Aperture | None:
    """Return the displayed part of an opened picture, None for all.

    Args:
        picture: The picture, of which only the header was read.
        file: Its file.

    """
    margins = displayed_margins(file) if picture.format == "AVIF" else None
    return None if margins is None else margins.aperture(*picture.size)


def describe(
    file: Path, picture: Pillow.Image, count: PictureCount, aperture: Aperture | None
) -> MediaInfo:
    """Return the header of an opened picture.

    Args:
        file: The file.
        picture: The opened picture.
        count: Number of pictures in the file.
        aperture: Displayed part of the picture, None for all.

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
    """Return the bits per channel as stored; the mode of Pillow states them for gray only."""
    if picture.mode == "F":
        return 32
    stored = [str(tile[3]) for tile in getattr(picture, "tile", ())]
    return 16 if picture.mode.startswith("I") or any(";16" in text for text in stored) else 8


def _pixel_format(mode: str) -> str:
    if mode.startswith("I"):
        return "gray16le"
    return {"1": "monow", "L": "gray", "LA": "ya8", "RGBA": "rgba", "P": "pal8"}.get(mode, "rgb24")


def pixels(picture: Pillow.Image, file: Path, aperture: Aperture | None) -> Image:
    """Decode the current picture to uint8 RGB (height, width, 3), upright, composited over black.

    Args:
        picture: The opened picture.
        file: Its file.
        aperture: Displayed part of the picture, None for all; applied before rotation.

    Raises:
        MediaError: The picture is truncated, damaged, or of a pixel type without fixed range.

    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture.load()
            image = _to_rgb(picture, file)
            displayed = image if aperture is None else aperture.crop(image)
            return orientation_of(picture).apply(displayed)
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
        values = np.clip(np.asarray(picture).astype(np.int64), 0, 65535)
        gray = ((values + 128) // 257).astype(np.uint8)
        return np.repeat(gray[..., None], 3, axis=2)
    if picture.has_transparency_data:
        return over_black(np.asarray(picture.convert("RGBA")))
    return np.array(picture.convert("RGB"), dtype=np.uint8)


def animation_frames(
    picture: Pillow.Image, file: Path, count: int, aperture: Aperture | None
) -> Iterator[Frame]:
    """Yield the pictures of an opened animation; times are the sums of their durations.

    Args:
        picture: The opened animation.
        file: Its file.
        count: Number of pictures.
        aperture: Displayed part of the pictures, None for all.

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
