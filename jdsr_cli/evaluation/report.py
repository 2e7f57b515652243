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
from numpy.typing import NDArray

from jdsr_cli.atomic import atomic_file
from jdsr_cli.evaluation.groups import Group
from jdsr_cli.evaluation.intervals import Estimate, estimate
from jdsr_cli.evaluation.metrics import FIDELITY
from jdsr_cli.evaluation.scoring import FIGURES, Scores


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
        scores = {method: one.of(group.places) for method, one in scores.items()}
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
    for figure in FIDELITY:
        if figure in one.figures:
            mine, theirs = one.figures[figure], first.figures[figure]
            known = ~(np.isnan(mine) | np.isnan(theirs))
            if known.any():
                shares[figure] = float((mine[known] > theirs[known]).mean())
    return shares


def write_results(
    path: Path, described: Mapping[str, Any], rows: Sequence[Row], groups: Sequence[Row]
) -> None:
    """Write what was measured and how as JSON.

    Args:
        path: The file.
        described: Protocol, data and methods, able to be JSON.
        rows: The figures of all faces.
        groups: Those of groups of them.

    Raises:
        OutputError: The file cannot be written.

    """
    results = [
        _named(row) | {"faces_per_second": row.scores.faces_per_second} | _figures(row)
        for row in rows
    ]
    grouped = [
        _named(row)
        | {"by": row.group.by, "group": row.group.name}
        | {"limits": [round(end, 3) for end in (row.group.low, row.group.high)]}
        | _figures(row)
        for row in groups
        if row.group is not None
    ]
    told = {**described, "results": results, "groups": grouped}
    text = json.dumps(told, indent=2, allow_nan=False)
    with atomic_file(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")


def _named(row: Row) -> dict[str, Any]:
    return {"faces": row.faces, "method": row.method, "count": len(row.scores.keys)}


def _figures(row: Row) -> dict[str, Any]:
    told = {figure: _told(one) for figure, one in row.estimates.items()}
    for figure, one in row.differences.items():
        told[figure]["difference"] = _told(one)
    for figure, share in row.better_share.items():
        told[figure]["better_share"] = round(share, 6)
    return {"figures": told}


def _told(one: Estimate) -> dict[str, Any]:
    ends = [None if end is None else round(end, 6) for end in (one.low, one.high)]
    mean = round(one.mean, 6) if math.isfinite(one.mean) else str(one.mean)
    return {"mean": mean, "interval": ends, "faces": one.faces}


def write_table(
    path: Path, rows: Sequence[Row], properties: Mapping[str, NDArray[np.float64]]
) -> None:
    """Write a line for every face and method as CSV; a figure that a face has not is empty.

    Args:
        path: The file.
        rows: All of the same faces.
        properties: By name, (N,) of the faces.

    Raises:
        OutputError: The file cannot be written.

    """
    used = [figure for figure in FIGURES if figure in rows[0].scores.figures]
    with atomic_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["faces", "method", "key", *properties, *used])
        for row in rows:
            columns = [*properties.values(), *(row.scores.figures[figure] for figure in used)]
            for place, key in enumerate(row.scores.keys):
                figures = ["" if np.isnan(v[place]) else f"{v[place]:.6f}" for v in columns]
                writer.writerow([row.faces, row.method, key, *figures])
