"""Faces lost and false detections rejected by the verification of detections.

Run by hand: `python tests/benchmarks/verify_faces.py SCENES [--detector centerface]
[--first 0 --every 2]`. SCENES contains images and `boxes.csv` (file, label, xmin, ymin, xmax,
ymax). A detection is a face if its intersection over union with a labelled box is at least 0.4, in
order of score. Unlabelled detections are false ones or unlabelled faces, about half each: check
them on the sheet.

Prints, for faces of 24 px and wider and of 12 to 24 px, the evidence at which 0.5 and 2 per cent
would be lost, the share lost at `EVIDENCE_THRESHOLDS` of `jdsr_cli.faces.detection.verification`,
and the share of unlabelled detections rejected. With `--sheet FILE` the unlabelled detections are
drawn, rejected ones first.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from repeated_clip import print_line

from jdsr_cli.benchmarking.labelled_faces import LabelledBox, best_match, read_boxes
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

CLASSES = ((NARROW_WIDTH, np.inf, 0.005), (12.0, NARROW_WIDTH, 0.02))
"""Minimum and maximum width in pixels, and the share of faces that may be lost."""
TILE, COLUMNS = 64, 16


@dataclass(frozen=True, eq=False)
class VerifiedDetection:
    """A detection with plausible points, and its evidence."""

    width: float
    true: bool
    evidence: float
    picture: NDArray[np.uint8]
    """Aligned crop for the sheet."""


def verify_detections(
    verified: VerifiedDetector, certain: float, image: NDArray[np.uint8],
    faces: list[Detection], boxes: list[LabelledBox],
) -> list[VerifiedDetection]:  # fmt: skip
    """Return the detections of an image with plausible points, and their evidence."""
    unmatched, verified_detections = [one.box for one in boxes], []
    for face in sorted(faces, key=lambda one: -one.score):
        index = best_match(face.box, unmatched)
        true = index is not None
        if index is not None:
            unmatched.pop(index)
        try:
            if not pose(face.points).plausible:
                continue
            picture = crop(image, estimate_alignment(face.points), TILE)
        except UsageError:
            continue
        evidence = face.score if face.score >= certain else verified.evidence(image, face)
        verified_detections.append(VerifiedDetection(face.width, true, evidence, picture))
    return verified_detections


def write_sheet(verified_detections: list[VerifiedDetection], path: Path) -> None:
    """Draw aligned faces in rows, in order of evidence."""
    ordered = sorted(verified_detections, key=lambda one: one.evidence)
    rows = -(-len(ordered) // COLUMNS)
    sheet = np.zeros((rows * TILE, COLUMNS * TILE, 3), np.uint8)
    for index, one in enumerate(ordered):
        y, x = index // COLUMNS * TILE, index % COLUMNS * TILE
        sheet[y : y + TILE, x : x + TILE] = one.picture
    Image.fromarray(sheet).save(path)


def main() -> None:
    """Detect, verify and count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenes", type=Path, help="folder of images with boxes.csv")
    parser.add_argument("--detector", choices=sorted(EVIDENCE_THRESHOLDS), default="centerface")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--every", type=int, default=2)
    parser.add_argument("--sheet", type=Path)
    options = parser.parse_args()
    name = cast("DetectorName", options.detector)
    detector = create_detector(name, DetectorSettings(device="cpu"))
    if not isinstance(detector, NetworkDetector):
        raise SystemExit(f"{name} does not support verification")
    rotated, bounds = RotatedDetector(detector), EVIDENCE_THRESHOLDS[name]
    verified = VerifiedDetector(rotated, detector)
    labelled = list(read_boxes(options.scenes / "boxes.csv").items())
    verified_detections: list[VerifiedDetection] = []
    for picture, boxes in labelled[options.first :: options.every]:
        image = read_image(options.scenes / picture)
        verified_detections += verify_detections(
            verified, bounds.certain, image, rotated.detect([image])[0], boxes
        )
    for low, high, share in CLASSES:
        in_class = [one for one in verified_detections if low <= one.width < high]
        faces = np.array([one.evidence for one in in_class if one.true])
        unlabelled = np.array([one.evidence for one in in_class if not one.true])
        threshold = bounds.least_narrow if high <= NARROW_WIDTH else bounds.least
        print_line(
            f"{low:g} to {high:g} px: {len(faces)} faces, {100 * share:g} % below "
            f"{np.quantile(faces, share):.3f}; at {threshold:g} "
            f"{100 * (faces < threshold).mean():.2f} % lost, "
            f"{(unlabelled < threshold).sum()} of {len(unlabelled)} unlabelled detections rejected"
        )
    if options.sheet is not None:
        write_sheet([one for one in verified_detections if not one.true], options.sheet)


if __name__ == "__main__":
    main()
