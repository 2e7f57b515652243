"""The official CelebA folder: splits, landmarks, identities and boxes (SPEC 4.1)."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import DatasetError

PARTITION = "list_eval_partition.txt"
IDENTITIES = "identity_CelebA.txt"
ALIGNED_LANDMARKS = "list_landmarks_align_celeba.txt"
WILD_LANDMARKS = "list_landmarks_celeba.txt"
BOXES = "list_bbox_celeba.txt"
ALIGNED = "img_align_celeba"
WILD = "img_celeba"
SPLITS = ("train", "val", "test")
"""In the order of the numbers in the partition file."""


@dataclass(frozen=True, eq=False)
class CelebAEntry:
    """One picture of CelebA and its annotations."""

    key: str
    """Name of the picture without suffix."""
    path: Path
    five: NDArray[np.float32] | None
    """(5, 2) eyes, nose, mouth corners in pixels of the picture, image left first; None for an
    in-the-wild picture if there is no list of landmarks."""
    identity: str | None
    """Number of the person; None if there is no list of identities."""
    box: tuple[float, float, float, float] | None
    """Left, top, right, bottom of the face in an in-the-wild picture; None if there is no
    list of boxes or the box is empty, as for 101283.jpg."""


def is_celeba(folder: Path) -> bool:
    """Return whether a folder has the official layout."""
    return (folder / PARTITION).is_file()


def in_the_wild(folder: Path) -> bool:
    """Return whether the in-the-wild pictures are used: aligned ones are preferred."""
    return (folder / WILD).is_dir() and not (folder / ALIGNED).is_dir()


def has_landmarks(folder: Path) -> bool:
    """Return whether the lists contain the landmarks, so that no detection is needed."""
    return not in_the_wild(folder) or (folder / WILD_LANDMARKS).exists()


def list_files(folder: Path) -> list[Path]:
    """Return the list files that determine what is read from a folder."""
    names = (PARTITION, IDENTITIES, ALIGNED_LANDMARKS, WILD_LANDMARKS, BOXES)
    return [folder / name for name in names if (folder / name).exists()]


def splits_in(folder: Path) -> tuple[str, ...]:
    """Return the splits of the partition file, in the order of `SPLITS`.

    Raises:
        DatasetError: A line of the file is malformed.

    """
    present = {split for _, _, split in _partition(folder / PARTITION)}
    return tuple(split for split in SPLITS if split in present)


def read_celeba(folder: Path, split: str | None) -> tuple[CelebAEntry, ...]:
    """Read the entries of a split, in the order of the partition file.

    Every line of every list is checked, and every picture of the split must exist.

    Args:
        folder: With `list_eval_partition.txt`, `img_align_celeba/` and
            `list_landmarks_align_celeba.txt`; or `img_celeba/` and `list_landmarks_celeba.txt`
            or `list_bbox_celeba.txt` or both. `identity_CelebA.txt` is read if it exists.
        split: `train`, `val`, `test`; None for all.

    Raises:
        DatasetError: A list or picture is missing, or a line is malformed; the message names the
            file and the line.

    """
    wild = in_the_wild(folder)
    pictures = folder / (WILD if wild else ALIGNED)
    landmarks = folder / (WILD_LANDMARKS if wild else ALIGNED_LANDMARKS)
    boxes = folder / BOXES
    boxes_only = wild and boxes.exists() and not landmarks.exists()
    points = {} if boxes_only else _numbers(landmarks, 10)
    rectangles = _numbers(boxes, 4) if wild and boxes.exists() else {}
    identities = _read_identities(folder / IDENTITIES)
    present = _names(pictures)
    entries = []
    for number, name, part in _partition(folder / PARTITION):
        if split is not None and part != split:
            continue
        where = f"{folder / PARTITION} line {number}"
        if name not in present:
            raise DatasetError(f"the picture {pictures / name} does not exist", where=where)
        for rows, file in (
            (points, landmarks),
            (rectangles, boxes),
            (identities, IDENTITIES),
        ):
            if rows and name not in rows:
                raise DatasetError(f"{name} is not listed in {Path(file).name}", where=where)
        entries.append(
            CelebAEntry(
                Path(name).stem,
                pictures / name,
                _five(points[name]) if points else None,
                identities[name] if identities else None,
                _box(rectangles[name]) if rectangles else None,
            )
        )
    return tuple(entries)


def _five(numbers: Sequence[float]) -> NDArray[np.float32]:
    return np.array(numbers, np.float32).reshape(5, 2)


def _box(numbers: Sequence[float]) -> tuple[float, float, float, float] | None:
    left, top, width, height = numbers
    return (left, top, left + width, top + height) if width > 0 and height > 0 else None


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and words of each line that is not empty."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DatasetError(
            "the list is missing", where=path, hint="Put it beside the others from CelebA's page"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"the list cannot be read ({error})", where=path) from error
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield number, line.split()


def _partition(path: Path) -> Iterator[tuple[int, str, str]]:
    names = set()
    for number, words in _lines(path):
        if len(words) != 2 or words[1] not in ("0", "1", "2"):
            raise _malformed(path, number, words, "a picture and 0, 1 or 2")
        if words[0] in names:
            raise DatasetError(f"{words[0]} is listed twice", where=f"{path} line {number}")
        names.add(words[0])
        yield number, words[0], SPLITS[int(words[1])]


def _read_identities(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    identities = {}
    for number, words in _lines(path):
        if len(words) != 2 or not words[1].isdecimal():
            raise _malformed(path, number, words, "a picture and a person's number")
        identities[words[0]] = words[1]
    return identities


def _numbers(path: Path, count: int) -> dict[str, list[float]]:
    """Read a list that starts with its length and the names of its columns."""
    rows: dict[str, list[float]] = {}
    stated = None
    for number, words in _lines(path):
        if number == 1:
            if len(words) != 1 or not words[0].isdecimal():
                raise _malformed(path, number, words, "the number of pictures")
            stated = int(words[0])
        elif number > 2:
            try:
                values = [float(word) for word in words[1:]]
            except ValueError:
                values = []
            if len(values) != count or not all(math.isfinite(value) for value in values):
                raise _malformed(path, number, words, f"a picture and {count} numbers")
            rows[words[0]] = values
    if stated is None:
        raise DatasetError("the list is empty", where=path, hint="Download the list again")
    if len(rows) != stated:
        raise DatasetError(
            f"the first line states {stated} pictures, {len(rows)} are listed",
            where=f"{path} line 1",
            hint="Download the list again",
        )
    return rows


def _malformed(path: Path, number: int, words: Sequence[str], expected: str) -> DatasetError:
    line_text = " ".join(words)
    return DatasetError(
        f"{line_text[:60]!r} is not {expected}",
        where=f"{path} line {number}",
        hint="Download the list again",
    )


def _names(folder: Path) -> set[str]:
    try:
        return {entry.name for entry in os.scandir(folder)}
    except OSError as error:
        raise DatasetError(
            f"the pictures cannot be listed ({error.strerror})",
            where=folder,
            hint=f"Unpack {ALIGNED}.zip or {WILD} here",
        ) from error
