"""Aligned 128-px faces from tar archives or image folders, with the tables beside them."""

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
    PICTURES,
    UNREADABLE,
    FaceSet,
    find_prepared,
    load_prepared,
    write_json,
    writing,
)
from jdsr_cli.errors import DatasetError, InputMissingError
from jdsr_cli.progress import Progress, Silent
from jdsr_cli.synthesis.masks import landmarks_from_five

TABLES = ("landmarks68.npz", "faces.csv")
_FIVE = ("leye", "reye", "nose", "lmouth", "rmouth")


@dataclass(frozen=True)
class FaceTable:
    """What is known of each face, by its key."""

    landmarks: Mapping[str, NDArray[np.float32]]
    """(68, 2) in pixels of the face, for wearing masks."""
    heat_points: Mapping[str, NDArray[np.float32]]
    """(68, 2) or (5, 2): what was really found."""
    identities: Mapping[str, str] | None
    """Names of the persons; None where the table has no such column."""


def read_table(folder: Path) -> FaceTable:
    """Read the points: from `landmarks68.npz`, else the five of `faces.csv`; and the names.

    Raises:
        DatasetError: Neither is there, or one cannot be read.

    """
    dense, sparse = (folder / name for name in TABLES)
    rows: list[dict[str, str]] = []
    if sparse.exists():
        with _named(sparse), sparse.open(newline="", encoding="utf-8-sig") as table:
            rows = list(csv.DictReader(table))
    if dense.exists():
        with _named(dense), dense.open("rb") as file, zipfile.ZipFile(file):
            file.seek(0)
            with np.load(file) as stored:
                keys, points = stored["key"].tolist(), stored["points"].astype(np.float32)
            if points.shape != (len(keys), 68, 2):
                raise ValueError(f"points {points.shape} for {len(keys)} keys, not (N, 68, 2)")
            found = {key: _finite(key, one) for key, one in zip(keys, points, strict=True)}
        with _named(sparse):
            return FaceTable(found, found, _names(rows))
    if sparse.exists():
        with _named(sparse):
            five = {row["key"]: _finite(row["key"], _five(row)) for row in rows}
            estimated = {key: landmarks_from_five(points) for key, points in five.items()}
            return FaceTable(estimated, five, _names(rows))
    raise DatasetError(
        "no landmarks", where=folder, hint="Put landmarks68.npz or faces.csv beside the pictures"
    )


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn whatever is wrong with a table into one error that names it."""
    try:
        yield
    except KeyError as error:
        raise DatasetError(f"landmarks cannot be read (no {error})", where=path) from error
    except (TypeError, ValueError, EOFError, OSError, csv.Error, zipfile.BadZipFile) as error:
        raise DatasetError(f"landmarks cannot be read ({error})", where=path) from error


def _finite(key: str, points: NDArray[np.float32]) -> NDArray[np.float32]:
    if not np.isfinite(points).all():
        raise ValueError(f"those of {key} are not all finite")
    return points


def _five(row: dict[str, str]) -> NDArray[np.float32]:
    points = [[float(row[f"{part}_x"]), float(row[f"{part}_y"])] for part in _FIVE]
    return np.array(points, np.float32)


def _names(rows: list[dict[str, str]]) -> dict[str, str] | None:
    if not rows or "identity" not in rows[0]:
        return None
    return {row["key"]: row["identity"] or "" for row in rows}


HELD_OUT = 20
"""Of a folder of loose pictures, one in this many is for validation."""


def load_faces(
    source: Path, split: str | None, cache: Path, progress: Progress | None = None
) -> FaceSet:
    """Read aligned faces once, and from then on from the cache.

    Args:
        source: A tar archive of 128x128 pictures, or a folder of such archives or pictures.
            `landmarks68.npz` (key, points) or `faces.csv` (five points, identity) lie beside
            them. Or a folder made by `prepare`, which is its own cache.
        split: Archives are taken when their name starts with it; of loose pictures `val` takes
            one in twenty, by name, and `train` the others. None takes all.
        cache: Folder for the decoded pictures; made if absent.
        progress: Told of each face read.

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
        with writing("the cache of faces", cache):
            _write_cache(stem, files, folder, progress)
    index, points, heat_points = (
        stem.with_suffix(suffix) for suffix in (".json", ".npy", ".heat.npy")
    )
    described = json.loads(index.read_text(encoding="utf-8"))
    keys, names = tuple(described["keys"]), described["identities"]
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
    """Return where the pixels of a cached set lie."""
    return stem.with_suffix(".rgb")


