"""Accuracy of the eye points of rolled faces, and refusals, by roll angle.

Run by hand: `python tests/benchmarks/rolled_faces.py FACES SCENES [--faces 40] [--widths 48 96]
[--step 15] [--rotated-faces] [--plain]`. FACES contains `faces.csv` (key, archive, split, tier,
five points) and the archive of `test`; SCENES contains other images and `boxes.csv` (file, label,
xmin, ymin, xmax, ymax). A 128 px crop of a face is reduced to the requested width, rotated
clockwise and pasted with a soft round edge onto a part of another image without labelled faces. The
outcome of `restore` for the detections there is counted, in per cent of the faces:

- right: the eyes of every accepted detection are within 0.2 eye distances of the truth;
- off: those of an accepted detection are not (the error that is measured);
- refused: there is a detection, but none is accepted by `jdsr_cli.restoration.stages.alignment`;
- missed: there is no detection.

`--plain` measures the detector without rotation and verification, with the same refusals.
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
from numpy.typing import NDArray
from PIL import Image
from repeated_clip import print_line

from jdsr_cli.benchmarking.labelled_faces import read_boxes
from jdsr_cli.faces import Detection, Detector, create_detector
from jdsr_cli.faces.boxes import box_overlaps
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
MAX_ERROR = 0.2
"""Maximum error of the eyes, in eye distances."""
MAX_OFFSET = 0.35
"""Maximum distance of a detection's centre from the pasted face, as a share of its width."""
FACE_SIZE = 128
IMAGE_SCALE = 2.5
"""Side of the whole image as a multiple of the width of the pasted face."""
POINTS = ("leye", "reye", "nose", "lmouth", "rmouth")
OUTCOMES = ("right", "off", "refused", "missed")
LIMITS = AlignmentLimits(min_face=10.0, min_sharpness=MIN_SHARPNESS, min_track=0.0)


@dataclass(frozen=True, eq=False)
class Face:
    """An aligned face and its landmarks."""

    key: str
    picture: ImageArray
    """RGB uint8 (128, 128, 3)."""
    points: NDArray[np.float64]
    """(5, 2) in pixels of the picture."""


