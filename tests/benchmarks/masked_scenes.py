"""The mask classification on real street images: unchanged, darkened and tinted.

Run by hand: `python tests/benchmarks/masked_scenes.py OUT --scenes DIR [--weights NAME]
[--every 2 --first 1]`. DIR contains images and `boxes.csv` (file, label, xmin, ymin, xmax, ymax);
faces of `with_mask` and `without_mask` at least 16 px wide count if they are detected in the
unchanged image (intersection over union at least 0.4); these detections are used in every light, so
that only the classification is measured. `mask_weared_incorrect` is ignored. Whole images are
changed: light is multiplied and rounded to 8 bits, tints are luma times a colour.

Prints, for each light and label, the shares of faces classified as masked, unsure and bare by a
single frame; `occlusion.npz` in OUT contains their occlusion maps for `fit_mask_decision.py`.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from repeated_clip import print_line
from stored_maps import StoredMaps

from jdsr_cli.benchmarking.labelled_faces import Box, best_match, read_boxes
from jdsr_cli.faces import Alignment, create_detector, crop, estimate_alignment
from jdsr_cli.faces.canonical_colours import canonical_map
from jdsr_cli.faces.occlusion import classify_mask
from jdsr_cli.faces.scene import MonochromeClassifier, colourfulness, face_colourfulness
from jdsr_cli.inference.loading import open_generator
from jdsr_cli.media import read_image
from jdsr_cli.restoration.stages.generation import FaceGenerator

ImageArray = NDArray[np.uint8]
LABELS = {"with_mask": "masked", "without_mask": "bare"}
MIN_WIDTH = 16
LUMA = np.array([0.299, 0.587, 0.114])


def _levels(picture: NDArray[np.float64]) -> ImageArray:
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


LIGHTS: dict[str, Callable[[ImageArray], ImageArray]] = {
    "unchanged": lambda p: p,
    "green": lambda p: _levels((p @ LUMA)[..., None] * (0.25, 1.0, 0.3)),
    "purple": lambda p: _levels((p @ LUMA)[..., None] * (0.8, 0.4, 1.0)),
    "cyan": lambda p: _levels(p * (0.45, 0.95, 1.0)),
    "sodium": lambda p: _levels(p * (1.0, 0.65, 0.3)),
    "light 15 %": lambda p: _levels(p * 0.15),
    "light 6 %": lambda p: _levels(p * 0.06),
}


def main() -> None:
    """Classify all faces and print the shares."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--weights", default="lite-camera")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--every", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    generator = FaceGenerator(open_generator(options.weights, "cpu", "float32", "torch"), 32)
    detector = create_detector("centerface")
    stored = StoredMaps()
    states: dict[str, list[str]] = defaultdict(list)
    labelled = list(read_boxes(options.scenes / "boxes.csv").items())
    for name, boxes in labelled[options.first :: options.every]:
        image = read_image(options.scenes / name)
        faces: list[tuple[Box, Alignment, str]] = []
        unmatched = detector.detect([image])[0]
        for face in boxes:
            index = best_match(face.box, [one.box for one in unmatched])
            if index is None:
                continue
            best = unmatched.pop(index)
            if face.label in LABELS and best.width >= MIN_WIDTH:
                faces.append((best.box, estimate_alignment(best.points), LABELS[face.label]))
        for light, change in LIGHTS.items():
            picture = change(image)
            classifier = MonochromeClassifier(1)
            classifier.add_frame(colourfulness(picture))
            crops = [crop(picture, alignment, generator.side) for _, alignment, _ in faces]
            maps = [
                canonical_map(
                    one,
                    monochrome=classifier.classify(number, 0.0, face_colourfulness(picture, box)),
                )
                for number, (one, (box, _, _)) in enumerate(zip(crops, faces, strict=True))
            ]
            canonical_crops = [
                one.apply(face_crop) for one, face_crop in zip(maps, crops, strict=True)
            ]
            for (_, _, label), colours, face in zip(
                faces, maps, generator.restore(canonical_crops), strict=True
            ):
                if face is not None:
                    key = f"{light} | {label}"
                    stored.add(key, face.occlusion, colours.gain)
                    probability = generator.calibration.probability(face.occlusion, colours.gain)
                    states[key].append(classify_mask(probability))
    for key, labels in states.items():
        shares = {
            state: labels.count(state) / len(labels) for state in ("masked", "unsure", "bare")
        }
        texts = [f"{state} {share:.1%}" for state, share in shares.items()]
        print_line(f"{key} ({len(labels)} faces): {', '.join(texts)}")
    stored.save(options.out)


if __name__ == "__main__":
    main()
