"""Face masks as sprites with six key points, and their fitting to a face.

The mask is composited at full resolution, before any reduction (PAPER section 4.1; order and
geometry of its reference 44). The mask of a face and its position are drawn from a generator
seeded by the face's name, so that every method in a comparison receives the same image.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import LUMA_WEIGHTS
from jdsr_cli.errors import DatasetError
from jdsr_cli.file_names import name_bytes

View = Literal["front", "left", "right"]

INDEX = "templates.json"
"""Index file of a template folder, which lists its images."""
MAX_SPRITE_WIDTH = 160
"""Maximum width of a sprite, about that of a mask on a 128 px face, so that warping never shrinks
a sprite so much that bilinear interpolation aliases."""


@dataclass(frozen=True)
class Sprite:
    """A mask in one view."""

    name: str
    view: View
    """The side of the image towards which the nose points."""
    premultiplied: NDArray[np.float32]
    """(H, W, 4): RGB in [0, 255] times alpha, and alpha in [0, 1]."""
    points: NDArray[np.float32]
    """(6, 2) x, y in sprite pixels: upper edge a, b, c left to right (b on the nose), lower
    edge d, e, f left to right (e at the chin)."""


def create_sprite(
    name: str, view: View, rgba: NDArray[np.uint8], points: NDArray[np.float32]
) -> Sprite:
    """Create a sprite from an RGBA image and its key points; wide images are reduced."""
    factor = min(1.0, MAX_SPRITE_WIDTH / rgba.shape[1])
    alpha = rgba[..., 3:].astype(np.float32) / 255.0
    stacked = np.concatenate([rgba[..., :3].astype(np.float32) * alpha, alpha], axis=2)
    if factor < 1.0:
        size = (round(rgba.shape[1] * factor), max(1, round(rgba.shape[0] * factor)))
        scale = np.array([size[0] / rgba.shape[1], size[1] / rgba.shape[0]], dtype=np.float32)
        stacked = cv2.resize(stacked, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        points = ((points + 0.5) * scale - 0.5).astype(np.float32)
    return Sprite(name, view, stacked, points)


def load_templates(folder: Path) -> list[Sprite]:
    """Read every sprite of a folder that contains `templates.json` and RGBA images.

    The file maps a name to ``{"file": ..., "points": {"a": [x, y], ... "f": [x, y]}}``; a name
    that ends in ``_left`` or ``_right`` is the view of a turned head.

    Raises:
        DatasetError: The folder, its index or one of its images cannot be read, or the index
            is empty.

    """
    with _template_errors(folder):
        return [_load(folder, name, entry) for name, entry in _read_index(folder)]


def template_files(folder: Path) -> list[Path]:
    """Return the files that `load_templates` reads: the index, then the images in order of names.

    Raises:
        DatasetError: The index cannot be read or is empty.

    """
    with _template_errors(folder):
        pictures = [folder / str(entry["file"]) for _, entry in _read_index(folder)]
    return [folder / INDEX, *pictures]


def _read_index(folder: Path) -> list[tuple[str, dict[str, object]]]:
    entries = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    if not isinstance(entries, dict) or not entries:
        raise ValueError("it has no entries")
    for name, entry in entries.items():
        file = str(entry["file"])
        if Path(file).name != file:
            raise ValueError(f"the file of {name} is not in this folder")
    return sorted(entries.items())


@contextmanager
def _template_errors(folder: Path) -> Iterator[None]:
    """Convert exceptions to a `DatasetError` about the templates."""
    index = folder / INDEX
    try:
        yield
    except DatasetError:
        raise
    except OSError as error:
        raise DatasetError(
            f"the mask templates cannot be read ({error.strerror or error})",
            where=error.filename or index,
            hint="Give a folder that contains templates.json and the images it lists",
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
            "not an RGBA image", where=path, hint="Mask templates need an alpha channel"
        )
    rgba = np.ascontiguousarray(picture[..., [2, 1, 0, 3]]).astype(np.uint8)
    coordinates = entry["points"]
    if not isinstance(coordinates, dict):
        raise TypeError(f"points of {name} are not a table")
    points = np.array([coordinates[letter] for letter in "abcdef"], dtype=np.float32)
    if points.shape != (6, 2):
        raise ValueError(f"points of {name} are not pairs of x and y")
    view: View = "front"
    if name.endswith("_left"):
        view = "left"
    elif name.endswith("_right"):
        view = "right"
    return create_sprite(name, view, rgba, points)


Position = Literal["nose", "under nose", "chin"]
"""Position of a mask's upper edge: on the bridge of the nose, between the tip of the nose and the
upper lip, or below the lower lip."""

SIDE_VIEW_OFFSET = 0.22
"""Minimum nose offset of a side view, in half jaw widths (a yaw of about 13 degrees)."""

_HALF_JAW = (
    (1.069, 0.038, -1.32), (1.058, 0.319, -1.20), (1.024, 0.601, -1.10), (0.972, 0.886, -0.99),
    (0.870, 1.147, -0.79), (0.708, 1.371, -0.50), (0.501, 1.550, -0.17), (0.265, 1.689, 0.13),
)  # fmt: skip
_MEAN_SHAPE: dict[int, tuple[float, float, float]] = {
    **{index: (-across, down, turn) for index, (across, down, turn) in enumerate(_HALF_JAW)},
    **{16 - index: shape for index, shape in enumerate(_HALF_JAW)},
    8: (0.0, 1.733, 0.24),
    27: (0.0, 0.030, 0.43),
    28: (0.0, 0.223, 0.61),
    29: (0.0, 0.411, 0.80),
    30: (0.0, 0.601, 0.99),
}
"""Positions of iBUG points relative to five points: across the face in eye distances, down the face
in distances from the centre of the eyes to that of the mouth, and sideways displacement relative to
that of the nose. Medians and slopes over 2,756 faces of CelebA and LFW with dense landmarks."""


@dataclass(frozen=True)
class MaskedFace:
    """A face with a mask."""

    image: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    alpha: NDArray[np.float32]
    """(H, W) in [0, 1]: share of each pixel that the mask covers."""
    sprite: str
    """Name of the mask."""


def rng_for(name: str, seed: int = 0) -> np.random.Generator:
    """Return a random generator seeded by a file name."""
    digest = hashlib.sha256(name_bytes(f"{seed}:{name}")).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))


def landmarks_from_five(points: NDArray[np.floating]) -> NDArray[np.float32]:
    """Estimate the iBUG points that `apply_mask` uses from eyes, nose and mouth corners.

    Args:
        points: (5, 2) x, y of left eye, right eye, nose, left and right mouth corner.

    Returns:
        (68, 2) of which only indices 0 to 16 (jaw) and 27 to 30 (nose bridge) are meaningful:
        the mean shape, displaced sideways with the nose.

    """
    five = np.asarray(points, np.float64)
    eyes, mouth = five[:2].mean(0), five[3:].mean(0)
    drop = mouth - eyes
    length = max(float(np.linalg.norm(drop)), 1e-6)
    side = np.array([drop[1], -drop[0]]) / length
    width = float(np.linalg.norm(five[1] - five[0]))
    nose_offset = float(np.dot(five[2] - 0.5 * (eyes + mouth), side))
    landmarks = np.zeros((68, 2))
    for index, (across, down, turn) in _MEAN_SHAPE.items():
        landmarks[index] = eyes + side * (across * width + turn * nose_offset) + drop * down
    return landmarks.astype(np.float32)


def view_of(landmarks: NDArray[np.floating]) -> View:
    """Return the view of a head from (68, 2) landmarks: the side to which the nose points."""
    left, right = landmarks[2], landmarks[14]
    width = float(np.linalg.norm(right - left))
    if width < 1e-6:
        return "front"
    axis = (right - left) / width
    offset = float(np.dot(landmarks[30] - 0.5 * (left + right), axis)) / (0.5 * width)
    if offset < -SIDE_VIEW_OFFSET:
        return "left"
    return "right" if offset > SIDE_VIEW_OFFSET else "front"


def apply_mask(
    face: NDArray[np.uint8],
    landmarks: NDArray[np.floating],
    sprite: Sprite,
    rng: np.random.Generator,
    jitter: float = 1.0,
    position: Position = "nose",
) -> MaskedFace:
    """Composite `sprite` onto `face`.

    Args:
        face: (H, W, 3) RGB.
        landmarks: (68, 2) iBUG points in the face's pixels.
        sprite: The mask, in the view of the head (see `view_of`).
        rng: Draws the offset and the lighting of the mask.
        jitter: 1 for natural variation of position and light, 0 for none.
        position: Of its upper edge.

    """
    target = _anchor_points(landmarks, rng, jitter, position)
    matrix = _fit_transform(sprite.points, target)
    height, width = face.shape[:2]
    warped = cv2.warpPerspective(
        sprite.premultiplied, matrix, (width, height), flags=cv2.INTER_LINEAR
    )
    alpha = np.clip(warped[..., 3:], 0.0, 1.0)
    light = _face_brightness(face, landmarks) * float(np.exp(rng.normal(0.0, 0.12) * jitter))
    image = face * (1.0 - alpha) + warped[..., :3] * light
    return MaskedFace(
        np.clip(np.rint(image), 0, 255).astype(np.uint8),
        np.ascontiguousarray(alpha[..., 0], dtype=np.float32),
        sprite.name,
    )


def choose_sprite(
    sprites: Sequence[Sprite], landmarks: NDArray[np.floating], rng: np.random.Generator
) -> Sprite:
    """Draw one of the masks in the view of the head."""
    view = view_of(landmarks)
    matching = [sprite for sprite in sprites if sprite.view == view]
    pool = matching or list(sprites)
    return pool[int(rng.integers(len(pool)))]


def _anchor_points(
    landmarks: NDArray[np.floating], rng: np.random.Generator, jitter: float, position: Position
) -> NDArray[np.float32]:
    """Return the positions of a mask's six key points on the face."""
    points = np.asarray(landmarks, np.float64)
    shift = float(np.clip(rng.normal(0.0, 0.25), -0.6, 0.9)) * jitter
    width = points[14] - points[2]
    if position == "nose":
        target = _on_nose(points, width, points[28] + shift * (points[29] - points[28]))
    else:
        target = _below_nose(points, width, shift, position)
    target += rng.normal(0.0, 0.008, target.shape) * jitter * float(np.linalg.norm(width))
    return target.astype(np.float32)


