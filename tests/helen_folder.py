"""Write small folders in the two layouts of Helen from the test portraits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jdsr_cli.synthesis.masks import landmarks_from_five

OFFSET = (41, 23)
"""Position of a portrait in its picture of 220x190."""


def name_of(index: int) -> str:
    """Return the name of a picture as in Helen."""
    return f"{100 + index}_1"


def placed(face: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the picture of a portrait and its five points there."""
    picture = np.full((190, 220, 3), 90, np.uint8)
    picture[OFFSET[1] : OFFSET[1] + 128, OFFSET[0] : OFFSET[0] + 128] = face.image
    return picture, face.five + np.array(OFFSET, np.float32)


def circle(centre: np.ndarray, radius: float, count: int) -> np.ndarray:
    """Return points whose mean is the centre."""
    angles = 2 * np.pi * np.arange(count) / count
    return centre + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def points_194(five: np.ndarray) -> np.ndarray:
    """Return contours in the order of Helen's authors for eyes, nose and mouth corners."""
    left, right, nose, left_corner, right_corner = np.asarray(five, np.float64)
    middle = (left_corner + right_corner) / 2
    upper = np.linspace(left_corner, right_corner, 14) - np.array([0, 2])
    upper[[0, -1]] = left_corner, right_corner
    lower = np.linspace(right_corner, left_corner, 16)[1:-1] + np.array([0, 4])
    jaw = circle(nose, 60, 82)[:41][::-1]
    parts = (
        jaw, circle(nose, 8, 17), upper, lower, circle(middle, 5, 28), circle(right, 6, 20),
        circle(left, 6, 20), circle(right - [0, 15], 5, 20), circle(left - [0, 15], 5, 20),
    )  # fmt: skip
    return np.concatenate(parts)


def points_68(five: np.ndarray) -> np.ndarray:
    """Return the points of iBUG for eyes, nose and mouth corners."""
    points = landmarks_from_five(np.asarray(five, np.float32)).astype(np.float64)
    left, right, nose, left_corner, right_corner = five
    points[36:42], points[42:48] = circle(left, 5, 6), circle(right, 5, 6)
    points[30], points[48], points[54] = nose, left_corner, right_corner
    return points


def write_official(
    folder: Path, portraits: Sequence[Any], folders: Sequence[str] = ("helen_1", "helen_2")
) -> Path:
    """Write pictures into folders in turn, and their annotations."""
    (folder / "annotation").mkdir(parents=True)
    for index, face in enumerate(portraits):
        picture, five = placed(face)
        target = folder / folders[index % len(folders)]
        target.mkdir(exist_ok=True)
        Image.fromarray(picture).save(target / f"{name_of(index)}.png")
        lines = [f"{x:.4f} , {y:.4f}" for x, y in points_194(five)]
        text = "\n".join([name_of(index), *lines])
        (folder / "annotation" / f"{index + 1}.txt").write_text(text, encoding="utf-8")
    return folder


def write_lists(folder: Path, train: Sequence[int], test: Sequence[int]) -> None:
    """Write the lists of names by which the official distribution is divided."""
    for name, indices in (("trainnames.txt", train), ("testnames.txt", test)):
        text = "".join(f"{name_of(index)}\n" for index in indices)
        (folder / name).write_text(text, encoding="utf-8")


def write_ibug(
    folder: Path, portraits: Sequence[Any], folders: Sequence[str] = ("trainset", "testset")
) -> Path:
    """Write pictures and points, which are counted from 1, into folders in turn."""
    for index, face in enumerate(portraits):
        picture, five = placed(face)
        target = folder / folders[index % len(folders)]
        target.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(target / f"{name_of(index)}.png")
        lines = [f"{x:.4f} {y:.4f}" for x, y in points_68(five) + 1]
        text = "\n".join(["version: 1", "n_points:  68", "{", *lines, "}"])
        (target / f"{name_of(index)}.pts").write_text(text + "\n", encoding="utf-8")
    return folder
