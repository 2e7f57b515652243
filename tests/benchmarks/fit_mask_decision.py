"""Fit the mask classification: features of occlusion maps to a calibrated probability.

Run by hand on the results of `conditions.py` and `masked_scenes.py`:
`python tests/benchmarks/fit_mask_decision.py FIT [FIT ...] [--test TEST ...]`. Each is a folder
with `occlusion.npz`; no person may be in both FIT and TEST. Logistic regression with a
ridge on the features of `jdsr_cli.faces.occlusion.mask_features`, bare and masked faces of each
folder with equal weight. Prints `mask_decision` for the manifest, the calibration curve on TEST
(predicted and actual, in tenths), and the shares of bare and masked faces of each condition that
are classified as masked, unsure and bare. Without TEST the folders of FIT are tested by two-fold
cross-validation: faces with even and with odd numbers.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from repeated_clip import print_line
from scipy.optimize import minimize
from stored_maps import read_maps

from jdsr_cli.faces.occlusion import (
    BARE_BELOW,
    DIM_GAIN,
    MASKED_ABOVE,
    MAX_IN_THE_DARK,
    mask_features,
)

RIDGE = 1e-5
"""Weight of the squared coefficients in the mean log loss."""
Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Group:
    """Faces of one condition, masked or bare."""

    condition: str
    masked: bool
    features: Array
    """(n, m)."""
    dim: NDArray[np.bool_]
    """(n,), whether the probability of a single frame is limited to `MAX_IN_THE_DARK`."""


def read_groups(folder: Path) -> list[Group]:
    """Return the faces of a folder by condition and width."""
    groups = []
    for kind, faces in read_maps(folder).items():
        condition = f"{folder.name}: {kind.split(' | ')[0]}"
        features = np.array([mask_features(*face) for face in faces])
        dim = np.array([gain > DIM_GAIN for _, gain in faces])
        groups.append(Group(condition, kind.endswith("| masked"), features, dim))
    return groups


def fit(folders: list[list[Group]]) -> Array:
    """Return coefficients and, last, the intercept."""
    features, signs, weights = [], [], []
    for groups in folders:
        counts = [
            sum(len(one.features) for one in groups if one.masked is m) for m in (False, True)
        ]
        for one in groups:
            count = len(one.features)
            features.append(np.column_stack([one.features, np.ones(count)]))
            signs.append(np.full(count, 1.0 if one.masked else -1.0))
            weights.append(np.full(count, 0.5 / counts[one.masked] / len(folders)))
    design, sign, weight = (np.concatenate(each) for each in (features, signs, weights))

    def loss(coefficients: Array) -> tuple[float, Array]:
        margin = sign * (design @ coefficients)
        slope = -weight * sign / (1.0 + np.exp(np.clip(margin, -50, 50)))
        ridge = coefficients.copy()
        ridge[-1] = 0.0
        value = float(weight @ np.logaddexp(0.0, -margin) + RIDGE * ridge @ ridge)
        return value, design.T @ slope + 2.0 * RIDGE * ridge

    # More occlusion increases the probability, except in the upper face and at the border.
    non_negative, non_positive = (0.0, None), (None, 0.0)
    bounds = [non_negative] * 5 + [non_positive] * 2 + [non_negative, (None, None)]
    start = np.zeros(design.shape[1])
    return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x)


def every_second(folders: list[list[Group]], first: int) -> list[list[Group]]:
    """Return every second face, starting at `first`."""
    return [
        [replace(one, features=one.features[first::2], dim=one.dim[first::2]) for one in groups]
        for groups in folders
    ]


def predict(coefficients: Array, folders: list[list[Group]]) -> list[tuple[Group, Array]]:
    """Return the groups with the predicted probabilities of their faces."""
    return [
        (one, 1.0 / (1.0 + np.exp(-(one.features @ coefficients[:-1] + coefficients[-1]))))
        for groups in folders
        for one in groups
    ]


def main() -> None:
    """Fit and print the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("fit", type=Path, nargs="+")
    parser.add_argument("--test", type=Path, nargs="+", default=[])
    options = parser.parse_args()
    folders = [read_groups(folder) for folder in options.fit]
    coefficients = fit(folders)
    numbers = ", ".join(f"{x:.3f}" for x in coefficients[:-1])
    print_line(
        f"mask_decision = {{ coefficients = [{numbers}], intercept = {coefficients[-1]:.3f} }}"
    )
    if options.test:
        predictions = predict(coefficients, [read_groups(folder) for folder in options.test])
    else:
        predictions = [
            pair
            for half in (0, 1)
            for pair in predict(fit(every_second(folders, half)), every_second(folders, 1 - half))
        ]
    _print_calibration(predictions)
    _print_decisions(predictions)


def _print_calibration(predictions: list[tuple[Group, Array]]) -> None:
    probabilities = np.concatenate([p for _, p in predictions])
    true = np.concatenate([np.full(len(p), one.masked) for one, p in predictions])
    weight = np.where(true, 0.5 / true.mean(), 0.5 / (1.0 - true.mean()))
    for low in np.arange(0.0, 1.0, 0.1):
        in_bin = (probabilities >= low) & (probabilities < low + 0.1 + 1e-9)
        if in_bin.any():
            rate = float((weight * true)[in_bin].sum() / weight[in_bin].sum())
            predicted = probabilities[in_bin].mean()
            print_line(f"predicted {predicted:.2f}: actual {rate:.2f} ({in_bin.sum()} faces)")


def _print_decisions(predictions: list[tuple[Group, Array]]) -> None:
    decisions: dict[str, dict[bool, list[Array]]] = defaultdict(lambda: defaultdict(list))
    for one, p in predictions:
        decisions[one.condition][one.masked].append(
            np.where(one.dim, np.minimum(p, MAX_IN_THE_DARK), p)
        )
    for condition, kinds in decisions.items():
        texts = []
        for masked, probabilities in sorted(kinds.items()):
            p = np.concatenate(probabilities)
            above, below = (p >= MASKED_ABOVE).mean(), (p <= BARE_BELOW).mean()
            texts.append(
                f"{'masked' if masked else 'bare'}: masked {above:.1%}, "
                f"unsure {1 - above - below:.1%}, bare {below:.1%}"
            )
        print_line(f"{condition:24} {'   '.join(texts)}")


if __name__ == "__main__":
    main()
