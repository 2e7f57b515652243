"""Fit the doubt map: predicted errors, and thresholds with a guarantee.

Run by hand on results of `doubt_cases.py`:
`python tests/benchmarks/fit_doubt.py TUNE CALIBRATE [--protocol TEXT]`. The predictor, and the
threshold with which each test sequence starts, are fitted to TUNE, which may be training faces; the
thresholds are certified on CALIBRATE alone, whose faces the generator and the predictor have not
seen (`jdsr_cli.evaluation.risk_control`, `jdsr_cli.faces.error_bounds`). Prints the table
`[weights.doubt]` for the manifest, and for each group the number of faces.

Groups with fewer than `MIN_FACES` faces are joined to coarser ones: first over all widths, then
over all lights. The faces of a group are exactly those that look it up at run time, so that its
guarantee holds for them; a coarser group with too few faces is left out, and none of its pixels
pass.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from doubt_cases import Cases, read_cases
from numpy.typing import NDArray
from repeated_clip import print_line

from jdsr_cli.evaluation.risk_control import betting_p_value, largest_certified
from jdsr_cli.faces.doubt import KINDS, FaceEvidence, PixelKind
from jdsr_cli.faces.error_bounds import MIN_PIXELS, group_names, predict_error
from jdsr_cli.settings import CONFIDENCES, ERROR_BOUNDS

DELTA = 0.1
"""Probability that one of the bounds of a group fails at a stated probability."""
MIN_FACES = 90
"""Fewest faces of a group: with fewer no threshold can be certified at the highest probability."""
THRESHOLDS = np.geomspace(1.5, 80.0, 100).round(2)
"""Predicted errors in grey levels that are tested."""
PIXELS = 500
"""Pixels of a face and kind to which the predictor is fitted at most."""
Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Unit:
    """The seen or the covered pixels of one face."""

    key: str
    """Key of the face."""
    names: tuple[str, ...]
    """Groups, the finest first."""
    predicted: NDArray[np.float32]
    errors: NDArray[np.float32]
    inside: NDArray[np.bool_]

    def losses(self, bound: float) -> Array:
        """Return the share of accepted pixels over the bound at each of `THRESHOLDS`.

        NaN where nothing is accepted.
        """
        order = np.argsort(self.predicted, kind="stable")
        count = np.searchsorted(self.predicted[order], THRESHOLDS.astype(np.float32), "left")
        inside = np.concatenate([[0], np.cumsum(self.inside[order])])[count]
        over = self.inside & (self.errors > bound)
        wrong = np.concatenate([[0], np.cumsum(over[order])])[count]
        valid = (count >= MIN_PIXELS) & (inside > 0)
        return np.where(valid, wrong / np.maximum(inside, 1), np.nan)


def evidence(cases: Cases) -> Iterator[tuple[int, FaceEvidence]]:
    """Yield the number of each face with what is known about it at run time."""
    for number, face in enumerate(cases.faces):
        features = cases.features[number].astype(np.float32)
        yield number, FaceEvidence(
            features, cases.covered[number], str(face["mask"]), float(face["width"]),  # type: ignore[arg-type]
            float(face["gain"]),
        )  # fmt: skip


def fit_predictor(cases: Cases) -> dict[PixelKind, tuple[float, ...]]:
    """Return coefficients and intercept for each kind of pixel, by least squares."""
    rng = np.random.default_rng(0)
    rows: dict[PixelKind, list[Array]] = defaultdict(list)
    for number, face in evidence(cases):
        for covered, kind in enumerate(face.kinds):
            chosen = np.nonzero((face.covered == bool(covered)) & cases.inside[number])[0]
            chosen = rng.permutation(chosen)[:PIXELS]
            errors = np.log(cases.errors[number][chosen].astype(np.float64) + 1.0)
            ones = np.ones(len(chosen))
            rows[kind].append(np.column_stack([face.features[chosen], ones, errors]))
    fitted = {}
    for kind in KINDS:
        table = np.concatenate(rows[kind])
        solution = np.linalg.lstsq(table[:, :-1], table[:, -1], rcond=None)[0]
        fitted[kind] = tuple(round(float(one), 3) for one in solution)
    return fitted


def units(cases: Cases, predictor: dict[PixelKind, tuple[float, ...]]) -> list[Unit]:
    """Return the seen and the covered pixels of every face that has enough of them."""
    found = []
    for number, face in evidence(cases):
        for covered, kind in enumerate(face.kinds):
            pixels = face.covered == bool(covered)
            if np.count_nonzero(pixels) >= MIN_PIXELS:
                found.append(
                    Unit(
                        str(cases.faces[number]["key"]),
                        tuple(group_names(face, bool(covered))),
                        predict_error(predictor[kind], face.features[pixels]),
                        cases.errors[number][pixels].astype(np.float32),
                        cases.inside[number][pixels],
                    )
                )
    return found


def group(faces: list[Unit]) -> dict[str, list[Unit]]:
    """Return the faces of each group that is large enough; every unit is in one group at most.

    Of several recordings of one face in a group only the first one is kept.
    """
    groups: dict[str, list[Unit]] = {}
    for level in range(len(faces[0].names)):
        named: dict[str, dict[str, Unit]] = defaultdict(dict)
        for one in faces:
            named[one.names[level]].setdefault(one.key, one)
        groups |= {
            name: list(each.values()) for name, each in named.items() if len(each) >= MIN_FACES
        }
        faces = [one for one in faces if one.names[level] not in groups]
    return groups


def start(tuned: Array, risk: float, delta: float) -> int:
    """Return the threshold that is most likely to be certified, from faces for tuning."""
    values = [betting_p_value(losses, risk, delta) for losses in tuned]
    return int(np.argmin(values))


def fit_thresholds(tune: list[Unit], faces: list[Unit]) -> list[list[float]]:
    """Return the threshold of each probability and bound for the faces of a group."""
    delta = DELTA / len(ERROR_BOUNDS)
    table = np.zeros((len(CONFIDENCES), len(ERROR_BOUNDS)))
    for column, bound in enumerate(ERROR_BOUNDS):
        tuned = np.column_stack([one.losses(bound) for one in tune])
        losses = np.column_stack([one.losses(bound) for one in faces])
        for row, percent in enumerate(CONFIDENCES):
            risk = 1.0 - percent / 100.0
            last = largest_certified(losses, risk, delta, start(tuned, risk, delta))
            table[row, column] = 0.0 if last is None else THRESHOLDS[last]
    # What keeps a smaller bound keeps a larger one, and what holds at a higher probability holds
    # at a lower one.
    table = np.maximum.accumulate(table, axis=1)
    table = np.maximum.accumulate(table[::-1], axis=0)[::-1]
    return [[float(one) for one in row] for row in table]


def main() -> None:
    """Fit and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("tune", type=Path)
    parser.add_argument("calibrate", type=Path)
    parser.add_argument("--protocol", default="tests/benchmarks/fit_doubt.py")
    options = parser.parse_args()
    tune = read_cases(options.tune)
    predictor = fit_predictor(tune)
    tuned = units(tune, predictor)
    print_line("[weights.doubt]")
    print_line(f"bounds = {list(ERROR_BOUNDS)}")
    print_line(f"probabilities = {[percent / 100 for percent in CONFIDENCES]}")
    print_line(f"delta = {DELTA}")
    print_line(f'protocol = "{options.protocol}"')
    print_line("\n[weights.doubt.predictor]")
    for kind in KINDS:
        print_line(f"{kind} = {list(predictor[kind])}")
    print_line("\n[weights.doubt.thresholds]")
    for name, faces in sorted(group(units(read_cases(options.calibrate), predictor)).items()):
        kind = name.split()[0]
        alike = [one for one in tuned if name in one.names]
        alike = alike or [one for one in tuned if one.names[0].startswith(kind)]
        print_line(f'"{name}" = {fit_thresholds(alike, faces)}  # {len(faces)} faces')


if __name__ == "__main__":
    main()
