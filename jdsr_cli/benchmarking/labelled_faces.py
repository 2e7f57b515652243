"""Pictures with labelled boxes of faces, and how many of them a detector finds.

A table of boxes is a CSV file with the columns file, label, xmin, ymin, xmax and ymax (pixels);
the pictures lie beside it. A detection matches a labelled face at an intersection over union of at
least `MIN_OVERLAP`, in order of score.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jdsr_cli.errors import DatasetError, InputMissingError
from jdsr_cli.faces import Detection, Detector
from jdsr_cli.faces.boxes import box_overlaps
from jdsr_cli.media import read_image

Box = tuple[float, float, float, float]
"""Left, top, right and bottom edge in pixels."""
EDGES = ("xmin", "ymin", "xmax", "ymax")
MIN_WIDTH = 10.0
"""Narrower faces and detections count neither as found nor as false, in pixels."""
MIN_OVERLAP = 0.4
MAX_FALSE = 0.1
"""Number of false detections a picture at which detectors are compared."""
MIN_SCORE = 0.05
"""Detector score from which detections are considered."""


@dataclass(frozen=True)
class LabelledBox:
    """A face of a picture."""

    box: Box
    label: str


@dataclass(frozen=True)
class ScoredDetection:
    """A detection that counts, and whether it matches a face."""

    score: float
    true: bool


@dataclass(frozen=True)
class DetectorRecall:
    """The best recall with at most a number of false detections a picture."""

    recall: float
    """Share of the faces that are found."""
    threshold: float
    """Score at which it is reached; 1 if not even the best detection is allowed."""


def read_boxes(table: Path) -> dict[str, list[LabelledBox]]:
    """Return the labelled faces by file name, sorted by it.

    Raises:
        InputMissingError: There is no such table.
        DatasetError: It cannot be read, lacks a column, or an edge is not a number.

    """
    found: dict[str, list[LabelledBox]] = defaultdict(list)
    try:
        with table.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                left, top, right, bottom = (float(row[edge]) for edge in EDGES)
                found[row["file"]].append(LabelledBox((left, top, right, bottom), row["label"]))
    except FileNotFoundError as error:
        raise InputMissingError("no such file", where=table, hint="Check the path.") from error
    except OSError as error:
        raise DatasetError(f"cannot be read ({error.strerror})", where=table) from error
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(
            f"not a table of labelled boxes ({error})",
            where=table,
            hint=f"Its columns are file, label, {', '.join(EDGES)}.",
        ) from error
    if not found:
        raise DatasetError("contains no boxes", where=table)
    return {name: found[name] for name in sorted(found)}


def evenly_spaced(
    labelled: Mapping[str, list[LabelledBox]], limit: int
) -> dict[str, list[LabelledBox]]:
    """Return the boxes of at most `limit` evenly spaced pictures."""
    names = list(labelled)
    step = max(1, len(names) // limit)
    return {name: labelled[name] for name in names[::step][:limit]}


def best_match(box: Box, candidates: Sequence[Box]) -> int | None:
    """Return the index of the candidate that overlaps `box` most; None if none does so enough."""
    if not candidates:
        return None
    overlaps = box_overlaps(np.array([box]), np.array(candidates))[0]
    best = int(np.argmax(overlaps))
    return best if overlaps[best] >= MIN_OVERLAP else None


def match_detections(
    detections: Sequence[Detection], boxes: Sequence[LabelledBox]
) -> list[ScoredDetection]:
    """Return the detections of a picture that count, best score first.

    True ones match a face of at least `MIN_WIDTH`; others count if they have that width.
    """
    unmatched = [one.box for one in boxes]
    scored = []
    for face in sorted(detections, key=lambda one: -one.score):
        index = best_match(face.box, unmatched)
        if index is not None:
            left, _, right, _ = unmatched.pop(index)
            if right - left >= MIN_WIDTH:
                scored.append(ScoredDetection(face.score, True))
        elif face.width >= MIN_WIDTH:
            scored.append(ScoredDetection(face.score, False))
    return scored


def recall_at(
    scored: Sequence[ScoredDetection], pictures: int, faces: int, limit: float = MAX_FALSE
) -> DetectorRecall:
    """Return the best recall with at most `limit` false detections a picture."""
    true = false = 0
    best = DetectorRecall(0.0, 1.0)
    for one in sorted(scored, key=lambda one: -one.score):
        true, false = true + one.true, false + (not one.true)
        if false > limit * pictures:
            break
        best = DetectorRecall(true / faces, one.score)
    return best


def count_faces(labelled: Mapping[str, list[LabelledBox]]) -> int:
    """Return the number of faces of at least `MIN_WIDTH`."""
    boxes = (one.box for found in labelled.values() for one in found)
    return sum(right - left >= MIN_WIDTH for left, _, right, _ in boxes)


def measure_recall(
    detector: Detector, folder: Path, labelled: Mapping[str, list[LabelledBox]]
) -> DetectorRecall:
    """Run a detector, made with the threshold `MIN_SCORE`, on labelled pictures.

    Raises:
        InputError: A picture is missing or cannot be read.
        DatasetError: No labelled face has at least `MIN_WIDTH`.

    """
    faces = count_faces(labelled)
    if not faces:
        raise DatasetError(f"no face is at least {MIN_WIDTH:g} px wide", where=folder)
    scored = []
    for name, boxes in labelled.items():
        scored += match_detections(detector.detect([read_image(folder / name)])[0], boxes)
    return recall_at(scored, len(labelled), faces)
