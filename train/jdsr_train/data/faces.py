"""Aligned faces as one array on disk, read from tar archives or from a folder of pictures."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from jdsr_cli.errors import DatasetError, InputMissingError, JdsrError, OutputError
from jdsr_cli.progress import Progress, Silent
from jdsr_train.masks import landmarks_from_five

FACE_SIZE = 128
HELD_OUT = 20
"""Of a folder of loose pictures, one in this many is for validation."""
_PICTURES = {".png", ".webp", ".jpg", ".jpeg", ".bmp"}
_LANDMARKS = ("landmarks68.npz", "faces.csv")
_FIVE = ("leye", "reye", "nose", "lmouth", "rmouth")


@dataclass(frozen=True)
class FaceSet:
    """Aligned faces with their landmarks, in the order of their keys in the source."""

    keys: tuple[str, ...]
    images: NDArray[np.uint8]
    """(N, 128, 128, 3) RGB; a memory map of the cache."""
    landmarks: NDArray[np.float32]
    """(N, 68, 2) iBUG points in 128-px coordinates."""

    def __len__(self) -> int:
        """Return the number of faces."""
        return len(self.keys)


def load_faces(
    source: Path, split: str | None, cache: Path, progress: Progress | None = None
) -> FaceSet:
    """Read faces once, and from then on from the cache.

    Args:
        source: A tar archive of 128x128 pictures, or a folder of such archives or pictures.
            `landmarks68.npz` (key, points) or `faces.csv` (five points) lie beside them.
        split: Archives of a folder are taken when their name starts with it; of loose pictures
            `val` takes one in twenty, by name, and `train` the others. None takes all.
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
    folder = source if source.is_dir() else source.parent
    files = _picture_files(source, split)
    beside = [folder / name for name in _LANDMARKS if (folder / name).exists()]
    stem = cache / f"faces-{_fingerprint([*files, *beside])}"
    if not stem.with_suffix(".json").exists():
        try:
            _fill(stem, files, folder, progress)
        except JdsrError:
            raise
        except OSError as error:
            raise OutputError(
                f"the cache of faces cannot be written ({error.strerror or error})", where=cache
            ) from error
    described = json.loads(stem.with_suffix(".json").read_text(encoding="utf-8"))
    count = len(described["keys"])
    images = np.memmap(
        stem.with_suffix(".rgb"), np.uint8, "r", shape=(count, FACE_SIZE, FACE_SIZE, 3)
    )
    return FaceSet(tuple(described["keys"]), images, np.load(stem.with_suffix(".npy")))


def _picture_files(source: Path, split: str | None) -> list[Path]:
    if source.is_file():
        return [source]
    archives = sorted(path for path in source.glob("*.tar") if path.name.startswith(split or ""))
    pictures = (path for path in source.iterdir() if path.suffix.lower() in _PICTURES)
    files = archives or sorted(path for path in pictures if _belongs(path, split))
    if not files:
        wanted = "tar archives or pictures" if split is None else f"{split}*.tar or pictures"
        raise DatasetError(
            "no faces found", where=source, hint=f"Expected {wanted}, aligned, 128x128"
        )
    return files


def _belongs(picture: Path, split: str | None) -> bool:
    """Whether a loose picture is of a split: by its name, one in twenty is for validation."""
    if split is None:
        return True
    held_out = hashlib.sha256(picture.stem.encode()).digest()[0] % HELD_OUT == 0
    return split == ("val" if held_out else "train")


def _fingerprint(files: list[Path]) -> str:
    digest = hashlib.sha256(b"faces-1")
    for path in files:
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
                    if stream is not None and name.suffix.lower() in _PICTURES:
                        yield name.stem, stream.read()
        except (tarfile.TarError, OSError) as error:
            kind = "tar archive" if path.suffix == ".tar" else "picture"
            raise DatasetError(f"not a readable {kind} ({error})", where=path) from error


def _fill(stem: Path, files: list[Path], folder: Path, progress: Progress) -> None:
    """Decode every picture into the cache; its index is written last, so it is whole or absent."""
    known = _landmarks(folder)
    stem.parent.mkdir(parents=True, exist_ok=True)
    keys: list[str] = []
    points: list[NDArray[np.float32]] = []
    partial = stem.with_suffix(f".{os.getpid()}.part")
    progress.begin("reading faces", None)
    try:
        with partial.open("wb") as store:
            for key, data in _pictures(files):
                if key not in known:
                    raise DatasetError(
                        f"no landmarks for {key}",
                        where=folder,
                        hint="List it in landmarks68.npz or faces.csv beside the pictures",
                    )
                store.write(_decode(key, data, folder).tobytes())
                keys.append(key)
                points.append(known[key])
                progress.advance("reading faces")
        if not keys:
            raise DatasetError("no faces found", where=files[0])
        np.save(stem.with_suffix(".npy"), np.stack(points).astype(np.float32))
        partial.replace(stem.with_suffix(".rgb"))
    finally:
        partial.unlink(missing_ok=True)
        progress.end("reading faces")
    index = stem.with_suffix(".json.part")
    index.write_text(json.dumps({"keys": keys}), encoding="utf-8")
    index.replace(stem.with_suffix(".json"))


def _decode(key: str, data: bytes, folder: Path) -> NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(data)) as picture:
            image = np.asarray(picture.convert("RGB"), np.uint8)
    except (OSError, UnidentifiedImageError) as error:
        raise DatasetError(f"{key} is not a readable picture", where=folder) from error
    if image.shape != (FACE_SIZE, FACE_SIZE, 3):
        raise DatasetError(
            f"{key} is {image.shape[1]}x{image.shape[0]}, not 128x128",
            where=folder,
            hint="Align the faces first: jdsr crop-faces --size 128",
        )
    return image


def _landmarks(folder: Path) -> dict[str, NDArray[np.float32]]:
    """68 points by key: from `landmarks68.npz`, else estimated from the five of `faces.csv`."""
    dense, sparse = (folder / name for name in _LANDMARKS)
    try:
        if dense.exists():
            with dense.open("rb") as file, np.load(file) as stored:
                points = stored["points"].astype(np.float32)
                return dict(zip(stored["key"].tolist(), points, strict=True))
        if sparse.exists():
            with sparse.open(newline="", encoding="utf-8") as table:
                return {row["key"]: _from_row(row) for row in csv.DictReader(table)}
    except (KeyError, TypeError, ValueError, EOFError, OSError, BadZipFile) as error:
        raise DatasetError(f"landmarks cannot be read ({error})", where=folder) from error
    raise DatasetError(
        "no landmarks", where=folder, hint="Put landmarks68.npz or faces.csv beside the pictures"
    )


def _from_row(row: dict[str, str]) -> NDArray[np.float32]:
    five = [[float(row[f"{part}_x"]), float(row[f"{part}_y"])] for part in _FIVE]
    return landmarks_from_five(np.array(five, np.float32))
