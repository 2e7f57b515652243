"""Write a small folder in CelebA's official layout from the test portraits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HEADER = "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x rightmouth_y"  # noqa: E501
SPLITS = (0, 0, 0, 1, 2, 2)
"""Splits of the six portraits, as numbers of the partition list."""


def embedded(face: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return a portrait placed as in CelebA, 138x138 at (20, 40) of 178x218, and its points."""
    picture = np.full((218, 178, 3), 90, np.uint8)
    picture[40:178, 20:158] = np.asarray(Image.fromarray(face.image).resize((138, 138)))
    return picture, (face.five + 0.5) * (138 / 128) - 0.5 + np.array([20, 40])


def write_celeba(folder: Path, portraits: Sequence[Any], *, wild: bool = False) -> Path:
    """Write pictures and lists; in-the-wild pictures are 30 px wider on the left."""
    pictures = folder / ("img_celeba" if wild else "img_align_celeba")
    pictures.mkdir(parents=True)
    names = [f"{number:06d}.png" for number in range(1, len(portraits) + 1)]
    points, boxes = [], []
    for name, face in zip(names, portraits, strict=True):
        picture, five = embedded(face)
        if wild:
            picture = np.pad(picture, ((0, 0), (30, 0), (0, 0)))
            five = five + np.array([30, 0])
        Image.fromarray(picture).save(pictures / name)
        points.append(f"{name} " + " ".join(f"{value:.2f}" for value in five.ravel()))
        boxes.append(f"{name}  60 50 110 140")
    landmarks = "list_landmarks_celeba.txt" if wild else "list_landmarks_align_celeba.txt"
    listed = {
        "list_eval_partition.txt": [f"{n} {split}" for n, split in zip(names, SPLITS, strict=True)],
        "identity_CelebA.txt": [f"{n} {7 + index // 3}" for index, n in enumerate(names)],
        landmarks: [str(len(names)), HEADER, *points],
        "list_bbox_celeba.txt": [str(len(names)), "image_id x_1 y_1 width height", *boxes],
    }
    for name, lines in listed.items():
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
