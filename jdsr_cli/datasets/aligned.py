"""Aligned 128-px faces from tar archives or image folders, with their landmark tables."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jdsr_cli.atomic import atomic_file
from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.datasets.celeba import SPLITS
from jdsr_cli.datasets.face_set import (
    IMAGE_SUFFIXES,
    PICTURE_FORMATS,
    PILLOW_ERRORS,
    FaceSet,
    find_prepared,
    load_prepared,
    output_errors,
    write_array,
    write_json,
)
from jdsr_cli.errors import DatasetError, InputMissingError
from jdsr_cli.file_names import BYTES, as_text, name_bytes
from jdsr_cli.progress import Progress, Silent
from jdsr_cli.synthesis.masks import landmarks_from_five

TABLES = ("landmarks68.npz", "faces.csv")
_FIVE = ("leye", "reye", "nose", "lmouth", "rmouth")


@dataclass(frozen=True)
class FaceTable:
    """Landmarks and identity of each face, by key."""

    landmarks: Mapping[str, NDArray[np.float32]]
    """(68, 2) in pixels of the face, for applying masks."""
    heat_points: Mapping[str, NDArray[np.float32]]
    """(68, 2) or (5, 2): the points that were annotated or detected."""
    identities: Mapping[str, str] | None
    """Names of the people; None if the table has no such column."""


def read_table(folder: Path) -> FaceTable:
    """Read landmarks from `landmarks68.npz`, or five points from `faces.csv`, and identities.

    Raises:
        DatasetError: Neither file exists, or one cannot be read.

    """
    dense, sparse = (folder / name for name in TABLES)
    rows: list[dict[str, str]] = []
    if sparse.exists():
        with _table_errors(sparse):
            rows = read_rows(sparse)
    if dense.exists():
        with _table_errors(dense), dense.open("rb") as file, zipfile.ZipFile(file):
            file.seek(0)
            with np.load(file) as stored:
                keys, points = stored["key"].tolist(), stored["points"].astype(np.float32)
            if points.shape != (len(keys), 68, 2):
                raise ValueError(f"points {points.shape} for {len(keys)} keys, not (N, 68, 2)")
            landmarks = {key: _finite(key, one) for key, one in zip(keys, points, strict=True)}
        with _table_errors(sparse):
            return FaceTable(landmarks, landmarks, _identities(rows))
    if sparse.exists():
        with _table_errors(sparse):
            five = {row["key"]: _finite(row["key"], _five(row)) for row in rows}
            estimated = {key: landmarks_from_five(points) for key, points in five.items()}
            return FaceTable(estimated, five, _identities(rows))
    raise DatasetError(
        "no landmarks", where=folder, hint="Put landmarks68.npz or faces.csv beside the pictures"
    )


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the lines of `faces.csv` by column; bytes of keys may be no UTF-8, as in file names.

    Raises:
        OSError, csv.Error, ValueError: It is no such table, or cannot be read.

    """
    with path.open(newline="", encoding="utf-8-sig", errors=BYTES) as file:
        reader = csv.DictReader(file)
        header = "".join(reader.fieldnames or ())
        if header != as_text(header):
            raise ValueError("its first line has no names of columns")
        return list(reader)


@contextmanager
def _table_errors(path: Path) -> Iterator[None]:
    """Convert exceptions to a `DatasetError` that names the table."""
    try:
        yield
    except KeyError as error:
        raise DatasetError(f"landmarks cannot be read (no {error})", where=path) from error
    except (TypeError, ValueError, EOFError, OSError, csv.Error, zipfile.BadZipFile) as error:
        raise DatasetError(f"landmarks cannot be read ({error})", where=path) from error


def _finite(key: str, points: NDArray[np.float32]) -> NDArray[np.float32]:
    if not np.isfinite(points).all():
        raise ValueError(f"the points of {key} are not all finite")
    return points


def _five(row: dict[str, str]) -> NDArray[np.float32]:
    points = [[float(row[f"{part}_x"]), float(row[f"{part}_y"])] for part in _FIVE]
    return np.array(points, np.float32)


def _identities(rows: list[dict[str, str]]) -> dict[str, str] | None:
    if not rows or "identity" not in rows[0]:
        return None
    return {row["key"]: row["identity"] or "" for row in rows}


VALIDATION_INTERVAL = 20
"""In a folder of pictures without splits, one in this many is for validation."""


def load_faces(
    source: Path, split: str | None, cache: Path, progress: Progress | None = None
) -> FaceSet:
    """Read aligned faces, decoded once and then read from the cache.

    Args:
        source: A tar archive of 128x128 pictures, or a folder of such archives or pictures.
            `landmarks68.npz` (key, points) or `faces.csv` (five points, identity) are beside
            them. Or a folder written by `prepare`, which needs no cache.
        split: Selects the archives whose name starts with it; of single pictures `val` selects
            one in twenty, by name, and `train` the others. None selects all.
        cache: Folder for the decoded pictures; created if absent.
        progress: Receives a step per face read.

    Raises:
        InputMissingError: `source` does not exist.
        DatasetError: No face, a picture of another size, or a face without landmarks.
        OutputError: The cache cannot be written.

    """
    progress = progress or Silent()
    if not source.exists():
        raise InputMissingError("no such file or folder", where=source)
    prepared = find_prepared(source)
    if prepared is not None:
        return load_prepared(prepared, split)
    folder = source if source.is_dir() else source.parent
    files = aligned_files(source, split)
    stem = cache / f"faces-{fingerprint(source, split)}"
    if not stem.with_suffix(".json").exists():
        with output_errors("the cache of faces", cache):
            _write_cache(stem, files, folder, progress)
    index, points, heat_points = (
        stem.with_suffix(suffix) for suffix in (".json", ".npy", ".heat.npy")
    )
    content = json.loads(index.read_text(encoding="utf-8"))
    keys, names = tuple(content["keys"]), content["identities"]
    return FaceSet(
        keys,
        np.memmap(
            raw_path(stem), np.uint8, "r", shape=(len(keys), TEMPLATE_SIZE, TEMPLATE_SIZE, 3)
        ),
        np.load(points),
        np.load(heat_points),
        None if names is None else tuple(names),
        files=(index, raw_path(stem), points, heat_points),
    )


