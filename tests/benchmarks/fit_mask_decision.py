"""Fits the mask decision: features of occlusion maps to a calibrated probability.

Run by hand on what `conditions.py` left: `python tests/benchmarks/fit_mask_decision.py FIT TEST`.
FIT and TEST are folders with `occlusion.npz`, of faces that share no person (`val` and `test`).
Logistic regression with a ridge on the features of `jdsr_cli.faces.masking.mask_features`, bare
and masked faces of every condition and width with the same weight; prints the constants for
`masking.py`, the calibration curve on TEST (predicted against found, in tenths), and how many bare
and masked faces of each condition are called masked, unsure and bare.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from repeated_clip import say
from scipy.optimize import minimize

from jdsr_cli.faces.masking import BARE_BELOW, MASKED_ABOVE

RIDGE = 3e-4
"""Weight of the squared coefficients in the mean log loss."""
Array = NDArray[np.float64]


def stored(folder: Path) -> list[tuple[str, bool, Array]]:
    """Return condition, masked or not, and the features of its faces."""
    with np.load(folder / "occlusion.npz") as table:
        return [
            (key.split(" | ")[0], key.endswith("| masked"), table[key].astype(np.float64))
            for key in table.files
        ]


def fit(groups: list[tuple[str, bool, Array]]) -> Array:
    """Return coefficients and intercept."""
    features = np.concatenate([np.column_stack([x, np.ones(len(x))]) for _, _, x in groups])
    sign = np.concatenate([np.full(len(x), 1.0 if masked else -1.0) for _, masked, x in groups])
    share = np.where(sign > 0, 0.5 / (sign > 0).sum(), 0.5 / (sign < 0).sum())

    def loss(found: Array) -> tuple[float, Array]:
        margin = sign * (features @ found)
        slope = -share * sign / (1.0 + np.exp(np.clip(margin, -50, 50)))
        ridge = found.copy()
        ridge[-1] = 0.0
        value = float(share @ np.logaddexp(0.0, -margin) + RIDGE * ridge @ ridge)
        return value, features.T @ slope + 2.0 * RIDGE * ridge

    # What is covered more cannot be less of a mask, but for the upper face and the border.
    bounds = [(0.0, None)] * 5 + [(None, 0.0), (0.0, None), (None, 0.0)] + [(None, None)] * 3
    start = np.zeros(features.shape[1])
    return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x)


def main() -> None:
    """Fit, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("fit", type=Path)
    parser.add_argument("test", type=Path)
    options = parser.parse_args()
    found = fit(stored(options.fit))
    say(f"COEFFICIENTS = ({', '.join(f'{x:.3f}' for x in found[:-1])})")
    say(f"INTERCEPT = {found[-1]:.3f}")
    tests = stored(options.test)
    chances = [1.0 / (1.0 + np.exp(-(x @ found[:-1] + found[-1]))) for _, _, x in tests]
    told = np.concatenate(chances)
    true = np.concatenate([np.full(len(x), masked) for _, masked, x in tests])
    weight = np.where(true, 0.5 / true.mean(), 0.5 / (1.0 - true.mean()))
    for low in np.arange(0.0, 1.0, 0.1):
        here = (told >= low) & (told < low + 0.1 + 1e-9)
        if here.any():
            rate = float((weight * true)[here].sum() / weight[here].sum())
            say(f"told {told[here].mean():.2f}: found {rate:.2f} ({here.sum()} faces)")
    for name in dict.fromkeys(name for name, _, _ in tests):
        told_of = []
        for kind in (False, True):
            chosen = [
                c for (n, m, _), c in zip(tests, chances, strict=True) if (n, m) == (name, kind)
            ]
            p = np.concatenate(chosen)
            shares = ((p >= MASKED_ABOVE).mean(), (p <= BARE_BELOW).mean())
            told_of.append(
                f"{'masked' if kind else 'bare'}: masked {shares[0]:.1%}, "
                f"unsure {1 - sum(shares):.1%}, bare {shares[1]:.1%}"
            )
        say(f"{name:12} {'   '.join(told_of)}")


if __name__ == "__main__":
    main()
