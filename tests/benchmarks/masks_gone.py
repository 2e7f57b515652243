"""Are the masks gone? A generator on real masked faces, judged by eye and by the generator itself.

Run by hand: `python tests/benchmarks/masks_gone.py OUT [--portraits DIR] [--scenes DIR]
[--weights NAME]`. Of each portrait the largest face is taken; of scenes those that `boxes.csv`
(file, label, xmin, ymin, xmax, ymax) calls `with_mask`, at least 24 px wide and high, where the
detector finds them (overlap by union at least 0.4).

There is no truth for such faces. The restored face is reduced and given to the same generator:
where it still sees a mask in its own output, the mask is not gone. In OUT: `sheet-N.png`, 60
numbered faces each, input above restored; `faces.json`, each face's mean occlusion in the lower
face before and after, and the share gone: after below 0.15 among those above 0.35 before, and
among all, where a mask that was never seen counts as not gone.

The generator is a mild judge of its own work: what it does not know for a mask before it restores,
it does not know after. Look at the sheets as well; README.md says how often it agreed with the eye.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from repeated_clip import say

from jdsr_cli.faces import Detection, Detector, create_detector, crop, estimate_alignment
from jdsr_cli.faces.occlusion import face_ellipse
from jdsr_cli.media import read_image
from jdsr_cli.restoration.frame import RestoredFace
from jdsr_cli.restoration.stages.generation import FaceGenerator
from jdsr_cli.synthesis.compression import resize_bicubic
from jdsr_cli.weights import load_generator

LABEL = "with_mask"
MIN_SIDE = 24
"""Of a labelled box, in pixels."""
MIN_OVERLAP = 0.4
"""Intersection over union of a labelled and a detected box that are one face."""
COVERED_BEFORE = 0.35
"""Mean occlusion of the lower face from which a face counts as masked."""
GONE_BELOW = 0.15
"""The same after restoration, below which the mask counts as gone."""
LOWER_FROM = 82
"""Row of the 128-pixel template at which the lower face begins: above the tip of the nose."""
EACH_ROW, EACH_SHEET = 12, 60
FACE, LETTERS = 128, 14

ImageArray = NDArray[np.uint8]
Box = tuple[float, float, float, float]
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


@dataclass(frozen=True, eq=False)
class Face:
    """A masked face that was found."""

    source: str
    """`portraits` or `scenes`."""
    picture: str
    box: Box
    native_width: float
    given: ImageArray
    """As the generator takes it."""
    shown: ImageArray
    """(128, 128, 3), for the sheet."""


@dataclass(frozen=True, eq=False)
class Verdict:
    """A face after restoration."""

    face: Face
    restored: ImageArray
    before: float
    """Mean occlusion of the lower face."""
    after: float
    """The same of the restored face."""

    @property
    def gone(self) -> bool | None:
        """Whether the mask is; None where none was seen before."""
        return self.after < GONE_BELOW if self.before > COVERED_BEFORE else None


def portraits(folder: Path, detector: Detector, side: int) -> Iterator[Face | None]:
    """Yield the largest face of each picture, None where none is found."""
    for path in sorted(one for one in folder.iterdir() if one.suffix.lower() in PICTURES):
        image = read_image(path)
        found = detector.detect([image])[0]
        largest = max(found, key=lambda one: one.width * one.height, default=None)
        yield None if largest is None else cut("portraits", path.name, image, largest, side)


def scenes(folder: Path, detector: Detector, side: int) -> Iterator[Face | None]:
    """Yield the labelled masked faces of each picture, None for each that is not found."""
    wanted: dict[str, list[Box]] = defaultdict(list)
    with (folder / "boxes.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            left, top, right, bottom = (float(row[k]) for k in ("xmin", "ymin", "xmax", "ymax"))
            if row["label"] == LABEL and min(right - left, bottom - top) >= MIN_SIDE:
                wanted[row["file"]].append((left, top, right, bottom))
    for name, boxes in sorted(wanted.items()):
        image = read_image(folder / name)
        free = detector.detect([image])[0]
        for box in boxes:
            best = max(free, key=lambda one: overlap(one.box, box), default=None)
            if best is None or overlap(best.box, box) < MIN_OVERLAP:
                yield None
                continue
            free.remove(best)
            yield cut("scenes", name, image, best, side)


def overlap(one: Box, other: Box) -> float:
    """Return intersection over union."""
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(across, 0.0) * max(down, 0.0)
    areas = ((b[2] - b[0]) * (b[3] - b[1]) for b in (one, other))
    return shared / (sum(areas) - shared)


def cut(source: str, name: str, image: ImageArray, found: Detection, side: int) -> Face:
    """Align a face for the generator and for the sheet."""
    alignment = estimate_alignment(found.points)
    return Face(
        source, name, found.box, alignment.native_width,
        crop(image, alignment, side), crop(image, alignment, FACE),
    )  # fmt: skip


def judge(faces: Sequence[Face], generator: FaceGenerator) -> list[Verdict]:
    """Restore every face, and show the generator what it made."""
    first = whole(generator.restore([face.given for face in faces]))
    again = [resize_bicubic(one.image, generator.side) for one in first]
    second = whole(generator.restore(again))
    return [
        Verdict(face, before.image, lower(before), lower(after))
        for face, before, after in zip(faces, first, second, strict=True)
    ]


def whole(restored: Sequence[RestoredFace | None]) -> list[RestoredFace]:
    """Refuse faces that are not finite numbers, which no shipped weights give."""
    if any(one is None for one in restored):
        raise SystemExit("the generator gave numbers that are not finite")
    return [one for one in restored if one is not None]


def lower(face: RestoredFace) -> float:
    """Return the mean occlusion in the lower face."""
    region = face_ellipse(FACE).copy()
    region[:LOWER_FROM] = False
    return float(face.occlusion[region].mean())


def summary(verdicts: Sequence[Verdict], missed: int) -> dict[str, Any]:
    """Count the faces, those seen as masked and those whose mask is gone."""
    judged = [one.gone for one in verdicts if one.gone is not None]
    gone = sum(judged)
    return {
        "faces": len(verdicts), "not_found": missed, "masked_before": len(judged), "gone": gone,
        "share_gone": gone / len(judged) if judged else None,
        "share_gone_of_all": gone / len(verdicts) if verdicts else None,
    }  # fmt: skip


def write_sheet(verdicts: Sequence[Verdict], first: int, path: Path) -> None:
    """Draw pairs of rows, input above restored, each face under its number."""
    height = LETTERS + 2 * FACE + 4
    rows = -(-len(verdicts) // EACH_ROW)
    sheet = Image.new("RGB", (EACH_ROW * FACE, rows * height), (255, 255, 255))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(LETTERS - 2)
    for place, one in enumerate(verdicts):
        x, y = place % EACH_ROW * FACE, place // EACH_ROW * height
        pen.text((x + 2, y), f"{first + place}", fill=(0, 0, 0), font=font)
        sheet.paste(Image.fromarray(one.face.shown), (x, y + LETTERS))
        sheet.paste(Image.fromarray(one.restored), (x, y + LETTERS + FACE))
    sheet.save(path)


def told(number: int, one: Verdict) -> dict[str, Any]:
    """Return what `faces.json` says of a face."""
    return {
        "number": number, "source": one.face.source, "picture": one.face.picture,
        "box": [round(edge, 1) for edge in one.face.box],
        "native_width": round(one.face.native_width, 1),
        "before": round(one.before, 4), "after": round(one.after, 4), "gone": one.gone,
    }  # fmt: skip


def main() -> None:
    """Find, restore and judge; write the sheets and the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--portraits", type=Path, help="folder of pictures of one masked person")
    parser.add_argument("--scenes", type=Path, help="folder of pictures with boxes.csv")
    parser.add_argument("--weights", default="lite-camera", help="name or file")
    parser.add_argument("--detector", default="auto")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    loaded = load_generator(given.weights, given.device, "float32")
    generator = FaceGenerator(loaded, batch=32)
    detector = create_detector(given.detector)
    verdicts: list[Verdict] = []
    counts = {}
    for name, folder, find in (
        ("portraits", given.portraits, portraits), ("scenes", given.scenes, scenes)
    ):  # fmt: skip
        if folder is None:
            continue
        found = list(find(folder, detector, generator.side))
        faces = [face for face in found if face is not None]
        judged = judge(faces, generator)
        verdicts += judged
        counts[name] = summary(judged, len(found) - len(faces))
        say(f"{name}: {json.dumps(counts[name])}")
    for first in range(0, len(verdicts), EACH_SHEET):
        path = given.out / f"sheet-{first // EACH_SHEET + 1}.png"
        write_sheet(verdicts[first : first + EACH_SHEET], first + 1, path)
    report = {
        "weights": given.weights, "sha256": loaded.sha256, "detector": detector.name,
        "lower_face_from_row": LOWER_FROM, "covered_before": COVERED_BEFORE,
        "gone_below": GONE_BELOW, "summary": counts,
        "faces": [told(number, one) for number, one in enumerate(verdicts, 1)],
    }  # fmt: skip
    (given.out / "faces.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
