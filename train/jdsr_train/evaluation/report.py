"""The written results: `results.json` and the table of every face."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jdsr_cli.atomic import atomic_file
from jdsr_train.evaluation.intervals import Estimate, estimate
from jdsr_train.evaluation.scoring import FIGURES, Scores


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


def rows(faces: str, scores: Mapping[str, Scores]) -> list[Row]:
    """Give every mean its interval, and every method but the first its difference to it."""
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
        )
        for method, one in scores.items()
    ]


def write_results(path: Path, described: Mapping[str, Any], rows: Sequence[Row]) -> None:
    """Write what was measured and how as JSON.

    Args:
        path: The file.
        described: Protocol, data and methods, able to be JSON.
        rows: The figures.

    Raises:
        OutputError: The file cannot be written.

    """
    results = [
        {
            "faces": row.faces,
            "method": row.method,
            "count": len(row.scores.keys),
            "figures": {
                figure: _told(one)
                | ({"difference": _told(row.differences[figure])} if figure in row.differences
                   else {})
                for figure, one in row.estimates.items()
            },
            "faces_per_second": row.scores.faces_per_second,
        }
        for row in rows
    ]  # fmt: skip
    text = json.dumps({**described, "results": results}, indent=2, allow_nan=False)
    with atomic_file(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")


def _told(one: Estimate) -> dict[str, Any]:
    ends = [None if end is None else round(end, 6) for end in (one.low, one.high)]
    mean = round(one.mean, 6) if math.isfinite(one.mean) else str(one.mean)
    return {"mean": mean, "interval": ends, "faces": one.faces}


def write_table(path: Path, rows: Sequence[Row]) -> None:
    """Write a line for every face and method as CSV; a figure that a face has not is empty.

    Raises:
        OutputError: The file cannot be written.

    """
    used = [figure for figure in FIGURES if figure in rows[0].scores.figures]
    with atomic_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["faces", "method", "key", *used])
        for row in rows:
            columns = [row.scores.figures[figure] for figure in used]
            for place, key in enumerate(row.scores.keys):
                figures = ["" if np.isnan(v[place]) else f"{v[place]:.6f}" for v in columns]
                writer.writerow([row.faces, row.method, key, *figures])
