"""Intervals of means over faces and of shares of faces, and result rows with intervals.

Means have bootstrap intervals (Efron 1979), shares have those of Wilson (1927), which do not shrink
to a point where every face or none counts.

Faces are also grouped by a measured property, such as the lightness of the skin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.datasets.face_set import FaceSet
from jdsr_cli.datasets.samples import EvaluationSample
from jdsr_cli.errors import UsageError
from jdsr_cli.evaluation.metrics.fidelity import FIDELITY_FIGURES
from jdsr_cli.evaluation.scoring import REFERENCE_FIGURES, SHARE_FIGURES, Scores
from jdsr_cli.faces.regions import skin

RESAMPLES = 2000
SEED = 20240
CONFIDENCE = 0.95
_MAX_DRAWS = 1 << 22
"""Maximum number of faces drawn at once, which limits memory."""


@dataclass(frozen=True)
class Estimate:
    """A mean over faces and its confidence interval."""

    mean: float
    low: float | None
    """Lower end of the 95 % interval; None if a value is infinite or only one face has a value."""
    high: float | None
    """Upper end."""
    faces: int
    """Number of faces with a value."""


def estimate(
    columns: Mapping[str, NDArray[np.float64]], resamples: int = RESAMPLES, seed: int = SEED
) -> dict[str, Estimate]:
    """Return the mean and the 95 % percentile interval of each column.

    Faces are drawn with replacement, the same ones for every column, so that the columns stay
    paired; a resample's mean is over those of its faces that have a value.

    Args:
        columns: (N,) values of the same N faces by name, NaN if a face has no value.
        resamples: Number of resamples of N faces.
        seed: Seed of the random numbers.

    Returns:
        The estimates of the columns with at least one value, except columns with infinite values
        of both signs, which have no mean.

    """
    defined = {name: ~np.isnan(values) for name, values in columns.items()}
    usable = [
        name for name in columns if defined[name].any() and not _has_both_infinities(columns[name])
    ]
    if not usable:
        return {}
    finite = [name for name in usable if np.isfinite(columns[name][defined[name]]).all()]
    resampled = dict(
        zip(
            finite,
            resampled_ratios([np.where(defined[n], columns[n], 0.0) for n in finite],
                             [defined[n] for n in finite], resamples, seed),
            strict=True,
        )
    ) if finite else {}  # fmt: skip
    estimates = {}
    for name in usable:
        values = columns[name][defined[name]]
        low = high = None
        if name in resampled and len(values) > 1:
            tail = 50 * (1 - CONFIDENCE)
            low, high = (float(v) for v in np.nanpercentile(resampled[name], [tail, 100 - tail]))
        estimates[name] = Estimate(float(values.mean()), low, high, len(values))
    return estimates


def wilson_interval(share: float, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of `count` independent faces (Wilson 1927)."""
    z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
    weight = 1.0 / (1.0 + z * z / count)
    centre = weight * (share + z * z / (2 * count))
    half = weight * z * float(np.sqrt(share * (1.0 - share) / count + (z / (2 * count)) ** 2))
    return max(0.0, centre - half), min(1.0, centre + half)


def _of_share(one: Estimate) -> Estimate:
    low, high = wilson_interval(one.mean, one.faces)
    return replace(one, low=low, high=high)


def _has_both_infinities(values: NDArray[np.float64]) -> bool:
    return bool(np.isposinf(values).any() and np.isneginf(values).any())


