"""Reading and writing single pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL.PngImagePlugin import PngInfo

from jdsr_cli.atomic import atomic_file
from jdsr_cli.errors import UsageError
from jdsr_cli.media.frames import Image
from jdsr_cli.media.reader import open_reader

_JPEG_SUFFIXES = frozenset({".jpg", ".jpeg"})
_JPEG_QUALITY = 95

XMP_KEY = "XML:com.adobe.xmp"
"""Metadata key whose text is an XMP packet, stored where readers of XMP look for it."""


def read_image(path: str | Path) -> Image:
    """Read a picture (of an animation or video: its first frame).

    EXIF orientation is applied, 16-bit values are scaled to 8, gray is repeated in three
    channels and transparent parts are laid over black.

    Returns:
        uint8 RGB, shape (height, width, 3).

    Raises:
        InputMissingError: Nothing is there.
        InputUnreadableError: It is a folder, or may not be read.
        MediaError: It is empty, cut off, damaged, or no picture.

    """
    with open_reader(path) as reader:
        return next(reader).image


def write_image(path: str | Path, image: Image, metadata: Mapping[str, str] | None = None) -> None:
    """Write a picture; it appears under its name only when it is complete.

    Args:
        path: Ends in .png (lossless), .jpg or .jpeg (quality 95, colour not subsampled).
        image: uint8 RGB, shape (height, width, 3).
        metadata: Texts to store by key: PNG text chunks, or the comment of a JPEG. The key
            `XMP_KEY` holds an XMP packet.

    Raises:
        OutputError: The folder is missing, full or read-only.
        UsageError: Another suffix, or an array that is no picture.

    """
    target = Path(path)
    suffix = target.suffix.lower()
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise UsageError(
            f"an array of {image.dtype} {image.shape} is no picture",
            where=target,
            hint="uint8 of shape (height, width, 3) is needed.",
        )
    if suffix != ".png" and suffix not in _JPEG_SUFFIXES:
        raise UsageError(
            f"cannot write a {suffix or 'nameless'} picture", where=target, hint="Use .png or .jpg."
        )
    picture = Pillow.fromarray(np.ascontiguousarray(image))
    texts = dict(metadata or {})
    with atomic_file(target) as partial:
        if suffix == ".png":
            chunks = PngInfo()
            for key, text in texts.items():
                chunks.add_itxt(key, text)
            picture.save(partial, format="PNG", pnginfo=chunks, compress_level=4)
        else:
            xmp = texts.pop(XMP_KEY, "").encode()
            comment = "\n".join(f"{key}: {text}" for key, text in texts.items()).encode()
            options = {"xmp": xmp} if xmp else {}
            picture.save(
                partial, format="JPEG", quality=_JPEG_QUALITY, subsampling=0, comment=comment,
                **options,
            )  # fmt: skip
