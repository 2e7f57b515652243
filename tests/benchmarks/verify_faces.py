"""How many faces does the verification lose, and how many false boxes does it refuse?

Run by hand: `python tests/benchmarks/verify_faces.py SCENES [--detector centerface]
[--first 0 --every 2]`. SCENES holds pictures and `boxes.csv` (file, label, xmin, ymin, xmax, ymax).
A detection is a face where it overlaps a labelled box by at least 0.4 (by union), the best score
first. Unlabelled boxes are false ones or faces that nobody labelled, about half each: look at them.

Prints, for faces of 24 px and wider and of 12 to 24 px, the evidence at which 0.5 and 2 per cent
would be lost, what is lost at `EVIDENCE_THRESHOLDS` of `jdsr_cli.faces.detection.verification`, and
the share of unlabelled boxes refused. With `--sheet FILE` the unlabelled boxes are drawn, refused
ones first.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from masks_gone import Box, overlap
from numpy.typing import NDArray
from PIL import Image
from repeated_clip import say

from jdsr_cli.errors import UsageError
from jdsr_cli.faces import Detection, create_detector, crop, estimate_alignment
from jdsr_cli.faces.alignment import pose
from jdsr_cli.faces.detection.network import NetworkDetector
from jdsr_cli.faces.detection.rotated import RotatedDetector
from jdsr_cli.faces.detection.verification import (
    EVIDENCE_THRESHOLDS,
    NARROW_WIDTH,
    VerifiedDetector,
)
from jdsr_cli.media import read_image
from jdsr_cli.settings import DetectorName, DetectorSettings

MIN_OVERLAP = 0.4
CLASSES = ((NARROW_WIDTH, np.inf, 0.005), (12.0, NARROW_WIDTH, 0.02))
"""Least and greatest width in pixels, and the share of faces that may be lost."""
TILE, COLUMNS = 64, 16


@dataclass(frozen=True, eq=False)
class Judged:
    """A detection with plausible points, and what speaks for it."""

    width: float
    true: bool
    evidence: float
    picture: NDArray[np.uint8]
    """Aligned, for the sheet."""


def labelled(folder: Path) -> dict[str, list[Box]]:
    """Return the labelled boxes of each picture."""
    boxes: dict[str, list[Box]] = defaultdict(list)
    with (folder / "boxes.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            left, top, right, bottom = (float(row[k]) for k in ("xmin", "ymin", "xmax", "ymax"))
            boxes[row["file"]].append((left, top, right, bottom))
    return boxes


def judge(
    verified: VerifiedDetector, certain: float, image: NDArray[np.uint8],
    faces: list[Detection], boxes: list[Box],
) -> list[Judged]:  # fmt: skip
    """Judge the detections of a picture whose points are plausible."""
    free, judged = list(boxes), []
    for face in sorted(faces, key=lambda one: -one.score):
        best = max(free, key=lambda box: overlap(face.box, box), default=None)
        true = best is not None and overlap(face.box, best) >= MIN_OVERLAP
        if true and best is not None:
            free.remove(best)
        try:
            if not pose(face.points).plausible:
                continue
            picture = crop(image, estimate_alignment(face.points), TILE)
        except UsageError:
            continue
        evidence = face.score if face.score >= certain else verified.evidence(image, face)
        judged.append(Judged(face.width, true, evidence, picture))
    return judged


def write_sheet(judged: list[Judged], path: Path) -> None:
    """Draw aligned faces in rows, least evidence first."""
    ordered = sorted(judged, key=lambda one: one.evidence)
    rows = -(-len(ordered) // COLUMNS)
    sheet = np.zeros((rows * TILE, COLUMNS * TILE, 3), np.uint8)
    for place, one in enumerate(ordered):
        y, x = place // COLUMNS * TILE, place % COLUMNS * TILE
        sheet[y : y + TILE, x : x + TILE] = one.picture
    Image.fromarray(sheet).save(path)


def main() -> None:
    """Detect, judge and count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenes", type=Path, help="folder of pictures with boxes.csv")
    parser.add_argument("--detector", choices=sorted(EVIDENCE_THRESHOLDS), default="centerface")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--every", type=int, default=2)
    parser.add_argument("--sheet", type=Path)
    given = parser.parse_args()
    name = cast("DetectorName", given.detector)
    detector = create_detector(name, DetectorSettings(device="cpu"))
    if not isinstance(detector, NetworkDetector):
        raise SystemExit(f"{name} cannot look closer")
    rotated, bounds = RotatedDetector(detector), EVIDENCE_THRESHOLDS[name]
    verified = VerifiedDetector(rotated, detector)
    wanted = labelled(given.scenes)
    judged: list[Judged] = []
    for picture in sorted(wanted)[given.first :: given.every]:
        image = read_image(given.scenes / picture)
        judged += judge(
            verified, bounds.certain, image, rotated.detect([image])[0], wanted[picture]
        )
    for least, most, share in CLASSES:
        some = [one for one in judged if least <= one.width < most]
        faces = np.array([one.evidence for one in some if one.true])
        others = np.array([one.evidence for one in some if not one.true])
        bound = bounds.least_narrow if most <= NARROW_WIDTH else bounds.least
        say(
            f"{least:g} to {most:g} px: {len(faces)} faces, {100 * share:g} % below "
            f"{np.quantile(faces, share):.3f}; at {bound:g} "
            f"{100 * (faces < bound).mean():.2f} % lost, "
            f"{(others < bound).sum()} of {len(others)} unlabelled boxes refused"
        )
    if given.sheet is not None:
        write_sheet([one for one in judged if not one.true], given.sheet)


if __name__ == "__main__":
    main()
