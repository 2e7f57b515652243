"""Pictures inside of HTML pages: decode stored ones from memory, and encode small copies.

The decoder is for files that somebody else may have replaced: it accepts PNG alone, and looks at
the size before it decodes a pixel.
"""

from __future__ import annotations

import base64
import io
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from jdsr_cli.errors import MediaError
from jdsr_cli.media.frames import Image

MAX_PIXELS = 16_000_000
"""Pixels of the largest picture that is decoded; the pictures of faces have 2 million at most."""
_COLOURS = 16
"""Colours of an overlay: its patterns and a transparent one."""


def decode_png(content: bytes) -> Image:
    """Decode a PNG; 16 bits per channel become 8, transparency is dropped.

    Args:
        content: The bytes of the file.

    Returns:
        RGB uint8 (height, width, 3); a gray picture has three equal channels.

    Raises:
        MediaError: It is no PNG, is damaged or cut off, or has more than `MAX_PIXELS`.

    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = Pillow.open(io.BytesIO(content), formats=("PNG",))
            width, height = picture.size
            if width * height <= MAX_PIXELS:
                return np.asarray(picture.convert("RGB"))
    except Pillow.DecompressionBombError:
        raise MediaError("it has too many pixels") from None
    except Exception as fault:  # Pillow raises errors of any type for damaged files
        raise MediaError("it is no PNG, or damaged") from fault
    raise MediaError(f"it has too many pixels ({width} x {height})")


def reduced(image: Image, side: int) -> Image:
    """Return a picture whose longer side is at most `side` px; a smaller one is not enlarged.

    Args:
        image: RGB uint8 (height, width, 3).
        side: In pixels, at least 1.

    """
    height, width = image.shape[:2]
    factor = side / max(height, width)
    if factor >= 1.0:
        return image
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(Pillow.fromarray(image).resize(size, Pillow.Resampling.LANCZOS))


def webp_address(image: Image, quality: int) -> str:
    """Return a picture as WebP in a data URI (RFC 2397). The same pixels give the same text.

    Args:
        image: RGB uint8 (height, width, 3).
        quality: 0 to 100.

    """
    stream = io.BytesIO()
    Pillow.fromarray(np.ascontiguousarray(image)).save(
        stream, format="WEBP", quality=quality, method=3
    )
    return _address("webp", stream.getvalue())


def overlay_address(overlay: NDArray[np.uint8]) -> str:
    """Return an overlay of few colours as PNG with a palette in a data URI.

    Args:
        overlay: RGBA uint8 (height, width, 4), at most 16 colours, alpha 0 or 255.

    """
    picture = Pillow.fromarray(np.ascontiguousarray(overlay))
    stream = io.BytesIO()
    picture.quantize(_COLOURS, method=Pillow.Quantize.FASTOCTREE, dither=Pillow.Dither.NONE).save(
        stream, format="PNG", optimize=True
    )
    return _address("png", stream.getvalue())


def _address(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
