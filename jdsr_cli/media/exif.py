"""EXIF of a still picture, as it is copied to the restored one.

What describes the recording is kept: date, camera, lens, exposure, position, maker notes. What
describes the stored pixels is not: orientation (the result is upright), size, resolution (the
result is enlarged), colour space (it is sRGB), compression and the embedded thumbnail, which shows
the picture before restoration.

Sources: Exif 3.0 (CIPA DC-008), 4.6; TIFF 6.0.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Number
from typing import Any

from PIL import ExifTags
from PIL import Image as Pillow

_IFD0 = frozenset(
    {269, 270, 271, 272, 285, 305, 306, 315, 316, 33432, 18246, 18249, *range(40091, 40096)}
)
"""Tags of the main directory that describe the recording: names, texts, camera, date, rights."""
_INNER = frozenset(
    {
        *(33434, 33437, 34850, 34852, 34855, 34856, *range(34864, 34870), 36864, 36867, 36868),
        *(36880, 36881, 36882, *range(37377, 37387), 37396, 37500, 37510, 37520, 37521, 37522),
        *(*range(37888, 37894), 40960, 40964, 41483, 41484, 41486, 41487, 41488, 41492, 41493),
        *(41495, 41728, 41729, 41730, *range(41985, 41997), *range(42016, 42038), 42080, 42081),
        *(42082, 42240),
    }
)
"""Tags of the EXIF directory in Exif 3.0 without those on compression, colour space, size and the
Interop directory."""
_PLACE = frozenset(range(32))
"""Tags of the GPS directory in Exif 3.0."""
LONGEST_TEXT = 256
"""Characters of a text where no picture may be kept: names, places and dates are shorter."""
LONGEST_UNTYPED = 16
"""Bytes of a value without a type: versions and arrangements of components have 1 to 4."""
_NUMBERS = 16
"""Numbers in a value: positions, areas and lenses have 1 to 4."""
ORIENTATION = 274
"""Tag of the main directory on the orientation of the stored picture."""
_COLOUR_SPACE, _WIDTH, _HEIGHT = 40961, 40962, 40963
_SRGB = 1

Tags = dict[int, Any]


_MAIN, _EXIF, _GPS = 0, int(ExifTags.IFD.Exif), int(ExifTags.IFD.GPSInfo)
"""Keys of the directories: 0, and the tags of the main directory that lead to the others."""


@dataclass(frozen=True)
class PictureExif:
    """EXIF that describes the recording of a picture.

    Attributes:
        directories: Tags by directory.
        endian: Byte order, "<" or ">": that of the file, which maker notes have.

    """

    directories: Mapping[int, Tags]
    endian: str

    def without_pictures(self) -> PictureExif:
        """Return the tags whose values are too short to hold a picture: numbers and short texts.

        Cameras store previews in maker notes, and programs in tags of their own and in comments.
        """
        directories = {
            place: {tag: value for tag, value in tags.items() if _is_short(value)}
            for place, tags in self.directories.items()
        }
        return PictureExif(directories, self.endian)

    def block(self, width: int, height: int) -> bytes:
        """Return an EXIF block for an upright picture in sRGB.

        Args:
            width: Width of the picture in pixels.
            height: Height of the picture in pixels.

        """
        own = {
            _MAIN: {ORIENTATION: 1},
            _EXIF: {_COLOUR_SPACE: _SRGB, _WIDTH: width, _HEIGHT: height},
            _GPS: {},
        }
        stored = {place: {**self.directories[place], **tags} for place, tags in own.items()}
        return _block(stored, self.endian)


def read_exif(picture: Pillow.Image) -> tuple[PictureExif | None, str | None]:
    """Read the EXIF of an opened picture, before its pixels are decoded.

    Returns:
        The tags, None if there are none; and a sentence if some are damaged, otherwise None.

    """
    try:
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            data = _loaded(picture)
            given = {
                _MAIN: {tag: data[tag] for tag in data if tag in _IFD0},
                _EXIF: {tag: one for tag, one in data.get_ifd(_EXIF).items() if tag in _INNER},
                _GPS: {tag: one for tag, one in data.get_ifd(_GPS).items() if tag in _PLACE},
            }
        endian = data.endian or "<"
        kept = {
            place: {tag: value for tag, value in tags.items() if _fits(place, tag, value, endian)}
            for place, tags in given.items()
        }
    except Exception:  # Pillow raises errors of any type for damaged tags
        return None, "the EXIF data are damaged and were not copied"
    note = None
    if found or any(len(kept[place]) < len(tags) for place, tags in given.items()):
        note = "the EXIF data are damaged; what can be read was copied"
    return (PictureExif(kept, endian) if any(kept.values()) else None), note


def _is_short(value: Any) -> bool:
    if isinstance(value, bytes):
        return len(value) <= LONGEST_UNTYPED
    if isinstance(value, str):
        return len(value) <= LONGEST_TEXT
    if isinstance(value, (tuple, list)):
        return len(value) <= _NUMBERS and all(map(_is_short, value))
    return isinstance(value, Number)


def _loaded(picture: Pillow.Image) -> Pillow.Exif:
    """Return all tags; warnings state damage, which Pillow may have met before."""
    block = picture.info.get("exif")
    if not isinstance(block, bytes):
        return picture.getexif()
    data = Pillow.Exif()
    data.load(block)
    return data


def _fits(place: int, tag: int, value: Any, endian: str) -> bool:
    """Whether a value can be stored."""
    try:
        _block({place: {tag: value}}, endian)
    except Exception:  # Pillow raises errors of any type for damaged values
        return False
    return True


def _block(directories: Mapping[int, Tags], endian: str) -> bytes:
    """Return tags as an EXIF block; errors of any type for values that do not fit."""
    block = Pillow.Exif()
    block.endian = endian
    for place, tags in directories.items():
        if place == _MAIN:
            for tag, value in tags.items():
                block[tag] = value
        elif tags:
            block[place] = tags
    return block.tobytes()
