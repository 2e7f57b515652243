"""Faces in groups by a property of theirs, to see for whom a restorer is better or worse."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.evaluation.metrics import skin_lightness
from jdsr_train.data import FaceSet


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
    places: NDArray[np.intp]
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
        places = np.flatnonzero(which == number)
        if len(places):
            inside = values[places]
            groups.append(Group(by, name, float(inside.min()), float(inside.max()), places))
    return groups
