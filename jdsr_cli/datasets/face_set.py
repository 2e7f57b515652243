"""The set of aligned faces for training and evaluation, and its folder on disk."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jdsr_cli.atomic import atomic_file
from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.errors import DatasetError, JdsrError, OutputError

MAP_SIZE = 64
"""Side of heat maps and of parsing labels in pixels."""


def _no_points() -> NDArray[np.float32]:
    return np.zeros((0, 68, 2), np.float32)


@dataclass(frozen=True)
class FaceSet:
    """Aligned faces with their landmarks, in the order of their keys in the source."""

    keys: tuple[str, ...]
    images: NDArray[np.uint8]
    """(N, 128, 128, 3) RGB; a memory map of the cache."""
    landmarks: NDArray[np.float32]
    """(N, 68, 2) iBUG points in 128-px coordinates, used to apply masks; if only five points are
    known, those of `landmarks_from_five`."""
    heat_points: NDArray[np.float32] = field(default_factory=_no_points)
    """(N, P, 2) targets of the prior network: the 68 points if known, otherwise the five (eyes,
    nose, mouth corners, image left first). The default is `landmarks`."""
    identities: tuple[str, ...] | None = None
    """Name of each face's person if the source contains them; empty for an unknown person."""
    parsing: NDArray[np.uint8] | None = None
    """(N, 64, 64) labels of the 11 classes (`PARSING_CLASSES`), if known; a memory map."""
    files: tuple[Path, ...] = ()
    """Files that contain exactly this set, the index first; empty for a set in memory."""

    def __post_init__(self) -> None:
        if not len(self.heat_points):
            object.__setattr__(self, "heat_points", self.landmarks)

    def __len__(self) -> int:
        """Return the number of faces."""
        return len(self.keys)

    @cached_property
    def people(self) -> tuple[str, ...]:
        """The known people in order of name; empty if identities are unknown."""
        return tuple(sorted(set(self.identities or ()) - {""}))

    @cached_property
    def person_of(self) -> NDArray[np.int64] | None:
        """(N,) index into `people` of each face, -1 for an unknown person; None without names."""
        if self.identities is None:
            return None
        indices = {name: position for position, name in enumerate(self.people)}
        return np.array([indices.get(name, -1) for name in self.identities], np.int64)


@contextmanager
def output_errors(what: str, where: Path) -> Iterator[None]:
    """Convert operating-system errors to an `OutputError` that names what cannot be written."""
    try:
        yield
    except JdsrError:
        raise
    except OSError as error:
        raise OutputError(
            f"{what} cannot be written ({error.strerror or error})", where=where
        ) from error


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file that is complete or absent.

    Raises:
        OutputError: The file cannot be written.

    """
    with atomic_file(path) as partial:
        partial.write_text(json.dumps(content, indent=1), encoding="utf-8")


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write an array as .npy, atomically.

    Raises:
        OutputError: The file cannot be written.

    """
    with atomic_file(path) as partial, partial.open("wb") as file:
        np.save(file, array)


SETTINGS_FILE = "settings.json"
FORMAT = "jdsr prepared faces 1"
SKIPPED_FILE = "skipped.csv"
IMAGE_SUFFIXES = frozenset({".png", ".webp", ".jpg", ".jpeg", ".bmp"})
"""Suffixes of pictures of faces, in lower case."""
PILLOW_ERRORS = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError)
"""Exceptions of Pillow for bytes that are not a complete picture."""
PICTURE_FORMATS = ("PNG", "WEBP", "JPEG", "BMP", "TIFF")
"""Pillow's names of the formats of pictures of faces. Others are not tried: their decoders start
programs (EPS), or open further files."""
_SOURCES = IMAGE_SUFFIXES | {".tar", ".txt"}


