"""Convert decoded pictures of any mode to upright RGB of 8 bits, in sRGB, without transparency."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import TiffImagePlugin

from jdsr_cli.errors import MediaError
from jdsr_cli.media.exif import ORIENTATION
from jdsr_cli.media.frames import TRANSPARENT_NOTE, Image, MediaInfo, over_gray
from jdsr_cli.media.geometry import EXIF_ORIENTATIONS, UPRIGHT, Aperture, Orientation
from jdsr_cli.media.reading.colour_profiles import stated_colours, to_srgb
from jdsr_cli.media.reading.picture_files import damaged

_UPRIGHT_FORMATS = frozenset({"TIFF", "HEIF"})
"""Formats whose decoders return the picture upright."""
_WHITE_IS_ZERO = 0
_COLOUR_MODES = frozenset({"L", "RGB", "CMYK", "LAB"})
"""Modes that a colour profile can be for."""


@dataclass(frozen=True)
class Rendering:
    """A picture as it is processed.

    Attributes:
        image: uint8 RGB (height, width, 3), upright.
        notes: One sentence for each thing that was changed.

    """

    image: Image
    notes: tuple[str, ...]

    def sized(self, info: MediaInfo) -> MediaInfo:
        """Return a header with the size of the picture, which that of a damaged HEIF misstates."""
        height, width = self.image.shape[:2]
        return replace(info, width=width, height=height)


def orientation_of(picture: Pillow.Image) -> Orientation:
    """Return the orientation in which a picture is decoded, upright if none can be read."""
    if picture.format in _UPRIGHT_FORMATS:
        return UPRIGHT
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = picture.getexif().get(ORIENTATION, 1)
    except Exception:  # the tags are damaged, the picture may be intact
        return UPRIGHT
    return EXIF_ORIENTATIONS.get(value, UPRIGHT)


def render(picture: Pillow.Image, file: Path, aperture: Aperture | None) -> Rendering:
    """Decode the current picture of an opened file.

    Colours are converted to sRGB if the file states others, and transparent parts are composited
    over gray.

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
            # The decoder of TIFF removes the tags that describe stored values.
            white = _white_level(picture)
            stated = stated_colours(picture, file)
            picture.load()
            colours, alpha = _split(picture, white, file)
            converted, colour_note = to_srgb(colours, stated)
            image, notes = np.asarray(converted, np.uint8), [colour_note]
            if alpha is not None and int(alpha.min()) < 255:
                image = over_gray(np.dstack([image, alpha]))
                notes.append(TRANSPARENT_NOTE)
            displayed = image if aperture is None else aperture.crop(image)
            upright = orientation_of(picture).apply(displayed)
            return Rendering(upright, tuple(note for note in notes if note is not None))
    except MediaError:
        raise
    except Exception as exc:  # Pillow raises errors of any type for damaged files
        raise damaged("the picture", file, exc) from exc


def _white_level(picture: Pillow.Image) -> tuple[int, int]:
    """Return the values of black and white in a gray picture of more than 8 bits."""
    if not isinstance(picture, TiffImagePlugin.TiffImageFile):
        return 0, 65535
    tags = picture.tag_v2
    top = (1 << max(tags.get(TiffImagePlugin.BITSPERSAMPLE, (16,)))) - 1
    inverted = tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == _WHITE_IS_ZERO
    return (top, 0) if inverted else (0, top)


def _split(
    picture: Pillow.Image, levels: tuple[int, int], file: Path
) -> tuple[Pillow.Image, NDArray[np.uint8] | None]:
    """Return the colours of a decoded picture, in a mode that profiles are for, and its alpha."""
    if picture.mode == "F":
        raise MediaError(
            "a picture of floating-point values has no fixed range",
            where=file,
            hint="Convert it to 8 or 16 bits.",
        )
    if picture.mode.startswith("I"):
        return _gray_of_16_bits(picture, *levels)
    if picture.has_transparency_data:
        mode = "LA" if picture.mode in ("L", "LA", "La") else "RGBA"
        bands = picture.convert(mode).split()
        return Pillow.merge(mode[:-1], bands[:-1]), np.asarray(bands[-1], np.uint8)
    if picture.mode in _COLOUR_MODES:
        return picture, None
    return picture.convert("L" if picture.mode == "1" else "RGB"), None


def _gray_of_16_bits(
    picture: Pillow.Image, black: int, white: int
) -> tuple[Pillow.Image, NDArray[np.uint8] | None]:
    values = np.asarray(picture).astype(np.int64)
    top = max(black, white)
    clipped = np.clip(values, 0, top)
    gray = ((clipped * 255 + top // 2) // top).astype(np.uint8)
    hidden, alpha = picture.info.get("transparency"), None
    if hidden is not None:
        alpha = np.where(values == hidden, 0, 255).astype(np.uint8)
    return Pillow.fromarray(255 - gray if black > white else gray), alpha
