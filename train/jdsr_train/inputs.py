"""What a stage learns from, as hashes of content: two runs with the same ones saw the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.atomic import atomic_file
from jdsr_cli.datasets.face_set import FaceSet
from jdsr_cli.errors import DatasetError, OutputError
from jdsr_cli.synthesis.masks import template_files
from jdsr_cli.weights import sha256_of
from jdsr_train.data.parsing_set import ParsingSet
from jdsr_train.frozen_features import VGG16

if TYPE_CHECKING:
    from jdsr_train.materials import Materials

FORMAT = "jdsr digest 1"
SUFFIX = ".digest"
"""Of the file beside a set that keeps its hash."""
CHUNK = 1 << 24
"""Bytes of an array that are hashed at once."""


def digests(materials: Materials, stage: str) -> dict[str, str]:
    """Return what identifies the content of a stage's inputs, by the options that name them.

    The sets are opened where they are not yet, so that every process has to call this, as it has
    to build the stage.

    Args:
        materials: Of the run.
        stage: `parser`, `identity`, `denoise` or `joint`.

    Returns:
        `--parsing` for the parser; `--data` for the others, with `--masks` where templates are
        worn and `--features` where a term needs them; 64 hexadecimal digits, or the name of
        torchvision's VGG-16.

    Raises:
        DatasetError, InputMissingError: The faces or masks cannot be read.
        WeightsError: The file of the features cannot be read.

    """
    splits = ("train",) if stage == "identity" else ("train", "val")
    if stage == "parser":
        labelled = [parsing_digest(materials.parsing_samples(one).pictures) for one in splits]
        return {"--parsing": _joined(labelled)}
    found = {"--data": _joined([faces_digest(materials.faces(one)) for one in splits])}
    if stage == "identity":
        return found
    recipe, masks = materials.recipe, materials.request.masks
    if masks is not None and recipe.data.masked > 0:
        found["--masks"] = masks_digest(masks)
    if recipe.loss.features:
        found["--features"] = features_digest(materials.request.features)
    return found


def faces_digest(faces: FaceSet) -> str:
    """Return the SHA-256 of a set of faces in hexadecimal.

    Keys, pictures, points, names of people and part labels count, not where they lie and since
    when. Of a set on disk the hash is kept beside it and computed again when a file's size or
    time of modification changed.

    Raises:
        DatasetError: Its files cannot be read.

    """
    parts: dict[str, NDArray[Any] | None] = {
        "images": faces.images, "landmarks": faces.landmarks, "heat_points": faces.heat_points,
        "parsing": faces.parsing,
    }  # fmt: skip
    names = {"keys": faces.keys, "identities": faces.identities}
    return _kept(faces.files, lambda: _hash(names, parts))


def parsing_digest(pictures: ParsingSet) -> str:
    """Return the SHA-256 of labelled faces in hexadecimal, as `faces_digest` does."""
    parts = {"images": pictures.images, "labels": pictures.labels}
    return _kept(pictures.files, lambda: _hash({"keys": pictures.keys}, parts))


def masks_digest(folder: Path) -> str:
    """Return the SHA-256 of a folder of mask templates in hexadecimal: of what is read of it.

    Raises:
        DatasetError: The folder, its index or one of its pictures cannot be read.

    """
    try:
        contents = [path.read_bytes() for path in template_files(folder)]
    except OSError as error:
        raise DatasetError(
            f"the mask templates cannot be read ({error.strerror or error})",
            where=error.filename or folder,
        ) from error
    return _joined([hashlib.sha256(content).hexdigest() for content in contents])


def features_digest(source: str | None) -> str:
    """Return the SHA-256 of a file of feature weights, or the name of torchvision's VGG-16.

    Args:
        source: As of `TrainRequest.features`; None is torchvision's VGG-16.

    Raises:
        WeightsError: The file cannot be read.

    """
    return VGG16 if source in (None, VGG16) else sha256_of(Path(str(source)))


def _joined(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _hash(names: Mapping[str, Any], arrays: Mapping[str, NDArray[Any] | None]) -> str:
    digest = hashlib.sha256(json.dumps(names, sort_keys=True).encode())
    for name, array in arrays.items():
        if array is None:
            continue
        digest.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        rows = max(1, CHUNK // max(1, array[:1].nbytes))
        for start in range(0, len(array), rows):
            digest.update(np.ascontiguousarray(array[start : start + rows]).data)
    return digest.hexdigest()


def _kept(files: Sequence[Path], computed: Callable[[], str]) -> str:
    """Return the hash that is kept beside the first file, or compute and keep it."""
    if not files:
        return computed()
    try:
        state = {path.name: _state(path) for path in files}
        place = files[0].with_suffix(SUFFIX)
        known = _read(place)
        if known.get("files") == state:
            return str(known["sha256"])
        found = computed()
    except OSError as error:
        raise DatasetError(
            f"the set cannot be read ({error.strerror or error})", where=files[0].parent
        ) from error
    text = json.dumps({"format": FORMAT, "files": state, "sha256": found}, indent=1)
    with suppress(OutputError), atomic_file(place) as temporary:  # a set may be read-only
        temporary.write_text(text, encoding="utf-8")
    return found


def _state(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def _read(path: Path) -> dict[str, Any]:
    """Return what is kept, nothing where it is not there or damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    whole = isinstance(found, dict) and found.get("format") == FORMAT and "sha256" in found
    return found if whole else {}