def raw_path(stem: Path) -> Path:
    """Return the path of the pixels of a cached set."""
    return stem.with_suffix(".rgb")


def aligned_files(source: Path, split: str | None) -> list[Path]:
    """List the archives or pictures of a split.

    A single archive is of the split that its name starts with, otherwise of `test`.

    Raises:
        DatasetError: There are none.

    """
    if source.is_file():
        archive_split = next((one for one in SPLITS if source.name.startswith(one)), "test")
        if split not in (None, archive_split):
            raise DatasetError(
                f"this archive is of the split {archive_split!r}, not {split!r}",
                where=source,
                hint="Give the folder of the archives, or no split",
            )
        return [source]
    archives = sorted(path for path in source.glob("*.tar") if path.name.startswith(split or ""))
    pictures = (path for path in source.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    files = archives or sorted(path for path in pictures if is_in_split(path, split))
    if not files:
        expected = "tar archives or pictures" if split is None else f"{split}*.tar or pictures"
        raise DatasetError(
            "no faces found", where=source, hint=f"Expected {expected}, aligned, 128x128"
        )
    return files


def is_in_split(picture: Path, split: str | None) -> bool:
    """Return whether a single picture is in a split: one in twenty, by name, is for validation."""
    if split is None:
        return True
    is_validation = hashlib.sha256(name_bytes(picture.stem)).digest()[0] % VALIDATION_INTERVAL == 0
    return split == ("val" if is_validation else "train")


def fingerprint(source: Path, split: str | None) -> str:
    """Return 16 hexadecimal digits that change when a file of the split or its tables does."""
    folder = source if source.is_dir() else source.parent
    tables = [folder / name for name in TABLES if (folder / name).exists()]
    digest = hashlib.sha256(b"faces-2")
    for path in [*aligned_files(source, split), *tables]:
        state = path.stat()
        digest.update(name_bytes(f"{path.name}:{state.st_size}:{state.st_mtime_ns}\n"))
    return digest.hexdigest()[:16]


def _pictures(files: list[Path]) -> Iterator[tuple[str, bytes]]:
    for path in files:
        try:
            if path.suffix != ".tar":
                yield path.stem, path.read_bytes()
                continue
            with tarfile.open(path) as archive:
                for member in archive:
                    name = Path(member.name)
                    stream = archive.extractfile(member) if member.isfile() else None
                    if stream is not None and name.suffix.lower() in IMAGE_SUFFIXES:
                        yield name.stem, stream.read()
        except (tarfile.TarError, OSError) as error:
            kind = "tar archive" if path.suffix == ".tar" else "picture"
            reason = str(error).partition(":\n")[0]  # tarfile appends a line per format
            raise DatasetError(f"not a readable {kind} ({reason})", where=path) from error


def _write_cache(stem: Path, files: list[Path], folder: Path, progress: Progress) -> None:
    """Decode every picture into the cache; the index, written last, marks a complete cache."""
    table = read_table(folder)
    stem.parent.mkdir(parents=True, exist_ok=True)
    keys: list[str] = []
    progress.begin("reading faces", None)
    try:
        with atomic_file(raw_path(stem)) as partial, partial.open("wb") as store:
            for key, data in _pictures(files):
                if key not in table.landmarks:
                    raise DatasetError(
                        f"no landmarks for {key}",
                        where=folder,
                        hint="List it in landmarks68.npz or faces.csv beside the pictures",
                    )
                store.write(_decode(key, data, folder).tobytes())
                keys.append(key)
                progress.advance("reading faces")
            if not keys:
                raise DatasetError("no faces found", where=files[0])
        for suffix, points in ((".npy", table.landmarks), (".heat.npy", table.heat_points)):
            stacked = np.stack([points[key] for key in keys]).astype(np.float32)
            write_array(stem.with_suffix(suffix), stacked)
    finally:
        progress.end("reading faces")
    names = table.identities
    identities = None if names is None else [names.get(key, "") for key in keys]
    write_json(stem.with_suffix(".json"), {"keys": keys, "identities": identities})


def _decode(key: str, data: bytes, folder: Path) -> NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(data), formats=PICTURE_FORMATS) as picture:
            # A picture of another size is not decoded: it may state any.
            if (size := picture.size) == (TEMPLATE_SIZE, TEMPLATE_SIZE):
                return np.asarray(picture.convert("RGB"), np.uint8)
    except PILLOW_ERRORS as error:
        raise DatasetError(f"{key} is not a readable picture", where=folder) from error
    raise DatasetError(
        f"{key} is {size[0]}x{size[1]}, not 128x128",
        where=folder,
        hint="Align the faces first: jdsr crop-faces --size 128",
    )
