"""Landmarks and names that lie beside aligned faces: `landmarks68.npz` and `faces.csv`."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import DatasetError
from jdsr_cli.synthesis.masks import landmarks_from_five

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
    if sparse.exists():
        with _named(sparse), sparse.open(newline="", encoding="utf-8-sig") as table:
            rows = list(csv.DictReader(table))
    if dense.exists():
        with _named(dense), dense.open("rb") as file, zipfile.ZipFile(file):
            file.seek(0)
            with np.load(file) as stored:
                keys, points = stored["key"].tolist(), stored["points"].astype(np.float32)
            if points.shape != (len(keys), 68, 2):
                raise ValueError(f"points {points.shape} for {len(keys)} keys, not (N, 68, 2)")
            found = {key: _finite(key, one) for key, one in zip(keys, points, strict=True)}
        with _named(sparse):
            return FaceTable(found, found, _names(rows))
    if sparse.exists():
        with _named(sparse):
            five = {row["key"]: _finite(row["key"], _five(row)) for row in rows}
            estimated = {key: landmarks_from_five(points) for key, points in five.items()}
            return FaceTable(estimated, five, _names(rows))
    raise DatasetError(
        "no landmarks", where=folder, hint="Put landmarks68.npz or faces.csv beside the pictures"
    )


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn whatever is wrong with a table into one error that names it."""
    try:
        yield
    except KeyError as error:
        raise DatasetError(f"landmarks cannot be read (no {error})", where=path) from error
    except (TypeError, ValueError, EOFError, OSError, csv.Error, zipfile.BadZipFile) as error:
        raise DatasetError(f"landmarks cannot be read ({error})", where=path) from error


def _finite(key: str, points: NDArray[np.float32]) -> NDArray[np.float32]:
    if not np.isfinite(points).all():
        raise ValueError(f"those of {key} are not all finite")
    return points


def _five(row: dict[str, str]) -> NDArray[np.float32]:
    points = [[float(row[f"{part}_x"]), float(row[f"{part}_y"])] for part in _FIVE]
    return np.array(points, np.float32)


def _names(rows: list[dict[str, str]]) -> dict[str, str] | None:
    if not rows or "identity" not in rows[0]:
        return None
    return {row["key"]: row["identity"] or "" for row in rows}
