"""Still pictures, and animations that only Pillow decodes, as upright RGB."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps, UnidentifiedImageError

from jdsr_cli.errors import MediaError
from jdsr_cli.media.colour import over_black
from jdsr_cli.media.frames import Frame, Image
from jdsr_cli.media.info import UNSPECIFIED, MediaInfo, MediaKind
from jdsr_cli.media.orientation import EXIF_ORIENTATIONS, UPRIGHT, Orientation

_WANTED = ("PNG", "JPEG", "GIF", "WEBP", "AVIF", "BMP", "TIFF", "PPM", "JPEG2000")
_ANIMATED = frozenset({"GIF", "PNG", "WEBP", "AVIF"})
_BY_PYAV = frozenset({"GIF", "PNG"})
"""Animations whose exact times PyAV reads; the others FFmpeg cannot decode."""

_STREAM_SUFFIXES = frozenset({".mjpg", ".mjpeg"})
"""Motion JPEG: many pictures end to end, of which Pillow would see the first."""

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
    except (OSError, ValueError, SyntaxError, EOFError) as exc:
        raise MediaError(
            f"the picture is cut off or damaged ({exc})", where=file, hint=_RECOPY
        ) from exc


@lru_cache
def _formats() -> tuple[str, ...]:
    """Return the wanted formats that this build of Pillow can open."""
    Pillow.init()
    return tuple(name for name in _WANTED if name in Pillow.OPEN)


def kind_of(picture: Pillow.Image) -> MediaKind:
    """Return whether an opened picture is a still or an animation."""
    animated = picture.format in _ANIMATED and getattr(picture, "is_animated", False)
    return "animation" if animated else "image"


def read_by_pyav(picture: Pillow.Image) -> bool:
    """Whether this animation is one that PyAV decodes, with exact times."""
    return picture.format in _BY_PYAV


def picture_count(picture: Pillow.Image) -> int:
    """Return the number of pictures in the file."""
    return int(getattr(picture, "n_frames", 1))


def orientation_of(picture: Pillow.Image) -> Orientation:
    """Return the orientation of the EXIF tag; upright where there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = picture.getexif().get(_EXIF_ORIENTATION, 1)
    except (OSError, ValueError, SyntaxError):
        return UPRIGHT
    return EXIF_ORIENTATIONS.get(value, UPRIGHT)


def describe(file: Path, picture: Pillow.Image) -> MediaInfo:
    """Return what the header of an opened picture says."""
    orientation = orientation_of(picture)
    width, height = picture.size
    if orientation.swaps_sides:
        width, height = height, width
    kind = kind_of(picture)
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
        frames_promised=picture_count(picture) if kind == "animation" else 1,
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
    )


def _pixel_format(mode: str) -> str:
    if mode.startswith("I"):
        return "gray16le"
    return {"1": "monow", "L": "gray", "LA": "ya8", "RGBA": "rgba", "P": "pal8"}.get(mode, "rgb24")


def pixels(picture: Pillow.Image, file: Path) -> Image:
    """Decode the current picture to uint8 RGB (height, width, 3), upright, alpha over black.

    Raises:
        MediaError: It is cut off, damaged, or of a pixel type that has no fixed range.

    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture.load()
            upright = ImageOps.exif_transpose(picture)
            return _to_rgb(upright, file)
    except (OSError, ValueError, SyntaxError, EOFError, IndexError) as exc:
        if isinstance(exc, MediaError):
            raise
        raise MediaError(
            f"the picture is cut off or damaged ({exc})", where=file, hint=_RECOPY
        ) from exc


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


def animation_frames(picture: Pillow.Image, file: Path) -> Iterator[Frame]:
    """Yield the pictures of an opened animation at the times that their durations add up to.

    Raises:
        MediaError: A picture is cut off or damaged.

    """
    pts = 0
    for index in range(picture_count(picture)):
        try:
            picture.seek(index)
        except (EOFError, OSError, ValueError) as exc:
            raise MediaError(
                f"picture {index} is cut off or damaged ({exc})", where=file, hint=_RECOPY
            ) from exc
        yield Frame(index, pts, _MILLISECOND, pixels(picture, file))
        pts += max(1, round(picture.info.get("duration") or _DEFAULT_MILLISECONDS))
