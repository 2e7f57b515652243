"""Error bounds that pixels of a restored face keep with a stated probability.

**What is guaranteed.** For each stated probability p, bound b and group of faces, pixels whose
predicted error is below a threshold are accepted. Among faces of the group of which pixels are
accepted, the mean share of accepted pixels whose error (see `faces.doubt`) is at most b is at least
p. The thresholds are chosen on faces with known truth by Learn then Test (Angelopoulos et al. 2021,
arXiv 2110.01052): this holds for all bounds and stated probabilities of a group and kind of pixel
at once except with probability `delta` over the draw of those faces, for any network and any
quality of the prediction. A group is a mask state, a class of `native_width` and a class of `gain`,
all known at run time; seen and covered pixels have thresholds of their own, so that what lies below
a mask is not accepted on account of what the camera saw. Where a class has too few faces, the group
joins classes of width, and then of light: what is guaranteed is then the mean over all of them.
Each class with at least 15 faces kept what is asked on average on the faces of the calibration as
well, which is no guarantee for it. Narrower faces than those of the calibration keep nothing.

**What is not.** The faces of calibration and of use must be exchangeable: people, poses, masks and
cameras like those of the calibration (drawn masks and templates, simulated cameras). For another
camera, make-up, age, or a face that is not aligned well, nothing is guaranteed. Photographs of one
person in the calibration are counted as independent faces. The probability is a mean over faces and
pixels, not one for every face: on a single face a larger share may be wrong. A small difference of
luma does not mean that the face is that of the person.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import WeightsCorruptError
from jdsr_cli.faces.doubt import (
    FEATURES,
    KINDS,
    LEAST_WIDTH,
    FaceConditions,
    FaceEvidence,
    PixelKind,
)
from jdsr_cli.weights import WeightEntry

NONE = 255
"""Level of pixels that keep no bound."""
WIDTH_CLASSES = (20.0, 40.0, 80.0)
"""Widths of the region in the frame in pixels at which a class of width begins, after 0."""
GAIN_CLASSES = (2.0, 8.0, 16.0)
"""Gains of the exposure at which a class of light begins, after 0."""
MIN_PIXELS = 136
"""Fewest pixels of a kind that are accepted at a bound (2 % of the face's ellipse); if fewer could
be, none is."""
ANY = "any"
_KEYS = ("bounds", "probabilities", "delta", "protocol", "predictor", "thresholds")


def group_names(face: FaceConditions, covered: bool) -> Iterator[str]:
    """Yield the names of the groups of a face's seen or covered pixels, the finest first.

    A group is named by what the pixels show, mask state, class of width and class of light, such
    as ``seen bare 20 2``: the classes by their lower limits. In coarser groups the width, and then
    the light as well, is ``any``.

    Args:
        face: The face.
        covered: Whether the group of the covered pixels is asked for.

    """
    kind = face.kinds[covered]
    width = _class_of(face.native_width, WIDTH_CLASSES)
    light = _class_of(face.gain, GAIN_CLASSES)
    for classes in ((width, light), (ANY, light), (ANY, ANY)):
        yield " ".join((kind, face.mask, *classes))


def _class_of(value: float, limits: tuple[float, ...]) -> str:
    return f"{(0.0, *limits)[bisect_right(limits, value)]:g}"


def accepted(predicted: NDArray[np.float32], threshold: float) -> NDArray[np.bool_]:
    """Return which pixels of a kind are accepted: none if there are fewer than `MIN_PIXELS`.

    Args:
        predicted: (n,) predicted errors in grey levels of all pixels of the kind in the ellipse.
        threshold: Predicted error below which pixels are accepted.

    """
    below = np.asarray(predicted < threshold)
    return below if np.count_nonzero(below) >= MIN_PIXELS else np.zeros_like(below)


@dataclass(frozen=True)
class DoubtCalibration:
    """Thresholds of the predicted error, fitted to one generator by `fit_doubt.py`."""

    bounds: tuple[int, ...]
    """Error bounds in grey levels, ascending."""
    probabilities: tuple[float, ...]
    """Stated probabilities, ascending."""
    delta: float
    """Probability that any threshold of a group fails, of all bounds and probabilities."""
    predictor: Mapping[PixelKind, tuple[float, ...]]
    """(6,) coefficients of `FEATURES` and the intercept, for the logarithm of the error plus 1."""
    thresholds: Mapping[str, tuple[tuple[float, ...], ...]]
    """By group, for each probability, the threshold of each bound; 0 accepts nothing."""

    @classmethod
    def of(cls, entry: WeightEntry | None) -> DoubtCalibration | None:
        """Return the calibration of a manifest entry; None where it has none.

        Raises:
            WeightsCorruptError: The table `doubt` of the entry is not one.

        """
        if entry is None or not entry.doubt:
            return None
        fault = table_error(entry.doubt)
        if fault is not None:
            raise WeightsCorruptError(
                f"its table doubt {fault}",
                where=entry.name,
                hint="Print it again with tests/benchmarks/fit_doubt.py.",
            )
        table: Mapping[str, Any] = entry.doubt
        return cls(
            tuple(table["bounds"]),
            tuple(table["probabilities"]),
            table["delta"],
            {kind: tuple(map(float, table["predictor"][kind])) for kind in KINDS},
            {
                name: tuple(tuple(map(float, row)) for row in rows)
                for name, rows in table["thresholds"].items()
            },
        )

    def predict(self, face: FaceEvidence) -> NDArray[np.float32]:
        """Return the predicted error of each pixel of the ellipse in grey levels, (p,)."""
        seen, covered = (predict_error(self.predictor[kind], face.features) for kind in face.kinds)
        return np.where(face.covered, covered, seen)

    def levels(self, face: FaceEvidence, probability: float) -> NDArray[np.uint8]:
        """Return the smallest bound that each pixel of the ellipse keeps, (p,); `NONE` if none.

        Args:
            face: The face.
            probability: One of `probabilities`.

        """
        column = self.probabilities.index(probability)
        predicted = self.predict(face)
        levels = np.full(predicted.shape, NONE, np.uint8)
        for covered in (False, True):
            pixels = face.covered == covered
            errors, kept = predicted[pixels], levels[pixels]
            row = self._row(face, covered, column)
            for bound, threshold in reversed(list(zip(self.bounds, row, strict=True))):
                kept[accepted(errors, threshold)] = bound
            levels[pixels] = kept
        return levels

    def can_keep(self, face: FaceConditions, covered: bool, bound: int, probability: float) -> bool:
        """Return whether any seen or covered pixel of such a face could keep a bound.

        Args:
            face: The face.
            covered: Whether its covered pixels are asked for.
            bound: One of `bounds`.
            probability: One of `probabilities`.

        """
        row = self._row(face, covered, self.probabilities.index(probability))
        return row[self.bounds.index(bound)] > 0.0

    def _row(self, face: FaceConditions, covered: bool, column: int) -> tuple[float, ...]:
        if face.native_width < LEAST_WIDTH:
            return (0.0,) * len(self.bounds)
        for name in group_names(face, covered):
            if name in self.thresholds:
                return self.thresholds[name][column]
        return (0.0,) * len(self.bounds)


def predict_error(
    coefficients: tuple[float, ...], features: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return predicted errors in grey levels, (...), of features (..., 5)."""
    *slopes, intercept = coefficients
    logarithm = features @ np.array(slopes, np.float32) + np.float32(intercept)
    return np.asarray(np.exp(np.minimum(logarithm, math.log(256.0))), np.float32)


def table_error(table: Mapping[str, Any]) -> str | None:
    """Return the error in a table ``[weights.doubt]``, None if it is valid."""
    if set(table) != set(_KEYS):
        return f"does not have exactly the keys {', '.join(_KEYS)}"
    bounds, probabilities = table["bounds"], table["probabilities"]
    if not _ascending(bounds, 1, NONE - 1) or not all(type(one) is int for one in bounds):
        return f"has bounds that are not whole, ascending grey levels below {NONE}: {bounds!r}"
    if not _ascending(probabilities, 0.0, 1.0):
        return f"has probabilities that are not ascending between 0 and 1: {probabilities!r}"
    if not _ascending([table["delta"]], 0.0, 1.0):
        return f"has a delta that is not between 0 and 1: {table['delta']!r}"
    predictor, thresholds = table["predictor"], table["thresholds"]
    if not isinstance(predictor, dict) or set(predictor) != set(KINDS):
        return f"does not predict {', '.join(KINDS)}"
    for kind, row in predictor.items():
        if not _numbers(row, len(FEATURES) + 1):
            return f"needs {len(FEATURES) + 1} finite coefficients for {kind} pixels"
    if not isinstance(thresholds, dict):
        return "has no groups of thresholds"
    for name, rows in thresholds.items():
        if not isinstance(rows, list) or len(rows) != len(probabilities):
            return f"needs thresholds of each probability for {name!r}"
        for row in rows:
            if not _numbers(row, len(bounds)) or row != sorted(row) or row[0] < 0.0:
                return f"needs {len(bounds)} thresholds of at least 0, ascending, for {name!r}"
    return None


def _numbers(row: object, count: int) -> bool:
    return (
        isinstance(row, list)
        and len(row) == count
        and all(type(one) in (int, float) and math.isfinite(one) for one in row)
    )


def _ascending(row: object, low: float, high: float) -> bool:
    """Return whether these are numbers between the limits, each larger than the one before."""
    if not isinstance(row, list) or not row or not _numbers(row, len(row)):
        return False
    return row == sorted(set(row)) and low <= row[0] and row[-1] <= high
