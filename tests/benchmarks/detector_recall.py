"""How many faces does each detector find at the same rate of false boxes?

Run by hand: `python tests/benchmarks/detector_recall.py SCENES [--pictures 100]
[--retinaface FILE]`. SCENES holds pictures and `boxes.csv` (file, label, xmin, ymin, xmax, ymax),
of which every n-th picture is taken. A labelled face and a detection are one at an intersection
over union of at least 0.4, the best score first. Faces and detections below 10 px in width count
neither as found nor as false. The threshold of each detector is the lowest one with at most 0.1
false boxes a picture; the recall at it is what `jdsr_cli.faces.detection.MEASURED_RECALL` holds.

RetinaFace is measured where its weights are on this machine, or with the file that is given.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import torch
from masks_gone import Box, overlap
from repeated_clip import say

from jdsr_cli.errors import WeightsMissingError
from jdsr_cli.faces import Detector, create_detector
from jdsr_cli.faces.detection.network import NetworkDetector
from jdsr_cli.faces.detection.retinaface import RetinaFace
from jdsr_cli.media import read_image
from jdsr_cli.settings import DetectorName, DetectorSettings

MIN_WIDTH = 10.0
"""Of faces that count, in pixels."""
MIN_OVERLAP = 0.4
MAX_FALSE = 0.1
"""False boxes a picture."""
LOWEST = 0.05
"""Score from which detections are looked at."""
NAMES: tuple[DetectorName, ...] = ("centerface", "retinaface-mobile", "retinaface-r50")


@dataclass(frozen=True)
class Scored:
    """A detection that counts."""

    score: float
    true: bool


def scenes(folder: Path, most: int) -> dict[str, list[Box]]:
    """Return the labelled boxes of pictures that are spread evenly over those there are."""
    boxes: dict[str, list[Box]] = defaultdict(list)
    with (folder / "boxes.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            left, top, right, bottom = (float(row[k]) for k in ("xmin", "ymin", "xmax", "ymax"))
            boxes[row["file"]].append((left, top, right, bottom))
    names = sorted(boxes)
    step = max(1, len(names) // most)
    return {name: boxes[name] for name in names[::step][:most]}


def judge(detector: Detector, folder: Path, wanted: dict[str, list[Box]]) -> list[Scored]:
    """Return the detections that count: true ones, and false ones of at least the least width."""
    scored = []
    for name, boxes in wanted.items():
        free = list(boxes)
        for face in sorted(detector.detect([read_image(folder / name)])[0], key=lambda f: -f.score):
            best = max(free, key=lambda box: overlap(face.box, box), default=None)
            if best is not None and overlap(face.box, best) >= MIN_OVERLAP:
                free.remove(best)
                if best[2] - best[0] >= MIN_WIDTH:
                    scored.append(Scored(face.score, True))
            elif face.width >= MIN_WIDTH:
                scored.append(Scored(face.score, False))
    return scored


def recall_at(scored: list[Scored], pictures: int, faces: int, most: float) -> tuple[float, float]:
    """Return the best recall with at most so many false boxes a picture, and its threshold."""
    found = false = 0
    best = (0.0, 1.0)
    for one in sorted(scored, key=lambda one: -one.score):
        found, false = found + one.true, false + (not one.true)
        if false > most * pictures:
            break
        best = (found / faces, one.score)
    return best


def opened(name: DetectorName, file: Path | None) -> Detector | None:
    """Return a detector that looks from the lowest score on; None without its weights."""
    settings = DetectorSettings(threshold=LOWEST, min_face=MIN_WIDTH, device="cpu")
    if name == "retinaface-mobile" and file is not None:
        return NetworkDetector(RetinaFace(name, file, torch.device("cpu")), settings)
    try:
        return create_detector(name, settings)
    except WeightsMissingError:
        return None


def main() -> None:
    """Measure every detector that is here."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenes", type=Path, help="folder of pictures with boxes.csv")
    parser.add_argument("--pictures", type=int, default=100)
    parser.add_argument("--retinaface", type=Path, help="weight file of retinaface-mobile")
    given = parser.parse_args()
    wanted = scenes(given.scenes, given.pictures)
    faces = sum(box[2] - box[0] >= MIN_WIDTH for boxes in wanted.values() for box in boxes)
    say(f"{len(wanted)} pictures, {faces} faces of {MIN_WIDTH:g} px and wider")
    for name in NAMES:
        detector = opened(name, given.retinaface)
        if detector is None:
            say(f"{name}: not measured, its weights are not here")
            continue
        scored = judge(detector, given.scenes, wanted)
        recall, threshold = recall_at(scored, len(wanted), faces, MAX_FALSE)
        say(
            f"{name}: recall {100 * recall:.1f} % at threshold {threshold:.3f}, "
            f"at most {MAX_FALSE:g} false boxes a picture"
        )


if __name__ == "__main__":
    main()
