"""Faces that are rolled in the picture: are their points right, or are they refused?

Run by hand: `python tests/benchmarks/rolled_faces.py FACES SCENES [--faces 40] [--widths 48 96]
[--step 15] [--rotated-faces] [--plain]`. FACES holds `faces.csv` (key, archive, split, tier, five
points) and the archive of `test`; SCENES holds other pictures and `boxes.csv` (file, label, xmin,
ymin, xmax, ymax). A face, 128 px wide with its surroundings, is reduced so that these are as wide
as asked for, turned clockwise and pasted with a soft round edge on a part of another picture in
which no face is labelled; what the product would then do with the detections there is counted, in
per cent of the faces:

- right: the eyes of every detection that is accepted are within 0.2 eye distances of the truth;
- off: those of one are not (the fault this is about);
- refused: there is a detection, but none is accepted by `jdsr_cli.restoration.stages.alignment`;
- missed: there is no detection.

`--plain` measures the detector alone, whose detections pass the same refusals.
"""

from __future__ import annotations

import argparse
import csv
import io
import tarfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from masks_gone import overlap
from numpy.typing import NDArray
from PIL import Image
from repeated_clip import say
from verify_faces import labelled

from jdsr_cli.faces import Detection, Detector, create_detector
from jdsr_cli.faces.detection.network import NetworkDetector
from jdsr_cli.faces.detection.rotated import RotatedDetector
from jdsr_cli.faces.detection.verification import VerifiedDetector
from jdsr_cli.faces.resampling import resample
from jdsr_cli.faces.tracking import TrackedFace
from jdsr_cli.media import read_image
from jdsr_cli.restoration.frame import FaceItem
from jdsr_cli.restoration.stages.alignment import AlignmentLimits, align_face
from jdsr_cli.settings import MIN_SHARPNESS, DetectorSettings

ImageArray = NDArray[np.uint8]
NEAR = 0.2
"""Eye distances by which eyes may be off."""
PLACE = 0.35
"""Of the width of the pasted face, within which the middle of a detection of it lies."""
FACE = 128
MARGIN = 2.5
"""Sides of the whole picture as multiples of the width of the pasted face."""
POINTS = ("leye", "reye", "nose", "lmouth", "rmouth")
OUTCOMES = ("right", "off", "refused", "missed")
LIMITS = AlignmentLimits(min_face=10.0, min_sharpness=MIN_SHARPNESS, min_track=1)


@dataclass(frozen=True, eq=False)
class Face:
    """A face of the set."""

    key: str
    picture: ImageArray
    """RGB uint8 (128, 128, 3)."""
    points: NDArray[np.float64]
    """(5, 2) in it."""


