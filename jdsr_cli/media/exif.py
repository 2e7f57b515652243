"""EXIF of a still picture, as it is copied to the restored one.

What describes the recording is kept: date, camera, lens, exposure, position, maker notes. What
describes the stored pixels is not: orientation (the result is upright), size, resolution (the
result is enlarged), colour space (it is sRGB), compression and the embedded thumbnail, which shows
the picture before restoration.

Sources: Exif 3.0 (CIPA DC-008), 4.6; TIFF 6.0.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

from PIL import ExifTags
from PIL import Image as Pillow

_IFD0 = frozenset(
    {269, 270, 271, 272, 285, 305, 306, 315, 316, 33432, 18246, 18249, *range(40091, 40096)}
)
"""Tags of the main directory that describe the recording: names, texts, camera, date, rights."""
_PIXELS = frozenset({37121, 37122, 40961, 40962, 40963, 40965})
"""Tags of the EXIF directory on compression, colour space, size, and the Interop directory."""
_ORIENTATION = 274
_COLOUR_SPACE, _WIDTH, _HEIGHT = 40961, 40962, 40963
_SRGB = 1

Tags = dict[int, Any]


@dataclass(frozen=True)
class PictureExif:
    """Tags that describe a recording.

    Attributes:
        main: Tags of the main directory.
        exif: Tags of the EXIF directory.
        gps: Tags of the GPS directory.
        endian: Byte order, "<" or ">"; that of maker notes.

    """

    main: Tags
    exif: Tags
    gps: Tags
    endian: str | None

    def block(self, width: int, height: int) -> bytes:
        """Return the tags as an EXIF block for an upright picture in sRGB.

        Args:
            width: Width of the picture in pixels.
            height: Height of the picture in pixels.

        """
        stored = {_COLOUR_SPACE: _SRGB, _WIDTH: width, _HEIGHT: height}
        return _block(
            {**self.main, _ORIENTATION: 1}, {**self.exif, **stored}, self.gps, self.endian
        )


def read_exif(picture: Pillow.Image) -> tuple[PictureExif | None, str | None]:
    """Read the EXIF of an opened picture, before its pixels are decoded.

    Returns:
        The tags, None if there are none; and a sentence if some are damaged, otherwise None.

    """
    try:
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            data = picture.getexif()
            main = {tag: data[tag] for tag in data if tag in _IFD0}
            inner = data.get_ifd(ExifTags.IFD.Exif)
            gps = dict(data.get_ifd(ExifTags.IFD.GPSInfo))
        exif = {tag: value for tag, value in inner.items() if tag not in _PIXELS}
        given = (main, exif, gps)
        kept = [_storable(tags, place, data.endian) for place, tags in enumerate(given)]
    except Exception:  # Pillow raises errors of any type for damaged tags
        return None, "the EXIF data are damaged and were not copied"
    lost = sum(map(len, given)) - sum(map(len, kept))
    note = None
    if lost or found:
        note = "the EXIF data are damaged; what can be read was copied"
    return (PictureExif(*kept, data.endian) if any(kept) else None), note


def _storable(tags: Tags, place: int, endian: str | None) -> Tags:
    """Return the tags of a directory whose values can be stored."""
    kept = {}
    for tag, value in tags.items():
        directories: list[Tags] = [{}, {}, {}]
        directories[place] = {tag: value}
        try:
            _block(*directories, endian)
        except Exception:  # Pillow raises errors of any type for damaged values
            continue
        kept[tag] = value
    return kept


def _block(main: Tags, exif: Tags, gps: Tags, endian: str | None) -> bytes:
    block = Pillow.Exif()
    block.endian = endian or "<"
    for tag, value in main.items():
        block[tag] = value
    for directory, tags in ((ExifTags.IFD.Exif, exif), (ExifTags.IFD.GPSInfo, gps)):
        if tags:
            block[directory] = tags
    return block.tobytes()