def resampled_ratios(
    numerators: Sequence[NDArray[np.float64]],
    denominators: Sequence[NDArray[np.generic]],
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> NDArray[np.float64]:
    """Return ratios of sums over units that are drawn with replacement, (ratios, resamples).

    Args:
        numerators: (N,) of the same N units for each ratio.
        denominators: The same, such as which units have a value: the ratio is then their mean.
        resamples: Number of resamples of N units, the same ones for every ratio.
        seed: Seed of the random numbers.

    Returns:
        NaN where the sum of the denominators is not above 0.

    """
    rng = np.random.default_rng(seed)
    below = [one.astype(np.float64) for one in denominators]
    table = np.stack([*numerators, *below], axis=1)
    count = len(table)
    step = max(1, _MAX_DRAWS // count)
    sums = []
    for first in range(0, resamples, step):
        size = min(step, resamples - first)
        indices = rng.integers(count, size=(size, count)) + np.arange(size)[:, None] * count
        multiplicity = np.bincount(indices.ravel(), minlength=size * count).reshape(size, count)
        sums.append(multiplicity @ table)
    joined = np.concatenate(sums).T
    totals, counts = joined[: len(numerators)], joined[len(numerators) :]
    return np.divide(totals, counts, out=np.full_like(totals, np.nan), where=counts > 0)


@dataclass(frozen=True)
class Row:
    """Results of one method on one set of faces."""

    faces: str
    """`masked`, `plain` or `sharp`."""
    method: str
    scores: Scores
    estimates: Mapping[str, Estimate]
    """By name of the metric."""
    differences: Mapping[str, Estimate]
    """Mean difference to the first method, paired by face, by name of the metric; empty for the
    first method, and without figures that are the same for every method."""
    better_share: Mapping[str, float]
    """Share of faces in [0, 1] whose value is above that of the first method, by name of the PSNR
    or SSIM metric; empty for the first method."""
    group: Group | None = None
    """Group of the faces; None for all faces."""


def result_rows(faces: str, scores: Mapping[str, Scores], group: Group | None = None) -> list[Row]:
    """Return means with intervals for every method, and differences to the first method.

    Args:
        faces: Name of the faces in the table.
        scores: Scores of the same faces by method.
        group: If given, only its faces count.

    """
    if group is not None:
        scores = {method: own.of(group.indices) for method, own in scores.items()}
    first = next(iter(scores.values()))
    columns = {}
    for method, own in scores.items():
        for figure, values in own.figures.items():
            columns[f"{method}\0{figure}"] = values
            if own is not first and figure not in REFERENCE_FIGURES:
                with np.errstate(invalid="ignore"):  # two infinite figures have no difference
                    columns[f"{method}\0{figure}\0-"] = values - first.figures[figure]
    estimates = estimate(columns)
    for name in estimates:
        if name.partition("\0")[2] in SHARE_FIGURES:
            estimates[name] = _of_share(estimates[name])
    return [
        Row(
            faces,
            method,
            own,
            {f: estimates[k] for f in own.figures if (k := f"{method}\0{f}") in estimates},
            {f: estimates[k] for f in own.figures if (k := f"{method}\0{f}\0-") in estimates},
            {} if own is first else _better_share(own, first),
            group,
        )
        for method, own in scores.items()
    ]


def _better_share(scores: Scores, first: Scores) -> dict[str, float]:
    shares = {}
    for figure in FIDELITY_FIGURES:
        if figure in scores.figures:
            values, reference = scores.figures[figure], first.figures[figure]
            defined = ~(np.isnan(values) | np.isnan(reference))
            if defined.any():
                shares[figure] = float((values[defined] > reference[defined]).mean())
    return shares


_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
"""Luminance of the primaries of sRGB relative to its white point D65."""
_LINEAR_BELOW = (6 / 29) ** 3
"""Relative luminance below which CIE's lightness is linear."""


def skin_lightness(face: NDArray[np.uint8]) -> float:
    """Return the lightness of a face's skin: CIELAB's L* for D65, 0 black to 100 white.

    The median over `faces.regions.skin` (forehead, bridge of the nose, cheeks), so that highlights,
    glasses, hair or a beard have little effect unless they cover half of it. It is the lightness
    of pixels, which depends on skin, light, exposure and make-up. It does not measure a person's
    skin colour, which one photograph cannot determine.

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
    """A measurable property of a face or of its recording."""

    measure: Callable[[EvaluationSample, NDArray[np.uint8]], float]
    """Function of a degraded face and of the true one, RGB uint8 (128, 128, 3)."""
    group_names: tuple[str, str, str]
    """Names of the groups, lowest values first."""
    symbol: str
    """Name of the values in tables."""
    protocol: str
    """Description of the property and of its limits."""


PROPERTIES: Mapping[str, Property] = {
    "lightness": Property(
        lambda _, face: skin_lightness(face),
        ("darkest", "middle", "lightest"),
        "L*",
        "CIELAB L* (sRGB, D65) of the true face without mask and before any degradation: of the "
        "median luminance over fixed ellipses of the template on forehead, bridge of the nose "
        "and cheeks; groups are thirds of the measured faces. It is the lightness of pixels, of "
        "skin, light, exposure and make-up together, not anyone's skin colour. Errors in grey "
        "levels shrink with the light, so PSNR favours darker faces: compare differences and SSIM",
    ),
    "width": Property(
        lambda sample, _: sample.pair.native_width,
        ("narrowest", "middle", "widest"),
        "width in px",
        "width of the aligned face on the sensor of the simulated camera, in pixels; groups are "
        "thirds of the measured faces",
    ),
}
"""Properties by which faces can be grouped."""


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
    """Indices of its faces in the set."""


def check_properties(names: Sequence[str], degradation: str) -> None:
    """Check names of properties.

    Args:
        names: Properties by which faces are grouped.
        degradation: How the inputs are made: only those of a camera differ in width.

    Raises:
        UsageError: A name is unknown or given twice, or all faces are of one width.

    """
    for name in names:
        if name not in PROPERTIES:
            raise UsageError(
                f"faces cannot be grouped by {name!r}",
                where="--groups",
                hint=f"Use {', '.join(PROPERTIES)}",
            )
        if names.count(name) > 1:
            raise UsageError(f"{name} is given twice", where="--groups")
        if name == "width" and degradation != "camera":
            raise UsageError(
                f"{degradation} faces are all of one width",
                where="--groups",
                hint="Give --degradation camera, or leave width out",
            )


class MeasuredProperties:
    """Properties of faces, measured while their samples pass.

    Args:
        faces: The faces, in the order of the samples.
        names: The properties.

    """

    def __init__(self, faces: FaceSet, names: Sequence[str]) -> None:
        self._faces = faces
        self._values: dict[str, list[float]] = {name: [] for name in names}

    def update(self, samples: Iterable[EvaluationSample]) -> Iterator[EvaluationSample]:
        """Yield the samples unchanged and measure them."""
        for index, sample in enumerate(samples):
            for name, values in self._values.items():
                face = np.asarray(self._faces.images[index])
                values.append(float(PROPERTIES[name].measure(sample, face)))
            yield sample

    @property
    def values(self) -> dict[str, NDArray[np.float64]]:
        """(N,) values of the N samples that passed, by name of the property."""
        return {name: np.array(values, np.float64) for name, values in self._values.items()}

    def groups(self) -> list[Group]:
        """Return the groups of the samples that passed, see `split_by_terciles`."""
        return [
            group for name, one in self.values.items() for group in split_by_terciles(name, one)
        ]


def split_by_terciles(by: str, values: NDArray[np.float64]) -> list[Group]:
    """Divide faces into three groups of similar size by the terciles of a property.

    Equal values are in the same group, so that a group can be larger, or empty and omitted.

    Args:
        by: Name of the property.
        values: (N,) values of all faces.

    """
    limits = np.quantile(values, [1 / 3, 2 / 3])
    tercile = np.searchsorted(limits, values)
    groups = []
    for number, name in enumerate(PROPERTIES[by].group_names):
        indices = np.flatnonzero(tercile == number)
        if len(indices):
            group_values = values[indices]
            groups.append(
                Group(by, name, float(group_values.min()), float(group_values.max()), indices)
            )
    return groups