@dataclass(frozen=True)
class SetFiles:
    """Paths of the files of one set."""

    folder: Path
    split: str

    @property
    def index(self) -> Path:
        """Keys, identities and whether there are labels; written last."""
        return self.folder / f"{self.split}.json"

    @property
    def images(self) -> Path:
        """Raw RGB bytes of the faces."""
        return self.folder / f"{self.split}.rgb"

    @property
    def parsing(self) -> Path:
        """Raw bytes of the labels."""
        return self.folder / f"{self.split}.parsing"

    @property
    def landmarks(self) -> Path:
        """(N, 68, 2) float32."""
        return self.folder / f"{self.split}.landmarks.npy"

    @property
    def heat_points(self) -> Path:
        """(N, P, 2) float32."""
        return self.folder / f"{self.split}.heat.npy"

    @property
    def shards(self) -> Path:
        """Folder of the finished shards while the set is incomplete."""
        return self.folder / f"{self.split}.shards"


def find_prepared(folder: Path) -> Path | None:
    """Return `folder` if it is prepared, or the only prepared folder in it, otherwise None.

    A folder that contains archives, lists or pictures is a source; None is returned.

    Raises:
        DatasetError: It contains several, prepared with different settings.

    """
    if not folder.is_dir():
        return None
    if _is_prepared(folder):
        return folder
    if any(path.suffix.lower() in _SOURCES for path in folder.iterdir()):
        return None
    candidates = sorted(path.parent for path in folder.glob(f"*/{SETTINGS_FILE}"))
    prepared = [path for path in candidates if _is_prepared(path)]
    if len(prepared) > 1:
        raise DatasetError(
            f"the folder contains {len(prepared)} sets prepared with different settings",
            where=folder,
            hint=f"Name one of them: {', '.join(path.name for path in prepared)}",
        )
    return prepared[0] if prepared else None


def _is_prepared(folder: Path) -> bool:
    try:
        text = (folder / SETTINGS_FILE).read_text(encoding="utf-8")
        content = json.loads(text)
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("format") == FORMAT


def load_prepared(folder: Path, split: str | None) -> FaceSet:
    """Open a set of a prepared folder; with `split` None the set of all faces, or the only set.

    Raises:
        DatasetError: The set does not exist or is incomplete.

    """
    complete = sorted(path.stem for path in folder.glob("*.json") if path.name != SETTINGS_FILE)
    name = split or ("all" if "all" in complete or len(complete) != 1 else complete[0])
    files = SetFiles(folder, name)
    try:
        content = json.loads(files.index.read_text(encoding="utf-8"))
        keys, names = tuple(content["keys"]), content["identities"]
        shape = (len(keys), TEMPLATE_SIZE, TEMPLATE_SIZE, 3)
        images = np.memmap(files.images, np.uint8, "r", shape=shape)
        landmarks, heat = np.load(files.landmarks), np.load(files.heat_points)
        labels = (len(keys), MAP_SIZE, MAP_SIZE)
        parsing: NDArray[np.uint8] | None = None
        parts = [files.index, files.images, files.landmarks, files.heat_points]
        if content["parsing"]:
            parts.append(files.parsing)
            parsing = np.memmap(files.parsing, np.uint8, "r", shape=labels)
    except FileNotFoundError as error:
        raise DatasetError(
            f"no prepared set {name!r} in the folder", where=folder, hint=_hint(complete)
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"the prepared set {name!r} is damaged ({error})",
            where=folder,
            hint="Delete the folder and prepare it again",
        ) from error
    people = None if names is None else tuple(names)
    return FaceSet(keys, images, landmarks, heat, people, parsing, tuple(parts))


def _hint(complete: Sequence[str]) -> str:
    return (
        f"There are: {', '.join(complete)}"
        if complete
        else "Run the prepare stage until it finishes"
    )


def subset(faces: FaceSet, indices: Sequence[int]) -> FaceSet:
    """Select faces of a set, without labels; the pictures stay on disk if all are selected."""
    selected = list(indices)
    if selected == list(range(len(faces))):
        return faces
    return FaceSet(
        tuple(faces.keys[position] for position in selected),
        faces.images[selected],
        faces.landmarks[selected],
        faces.heat_points[selected],
        None if faces.identities is None else tuple(faces.identities[i] for i in selected),
    )


def evenly_spaced(faces: FaceSet, limit: int | None) -> FaceSet:
    """Select at most `limit` faces, evenly spaced."""
    count = len(faces) if limit is None else min(limit, len(faces))
    return subset(faces, [position * len(faces) // count for position in range(count)])
