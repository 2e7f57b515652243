"""Describe opened still pictures and animations, and iterate over animations of Pillow."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from PIL import Image as Pillow

from jdsr_cli.media.frames import UNSPECIFIED, MediaInfo, MediaKind
from jdsr_cli.media.geometry import Aperture
from jdsr_cli.media.reading.colour_statements import stated_colours
from jdsr_cli.media.reading.deep_pictures import bit_depth
from jdsr_cli.media.reading.heif_items import displayed_margins, primary_margins
from jdsr_cli.media.reading.picture_files import damaged
from jdsr_cli.media.reading.picture_pixels import Rendering, orientation_of, render
from jdsr_cli.media.reading.tiff_pages import count_pages_of_tiff
from jdsr_cli.media.reading.trailing import Trailing, picture_end, trailing_bytes

_ANIMATED = frozenset({"GIF", "PNG", "WEBP", "AVIF"})
_BY_PYAV = frozenset({"GIF", "PNG"})
"""Animations that PyAV decodes with exact times; FFmpeg cannot decode the others."""

_READ_PART = {"TIFF": "the first of {} pages", "HEIF": "the main one of {} pictures"}
"""What is read of a file of several pictures that is no animation, by format."""
_FIRST = "the first of {} pictures"

_GIF_END = b";"
"""Last byte of a complete GIF."""

_SHALLOW = 8
_DEEP_FORMATS = {"L": "gray16le", "LA": "ya16le", "RGBA": "rgba64le"}
"""FFmpeg's names of formats of more than 8 bits by Pillow's mode of 8 bits."""

_MILLISECOND = Fraction(1, 1000)
_DEFAULT_MILLISECONDS = 100
"""Duration that browsers use for a picture of an animation without one."""


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
        trailing: Bytes after the picture, None if there are none.

    """

    pictures: int
    damage: str | None
    separate: bool = False
    trailing: Trailing | None = None

    @property
    def notes(self) -> list[str]:
        """One sentence for all that is damaged or left out, other than what follows."""
        separate = "a still picture that is not part of the animation was not read"
        notes = (self.damage, separate if self.separate else None)
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
            count = _stated_count(picture, file) - separate
        except Exception:  # Pillow raises errors of any type for damaged files
            count = max(1, _count_intact(picture) - separate)
            damage = f"the file is damaged after its first {count} pictures"
            return PictureCount(count, damage, separate)
    trailing = trailing_bytes(file, picture.format)
    if picture.format == "GIF" and picture_end(file, "GIF") is None:
        with file.open("rb") as stream:
            stream.seek(-1, os.SEEK_END)
            if stream.read(1) != _GIF_END:
                damage = "the GIF has no end marker: pictures may be missing"
                return PictureCount(count, damage)
    return PictureCount(count, None, separate, trailing)


def _stated_count(picture: Pillow.Image, file: Path) -> int:
    """Return the number of pictures that a file states; errors of any type if it is damaged."""
    if picture.format == "TIFF":
        return count_pages_of_tiff(file)
    return int(getattr(picture, "n_frames", 1))


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


def aperture_of(picture: Pillow.Image, file: Path) -> Aperture | None:
    """Return the displayed part of an opened picture, None for all.

    Args:
        picture: The picture, of which only the header was read.
        file: Its file.

    """
    margins = displayed_margins(file) if picture.format == "AVIF" else None
    return None if margins is None else margins.aperture(*picture.size)


def file_notes(picture: Pillow.Image, file: Path, count: PictureCount) -> list[str]:
    """Return one sentence for each thing in the file of an opened picture that is not shown.

    Args:
        picture: The picture, of which only the header was read.
        file: Its file.
        count: Number of pictures in the file.

    """
    found = [] if count.damage is None else [count.damage]
    aperture, size = aperture_of(picture, file), picture.size
    margins = primary_margins(file) if picture.format == "HEIF" else None
    if margins is not None:
        # libheif has applied it.
        size = (margins.width, margins.height)
        aperture = margins.aperture(*size)
    if aperture is not None:
        found.append(aperture.note(*size))
    if kind_of(picture, count) == "image" and count.pictures > 1:
        part = _READ_PART.get(picture.format or "", _FIRST).format(count.pictures)
        found.append(f"only {part} of the {picture.format} was read")
    return found


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
    kind, bits = kind_of(picture, count), bit_depth(picture, file)
    colours = stated_colours(picture, file)
    info = MediaInfo(
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
        pixel_format=_pixel_format(picture.mode, bits),
        sample_aspect_ratio=Fraction(1),
        colour_range=colours.colour_range,
        colour_primaries=colours.colour_primaries,
        colour_transfer=colours.colour_transfer,
        colour_matrix=colours.colour_matrix,
        audio_streams=0,
        bit_depth=bits,
        mastering_display=colours.mastering_display,
        content_light=colours.content_light,
    )
    return info if kind == "image" else as_frames(info)


def as_frames(info: MediaInfo) -> MediaInfo:
    """Return the header of pictures as the frames of a video: they were converted to sRGB."""
    return replace(
        info,
        colour_range="full",
        colour_primaries=UNSPECIFIED,
        colour_transfer=UNSPECIFIED,
        colour_matrix=UNSPECIFIED,
        mastering_display=None,
        content_light=None,
    )


def _pixel_format(mode: str, bits: int) -> str:
    if bits > _SHALLOW:
        return _DEEP_FORMATS.get(mode, "gray16le" if mode.startswith("I") else "rgb48le")
    return {"1": "monow", "L": "gray", "LA": "ya8", "RGBA": "rgba", "P": "pal8"}.get(mode, "rgb24")


@dataclass(frozen=True)
class AnimationPicture:
    """A picture of an animation.

    Attributes:
        index: Position in the file, from 0.
        pts: Start in milliseconds.
        rendering: The picture.

    """

    index: int
    pts: int
    rendering: Rendering


def animation_pictures(
    picture: Pillow.Image, file: Path, count: int, aperture: Aperture | None
) -> Iterator[AnimationPicture]:
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
            raise damaged(f"picture {index}", file, exc) from exc
        yield AnimationPicture(index, pts, render(picture, file, aperture))
        pts += max(1, round(picture.info.get("duration") or _DEFAULT_MILLISECONDS))
