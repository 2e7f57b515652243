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
pass. A threshold of a joined group must also be kept on average by each class of width and light
that it is made of: a sequence of tests ends where the mean of a class with `MIN_CLASS` recordings
or more is below what is asked.
"""

from __future__ import annotations

import argparse
import hashlib
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
"""Probability that any threshold of a group fails: at any of the bounds and probabilities."""
MIN_FACES = 90
"""Fewest faces of a group: with fewer no threshold can be certified at the highest probability."""
MIN_CLASS = 15
"""Fewest recordings with accepted pixels by which a class of a joined group is judged."""
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
            str(face["mask"]), float(face["width"]), float(face["gain"]),  # type: ignore[arg-type]
            features, cases.covered[number],
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
    """Return the units of each group that has enough faces; every unit is in one group at most."""
    groups: dict[str, list[Unit]] = {}
    for level in range(len(faces[0].names)):
        named: dict[str, list[Unit]] = defaultdict(list)
        for one in faces:
            named[one.names[level]].append(one)
        groups |= {
            name: each
            for name, each in named.items()
            if len({one.key for one in each}) >= MIN_FACES
        }
        faces = [one for one in faces if one.names[level] not in groups]
    return groups


def drawn(name: str, faces: list[Unit]) -> list[int]:
    """Return the indices of one unit of each face of a group, in the order of the faces.

    Of several recordings of a face one is drawn by the hash of its key, so that no class of width
    or light is preferred.
    """
    recordings: dict[str, list[int]] = defaultdict(list)
    for index, one in enumerate(faces):
        recordings[one.key].append(index)
    chosen = []
    for key, alike in recordings.items():
        digest = hashlib.sha256(f"{name} {key}".encode()).digest()
        chosen.append(alike[int.from_bytes(digest[:8], "big") % len(alike)])
    return chosen


def kept_by_classes(losses: Array, classes: list[str], risk: float) -> NDArray[np.bool_]:
    """Return at which thresholds, (m,), no class has a larger mean loss than is allowed.

    Args:
        losses: (m, n) loss of each face at each threshold, NaN where nothing is accepted.
        classes: (n,) the finest group of each face.
        risk: Allowed mean loss.

    """
    kept = np.ones(len(losses), np.bool_)
    for name in set(classes):
        own = losses[:, [one == name for one in classes]]
        counts = np.count_nonzero(~np.isnan(own), axis=1)
        means = np.nansum(own, axis=1) / np.maximum(counts, 1)
        kept &= (counts < MIN_CLASS) | (means <= risk)
    return kept


def start(tuned: Array, kept: NDArray[np.bool_], risk: float, delta: float) -> int:
    """Return the threshold that is most likely to be certified, from faces for tuning.

    Args:
        tuned: (m, n) their losses at each threshold.
        kept: (m,) thresholds that every class of these faces keeps.
        risk: Allowed mean loss.
        delta: Level of the test.

    """
    values = [betting_p_value(losses, risk, delta) for losses in tuned]
    return int(np.argmin(np.where(kept, values, 2.0)))


def fit_thresholds(name: str, tune: list[Unit], faces: list[Unit]) -> list[list[float]]:
    """Return the threshold of each probability and bound for a group.

    One unit of each face is tested; classes are judged by all.
    """
    chosen = drawn(name, faces)
    delta = DELTA / (len(ERROR_BOUNDS) * len(CONFIDENCES))
    table = np.zeros((len(CONFIDENCES), len(ERROR_BOUNDS)))
    for column, bound in enumerate(ERROR_BOUNDS):
        tuned = np.column_stack([one.losses(bound) for one in tune])
        losses = np.column_stack([one.losses(bound) for one in faces])
        for row, percent in enumerate(CONFIDENCES):
            risk = 1.0 - percent / 100.0
            apart = kept_by_classes(tuned, [one.names[0] for one in tune], risk)
            kept = kept_by_classes(losses, [one.names[0] for one in faces], risk)
            first = start(tuned, apart, risk, delta)
            # A sequence that ends early is as valid as the whole one.
            ends = np.flatnonzero(~kept[first:])
            end = first + int(ends[0]) if len(ends) else len(losses)
            last = largest_certified(losses[:end, chosen], risk, delta, first)
            table[row, column] = 0.0 if last is None else THRESHOLDS[last]
    # What keeps a smaller bound keeps a larger one, and what holds at a higher probability holds
    # at a lower one: neither adds a test, since delta is split over all of them.
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
        count = len({one.key for one in faces})
        print_line(f'"{name}" = {fit_thresholds(name, alike, faces)}  # {count} faces')


if __name__ == "__main__":
    main()