def read_faces(folder: Path, count: int) -> list[Face]:
    """Return `count` evenly spaced sharp faces of `test`."""
    with (folder / "faces.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    rows = [row for row in rows if row["tier"] == "A"]
    rows = rows[:: max(1, len(rows) // count)][:count]
    selected = {row["key"]: row for row in rows}
    faces = []
    with tarfile.open(folder / "test.tar") as archive:
        for member in archive:
            row = selected.get(Path(member.name).stem)
            content = None if row is None else archive.extractfile(member)
            if row is None or content is None:
                continue
            picture = np.asarray(Image.open(io.BytesIO(content.read())).convert("RGB"))
            points = [[float(row[f"{point}_{axis}"]) for axis in "xy"] for point in POINTS]
            faces.append(Face(row["key"], picture, np.array(points)))
    return sorted(faces, key=lambda face: face.key)


def paste_face(
    face: Face, backdrop: ImageArray, width: int, roll: float
) -> tuple[ImageArray, NDArray[np.float64]]:
    """Return an image with the face at its centre, and the points (5, 2) of the face in it."""
    side = round(IMAGE_SCALE * width)
    scene = cv2.resize(backdrop, (side, side), interpolation=cv2.INTER_AREA)
    radians, scale = np.radians(roll), width / FACE_SIZE
    rotation = np.array([[np.cos(radians), -np.sin(radians)], [np.sin(radians), np.cos(radians)]])
    linear = scale * rotation
    shift = np.full(2, (side - 1) / 2) - linear @ np.full(2, (FACE_SIZE - 1) / 2)
    inverse_linear = np.linalg.inv(linear)
    inverse = np.column_stack([inverse_linear, -inverse_linear @ shift])
    warped = resample(face.picture, inverse, side)
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    inside = np.clip((0.49 * width - np.hypot(x, y)) / (0.06 * width), 0.0, 1.0)[..., None]
    picture = np.rint(warped * inside + scene * (1.0 - inside)).astype(np.uint8)
    return picture, face.points @ linear.T + shift


def eye_error(face: Detection, points: NDArray[np.float64]) -> float:
    """Return the error of the eyes in eye distances."""
    eye_distance = float(np.hypot(*(points[1] - points[0])))
    return float(np.hypot(*(face.points[:2] - points[:2]).T).max()) / eye_distance


def outcome(
    picture: ImageArray, faces: list[Detection], points: NDArray[np.float64], width: int
) -> str:
    """Return the outcome for the pasted face."""
    middle = (picture.shape[0] - 1) / 2
    nearby = [
        face
        for face in faces
        if np.hypot(*(np.reshape(face.box, (2, 2)).mean(axis=0) - middle)) < MAX_OFFSET * width
        and 0.25 * width < max(face.width, face.height) < 1.5 * width
    ]
    if not nearby:
        return "missed"
    tracked = [TrackedFace(number, face, face, False) for number, face in enumerate(nearby)]
    faces = [FaceItem(one) for one in tracked]
    for one in faces:
        align_face(picture, one, 64, LIMITS)
    accepted = [one for one in faces if not one.refusal]
    if not accepted:
        return "refused"
    return (
        "right" if all(eye_error(one.detection, points) <= MAX_ERROR for one in accepted) else "off"
    )


def backdrops(folder: Path, count: int) -> list[ImageArray]:
    """Return square parts of different images without labelled faces."""
    parts: list[ImageArray] = []
    for name, labelled in read_boxes(folder / "boxes.csv").items():
        if len(parts) == count:
            break
        picture = read_image(folder / name)
        height, width = picture.shape[:2]
        side = min(height, width) // 2
        boxes = np.array([one.box for one in labelled])
        positions = (
            (x, y)
            for y in range(0, height - side + 1, 16)
            for x in range(0, width - side + 1, 16)
            if not box_overlaps(np.array([(x, y, x + side, y + side)]), boxes).any()
        )
        corner = next(positions, None)
        if corner is not None:
            parts.append(picture[corner[1] : corner[1] + side, corner[0] : corner[0] + side])
    return parts


def open_detector(*, plain: bool, everywhere: bool) -> Detector:
    """Return the detector as `restore` uses it, or without rotation and verification."""
    network = create_detector("centerface", DetectorSettings(device="cpu"))
    assert isinstance(network, NetworkDetector)
    if plain:
        return network
    return VerifiedDetector(RotatedDetector(network, everywhere=everywhere), network)


def main() -> None:
    """Paste, detect and count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with faces.csv and test.tar")
    parser.add_argument("scenes", type=Path, help="folder of other images")
    parser.add_argument("--faces", type=int, default=40)
    parser.add_argument("--widths", type=int, nargs="+", default=[48, 96])
    parser.add_argument("--step", type=int, default=15)
    parser.add_argument("--rotated-faces", action="store_true")
    parser.add_argument("--plain", action="store_true")
    options = parser.parse_args()
    detector = open_detector(plain=options.plain, everywhere=options.rotated_faces)
    faces = read_faces(options.folder, options.faces)
    scenes = backdrops(options.scenes, len(faces))
    for width in options.widths:
        total: Counter[str] = Counter()
        for roll in range(0, 360, options.step):
            counts: Counter[str] = Counter()
            for face, scene in zip(faces, scenes, strict=True):
                picture, points = paste_face(face, scene, width, roll)
                counts[outcome(picture, detector.detect([picture])[0], points, width)] += 1
            total += counts
            print_line(f"{width:3d} px, {roll:3d} degrees: {_shares(counts)}")
        print_line(f"{width:3d} px, all: {_shares(total)}")


def _shares(counts: Counter[str]) -> str:
    total_count = sum(counts.values())
    return ", ".join(f"{name} {100 * counts[name] / total_count:.1f} %" for name in OUTCOMES)


if __name__ == "__main__":
    main()
