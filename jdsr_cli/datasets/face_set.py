"""The set of aligned faces that training and evaluation read, and its prepared folder."""

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


def _not_given() -> NDArray[np.float32]:
    return np.zeros((0, 68, 2), np.float32)


@dataclass(frozen=True)
class FaceSet:
    """Aligned faces with their landmarks, in the order of their keys in the source."""

    keys: tuple[str, ...]
    images: NDArray[np.uint8]
    """(N, 128, 128, 3) RGB; a memory map of the cache."""
    landmarks: NDArray[np.float32]
    """(N, 68, 2) iBUG points in 128-px coordinates, by which masks are worn; where only five
    points are known, those of `landmarks_from_five`."""
    heat_points: NDArray[np.float32] = field(default_factory=_not_given)
    """(N, P, 2) points that the prior network learns: the 68 where they were found, else the
    five (eyes, nose, mouth corners, image left first). Where not given, `landmarks`."""
    identities: tuple[str, ...] | None = None
    """Name of each face's person where the source tells them; empty for a person unknown."""
    parsing: NDArray[np.uint8] | None = None
    """(N, 64, 64) labels of the 11 classes (`PARSING_CLASSES`), where known; a memory map."""
    files: tuple[Path, ...] = ()
    """Those that hold exactly this set, its index first; none for a set in memory."""

    def __post_init__(self) -> None:
        if not len(self.heat_points):
            object.__setattr__(self, "heat_points", self.landmarks)

    def __len__(self) -> int:
        """Return the number of faces."""
        return len(self.keys)

    @cached_property
    def people(self) -> tuple[str, ...]:
        """The known persons in order of name; empty where identities are unknown."""
        return tuple(sorted(set(self.identities or ()) - {""}))

    @cached_property
    def person_of(self) -> NDArray[np.int64] | None:
        """(N,) position in `people` of each face, -1 for an unknown person; None without names."""
        if self.identities is None:
            return None
        indices = {name: position for position, name in enumerate(self.people)}
        return np.array([indices.get(name, -1) for name in self.identities], np.int64)


@contextmanager
def writing(what: str, where: Path) -> Iterator[None]:
    """Raise operating-system errors as an `OutputError` that says what cannot be written."""
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
        OutputError: It cannot be written.

    """
    with atomic_file(path) as partial:
        partial.write_text(json.dumps(content, indent=1), encoding="utf-8")


SETTINGS_FILE = "settings.json"
FORMAT = "jdsr prepared faces 1"
SKIPPED_FILE = "skipped.csv"
PICTURES = frozenset({".png", ".webp", ".jpg", ".jpeg", ".bmp"})
"""Suffixes of pictures of faces, in lower case."""
UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError)
"""What Pillow raises at bytes that are no whole picture."""
_SOURCES = PICTURES | {".tar", ".txt"}


@dataclass(frozen=True)
class SetFiles:
    """Where the parts of one set lie."""

    folder: Path
    split: str

    @property
    def index(self) -> Path:
        """Keys, identities and what else there is; written last."""
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
        """Folder of the finished parts while the set is not whole."""
        return self.folder / f"{self.split}.shards"


def find_prepared(folder: Path) -> Path | None:
    """Return the prepared folder that `folder` is or alone holds, None where it does not.

    A folder with archives, lists or pictures of its own is a source and holds none.

    Raises:
        DatasetError: It holds several, made with different settings.

    """
    if not folder.is_dir():
        return None
    if _is_prepared(folder):
        return folder
    if any(path.suffix.lower() in _SOURCES for path in folder.iterdir()):
        return None
    inside = sorted(path.parent for path in folder.glob(f"*/{SETTINGS_FILE}"))
    found = [path for path in inside if _is_prepared(path)]
    if len(found) > 1:
        raise DatasetError(
            f"{len(found)} sets prepared with different settings lie here",
            where=folder,
            hint=f"Name one of them: {', '.join(path.name for path in found)}",
        )
    return found[0] if found else None


def _is_prepared(folder: Path) -> bool:
    try:
        text = (folder / SETTINGS_FILE).read_text(encoding="utf-8")
        described = json.loads(text)
    except (OSError, ValueError):
        return False
    return isinstance(described, dict) and described.get("format") == FORMAT


def load_prepared(folder: Path, split: str | None) -> FaceSet:
    """Open a set of a prepared folder; with `split` None the only one, or that of all faces.

    Raises:
        DatasetError: It is not there or not whole.

    """
    whole = sorted(path.stem for path in folder.glob("*.json") if path.name != SETTINGS_FILE)
    name = split or ("all" if "all" in whole or len(whole) != 1 else whole[0])
    files = SetFiles(folder, name)
    try:
        described = json.loads(files.index.read_text(encoding="utf-8"))
        keys, names = tuple(described["keys"]), described["identities"]
        shape = (len(keys), TEMPLATE_SIZE, TEMPLATE_SIZE, 3)
        images = np.memmap(files.images, np.uint8, "r", shape=shape)
        landmarks, heat = np.load(files.landmarks), np.load(files.heat_points)
        labels = (len(keys), MAP_SIZE, MAP_SIZE)
        parsing: NDArray[np.uint8] | None = None
        parts = [files.index, files.images, files.landmarks, files.heat_points]
        if described["parsing"]:
            parts.append(files.parsing)
            parsing = np.memmap(files.parsing, np.uint8, "r", shape=labels)
    except FileNotFoundError as error:
        raise DatasetError(
            f"no prepared set {name!r} here", where=folder, hint=_hint(whole)
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"the prepared set {name!r} is damaged ({error})",
            where=folder,
            hint="Delete the folder and prepare it again",
        ) from error
    people = None if names is None else tuple(names)
    return FaceSet(keys, images, landmarks, heat, people, parsing, tuple(parts))


def _hint(whole: Sequence[str]) -> str:
    return f"There are: {', '.join(whole)}" if whole else "Run the prepare stage to its end"


def subset(faces: FaceSet, indices: Sequence[int]) -> FaceSet:
    """Take some faces of a set; the pictures stay on disk where all are taken."""
    picked = list(indices)
    if picked == list(range(len(faces))):
        return faces
    return FaceSet(
        tuple(faces.keys[position] for position in picked),
        faces.images[picked],
        faces.landmarks[picked],
    )


def evenly_spaced(faces: FaceSet, limit: int | None) -> FaceSet:
    """Take at most `limit` faces, evenly spaced."""
    count = len(faces) if limit is None else min(limit, len(faces))
    return subset(faces, [position * len(faces) // count for position in range(count)])
