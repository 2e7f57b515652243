"""How light the skin of a face is in its picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.faces.regions import skin

_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
"""Of the primaries of sRGB relative to its white, D65."""
_LINEAR_BELOW = (6 / 29) ** 3
"""Relative luminance below which CIE's lightness is linear."""


def skin_lightness(face: NDArray[np.uint8]) -> float:
    """Return the lightness of a face's skin: CIELAB's L* for D65, 0 black to 100 white.

    The median over `faces.parts.SKIN` (forehead, bridge of the nose, cheeks), so that highlights,
    glasses, hair or a beard count little unless they cover half of it. It is the lightness of
    pixels: of skin, light, exposure and make-up together. It says nothing of a single person's
    skin colour, which one photograph cannot tell.

    Args:
        face: RGB uint8 (128, 128, 3) in sRGB, aligned to the template, without a mask.

    Raises:
        UsageError: The picture has another shape or type.

    """
    region = skin()
    if face.shape != (*region.shape, 3) or face.dtype != np.uint8:
        raise UsageError(
            f"got {face.shape} {face.dtype}", where="skin_lightness",
            hint="Give RGB uint8 (128, 128, 3)",
        )  # fmt: skip
    levels = face[region] / 255.0
    light = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    luminance = float(np.median(light @ _LUMINANCE))
    if luminance <= _LINEAR_BELOW:
        return (29 / 3) ** 3 * luminance
    return 116 * float(np.cbrt(luminance)) - 16
