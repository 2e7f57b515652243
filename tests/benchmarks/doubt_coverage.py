"""Coverage of the doubt map on faces with known truth, and what the mean of the repeats gains.

Run by hand on a result of `doubt_cases.py`, of faces that the calibration has not seen:
`python tests/benchmarks/doubt_coverage.py TEST [--weights NAME] [--people CSV]`. Prints Markdown
tables of the coverage (mean over faces of the share of accepted pixels whose error is within the
bound, of faces with any), the share of the pixels that are accepted, and the share of faces of
which none is. Intervals are 95 % percentile intervals from 1,000 resamples of people; `--people`
names a table with the columns `key` and `identity`, without which every face is a person.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from doubt_cases import LIMITS, RESULTS, Cases, read_cases
from fit_doubt import evidence
from numpy.typing import NDArray
from repeated_clip import print_line

from jdsr_cli.faces.doubt import KINDS
from jdsr_cli.faces.error_bounds import DoubtCalibration
from jdsr_cli.settings import RestoreSettings
from jdsr_cli.weights import entry

RESAMPLES = 1000
Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


def interval(values: Array, people: NDArray[np.int64]) -> str:
    """Return the mean of the values that are not NaN with its interval, in per cent."""
    known = ~np.isnan(values)
    if not known.any():
        return "-"
    count = int(people.max()) + 1
    sums = np.bincount(people[known], values[known], count)
    numbers = np.bincount(people[known], minlength=count)
    there = numbers > 0
    sums, numbers = sums[there], numbers[there]
    drawn = np.random.default_rng(0).integers(len(sums), size=(RESAMPLES, len(sums)))
    means = sums[drawn].sum(axis=1) / numbers[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{100 * values[known].mean():.1f} ({100 * low:.1f} to {100 * high:.1f})"


class Measured:
    """Coverage and accepted share of every face, by kind of pixel, bound and probability.

    Args:
        cases: Faces with known truth.
        calibration: The calibration that is measured.

    """

    def __init__(self, cases: Cases, calibration: DoubtCalibration) -> None:
        self.bounds, self.probabilities = calibration.bounds, calibration.probabilities
        shape = (len(cases.faces), len(KINDS) + 1, len(self.bounds), len(self.probabilities))
        self.coverage, self.kept = np.full(shape, np.nan), np.full(shape, np.nan)
        """(faces, kinds and all pixels, bounds, probabilities)."""
        for number, face in evidence(cases):
            errors, inside = cases.errors[number].astype(np.float32), cases.inside[number]
            masks = {KINDS.index(kind): face.covered == bool(covered)
                     for covered, kind in enumerate(face.kinds)}  # fmt: skip
            masks[len(KINDS)] = np.ones_like(inside)
            for column, probability in enumerate(self.probabilities):
                levels = calibration.levels(face, probability)
                for kind, pixels in masks.items():
                    for row, bound in enumerate(self.bounds):
                        place = (number, kind, row, column)
                        if (pixels & inside).any():
                            self.kept[place] = (levels[pixels & inside] <= bound).mean()
                        accepted = pixels & inside & (levels <= bound)
                        if accepted.any():
                            self.coverage[place] = (errors[accepted] <= bound).mean()


def subsets(faces: NDArray[np.void]) -> Iterator[tuple[str, Mask]]:
    """Yield the rows of the table: all, by mask and width, by state, and by condition."""
    yield "all faces", np.ones(len(faces), np.bool_)
    for masked in (False, True):
        for low, high in pairwise(LIMITS):
            name = f"{'masked' if masked else 'bare'}, {low:g} to {high:g} px"
            yield (
                name,
                (faces["masked"] == masked) & (faces["width"] >= low) & (faces["width"] < high),
            )
    for state in ("bare", "unsure", "masked"):
        yield f"decided {state}", faces["mask"] == state
    for condition in sorted(set(faces["condition"].tolist())):
        for masked in (False, True):
            chosen = (faces["condition"] == condition) & (faces["masked"] == masked)
            if chosen.any():
                yield f"{condition}, {'masked' if masked else 'bare'}", chosen


def print_coverage(
    faces: NDArray[np.void], people: NDArray[np.int64], measured: Measured, bound: int
) -> None:
    """Print the coverage at a bound by row and probability."""
    asked = [f"{100 * one:g} %" for one in measured.probabilities]
    print_line(
        "| faces | n | " + " | ".join(f"{one}: covered | kept | none" for one in asked) + " |"
    )
    print_line("|" + "---|" * (2 + 3 * len(asked)))
    row, whole = measured.bounds.index(bound), len(KINDS)
    for name, chosen in subsets(faces):
        cells = []
        for column in range(len(asked)):
            kept = measured.kept[chosen, whole, row, column]
            covered = interval(measured.coverage[chosen, whole, row, column], people[chosen])
            cells += [covered, f"{100 * np.nanmean(kept):.0f}", f"{100 * (kept == 0).mean():.1f}"]
        print_line(f"| {name} | {chosen.sum()} | " + " | ".join(cells) + " |")


def print_kinds(people: NDArray[np.int64], measured: Measured) -> None:
    """Print the coverage of each kind of pixel at each bound."""
    asked = [f"{100 * one:g} %" for one in measured.probabilities]
    print_line(
        "\n| pixels | bound | " + " | ".join(f"{one}: covered | kept" for one in asked) + " |"
    )
    print_line("|" + "---|" * (2 + 2 * len(asked)))
    for kind, name in enumerate((*KINDS, "all")):
        for row, bound in enumerate(measured.bounds):
            cells = []
            for column in range(len(asked)):
                kept = measured.kept[:, kind, row, column]
                covered = interval(measured.coverage[:, kind, row, column], people)
                cells += [covered, f"{100 * np.nanmean(kept):.0f}"]
            print_line(f"| {name} | {bound} | " + " | ".join(cells) + " |")


def print_means(faces: NDArray[np.void]) -> None:
    """Print what the means gain over the single restoration."""
    first, *means = RESULTS
    print_line("\n| faces | " + " | ".join(f"PSNR dB, SSIM, LPIPS: {one}" for one in means) + " |")
    print_line("|" + "---|" * (1 + len(means)))
    for name, chosen in list(subsets(faces))[: 2 * len(LIMITS) - 1]:
        cells = []
        for one in means:
            gains = [
                np.nanmean(faces[f"{figure} {one}"][chosen] - faces[f"{figure} {first}"][chosen])
                for figure in ("psnr", "ssim", "lpips")
                if not np.isnan(faces[f"{figure} {first}"][chosen]).all()
            ]
            cells.append(", ".join(f"{gain:+.4f}" for gain in gains))
        print_line(f"| {name} | " + " | ".join(cells) + " |")


def main() -> None:
    """Measure and print all tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("test", type=Path)
    parser.add_argument("--weights", default="lite-camera")
    parser.add_argument("--people", type=Path)
    parser.add_argument("--bound", type=int, default=RestoreSettings.error_bound)
    options = parser.parse_args()
    calibration = DoubtCalibration.of(entry(options.weights))
    if calibration is None:
        parser.error(f"{options.weights} has no doubt calibration")
    cases = read_cases(options.test)
    names = {key: key for key in cases.faces["key"].tolist()}
    if options.people is not None:
        with options.people.open(encoding="utf-8", newline="") as file:
            names |= {row["key"]: row["identity"] for row in csv.DictReader(file)}
    people = np.unique([names[key] for key in cases.faces["key"]], return_inverse=True)[1]
    measured = Measured(cases, calibration)
    print_coverage(cases.faces, people, measured, options.bound)
    print_kinds(people, measured)
    print_means(cases.faces)


if __name__ == "__main__":
    main()
