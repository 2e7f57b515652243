"""A folder that `prepare` made: its settings, and the sets of faces in it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jdsr_cli.errors import DatasetError
from jdsr_train.data.face_set import FaceSet
from jdsr_train.data.labels import FACE_SIZE, MAP_SIZE

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
        shape = (len(keys), FACE_SIZE, FACE_SIZE, 3)
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
