"""Bootstrap intervals of means over faces (Efron 1979), and rows of results with them.

Faces are also grouped by a measured property, such as the lightness of the skin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.datasets.face_set import FaceSet
from jdsr_cli.errors import UsageError
from jdsr_cli.evaluation.metrics.fidelity import FIDELITY_FIGURES
from jdsr_cli.evaluation.scoring import Scores
from jdsr_cli.faces.regions import skin

RESAMPLES = 2000
SEED = 20240
CONFIDENCE = 0.95
_CHUNK = 1 << 22
"""Faces drawn at once, which bounds memory."""


@dataclass(frozen=True)
class Estimate:
    """A mean over faces with its interval."""

    mean: float
    low: float | None
    """Lower end of the 95 % interval; None where a face's value is infinite, or one face alone
    has a value."""
    high: float | None
    """Upper end."""
    faces: int
    """That have the figure."""


def estimate(
    columns: Mapping[str, NDArray[np.float64]], resamples: int = RESAMPLES, seed: int = SEED
) -> dict[str, Estimate]:
    """Return the mean and the 95 % percentile interval of each column.

    Faces are drawn with replacement, the same ones for every column, so that the columns stay
    paired; a resample's mean is over those of its faces that have a value.

    Args:
        columns: By name, (N,) values of the same N faces, NaN where a face has none.
        resamples: How many sets of N faces are drawn.
        seed: Of the draw.

    Returns:
        The estimates of the columns that at least one face has, without those whose infinite
        values have both signs, which have no mean.

    """
    known = {name: ~np.isnan(values) for name, values in columns.items()}
    kept = [
        name for name in columns if known[name].any() and not _has_both_infinities(columns[name])
    ]
    if not kept:
        return {}
    finite = [name for name in kept if np.isfinite(columns[name][known[name]]).all()]
    drawn = dict(
        zip(
            finite,
            _resampled([np.where(known[n], columns[n], 0.0) for n in finite],
                       [known[n] for n in finite], resamples, seed),
            strict=True,
        )
    ) if finite else {}  # fmt: skip
    found = {}
    for name in kept:
        values = columns[name][known[name]]
        low = high = None
        if name in drawn and len(values) > 1:
            tail = 50 * (1 - CONFIDENCE)
            low, high = (float(v) for v in np.nanpercentile(drawn[name], [tail, 100 - tail]))
        found[name] = Estimate(float(values.mean()), low, high, len(values))
    return found


def _has_both_infinities(values: NDArray[np.float64]) -> bool:
    return bool(np.isposinf(values).any() and np.isneginf(values).any())


def _resampled(
    values: list[NDArray[np.float64]], known: list[NDArray[np.bool_]], resamples: int, seed: int
) -> NDArray[np.float64]:
    """Return the columns' means over each resample, (columns, resamples)."""
    rng = np.random.default_rng(seed)
    table = np.stack([*values, *(one.astype(np.float64) for one in known)], axis=1)
    count = len(table)
    step = max(1, _CHUNK // count)
    sums = []
    for first in range(0, resamples, step):
        rows = min(step, resamples - first)
        picked = rng.integers(count, size=(rows, count)) + np.arange(rows)[:, None] * count
        times = np.bincount(picked.ravel(), minlength=rows * count).reshape(rows, count)
        sums.append(times @ table)
    whole = np.concatenate(sums).T
    totals, counts = whole[: len(values)], whole[len(values) :]
    return np.divide(totals, counts, out=np.full_like(totals, np.nan), where=counts > 0)


@dataclass(frozen=True)
class Row:
    """One method on one set of faces."""

    faces: str
    """`masked`, `plain` or `sharp`."""
    method: str
    scores: Scores
    estimates: Mapping[str, Estimate]
    """By figure."""
    differences: Mapping[str, Estimate]
    """By figure, of each face's to that of the first method; empty for the first."""
    better_share: Mapping[str, float]
    """By PSNR or SSIM that the faces have, the share of faces in [0, 1] on which it is above that
    of the first method, an equal one not counted; empty for the first."""
    group: Group | None = None
    """Which of the faces these are; None for all."""


def rows(faces: str, scores: Mapping[str, Scores], group: Group | None = None) -> list[Row]:
    """Give every mean its interval, and every method but the first what it gains over that.

    Args:
        faces: What the table calls the faces.
        scores: By method, of the same faces.
        group: Where given, only its faces count.

    """
    if group is not None:
        scores = {method: one.of(group.indices) for method, one in scores.items()}
    first = next(iter(scores.values()))
    columns = {}
    for method, one in scores.items():
        for figure, values in one.figures.items():
            columns[f"{method}\0{figure}"] = values
            if one is not first:
                with np.errstate(invalid="ignore"):  # two infinite figures have no difference
                    columns[f"{method}\0{figure}\0-"] = values - first.figures[figure]
    found = estimate(columns)
    return [
        Row(
            faces,
            method,
            one,
            {f: found[k] for f in one.figures if (k := f"{method}\0{f}") in found},
            {f: found[k] for f in one.figures if (k := f"{method}\0{f}\0-") in found},
            {} if one is first else _better_share(one, first),
            group,
        )
        for method, one in scores.items()
    ]


def _better_share(one: Scores, first: Scores) -> dict[str, float]:
    shares = {}
    for figure in FIDELITY_FIGURES:
        if figure in one.figures:
            mine, theirs = one.figures[figure], first.figures[figure]
            known = ~(np.isnan(mine) | np.isnan(theirs))
            if known.any():
                shares[figure] = float((mine[known] > theirs[known]).mean())
    return shares


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
