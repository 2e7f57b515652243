"""Which kind of source a path is, and the faces that it promises."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.datasets import celeba
from jdsr_cli.datasets.aligned import TABLES, belongs, fingerprint, load_faces, raw_path
from jdsr_cli.datasets.face_set import PICTURES, SetFiles, find_prepared
from jdsr_cli.errors import DatasetError, UsageError
from jdsr_cli.progress import Progress

SourceKind = Literal["celeba", "aligned", "pictures"]
"""`celeba`: the official folder. `aligned`: 128-px faces in archives, or loose with a table of
landmarks beside them. `pictures`: a folder of pictures of any size."""

SPLITS = celeba.SPLITS
WHOLE = "all"
"""Name of the set of all faces."""


@dataclass(frozen=True, eq=False)
class SourceFace:
    """A face that a source promises, and what it says of it."""

    key: str
    path: Path
    """Its picture, or the raw pixels of all faces that are aligned already."""
    row: int | None = None
    """Its place among raw pixels; None for a picture."""
    celeba_aligned: bool = False
    """Whether the picture is one of CelebA's aligned ones."""
    five: NDArray[np.float32] | None = None
    """(5, 2) in pixels of the picture; None where the face has to be looked for."""
    box: tuple[float, float, float, float] | None = None
    """Where in the picture to look for it; None anywhere."""
    landmarks: NDArray[np.float32] | None = None
    """(68, 2) of an aligned face."""
    heat_points: NDArray[np.float32] | None = None
    """(P, 2) of an aligned face."""
    identity: str | None = None
    required: bool = True
    """Whether a picture that cannot be used is an error; else it is skipped, as is any whose face
    has to be looked for: no detector finds all."""


def kind_of(source: Path) -> SourceKind:
    """Tell the kind of a source that exists.

    Raises:
        DatasetError: It is a file that is no tar archive.

    """
    if source.is_file():
        if source.suffix != ".tar":
            raise DatasetError(
                "not a folder or tar archive of faces", where=source, hint="Give a folder"
            )
        return "aligned"
    if celeba.is_celeba(source):
        return "celeba"
    if any(source.glob("*.tar")) or any((source / name).exists() for name in TABLES):
        return "aligned"
    return "pictures"


def splits_of(source: Path) -> tuple[str, ...]:
    """Return the splits that a source has by itself, in their usual order."""
    kind = kind_of(source)
    if kind == "celeba":
        return celeba.splits_in(source)
    if kind == "aligned":
        archives = [path.name for path in source.glob("*.tar")] if source.is_dir() else []
        named = tuple(split for split in SPLITS if any(name.startswith(split) for name in archives))
        return named or (WHOLE,)
    inside = tuple(split for split in SPLITS if (source / split).is_dir())
    return inside or tuple(split for split in SPLITS[:2] if _loose(source, split))


def faces_of(source: Path, split: str, cache: Path, progress: Progress) -> tuple[SourceFace, ...]:
    """List the faces of a split (`all` for every face) in a fixed order.

    A folder of pictures is split by its folders `train`, `val` and `test`, where it has such;
    else `val` is one picture in twenty, by name, `train` the others, and `test` all of them.

    Args:
        source: Of any kind.
        split: `train`, `val`, `test` or `all`.
        cache: Where aligned faces are decoded to.
        progress: Told of faces read, and where a test set is the whole folder.

    Raises:
        UsageError: There is no such split.
        DatasetError: The source is not laid out as described, or the split is empty.

    """
    if split not in (*SPLITS, WHOLE):
        raise UsageError(f"there is no split {split!r}", hint=f"Use {', '.join(SPLITS)}")
    kind = kind_of(source)
    if kind == "celeba":
        faces = _of_celeba(source, split)
    elif kind == "aligned":
        faces = _of_aligned(source, split, cache, progress)
    else:
        faces = [SourceFace(path.stem, path, required=False) for path in _loose(source, split)]
        whole = split == "test" and not any((source / one).is_dir() for one in SPLITS)
        if whole and faces:
            progress.note(
                f"{source} has no split of its own: all its {len(faces)} pictures are the test "
                "set, so nothing may be trained on them"
            )
    if not faces:
        raise DatasetError(
            "no pictures" if split == WHOLE else f"the split {split!r} has no pictures",
            where=source,
            hint="Expected pictures, archives of aligned faces, or CelebA's folder",
        )
    _check_keys(faces, source)
    return tuple(faces)


def _of_celeba(source: Path, split: str) -> list[SourceFace]:
    aligned = not celeba.in_the_wild(source)
    return [
        SourceFace(
            entry.key,
            entry.path,
            celeba_aligned=aligned,
            five=entry.five,
            box=entry.box,
            identity=entry.identity,
            required=entry.five is not None,
        )
        for entry in celeba.read_celeba(source, None if split == WHOLE else split)
    ]


def _of_aligned(source: Path, split: str, cache: Path, progress: Progress) -> list[SourceFace]:
    chosen = None if split == WHOLE else split
    known = load_faces(source, chosen, cache, progress)
    raw = raw_path(cache / f"faces-{fingerprint(source, chosen)}")
    return [
        SourceFace(
            key,
            raw,
            row=row,
            landmarks=known.landmarks[row],
            heat_points=known.heat_points[row],
            identity=None if known.identities is None else known.identities[row],
        )
        for row, key in enumerate(known.keys)
    ]


def _loose(source: Path, split: str) -> list[Path]:
    inside = [source / one for one in SPLITS if (source / one).is_dir()]
    if not inside:
        named = None if split in ("test", WHOLE) else split
        return [path for path in _pictures(source) if belongs(path, named)]
    folders = [folder for folder in inside if split in (folder.name, WHOLE)]
    return [path for folder in folders for path in _pictures(folder)]


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES)


def _check_keys(faces: list[SourceFace], source: Path) -> None:
    seen: dict[str, Path] = {}
    for face in faces:
        if face.key in seen and face.row is None:
            raise DatasetError(
                f"{seen[face.key].name} and {face.path.name} have the same name",
                where=source,
                hint="Rename one: faces are told apart by their names",
            )
        seen[face.key] = face.path


def state_of(source: Path) -> str:
    """Return a digest that changes when a source does.

    CelebA is told by its lists and the names of its pictures; others by names, sizes and times.
    """
    kind = kind_of(source)
    if kind == "aligned":
        return fingerprint(source, None)
    digest = hashlib.sha256(kind.encode())
    if kind == "celeba":
        digest.update(b"wild" if celeba.in_the_wild(source) else b"aligned")
        for path in celeba.lists_of(source):
            digest.update(path.name.encode() + path.read_bytes())
        return digest.hexdigest()[:16]
    for folder in (source, *(source / split for split in SPLITS)):
        if not folder.is_dir():
            continue
        for entry in sorted(os.scandir(folder), key=lambda one: one.name):
            if Path(entry.name).suffix.lower() in PICTURES:
                state = entry.stat()
                line = f"{folder.name}/{entry.name}:{state.st_size}:{state.st_mtime_ns}\n"
                digest.update(line.encode())
    return digest.hexdigest()[:16]


def default_split(source: Path) -> str | None:
    """Return `test` where a source has such a part, None (all faces) where it has not.

    Official CelebA has one, archives where the name of one starts with `test`, pictures where a
    folder is called so, and prepared folders where it was prepared.
    """
    if not source.is_dir():
        return None
    prepared = find_prepared(source)
    if prepared is not None:
        return "test" if SetFiles(prepared, "test").index.is_file() else None
    return "test" if "test" in splits_of(source) else None
