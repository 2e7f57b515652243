"""A face mask as a picture with six key points, and how one is loaded from a template folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import DatasetError

View = Literal["front", "left", "right"]

INDEX = "templates.json"
"""File of a template folder that names its pictures."""
SPRITE_WIDTH = 160
"""Sprites are kept about as wide as a mask on a 128 px face, so that wearing one is never a
strong reduction, which bilinear warping would alias."""


@dataclass(frozen=True)
class Sprite:
    """A mask seen from one side."""

    name: str
    view: View
    """The side of the picture towards which the wearer's nose points."""
    premultiplied: NDArray[np.float32]
    """(H, W, 4): RGB in [0, 255] times alpha, and alpha in [0, 1]."""
    points: NDArray[np.float32]
    """(6, 2) x, y in sprite pixels: upper edge a, b, c left to right (b on the nose), lower
    edge d, e, f left to right (e at the chin)."""


def make_sprite(
    name: str, view: View, rgba: NDArray[np.uint8], points: NDArray[np.float32]
) -> Sprite:
    """Bring an RGBA picture and its key points to the working size of a sprite."""
    factor = min(1.0, SPRITE_WIDTH / rgba.shape[1])
    alpha = rgba[..., 3:].astype(np.float32) / 255.0
    stacked = np.concatenate([rgba[..., :3].astype(np.float32) * alpha, alpha], axis=2)
    if factor < 1.0:
        size = (round(rgba.shape[1] * factor), max(1, round(rgba.shape[0] * factor)))
        scale = np.array([size[0] / rgba.shape[1], size[1] / rgba.shape[0]], dtype=np.float32)
        stacked = cv2.resize(stacked, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        points = ((points + 0.5) * scale - 0.5).astype(np.float32)
    return Sprite(name, view, stacked, points)


def load_templates(folder: Path) -> list[Sprite]:
    """Read every sprite of a folder that holds `templates.json` and RGBA pictures.

    The file maps a name to ``{"file": ..., "points": {"a": [x, y], ... "f": [x, y]}}``; a name
    that ends in ``_left`` or ``_right`` is the view of a turned head.

    Raises:
        DatasetError: The folder, its index or one of its pictures cannot be read, or the index
            is empty.

    """
    with _reading(folder):
        return [_load(folder, name, entry) for name, entry in _described(folder)]


def template_files(folder: Path) -> list[Path]:
    """Return what `load_templates` reads: the index, then the pictures in the order of names.

    Raises:
        DatasetError: The index cannot be read or is empty.

    """
    with _reading(folder):
        pictures = [folder / str(entry["file"]) for _, entry in _described(folder)]
    return [folder / INDEX, *pictures]


def _described(folder: Path) -> list[tuple[str, dict[str, object]]]:
    described = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    if not isinstance(described, dict) or not described:
        raise ValueError("no entry in it")
    return sorted(described.items())


@contextmanager
def _reading(folder: Path) -> Iterator[None]:
    """Say of errors that they are of the templates."""
    index = folder / INDEX
    try:
        yield
    except DatasetError:
        raise
    except OSError as error:
        raise DatasetError(
            f"the mask templates cannot be read ({error.strerror or error})",
            where=error.filename or index,
            hint="Give a folder that holds templates.json and the pictures it names",
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"the mask templates cannot be read ({error})",
            where=index,
            hint="It needs an entry with file and points a to f for every picture",
        ) from error


def _load(folder: Path, name: str, entry: dict[str, object]) -> Sprite:
    path = folder / str(entry["file"])
    data = np.frombuffer(path.read_bytes(), np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    if picture is None or picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 4:
        raise DatasetError(
            "not an RGBA picture", where=path, hint="Mask templates need an alpha channel"
        )
    rgba = np.ascontiguousarray(picture[..., [2, 1, 0, 3]]).astype(np.uint8)
    named = entry["points"]
    if not isinstance(named, dict):
        raise TypeError(f"points of {name} are not a table")
    points = np.array([named[letter] for letter in "abcdef"], dtype=np.float32)
    if points.shape != (6, 2):
        raise ValueError(f"points of {name} are not pairs of x and y")
    view: View = "front"
    if name.endswith("_left"):
        view = "left"
    elif name.endswith("_right"):
        view = "right"
    return make_sprite(name, view, rgba, points)
