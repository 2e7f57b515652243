"""Exported faces as a table, in the layout that training sets have."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.evidence.record import FaceRecord

POINTS = ("leye", "reye", "nose", "lmouth", "rmouth")
COLUMNS = (
    *("key", "frame", "seconds", "face", "score", "native_width", "eye_distance", "sharpness"),
    *(f"{point}_{axis}" for point in POINTS for axis in "xy"),
)


def table_row(key: str, record: FaceRecord, points: NDArray[np.float64]) -> list[object]:
    """Return the cells of one face in the order of `COLUMNS`.

    Args:
        key: Name of its picture without suffix.
        record: What was found.
        points: (5, 2) of its eyes, nose and mouth corners in pixels of the picture.

    """
    return [
        *(key, record.frame, record.seconds, record.face, record.score),
        *(record.native_width, record.eye_distance, record.sharpness),
        *(round(float(value), 2) for value in points.ravel()),
    ]


class TableWriter:
    """Appends rows to a CSV file, below a line of column names.

    Args:
        path: The file, which is made at once.

    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._append([COLUMNS], "w")

    def write(self, rows: Iterable[Iterable[object]]) -> None:
        """Append rows made by `table_row`; OSError where the disk is full."""
        self._append(rows, "a")

    def _append(self, rows: Iterable[Iterable[object]], mode: str) -> None:
        with self.path.open(mode, encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
