"""Kinds of dataset sources, and the list of faces of a source."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.datasets import celeba, helen
from jdsr_cli.datasets.aligned import TABLES, fingerprint, is_in_split, load_faces, raw_path
from jdsr_cli.datasets.face_set import IMAGE_SUFFIXES, SETTINGS_FILE, SetFiles, find_prepared
from jdsr_cli.errors import DatasetError, UsageError
from jdsr_cli.file_names import name_bytes
from jdsr_cli.progress import Progress

SourceKind = Literal["celeba", "helen", "aligned", "pictures"]
"""`celeba`: the official folder. `helen`: Helen with 194 or 68 points. `aligned`: 128-px faces in
archives, or as pictures with a table of landmarks in the same folder. `pictures`: a folder of
pictures of any size."""

SPLITS = celeba.SPLITS
ALL_FACES = "all"
"""Name of the set of all faces."""


@dataclass(frozen=True, eq=False)
class SourceFace:
    """A face of a source with its annotations."""

    key: str
    path: Path
    """Its picture, or the file of the raw pixels of already aligned faces."""
    row: int | None = None
    """Index in the file of raw pixels; None for a picture."""
    celeba_aligned: bool = False
    """Whether the picture is an aligned picture of CelebA."""
    five: NDArray[np.float32] | None = None
    """(5, 2) in pixels of the picture; None if the face must be detected."""
    box: tuple[float, float, float, float] | None = None
    """Approximate position in the picture; None if unknown."""
    landmarks: NDArray[np.float32] | None = None
    """(68, 2) in pixels of the picture, or of the aligned face; None if not annotated."""
    heat_points: NDArray[np.float32] | None = None
    """(P, 2) in the same pixels, if `landmarks` are known."""
    identity: str | None = None
    fault: str | None = None
    """Why it cannot be used, as far as its annotation shows."""
    required: bool = True
    """Whether a picture that cannot be used is an error; otherwise it is skipped. False for Helen,
    and if the face must be detected, since no detector detects all faces."""


def source_kind(source: Path) -> SourceKind:
    """Return the kind of an existing source.

    Raises:
        DatasetError: It is a file that is not a tar archive.

    """
    if source.is_file():
        if source.suffix != ".tar":
            raise DatasetError(
                "not a folder or tar archive of faces", where=source, hint="Give a folder"
            )
        return "aligned"
    if celeba.is_celeba(source):
        return "celeba"
    if helen.is_helen(source):
        return "helen"
    if any(source.glob("*.tar")) or any((source / name).exists() for name in TABLES):
        return "aligned"
    return "pictures"


def data_kind(source: Path) -> str:
    """Return the kind of an existing source, or of the source of which a folder was prepared.

    Raises:
        DatasetError: It is a file that is not a tar archive, or a damaged prepared folder.

    """
    prepared = find_prepared(source)
    if prepared is None:
        return source_kind(source)
    path = prepared / SETTINGS_FILE
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["source"]["kind"])
    except (KeyError, TypeError) as error:
        raise DatasetError("does not state the kind of its source", where=path) from error


def source_splits(source: Path) -> tuple[str, ...]:
    """Return the splits of a source, in the order of `SPLITS`."""
    kind = source_kind(source)
    if kind == "celeba":
        return celeba.splits_in(source)
    if kind == "helen":
        return helen.splits_in(source) or (ALL_FACES,)
    if kind == "aligned":
        archives = [path.name for path in source.glob("*.tar")] if source.is_dir() else []
        archive_splits = tuple(
            split for split in SPLITS if any(name.startswith(split) for name in archives)
        )
        return archive_splits or (ALL_FACES,)
    folders = tuple(split for split in SPLITS if (source / split).is_dir())
    return folders or tuple(split for split in SPLITS[:2] if _split_pictures(source, split))


def list_faces(source: Path, split: str, cache: Path, progress: Progress) -> tuple[SourceFace, ...]:
    """List the faces of a split (`all` for every face) in a fixed order.

    Faces of Helen whose annotation cannot be used are listed with the reason. A folder of pictures
    is split by its subfolders `train`, `val` and `test`, if there are any; otherwise `val` is one
    picture in twenty, by name, `train` the others, and `test` all.

    Args:
        source: A source of any kind.
        split: `train`, `val`, `test` or `all`.
        cache: Folder for decoded aligned faces.
        progress: Receives a step per face read, and a note if the test set is the whole folder.

    Raises:
        UsageError: The split is unknown.
        DatasetError: The layout is not as described, or the split is empty.

    """
    if split not in (*SPLITS, ALL_FACES):
        raise UsageError(f"unknown split {split!r}", hint=f"Use {', '.join(SPLITS)}")
    kind = source_kind(source)
    if kind == "celeba":
        faces = _celeba_faces(source, split)
    elif kind == "helen":
        faces = _helen_faces(source, split)
    elif kind == "aligned":
        faces = _aligned_faces(source, split, cache, progress)
    else:
        faces = [
            SourceFace(path.stem, path, required=False) for path in _split_pictures(source, split)
        ]
        is_whole_folder = split == "test" and not any((source / one).is_dir() for one in SPLITS)
        if is_whole_folder and faces:
            progress.note(
                f"{source} is not divided into splits: all its {len(faces)} pictures are the test "
                "set, so nothing may be trained on them"
            )
    if not faces:
        raise DatasetError(
            "no pictures" if split == ALL_FACES else f"the split {split!r} has no pictures",
            where=source,
            hint="Expected pictures, archives of aligned faces, or CelebA's folder",
        )
    _check_keys(faces, source)
    return tuple(faces)


def _celeba_faces(source: Path, split: str) -> list[SourceFace]:
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
        for entry in celeba.read_celeba(source, None if split == ALL_FACES else split)
    ]


def _helen_faces(source: Path, split: str) -> list[SourceFace]:
    entries = helen.read_helen(source, None if split == ALL_FACES else split)
    if split != ALL_FACES and all(entry.split != split for entry in entries):
        raise DatasetError(
            f"it is not known which faces of Helen are in the split {split!r}",
            where=source,
            hint="Put trainnames.txt and testnames.txt beside annotation/, or give no split",
        )
    return [
        SourceFace(
            entry.key,
            entry.path,
            five=entry.five,
            landmarks=entry.landmarks,
            heat_points=entry.landmarks,
            fault=entry.fault,
            required=False,
        )
        for entry in entries
    ]


def _aligned_faces(source: Path, split: str, cache: Path, progress: Progress) -> list[SourceFace]:
    requested = None if split == ALL_FACES else split
    aligned = load_faces(source, requested, cache, progress)
    raw = raw_path(cache / f"faces-{fingerprint(source, requested)}")
    return [
        SourceFace(
            key,
            raw,
            row=row,
            landmarks=aligned.landmarks[row],
            heat_points=aligned.heat_points[row],
            identity=None if aligned.identities is None else aligned.identities[row],
        )
        for row, key in enumerate(aligned.keys)
    ]


def _split_pictures(source: Path, split: str) -> list[Path]:
    folders = [source / one for one in SPLITS if (source / one).is_dir()]
    if not folders:
        picture_split = None if split in ("test", ALL_FACES) else split
        return [path for path in _pictures(source) if is_in_split(path, picture_split)]
    folders = [folder for folder in folders if split in (folder.name, ALL_FACES)]
    return [path for folder in folders for path in _pictures(folder)]


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)


def _check_keys(faces: list[SourceFace], source: Path) -> None:
    paths: dict[str, Path] = {}
    for face in faces:
        if face.key in paths and face.row is None:
            raise DatasetError(
                f"{paths[face.key].name} and {face.path.name} have the same name",
                where=source,
                hint="Rename one: names must be unique",
            )
        paths[face.key] = face.path


def source_digest(source: Path) -> str:
    """Return a digest that changes when a source changes.

    For CelebA it covers the lists, for other sources the names, sizes and times of the files.
    """
    kind = source_kind(source)
    if kind == "aligned":
        return fingerprint(source, None)
    digest = hashlib.sha256(kind.encode())
    if kind == "helen":
        for path in helen.list_files(source):
            digest.update(_state(path.relative_to(source).as_posix(), path.stat()))
        return digest.hexdigest()[:16]
    if kind == "celeba":
        digest.update(b"wild" if celeba.in_the_wild(source) else b"aligned")
        for path in celeba.list_files(source):
            digest.update(path.name.encode() + path.read_bytes())
        return digest.hexdigest()[:16]
    for folder in (source, *(source / split for split in SPLITS)):
        if not folder.is_dir():
            continue
        for entry in sorted(os.scandir(folder), key=lambda one: one.name):
            if Path(entry.name).suffix.lower() in IMAGE_SUFFIXES:
                digest.update(_state(f"{folder.name}/{entry.name}", entry.stat()))
    return digest.hexdigest()[:16]


def _state(name: str, state: os.stat_result) -> bytes:
    return name_bytes(f"{name}:{state.st_size}:{state.st_mtime_ns}\n")


def default_split(source: Path) -> str | None:
    """Return `test` if a source has a test split, otherwise None (all faces).

    Official CelebA has one, and Helen if its lists or folders tell; archives if the name of one
    starts with `test`, pictures if there is a folder `test`, and prepared folders if it was
    prepared.
    """
    if not source.is_dir():
        return None
    prepared = find_prepared(source)
    if prepared is not None:
        return "test" if SetFiles(prepared, "test").index.is_file() else None
    return "test" if "test" in source_splits(source) else None
