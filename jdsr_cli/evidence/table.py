"""Exported faces as a table, in the layout that training sets have."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.evidence.record import FaceRecord

POINTS = ("leye", "reye", "nose", "lmouth", "rmouth")
COLUMNS = (
    *("key", "frame", "seconds", "face", "track", "score", "native_width", "eye_distance"),
    *("sharpness", *(f"{point}_{axis}" for point in POINTS for axis in "xy")),
)


def table_header() -> str:
    """Return the line of column names, without its newline."""
    return _line(COLUMNS)


def table_row(key: str, record: FaceRecord, points: NDArray[np.float64]) -> str:
    """Return the line of one face, without its newline.

    Args:
        key: Name of its picture without suffix.
        record: What was found.
        points: (5, 2) of its eyes, nose and mouth corners in pixels of the picture.

    """
    return _line(
        [
            *(key, record.frame, record.seconds, record.face, record.track, record.score),
            *(record.native_width, record.eye_distance, record.sharpness),
            *(round(float(value), 2) for value in points.ravel()),
        ]
    )


def _line(cells: Iterable[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()
