"""Removal of masks from real faces, measured by the generator's own occlusion map and by eye.

Run by hand: `python tests/benchmarks/masks_gone.py OUT [--portraits DIR] [--scenes DIR]
[--weights NAME]`. Of each portrait the largest face is used; of scenes the faces that `boxes.csv`
(file, label, xmin, ymin, xmax, ymax) labels `with_mask`, at least 24 px wide and high, if they are
detected (intersection over union at least 0.4).

There is no ground truth for such faces. The restored face is reduced and restored again by the same
generator: if the occlusion map still shows a mask, the mask is not removed. In OUT: `sheet-N.png`,
60 numbered faces each, input above restored; `faces.json`, the mean occlusion of the lower face
before and after restoration, and the share removed: below 0.15 after among faces above 0.35 before,
and among all faces, where an undetected mask counts as not removed.

The measure is optimistic: a mask that the generator does not recognise before restoration is not
recognised afterwards either. Check the sheets as well; README.md states the agreement with visual
inspection.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from repeated_clip import print_line

from jdsr_cli.benchmarking.labelled_faces import Box, best_match, read_boxes
from jdsr_cli.faces import Detection, Detector, create_detector, crop, estimate_alignment
from jdsr_cli.faces.occlusion import face_ellipse
from jdsr_cli.inference.loading import open_generator
from jdsr_cli.media import read_image
from jdsr_cli.restoration.frame import RestoredFace
from jdsr_cli.restoration.stages.generation import FaceGenerator
from jdsr_cli.synthesis.compression import resize_bicubic

LABEL = "with_mask"
MIN_SIDE = 24
"""Minimum side of a labelled box in pixels."""
COVERED_BEFORE = 0.35
"""Mean occlusion of the lower face above which a face counts as masked."""
REMOVED_BELOW = 0.15
"""Mean occlusion after restoration below which the mask counts as removed."""
LOWER_FROM = 82
"""First row of the lower face in the 128-pixel template, above the tip of the nose."""
COLUMNS, FACES_PER_SHEET = 12, 60
FACE_SIZE, FONT_SIZE = 128, 14

ImageArray = NDArray[np.uint8]
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


@dataclass(frozen=True, eq=False)
class Face:
    """A detected masked face."""

    source: str
    """`portraits` or `scenes`."""
    picture: str
    box: Box
    native_width: float
    lr: ImageArray
    """Input of the generator."""
    sheet_crop: ImageArray
    """(128, 128, 3), for the sheet."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A face after restoration."""

    face: Face
    restored: ImageArray
    before: float
    """Mean occlusion of the lower face before restoration."""
    after: float
    """Mean occlusion of the lower face of the restored face."""

    @property
    def removed(self) -> bool | None:
        """Whether the mask is removed; None if the face did not count as masked."""
        return self.after < REMOVED_BELOW if self.before > COVERED_BEFORE else None


def portraits(folder: Path, detector: Detector, side: int) -> Iterator[Face | None]:
    """Yield the largest face of each image, None if none is detected."""
    for path in sorted(one for one in folder.iterdir() if one.suffix.lower() in SUFFIXES):
        image = read_image(path)
        detections = detector.detect([image])[0]
        largest = max(detections, key=lambda one: one.width * one.height, default=None)
        yield None if largest is None else crop_face("portraits", path.name, image, largest, side)


def scenes(folder: Path, detector: Detector, side: int) -> Iterator[Face | None]:
    """Yield the labelled masked faces of each image, None for each that is not detected."""
    for name, labelled in read_boxes(folder / "boxes.csv").items():
        boxes = [one.box for one in labelled if one.label == LABEL and _is_large(one.box)]
        if not boxes:
            continue
        image = read_image(folder / name)
        unmatched = detector.detect([image])[0]
        for box in boxes:
            index = best_match(box, [one.box for one in unmatched])
            if index is None:
                yield None
                continue
            yield crop_face("scenes", name, image, unmatched.pop(index), side)


def _is_large(box: Box) -> bool:
    left, top, right, bottom = box
    return min(right - left, bottom - top) >= MIN_SIDE


def crop_face(source: str, name: str, image: ImageArray, detection: Detection, side: int) -> Face:
    """Return the aligned crops of a face for the generator and for the sheet."""
    alignment = estimate_alignment(detection.points)
    return Face(
        source, name, detection.box, alignment.native_width,
        crop(image, alignment, side), crop(image, alignment, FACE_SIZE),
    )  # fmt: skip


