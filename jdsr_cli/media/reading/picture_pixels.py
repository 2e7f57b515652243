"""Convert decoded pictures of any mode to upright RGB of 8 bits, in sRGB, without transparency."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import TiffImagePlugin

from jdsr_cli.errors import MediaError
from jdsr_cli.media.exif import ORIENTATION
from jdsr_cli.media.frames import (
    TRANSPARENT_NOTE,
    DeepImage,
    Image,
    MediaInfo,
    depth_warning,
    over_gray,
)
from jdsr_cli.media.geometry import EXIF_ORIENTATIONS, UPRIGHT, Aperture, Orientation
from jdsr_cli.media.reading.colour_profiles import to_srgb
from jdsr_cli.media.reading.colour_statements import StatedColours, stated_colours
from jdsr_cli.media.reading.deep_pictures import bit_depth, deep_samples
from jdsr_cli.media.reading.picture_files import damaged
from jdsr_cli.media.tone_mapping import colour_names, describe_curve, is_hdr, tone_mapping_of

_UPRIGHT_FORMATS = frozenset({"TIFF", "HEIF"})
"""Formats whose decoders return the picture upright."""
_WHITE_IS_ZERO = 0
_COLOUR_MODES = frozenset({"L", "RGB", "CMYK", "LAB"})
"""Modes that a colour profile can be for."""


_HDR_MODES = frozenset({"L", "RGB"})
"""Modes that colour codes can be for."""
_SHALLOW = 8
_LEVELS = 65535
_STEP = np.uint16(257)
"""Levels of 16 bits per level of 8."""
_BLACK, _WHITE = 16, 235
"""Black and white in the limited range of video, of 8 bits (ITU-T H.273, 8.3)."""
_EXPANDED = [
    min(max(round((level - _BLACK) * 255 / (_WHITE - _BLACK)), 0), 255) for level in range(256)
]
"""Level of full range by level of limited range."""


@dataclass(frozen=True)
class Samples:
    """Samples of a picture as Pillow decodes them.

    Attributes:
        colours: The picture without transparency, in a mode that profiles are for.
        alpha: uint8 opacity (height, width); None if there is none.
        deep: The same colours as uint16 RGB, which Pillow decodes for gray only; otherwise None.

    """

    colours: Pillow.Image
    alpha: NDArray[np.uint8] | None = None
    deep: DeepImage | None = None


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
            white, bits = _white_level(picture), bit_depth(picture, file)
            stated = stated_colours(picture, file)
            picture.load()
            samples = _split(picture, white, file)
            image, notes = _in_srgb(samples, stated, bits, partial(deep_samples, picture, file))
            alpha = samples.alpha
            if alpha is not None and int(alpha.min()) < 255:
                image = over_gray(np.dstack([image, alpha]))
                notes.append(TRANSPARENT_NOTE)
            displayed = image if aperture is None else aperture.crop(image)
            upright = orientation_of(picture).apply(displayed)
            return Rendering(upright, tuple(notes))
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


def _split(picture: Pillow.Image, levels: tuple[int, int], file: Path) -> Samples:
    """Return the samples of a decoded picture, in a mode that profiles are for."""
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
        return Samples(Pillow.merge(mode[:-1], bands[:-1]), np.asarray(bands[-1], np.uint8))
    if picture.mode in _COLOUR_MODES:
        return Samples(picture)
    return Samples(picture.convert("L" if picture.mode == "1" else "RGB"))


def _gray_of_16_bits(picture: Pillow.Image, black: int, white: int) -> Samples:
    values = np.asarray(picture).astype(np.int64)
    top = max(black, white)
    clipped = np.clip(values if black < white else top - values, 0, top)
    deep = ((clipped * _LEVELS + top // 2) // top).astype(np.uint16)
    gray = ((clipped * 255 + top // 2) // top).astype(np.uint8)
    hidden, alpha = picture.info.get("transparency"), None
    if hidden is not None:
        alpha = np.where(values == hidden, 0, 255).astype(np.uint8)
    return Samples(Pillow.fromarray(gray), alpha, np.repeat(deep[..., None], 3, axis=2))


def _in_srgb(
    samples: Samples,
    stated: StatedColours,
    bits: int,
    decode: Callable[[int, Image], DeepImage | None],
) -> tuple[Image, list[str]]:
    """Convert samples to RGB in sRGB.

    Args:
        samples: The samples as Pillow decoded them.
        stated: The colours that the file states.
        bits: Bits per channel as stored.
        decode: Decode the picture at its full depth, as `deep_samples`; called for HDR only.

    Returns:
        uint8 RGB, and a sentence for each thing that was changed.

    """
    notes = [] if stated.note is None else [stated.note]
    colours = samples.colours
    if stated.narrow and colours.mode in _HDR_MODES:
        notes.append("the values have the limited range of video and were expanded")
        colours = colours.point(_EXPANDED * len(colours.getbands()))
    mapping = tone_mapping_of(stated) if is_hdr(stated) else None
    if mapping is None or colours.mode not in _HDR_MODES:
        converted, note = to_srgb(colours, stated.profile)
        notes += [] if note is None else [note]
        notes += [depth_warning(bits)] if bits > _SHALLOW else []
        return np.asarray(converted, np.uint8), notes
    deep = samples.deep
    if deep is None and bits > _SHALLOW:
        deep = decode(bits, np.asarray(samples.colours.convert("RGB")))
    if deep is not None and stated.narrow:
        deep = _expanded(deep)
    used = f"{bits} bits" if deep is not None or bits == _SHALLOW else f"8 of {bits} bits"
    if deep is None:
        deep = np.asarray(colours.convert("RGB")).astype(np.uint16) * _STEP
    names = ", ".join([*colour_names(stated), used])
    notes.append(f"the colours were converted from HDR ({names}) to sRGB, {describe_curve(stated)}")
    return mapping.to_sdr(deep), notes


def _expanded(deep: DeepImage) -> DeepImage:
    """Return samples of limited range in full range."""
    black, white = _BLACK << _SHALLOW, _WHITE << _SHALLOW
    inside = np.clip(deep, black, white).astype(np.uint32) - black
    return ((inside * _LEVELS + (white - black) // 2) // (white - black)).astype(np.uint16)
