"""EXIF of a still picture, as it is copied to the restored one.

What describes the recording is kept: date, camera, lens, exposure, position, maker notes. What
describes the stored pixels is not: orientation (the result is upright), size, resolution (the
result is enlarged), colour space (it is sRGB), compression and the embedded thumbnail, which shows
the picture before restoration.

Sources: Exif 3.0 (CIPA DC-008), 4.6; TIFF 6.0.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
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
class _Directories:
    """Tags by directory, and the byte order of the file ("<" or ">"), which maker notes have."""

    main: Tags
    exif: Tags
    gps: Tags
    endian: str | None

    @property
    def count(self) -> int:
        """Number of tags."""
        return len(self.main) + len(self.exif) + len(self.gps)

    def block(self) -> bytes:
        """Return the tags as an EXIF block; errors of any type for values that do not fit."""
        block = Pillow.Exif()
        block.endian = self.endian or "<"
        for tag, value in self.main.items():
            block[tag] = value
        for directory, tags in ((ExifTags.IFD.Exif, self.exif), (ExifTags.IFD.GPSInfo, self.gps)):
            if tags:
                block[directory] = tags
        return block.tobytes()

    def storable(self) -> _Directories:
        """Return the tags whose values can be stored."""
        alone = _Directories({}, {}, {}, self.endian)
        return replace(
            self,
            **{
                name: {
                    tag: value
                    for tag, value in getattr(self, name).items()
                    if replace(alone, **{name: {tag: value}}).fits()
                }
                for name in ("main", "exif", "gps")
            },
        )

    def fits(self) -> bool:
        """Whether the values can be stored."""
        try:
            self.block()
        except Exception:  # Pillow raises errors of any type for damaged values
            return False
        return True


@dataclass(frozen=True)
class PictureExif:
    """EXIF that describes the recording of a picture."""

    _directories: _Directories

    def block(self, width: int, height: int) -> bytes:
        """Return an EXIF block for an upright picture in sRGB.

        Args:
            width: Width of the picture in pixels.
            height: Height of the picture in pixels.

        """
        stored = {_COLOUR_SPACE: _SRGB, _WIDTH: width, _HEIGHT: height}
        main = {**self._directories.main, _ORIENTATION: 1}
        exif = {**self._directories.exif, **stored}
        return replace(self._directories, main=main, exif=exif).block()


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
        given = _Directories(main, exif, gps, data.endian)
        kept = given.storable()
    except Exception:  # Pillow raises errors of any type for damaged tags
        return None, "the EXIF data are damaged and were not copied"
    note = None
    if found or kept.count < given.count:
        note = "the EXIF data are damaged; what can be read was copied"
    return (PictureExif(kept) if kept.count else None), note
