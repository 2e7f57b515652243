"""Landmarks and names that lie beside aligned faces: `landmarks68.npz` and `faces.csv`."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import DatasetError
from jdsr_train.masks import landmarks_from_five

TABLES = ("landmarks68.npz", "faces.csv")
_FIVE = ("leye", "reye", "nose", "lmouth", "rmouth")


@dataclass(frozen=True)
class FaceTable:
    """What is known of each face, by its key."""

    landmarks: Mapping[str, NDArray[np.float32]]
    """(68, 2) in pixels of the face, for wearing masks."""
    heat_points: Mapping[str, NDArray[np.float32]]
    """(68, 2) or (5, 2): what was really found."""
    identities: Mapping[str, str] | None
    """Names of the persons; None where the table has no such column."""


def read_table(folder: Path) -> FaceTable:
    """Read the points: from `landmarks68.npz`, else the five of `faces.csv`; and the names.

    Raises:
        DatasetError: Neither is there, or one cannot be read.

    """
    dense, sparse = (folder / name for name in TABLES)
    rows: list[dict[str, str]] = []
    try:
        if sparse.exists():
            with sparse.open(newline="", encoding="utf-8") as table:
                rows = list(csv.DictReader(table))
        if dense.exists():
            with dense.open("rb") as file, np.load(file) as stored:
                points = stored["points"].astype(np.float32)
                found = dict(zip(stored["key"].tolist(), points, strict=True))
            return FaceTable(found, found, _names(rows))
        if sparse.exists():
            five = {row["key"]: _five(row) for row in rows}
            estimated = {key: landmarks_from_five(points) for key, points in five.items()}
            return FaceTable(estimated, five, _names(rows))
    except (KeyError, TypeError, ValueError, EOFError, OSError, BadZipFile) as error:
        raise DatasetError(f"landmarks cannot be read ({error})", where=folder) from error
    raise DatasetError(
        "no landmarks", where=folder, hint="Put landmarks68.npz or faces.csv beside the pictures"
    )


def _five(row: dict[str, str]) -> NDArray[np.float32]:
    points = [[float(row[f"{part}_x"]), float(row[f"{part}_y"])] for part in _FIVE]
    return np.array(points, np.float32)


def _names(rows: list[dict[str, str]]) -> dict[str, str] | None:
    if not rows or "identity" not in rows[0]:
        return None
    return {row["key"]: row["identity"] or "" for row in rows}
