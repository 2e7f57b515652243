"""Fits the mask decision: features of occlusion maps to a calibrated probability.

Run by hand on what `conditions.py` and `masked_scenes.py` left:
`python tests/benchmarks/fit_mask_decision.py FIT [FIT ...] [--test TEST ...]`. Each is a folder
with `occlusion.npz`; no person may be in one of FIT and one of TEST. Logistic regression with a
ridge on the features of `jdsr_cli.faces.occlusion.mask_features`, bare and masked faces of each
folder with the same weight. Prints `mask_decision` for the manifest, the calibration curve on TEST
(predicted against found, in tenths), and how many bare and masked faces of each condition are
called masked, unsure and bare. Without TEST the folders of FIT are tested, each half by what was
fitted to the other: faces of even and of odd number.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from repeated_clip import say
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
    """Faces of one kind."""

    condition: str
    masked: bool
    features: Array
    """(n, m)."""
    dim: NDArray[np.bool_]
    """(n,), whether one frame tells at most `MAX_IN_THE_DARK`."""


def stored(folder: Path) -> list[Group]:
    """Return the faces of a folder by condition and width."""
    groups = []
    for kind, faces in read_maps(folder).items():
        condition = f"{folder.name}: {kind.split(' | ')[0]}"
        features = np.array([mask_features(*face) for face in faces])
        dim = np.array([gain > DIM_GAIN for _, gain in faces])
        groups.append(Group(condition, kind.endswith("| masked"), features, dim))
    return groups


def fit(folders: list[list[Group]]) -> Array:
    """Return coefficients and intercept."""
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
    given, sign, weight = (np.concatenate(each) for each in (features, signs, weights))

    def loss(found: Array) -> tuple[float, Array]:
        margin = sign * (given @ found)
        slope = -weight * sign / (1.0 + np.exp(np.clip(margin, -50, 50)))
        ridge = found.copy()
        ridge[-1] = 0.0
        value = float(weight @ np.logaddexp(0.0, -margin) + RIDGE * ridge @ ridge)
        return value, given.T @ slope + 2.0 * RIDGE * ridge

    # What is covered more cannot be less of a mask, but for the upper face and the border.
    more, less = (0.0, None), (None, 0.0)
    bounds = [more] * 5 + [less] * 2 + [more, (None, None)]
    start = np.zeros(given.shape[1])
    return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x)


def every_second(folders: list[list[Group]], first: int) -> list[list[Group]]:
    """Return half of the faces."""
    return [
        [replace(one, features=one.features[first::2], dim=one.dim[first::2]) for one in some]
        for some in folders
    ]


def told(found: Array, folders: list[list[Group]]) -> list[tuple[Group, Array]]:
    """Return the groups with the probabilities of their faces."""
    return [
        (one, 1.0 / (1.0 + np.exp(-(one.features @ found[:-1] + found[-1]))))
        for some in folders
        for one in some
    ]


def main() -> None:
    """Fit, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("fit", type=Path, nargs="+")
    parser.add_argument("--test", type=Path, nargs="+", default=[])
    options = parser.parse_args()
    folders = [stored(folder) for folder in options.fit]
    found = fit(folders)
    numbers = ", ".join(f"{x:.3f}" for x in found[:-1])
    say(f"mask_decision = {{ coefficients = [{numbers}], intercept = {found[-1]:.3f} }}")
    if options.test:
        tested = told(found, [stored(folder) for folder in options.test])
    else:
        tested = [
            pair
            for half in (0, 1)
            for pair in told(fit(every_second(folders, half)), every_second(folders, 1 - half))
        ]
    _say_calibration(tested)
    _say_decisions(tested)


def _say_calibration(tested: list[tuple[Group, Array]]) -> None:
    chances = np.concatenate([p for _, p in tested])
    true = np.concatenate([np.full(len(p), one.masked) for one, p in tested])
    weight = np.where(true, 0.5 / true.mean(), 0.5 / (1.0 - true.mean()))
    for low in np.arange(0.0, 1.0, 0.1):
        here = (chances >= low) & (chances < low + 0.1 + 1e-9)
        if here.any():
            rate = float((weight * true)[here].sum() / weight[here].sum())
            say(f"told {chances[here].mean():.2f}: found {rate:.2f} ({here.sum()} faces)")


def _say_decisions(tested: list[tuple[Group, Array]]) -> None:
    decided: dict[str, dict[bool, list[Array]]] = defaultdict(lambda: defaultdict(list))
    for one, p in tested:
        decided[one.condition][one.masked].append(
            np.where(one.dim, np.minimum(p, MAX_IN_THE_DARK), p)
        )
    for condition, kinds in decided.items():
        words = []
        for masked, chances in sorted(kinds.items()):
            p = np.concatenate(chances)
            above, below = (p >= MASKED_ABOVE).mean(), (p <= BARE_BELOW).mean()
            words.append(
                f"{'masked' if masked else 'bare'}: masked {above:.1%}, "
                f"unsure {1 - above - below:.1%}, bare {below:.1%}"
            )
        say(f"{condition:24} {'   '.join(words)}")


if __name__ == "__main__":
    main()
