"""The faces of Helen, with the 194 points of its authors or the 68 of iBUG.

The official distribution has pictures in folders (`helen_1` to `helen_5`, `train_1` to `train_4`
and `test`, or one folder), `annotation/N.txt` (the name of a picture, then 194 lines `x , y`), and
`trainnames.txt` and `testnames.txt`. That of iBUG (300-W) has `trainset/` and `testset/` with a
picture and a `.pts` file of the same name for each face.

Source: Le et al., Interactive Facial Feature Localization, ECCV 2012; Sagonas et al., 300 Faces
in-the-Wild Challenge, 2013.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.datasets.face_set import IMAGE_SUFFIXES
from jdsr_cli.errors import DatasetError

ANNOTATIONS = "annotation"
NAME_LISTS = {"train": "trainnames.txt", "test": "testnames.txt"}
IBUG_FOLDERS = {"train": "trainset", "test": "testset"}
SPLITS = tuple(NAME_LISTS)
_NAME = re.compile(r"\d+_\d+")
"""Names of Helen's pictures: a number of Flickr's, and that of the face in it. Other sets of iBUG
have the same layout and other names."""
_LARGEST = 1e6
"""Coordinates above this are malformed."""
_EXAMINED = 20
"""Number of annotations by which the layout is recognised."""
OFFICIAL_POINTS, IBUG_POINTS = 194, 68
_NOSE, _OUTER_LIP = slice(41, 58), slice(58, 86)
_RIGHT_EYE, _LEFT_EYE = slice(114, 134), slice(134, 154)
"""Contours among the 194 points: jaw 0 to 40, nose 41 to 57, outer lip 58 to 85, inner lip 86 to
113, eyes 114 to 153, brows 154 to 193; of eyes and brows the one on the right of the picture comes
first. As others read them, and as they lie in five faces of the test set."""


@dataclass(frozen=True, eq=False)
class HelenEntry:
    """One face of Helen and its annotation."""

    key: str
    """Name of the picture without suffix; of an annotation without a picture its own name."""
    path: Path
    """The picture, or the annotation without one."""
    split: str | None
    """`train` or `test`; None if it is not known."""
    five: NDArray[np.float32] | None = None
    """(5, 2) eyes, nose, mouth corners in pixels of the picture, image left first."""
    landmarks: NDArray[np.float32] | None = None
    """(68, 2) in pixels of the picture; None for the 194 points."""
    fault: str | None = None
    """Why the face cannot be used."""


def is_helen(folder: Path) -> bool:
    """Return whether a folder has one of the two layouts.

    Raises:
        DatasetError: An annotation cannot be read.

    """
    return _is_official(folder) or any(_point_files(folder))


def _is_official(folder: Path) -> bool:
    """Return whether one of the first annotations names a picture of Helen."""
    first = sorted((folder / ANNOTATIONS).glob("*.txt"))[:_EXAMINED]
    return any(_NAME.fullmatch(_named_picture(_text(path))) for path in first)


def _point_files(folder: Path) -> Iterator[Path]:
    """Yield the files of iBUG's points, in order of split and name."""
    for name in (*IBUG_FOLDERS.values(), "."):
        for path in sorted((folder / name).glob("*.pts")):
            if _NAME.fullmatch(path.stem):
                yield path


def list_files(folder: Path) -> list[Path]:
    """Return the files that determine what is read from a folder."""
    lists = [folder / name for name in NAME_LISTS.values() if (folder / name).is_file()]
    annotations = sorted((folder / ANNOTATIONS).glob("*.txt"))
    pictures = [path for paths in _pictures(folder).values() for path in paths]
    return [*lists, *annotations, *_point_files(folder), *pictures]


def splits_in(folder: Path) -> tuple[str, ...]:
    """Return the splits that are known, in the order of `SPLITS`.

    Raises:
        DatasetError: A file cannot be read.

    """
    present = {entry.split for entry in read_helen(folder, None)}
    return tuple(split for split in SPLITS if split in present)


def read_helen(folder: Path, split: str | None) -> tuple[HelenEntry, ...]:
    """Read the entries of a split, in order of their names.

    An annotation that is malformed, or has no picture, and a picture without an annotation are
    entries with a `fault`. They belong to every split if theirs is not known.

    Args:
        folder: One of the two layouts. Faces are divided by the lists of names or, without them, by
            the names of the folders of the pictures, which start with train or test.
        split: `train` or `test`; None for all.

    Raises:
        DatasetError: A file cannot be read.

    """
    entries = _official(folder) if _is_official(folder) else _ibug(folder)
    selected = [
        entry
        for entry in entries
        if split in (None, entry.split) or (entry.split is None and entry.fault is not None)
    ]
    return tuple(sorted(selected, key=lambda entry: entry.key))


def _official(folder: Path) -> Iterator[HelenEntry]:
    pictures = _pictures(folder)
    listed = _listed_splits(folder)
    annotated = set()
    for path in sorted((folder / ANNOTATIONS).glob("*.txt")):
        text = _text(path)
        name, own = _named_picture(text), _own_key(path)
        if not _NAME.fullmatch(name):
            yield HelenEntry(own, path, None, fault="its first line names no picture of Helen")
            continue
        if name in annotated:
            yield HelenEntry(own, path, None, fault=f"a second annotation of {name}")
            continue
        annotated.add(name)
        lines = [line.replace(",", " ") for line in text.splitlines()[1:]]
        yield _entry(name, pictures, path, listed, _read_points(lines, OFFICIAL_POINTS))
    yield from _without_annotation(pictures, annotated, listed)