def aligned_files(source: Path, split: str | None) -> list[Path]:
    """List the archives or pictures of a split.

    A single archive is of the split that its name starts with, else of `test`.

    Raises:
        DatasetError: There is none.

    """
    if source.is_file():
        named = next((one for one in SPLITS if source.name.startswith(one)), "test")
        if split not in (None, named):
            raise DatasetError(
                f"this archive is of the split {named!r}, not {split!r}",
                where=source,
                hint="Give the folder of the archives, or no split",
            )
        return [source]
    archives = sorted(path for path in source.glob("*.tar") if path.name.startswith(split or ""))
    pictures = (path for path in source.iterdir() if path.suffix.lower() in PICTURES)
    files = archives or sorted(path for path in pictures if belongs(path, split))
    if not files:
        wanted = "tar archives or pictures" if split is None else f"{split}*.tar or pictures"
        raise DatasetError(
            "no faces found", where=source, hint=f"Expected {wanted}, aligned, 128x128"
        )
    return files


def belongs(picture: Path, split: str | None) -> bool:
    """Whether a loose picture is of a split: by its name, one in twenty is for validation."""
    if split is None:
        return True
    held_out = hashlib.sha256(picture.stem.encode()).digest()[0] % HELD_OUT == 0
    return split == ("val" if held_out else "train")


def fingerprint(source: Path, split: str | None) -> str:
    """Return 16 hexadecimal digits that change when a file of the split or its tables does."""
    folder = source if source.is_dir() else source.parent
    beside = [folder / name for name in TABLES if (folder / name).exists()]
    digest = hashlib.sha256(b"faces-2")
    for path in [*aligned_files(source, split), *beside]:
        state = path.stat()
        digest.update(f"{path.name}:{state.st_size}:{state.st_mtime_ns}\n".encode())
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
                    if stream is not None and name.suffix.lower() in PICTURES:
                        yield name.stem, stream.read()
        except (tarfile.TarError, OSError) as error:
            kind = "tar archive" if path.suffix == ".tar" else "picture"
            reason = str(error).partition(":\n")[0]  # tarfile goes on with a line for each kind
            raise DatasetError(f"not a readable {kind} ({reason})", where=path) from error


def _write_cache(stem: Path, files: list[Path], folder: Path, progress: Progress) -> None:
    """Decode every picture into the cache; the index is written last, so it is whole or absent."""
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
            np.save(stem.with_suffix(suffix), stacked)
    finally:
        progress.end("reading faces")
    names = table.identities
    identities = None if names is None else [names.get(key, "") for key in keys]
    write_json(stem.with_suffix(".json"), {"keys": keys, "identities": identities})


def _decode(key: str, data: bytes, folder: Path) -> NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(data)) as picture:
            image = np.asarray(picture.convert("RGB"), np.uint8)
    except UNREADABLE as error:
        raise DatasetError(f"{key} is not a readable picture", where=folder) from error
    if image.shape != (TEMPLATE_SIZE, TEMPLATE_SIZE, 3):
        raise DatasetError(
            f"{key} is {image.shape[1]}x{image.shape[0]}, not 128x128",
            where=folder,
            hint="Align the faces first: jdsr crop-faces --size 128",
        )
    return image