def _on_nose(
    points: NDArray[np.float64], width: NDArray[np.float64], bridge: NDArray[np.float64]
) -> NDArray[np.float64]:
    chin = points[8]
    down = chin - bridge
    return np.stack(
        [
            points[1] * 0.3 + points[2] * 0.7 - 0.02 * width,
            bridge,
            points[15] * 0.3 + points[14] * 0.7 + 0.02 * width,
            0.5 * (points[4] + points[5]) - 0.015 * width,
            chin + 0.04 * down,
            0.5 * (points[11] + points[12]) + 0.015 * width,
        ]
    )


def _below_nose(
    points: NDArray[np.float64], width: NDArray[np.float64], shift: float, position: Position
) -> NDArray[np.float64]:
    """Return the key points of a mask pulled down under the nose or under the lower lip.

    Between the tip of the nose (0) and the chin (1) the upper lip begins at about 0.27 and the
    lower lip ends at about 0.5 in the mean shape.
    """
    tip, chin = points[30], points[8]
    down = chin - tip
    if position == "under nose":
        edge, low, side, corner = 0.22 + 0.05 * shift, 0.12, 3, 5
        drop = 0.0
    else:
        edge, low, side, corner = 0.72 + 0.08 * shift, 0.4, 5, 6
        drop = 0.25
    return np.stack(
        [
            points[side] - 0.02 * width,
            tip + edge * down,
            points[16 - side] + 0.02 * width,
            points[corner] - 0.015 * width + drop * down,
            chin + low * down,
            points[16 - corner] + 0.015 * width + drop * down,
        ]
    )


