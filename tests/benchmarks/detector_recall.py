"""Recall of each detector at the same rate of false detections.

Run by hand: `python tests/benchmarks/detector_recall.py SCENES [--pictures 100]
[--retinaface FILE]`. SCENES contains images and `boxes.csv` (file, label, xmin, ymin, xmax, ymax),
of which every n-th image is used. A detection matches a labelled face at an intersection over union
of at least 0.4, in order of score. Faces and detections narrower than 10 px count neither as
detected nor as false. The threshold of each detector is the lowest one with at most 0.1 false
detections per image; `jdsr_cli.faces.detection.MEASURED_RECALL` contains the recall at it.

RetinaFace is measured if its weights are on this machine, or with the given file.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import torch
from masks_gone import Box, overlap
from repeated_clip import print_line

from jdsr_cli.errors import WeightsMissingError
from jdsr_cli.faces import Detector, create_detector
from jdsr_cli.faces.detection.network import NetworkDetector
from jdsr_cli.faces.detection.retinaface import RetinaFace
from jdsr_cli.media import read_image
from jdsr_cli.settings import DetectorName, DetectorSettings

MIN_WIDTH = 10.0
"""Minimum width of faces that count, in pixels."""
MIN_OVERLAP = 0.4
MAX_FALSE = 0.1
"""Maximum number of false detections per image."""
MIN_SCORE = 0.05
"""Minimum score of detections."""
NAMES: tuple[DetectorName, ...] = ("centerface", "retinaface-mobile", "retinaface-r50")


@dataclass(frozen=True)
class Scored:
    """A detection that counts, and whether it matches a face."""

    score: float
    true: bool


def read_scenes(folder: Path, limit: int) -> dict[str, list[Box]]:
    """Return the labelled boxes of at most `limit` evenly spaced images."""
    boxes: dict[str, list[Box]] = defaultdict(list)
    with (folder / "boxes.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            left, top, right, bottom = (float(row[k]) for k in ("xmin", "ymin", "xmax", "ymax"))
            boxes[row["file"]].append((left, top, right, bottom))
    names = sorted(boxes)
    step = max(1, len(names) // limit)
    return {name: boxes[name] for name in names[::step][:limit]}


def match_detections(
    detector: Detector, folder: Path, labelled_boxes: dict[str, list[Box]]
) -> list[Scored]:
    """Return the detections that count: true ones, and false ones of at least `MIN_WIDTH`."""
    scored = []
    for name, boxes in labelled_boxes.items():
        unmatched = list(boxes)
        for face in sorted(detector.detect([read_image(folder / name)])[0], key=lambda f: -f.score):
            best = max(unmatched, key=lambda box: overlap(face.box, box), default=None)
            if best is not None and overlap(face.box, best) >= MIN_OVERLAP:
                unmatched.remove(best)
                if best[2] - best[0] >= MIN_WIDTH:
                    scored.append(Scored(face.score, True))
            elif face.width >= MIN_WIDTH:
                scored.append(Scored(face.score, False))
    return scored


def recall_at(scored: list[Scored], pictures: int, faces: int, limit: float) -> tuple[float, float]:
    """Return the best recall with at most `limit` false detections per image, and its threshold."""
    true = false = 0
    best = (0.0, 1.0)
    for one in sorted(scored, key=lambda one: -one.score):
        true, false = true + one.true, false + (not one.true)
        if false > limit * pictures:
            break
        best = (true / faces, one.score)
    return best


def open_detector(name: DetectorName, file: Path | None) -> Detector | None:
    """Return a detector with the threshold `MIN_SCORE`; None without its weights."""
    settings = DetectorSettings(threshold=MIN_SCORE, min_face=MIN_WIDTH, device="cpu")
    if name == "retinaface-mobile" and file is not None:
        return NetworkDetector(RetinaFace(name, file, torch.device("cpu")), settings)
    try:
        return create_detector(name, settings)
    except WeightsMissingError:
        return None


def main() -> None:
    """Measure every detector whose weights are available."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenes", type=Path, help="folder of pictures with boxes.csv")
    parser.add_argument("--pictures", type=int, default=100)
    parser.add_argument("--retinaface", type=Path, help="weight file of retinaface-mobile")
    options = parser.parse_args()
    labelled_boxes = read_scenes(options.scenes, options.pictures)
    faces = sum(box[2] - box[0] >= MIN_WIDTH for boxes in labelled_boxes.values() for box in boxes)
    print_line(f"{len(labelled_boxes)} pictures, {faces} faces of {MIN_WIDTH:g} px and wider")
    for name in NAMES:
        detector = open_detector(name, options.retinaface)
        if detector is None:
            print_line(f"{name}: not measured, its weights are missing")
            continue
        scored = match_detections(detector, options.scenes, labelled_boxes)
        recall, threshold = recall_at(scored, len(labelled_boxes), faces, MAX_FALSE)
        print_line(
            f"{name}: recall {100 * recall:.1f} % at threshold {threshold:.3f}, "
            f"at most {MAX_FALSE:g} false detections per image"
        )


if __name__ == "__main__":
    main()