def faces_of(folder: Path, count: int) -> list[Face]:
    """Return so many sharp faces of `test`, spread evenly over those there are."""
    with (folder / "faces.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    rows = [row for row in rows if row["tier"] == "A"]
    rows = rows[:: max(1, len(rows) // count)][:count]
    wanted = {row["key"]: row for row in rows}
    found = []
    with tarfile.open(folder / "test.tar") as archive:
        for member in archive:
            row = wanted.get(Path(member.name).stem)
            content = None if row is None else archive.extractfile(member)
            if row is None or content is None:
                continue
            picture = np.asarray(Image.open(io.BytesIO(content.read())).convert("RGB"))
            points = [[float(row[f"{point}_{axis}"]) for axis in "xy"] for point in POINTS]
            found.append(Face(row["key"], picture, np.array(points)))
    return sorted(found, key=lambda face: face.key)


def pasted(
    face: Face, backdrop: ImageArray, width: int, roll: float
) -> tuple[ImageArray, NDArray[np.float64]]:
    """Return a picture with the face in its middle, and the face's points (5, 2) in it."""
    side = round(MARGIN * width)
    scene = cv2.resize(backdrop, (side, side), interpolation=cv2.INTER_AREA)
    radians, scale = np.radians(roll), width / FACE
    turn = np.array([[np.cos(radians), -np.sin(radians)], [np.sin(radians), np.cos(radians)]])
    linear = scale * turn
    shift = np.full(2, (side - 1) / 2) - linear @ np.full(2, (FACE - 1) / 2)
    back = np.linalg.inv(linear)
    inverse = np.column_stack([back, -back @ shift])
    put = resample(face.picture, inverse, side)
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    inside = np.clip((0.49 * width - np.hypot(x, y)) / (0.06 * width), 0.0, 1.0)[..., None]
    picture = np.rint(put * inside + scene * (1.0 - inside)).astype(np.uint8)
    return picture, face.points @ linear.T + shift


def misses(face: Detection, points: NDArray[np.float64]) -> float:
    """Return how far the eyes are off, in eye distances."""
    apart = float(np.hypot(*(points[1] - points[0])))
    return float(np.hypot(*(face.points[:2] - points[:2]).T).max()) / apart


def outcome(
    picture: ImageArray, faces: list[Detection], points: NDArray[np.float64], width: int
) -> str:
    """Return what becomes of the pasted face."""
    middle = (picture.shape[0] - 1) / 2
    here = [
        face
        for face in faces
        if np.hypot(*(np.reshape(face.box, (2, 2)).mean(axis=0) - middle)) < PLACE * width
        and 0.25 * width < max(face.width, face.height) < 1.5 * width
    ]
    if not here:
        return "missed"
    tracked = [TrackedFace(number, face, face, False) for number, face in enumerate(here)]
    faces = [FaceItem(one) for one in tracked]
    for one in faces:
        align_face(picture, one, 64, LIMITS)
    kept = [one for one in faces if not one.refusal]
    if not kept:
        return "refused"
    return "right" if all(misses(one.detection, points) <= NEAR for one in kept) else "off"


def backdrops(folder: Path, count: int) -> list[ImageArray]:
    """Return square parts, of different pictures, in which no face is labelled."""
    parts: list[ImageArray] = []
    for name, boxes in sorted(labelled(folder).items()):
        if len(parts) == count:
            break
        picture = read_image(folder / name)
        height, width = picture.shape[:2]
        side = min(height, width) // 2
        free = (
            (x, y)
            for y in range(0, height - side + 1, 16)
            for x in range(0, width - side + 1, 16)
            if all(overlap((x, y, x + side, y + side), box) == 0.0 for box in boxes)
        )
        place = next(free, None)
        if place is not None:
            parts.append(picture[place[1] : place[1] + side, place[0] : place[0] + side])
    return parts


def opened(*, plain: bool, everywhere: bool) -> Detector:
    """Return the detector as the product uses it, or the bare one."""
    network = create_detector("centerface", DetectorSettings(device="cpu"))
    assert isinstance(network, NetworkDetector)
    if plain:
        return network
    return VerifiedDetector(RotatedDetector(network, everywhere=everywhere), network)


def main() -> None:
    """Paste, detect and count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with faces.csv and test.tar")
    parser.add_argument("scenes", type=Path, help="folder of other pictures")
    parser.add_argument("--faces", type=int, default=40)
    parser.add_argument("--widths", type=int, nargs="+", default=[48, 96])
    parser.add_argument("--step", type=int, default=15)
    parser.add_argument("--rotated-faces", action="store_true")
    parser.add_argument("--plain", action="store_true")
    given = parser.parse_args()
    detector = opened(plain=given.plain, everywhere=given.rotated_faces)
    faces = faces_of(given.folder, given.faces)
    scenes = backdrops(given.scenes, len(faces))
    for width in given.widths:
        total: Counter[str] = Counter()
        for roll in range(0, 360, given.step):
            counts: Counter[str] = Counter()
            for face, scene in zip(faces, scenes, strict=True):
                picture, points = pasted(face, scene, width, roll)
                counts[outcome(picture, detector.detect([picture])[0], points, width)] += 1
            total += counts
            say(f"{width:3d} px, {roll:3d} degrees: {_shares(counts)}")
        say(f"{width:3d} px, all: {_shares(total)}")


def _shares(counts: Counter[str]) -> str:
    whole = sum(counts.values())
    return ", ".join(f"{name} {100 * counts[name] / whole:.1f} %" for name in OUTCOMES)


if __name__ == "__main__":
    main()