def _fit_transform(source: NDArray[np.float32], target: NDArray[np.float32]) -> NDArray[np.float64]:
    """Fit a homography to the six pairs by least squares, or an affine map if it degenerates."""
    matrix, _ = cv2.findHomography(source, target, 0)
    if matrix is not None and np.isfinite(matrix).all():
        scale = matrix[2, 0] * source[:, 0] + matrix[2, 1] * source[:, 1] + 1.0
        if float(scale.min()) > 0.4 and float(scale.max()) < 2.5:
            return np.asarray(matrix, np.float64)
    columns = np.column_stack([source, np.ones(len(source))])
    affine, *_ = np.linalg.lstsq(columns, target.astype(np.float64), rcond=None)
    return np.vstack([affine.T, [0.0, 0.0, 1.0]])


def _face_brightness(face: NDArray[np.uint8], landmarks: NDArray[np.floating]) -> float:
    """Return the brightness around the nose relative to a well lit face, 0.35 to 1.1."""
    points = np.asarray(landmarks)[[2, 14, 29, 30]]
    x0, y0 = np.floor(points.min(0)).astype(int).clip(0)
    x1, y1 = np.ceil(points.max(0)).astype(int)
    patch = face[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
    if patch.size == 0:
        return 1.0
    luma = float((patch @ np.array(LUMA_WEIGHTS)).mean())
    return float(np.clip(0.4 + 0.6 * luma / 155.0, 0.35, 1.1))