def evaluate_faces(faces: Sequence[Face], generator: FaceGenerator) -> list[Evaluation]:
    """Restore every face, and run the generator again on its output."""
    first = require_finite(generator.restore([face.lr for face in faces]))
    reduced = [resize_bicubic(one.image, generator.side) for one in first]
    second = require_finite(generator.restore(reduced))
    return [
        Evaluation(face, before.image, lower_face_occlusion(before), lower_face_occlusion(after))
        for face, before, after in zip(faces, first, second, strict=True)
    ]


def require_finite(restored: Sequence[RestoredFace | None]) -> list[RestoredFace]:
    """Exit if values are not finite, which does not occur with shipped weights."""
    if any(one is None for one in restored):
        raise SystemExit("the generator returned values that are not finite")
    return [one for one in restored if one is not None]


def lower_face_occlusion(face: RestoredFace) -> float:
    """Return the mean occlusion of the lower face."""
    region = face_ellipse(FACE_SIZE).copy()
    region[:LOWER_FROM] = False
    return float(face.occlusion[region].mean())


def summary(evaluations: Sequence[Evaluation], missed: int) -> dict[str, Any]:
    """Count all faces, masked faces and faces whose mask is removed."""
    known = [one.removed for one in evaluations if one.removed is not None]
    removed = sum(known)
    return {
        "faces": len(evaluations), "not_found": missed,
        "masked_before": len(known), "gone": removed,
        "share_gone": removed / len(known) if known else None,
        "share_gone_of_all": removed / len(evaluations) if evaluations else None,
    }  # fmt: skip


def write_sheet(evaluations: Sequence[Evaluation], first: int, path: Path) -> None:
    """Draw pairs of rows, input above restored, each face below its number."""
    height = FONT_SIZE + 2 * FACE_SIZE + 4
    rows = -(-len(evaluations) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * FACE_SIZE, rows * height), (255, 255, 255))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT_SIZE - 2)
    for index, one in enumerate(evaluations):
        x, y = index % COLUMNS * FACE_SIZE, index // COLUMNS * height
        pen.text((x + 2, y), f"{first + index}", fill=(0, 0, 0), font=font)
        sheet.paste(Image.fromarray(one.face.sheet_crop), (x, y + FONT_SIZE))
        sheet.paste(Image.fromarray(one.restored), (x, y + FONT_SIZE + FACE_SIZE))
    sheet.save(path)


def face_entry(number: int, one: Evaluation) -> dict[str, Any]:
    """Return the entry of a face in `faces.json`."""
    return {
        "number": number, "source": one.face.source, "picture": one.face.picture,
        "box": [round(edge, 1) for edge in one.face.box],
        "native_width": round(one.face.native_width, 1),
        "before": round(one.before, 4), "after": round(one.after, 4), "gone": one.removed,
    }  # fmt: skip


def main() -> None:
    """Detect, restore and evaluate the faces; write the sheets and the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--portraits", type=Path, help="folder of images of one masked person each")
    parser.add_argument("--scenes", type=Path, help="folder of images with boxes.csv")
    parser.add_argument("--weights", default="lite-camera", help="name or file")
    parser.add_argument("--detector", default="auto")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    loaded = open_generator(options.weights, options.device, "float32", "torch")
    generator = FaceGenerator(loaded, batch=32)
    detector = create_detector(options.detector)
    evaluations: list[Evaluation] = []
    counts = {}
    for name, folder, read_faces in (
        ("portraits", options.portraits, portraits), ("scenes", options.scenes, scenes)
    ):  # fmt: skip
        if folder is None:
            continue
        detections = list(read_faces(folder, detector, generator.side))
        faces = [face for face in detections if face is not None]
        results = evaluate_faces(faces, generator)
        evaluations += results
        counts[name] = summary(results, len(detections) - len(faces))
        print_line(f"{name}: {json.dumps(counts[name])}")
    for first in range(0, len(evaluations), FACES_PER_SHEET):
        path = options.out / f"sheet-{first // FACES_PER_SHEET + 1}.png"
        write_sheet(evaluations[first : first + FACES_PER_SHEET], first + 1, path)
    report = {
        "weights": options.weights, "sha256": loaded.sha256, "detector": detector.name,
        "lower_face_from_row": LOWER_FROM, "covered_before": COVERED_BEFORE,
        "gone_below": REMOVED_BELOW, "summary": counts,
        "faces": [face_entry(number, one) for number, one in enumerate(evaluations, 1)],
    }  # fmt: skip
    (options.out / "faces.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