def _ibug(folder: Path) -> Iterator[HelenEntry]:
    pictures = _pictures(folder)
    annotated = set()
    for path in _point_files(folder):
        if path.stem in annotated:
            fault = f"a second annotation of {path.stem}"
            yield HelenEntry(_own_key(path), path, None, fault=fault)
            continue
        annotated.add(path.stem)
        inner = _text(path).partition("{")[2].partition("}")[0]
        points = _read_points(inner.splitlines(), IBUG_POINTS)
        if not isinstance(points, str):
            # Points of this format are counted from 1, as in Matlab.
            points = points - 1
        yield _entry(path.stem, pictures, path, {}, points)
    yield from _without_annotation(pictures, annotated, {})


def _named_picture(text: str) -> str:
    """Return the name without suffix in the first line of an annotation."""
    return text.partition("\n")[0].strip().removesuffix(".jpg")


def _own_key(path: Path) -> str:
    """Return the key of an annotation whose picture is not known."""
    return f"{path.parent.name}/{path.name}"


def _entry(
    name: str,
    pictures: dict[str, list[Path]],
    annotation: Path,
    listed: dict[str, str],
    points: NDArray[np.float32] | str,
) -> HelenEntry:
    """Return the entry of a picture; `points` in words are a fault."""
    found = pictures.get(name, [])
    if len(found) != 1:
        fault = f"{len(found)} pictures have this name" if found else "its picture does not exist"
        return HelenEntry(name, annotation, listed.get(name), fault=fault)
    split = listed.get(name) or _folder_split(found[0])
    if isinstance(points, str):
        return HelenEntry(name, found[0], split, fault=f"{annotation.name}: {points}")
    dense = points if len(points) == IBUG_POINTS else None
    return HelenEntry(name, found[0], split, five_points(points), dense)


def _without_annotation(
    pictures: dict[str, list[Path]], annotated: set[str], listed: dict[str, str]
) -> Iterator[HelenEntry]:
    for name, paths in pictures.items():
        if name not in annotated:
            split = listed.get(name) or _folder_split(paths[0])
            yield HelenEntry(name, paths[0], split, fault="no annotation")


def _pictures(folder: Path) -> dict[str, list[Path]]:
    """Return the pictures in a folder and in the folders in it, by their names without suffix."""
    found: dict[str, list[Path]] = {}
    for path in sorted([*folder.glob("*"), *folder.glob("*/*")]):
        if path.suffix.lower() in IMAGE_SUFFIXES and _NAME.fullmatch(path.stem):
            found.setdefault(path.stem, []).append(path)
    return found


def _listed_splits(folder: Path) -> dict[str, str]:
    splits: dict[str, str] = {}
    for split, file in NAME_LISTS.items():
        if (folder / file).is_file():
            names = _text(folder / file).split()
            splits |= {name.removesuffix(".jpg"): split for name in names}
    return splits


def _folder_split(picture: Path) -> str | None:
    return next((split for split in SPLITS if picture.parent.name.startswith(split)), None)


def _text(path: Path) -> str:
    """Return the text of a file; bytes that are not text make it malformed.

    Raises:
        DatasetError: The file cannot be read.

    """
    try:
        return path.read_bytes().decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise DatasetError(f"cannot be read ({error.strerror})", where=path) from error


def _read_points(lines: list[str], count: int) -> NDArray[np.float32] | str:
    """Return points (count, 2), or why the lines have none."""
    rows = [line.split() for line in lines if line.strip()]
    try:
        points = np.array(rows, np.float64)
    except ValueError:
        return "a line is not x and y"
    if points.shape != (count, 2):
        return f"{len(rows)} points, not {count}" if len(rows) != count else "a line is not x and y"
    # NaN is not below the limit either.
    if not (np.abs(points) < _LARGEST).all():
        return "a point lies in no picture"
    return points.astype(np.float32)


def five_points(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return eyes, nose and mouth corners from annotated points.

    Eyes are the means of their contours. The nose of 68 points is its tip. The 194 points have only
    the outline of wings and base; its mean lies within 3 px of 128 of the template's tip in height,
    in five faces of Helen, and the base (point 49) 2 to 9 px below it. The corners of the mouth
    among the 194 points are the outermost ones of the outer lip along the line through the eyes:
    the right one is point 70 in some faces and 71 in others.

    Args:
        points: (194, 2) or (68, 2).

    Returns:
        (5, 2), image left first.

    """
    if len(points) == IBUG_POINTS:
        left, right = points[36:42].mean(axis=0), points[42:48].mean(axis=0)
        return np.stack([left, right, points[30], points[48], points[54]]).astype(np.float32)
    left, right = points[_LEFT_EYE].mean(axis=0), points[_RIGHT_EYE].mean(axis=0)
    lip = points[_OUTER_LIP]
    along = lip @ (right - left)
    corners = lip[[along.argmin(), along.argmax()]]
    return np.stack([left, right, points[_NOSE].mean(axis=0), *corners]).astype(np.float32)
