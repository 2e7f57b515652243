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
from pathlib import Path

import torch
from repeated_clip import print_line

from jdsr_cli.benchmarking.labelled_faces import (
    MAX_FALSE,
    MIN_SCORE,
    MIN_WIDTH,
    count_faces,
    evenly_spaced,
    measure_recall,
    read_boxes,
)
from jdsr_cli.errors import WeightsMissingError
from jdsr_cli.faces import Detector, create_detector
from jdsr_cli.faces.detection.network import NetworkDetector
from jdsr_cli.faces.detection.retinaface import RetinaFace
from jdsr_cli.settings import DetectorName, DetectorSettings

NAMES: tuple[DetectorName, ...] = ("centerface", "retinaface-mobile", "retinaface-r50")


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
    labelled = evenly_spaced(read_boxes(options.scenes / "boxes.csv"), options.pictures)
    faces = count_faces(labelled)
    print_line(f"{len(labelled)} pictures, {faces} faces of {MIN_WIDTH:g} px and wider")
    for name in NAMES:
        detector = open_detector(name, options.retinaface)
        if detector is None:
            print_line(f"{name}: not measured, its weights are missing")
            continue
        found = measure_recall(detector, options.scenes, labelled)
        print_line(
            f"{name}: recall {100 * found.recall:.1f} % at threshold {found.threshold:.3f}, "
            f"at most {MAX_FALSE:g} false detections per image"
        )


if __name__ == "__main__":
    main()
