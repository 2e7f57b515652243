"""Bootstrap intervals of means over faces (Efron 1979), and rows of results with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.evaluation.groups import Group
from jdsr_cli.evaluation.metrics.fidelity import FIDELITY_FIGURES
from jdsr_cli.evaluation.scoring import Scores

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
