"""Groups of faces by a measured property, such as the lightness of the skin."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.datasets.face_set import FaceSet
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


@dataclass(frozen=True)
class Property:
    """Something that can be measured of a face as it truly is."""

    measure: Callable[[NDArray[np.uint8]], float]
    """Of an aligned face, RGB uint8 (128, 128, 3)."""
    thirds: tuple[str, str, str]
    """Names of the groups, lowest values first."""
    symbol: str
    """What tables call the values."""
    protocol: str
    """How it is had and what it is not."""


PROPERTIES: Mapping[str, Property] = {
    "lightness": Property(
        skin_lightness,
        ("darkest", "middle", "lightest"),
        "L*",
        "CIELAB L* (sRGB, D65) of the true face without mask and before any degradation: of the "
        "median luminance over fixed ellipses of the template on forehead, bridge of the nose "
        "and cheeks; groups are thirds of the measured faces. It is the lightness of pixels, of "
        "skin, light, exposure and make-up together, not anyone's skin colour. Errors in grey "
        "levels shrink with the light, so PSNR favours darker faces: compare differences and SSIM",
    )
}
"""What faces can be grouped by."""


@dataclass(frozen=True, eq=False)
class Group:
    """Faces with similar values of a property."""

    by: str
    """Name of the property."""
    name: str
    low: float
    """Lowest value in the group."""
    high: float
    """Highest value in the group."""
    indices: NDArray[np.intp]
    """Of its faces in the set."""


def check_properties(names: Sequence[str]) -> None:
    """Refuse names that nothing is known by.

    Raises:
        UsageError: A name is unknown or comes twice.

    """
    for name in names:
        if name not in PROPERTIES:
            raise UsageError(
                f"faces cannot be grouped by {name!r}",
                where="--groups",
                hint=f"Use {', '.join(PROPERTIES)}",
            )
        if names.count(name) > 1:
            raise UsageError(f"{name} is named twice", where="--groups")


def measure(faces: FaceSet, by: str) -> NDArray[np.float64]:
    """Return a property of every true face of a set, (N,)."""
    found = [PROPERTIES[by].measure(np.asarray(image)) for image in faces.images]
    return np.array(found, np.float64)


def thirds(by: str, values: NDArray[np.float64]) -> list[Group]:
    """Cut faces into three groups of similar size by the terciles of a property.

    Equal values stay together, so that a group can be larger or, left out, empty.

    Args:
        by: Name of the property.
        values: (N,), of every face.

    """
    cuts = np.quantile(values, [1 / 3, 2 / 3])
    which = np.searchsorted(cuts, values)
    groups = []
    for number, name in enumerate(PROPERTIES[by].thirds):
        indices = np.flatnonzero(which == number)
        if len(indices):
            inside = values[indices]
            groups.append(Group(by, name, float(inside.min()), float(inside.max()), indices))
    return groups
