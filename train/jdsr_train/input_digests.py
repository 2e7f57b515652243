"""Hashes of the content of a stage's inputs; runs with the same hashes used the same inputs."""

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
from jdsr_cli.weights import entry, sha256_of
from jdsr_cli.weights.names import path_of
from jdsr_train.data.parsing_set import ParsingSet
from jdsr_train.frozen_features import VGG16
from jdsr_train.resources import identity_path

if TYPE_CHECKING:
    from jdsr_train.components import TrainingComponents

FORMAT = "jdsr digest 1"
SUFFIX = ".digest"
"""Suffix of the file beside a set that stores its hash."""
CHUNK = 1 << 24
"""Size in bytes of the parts in which an array is hashed."""


def stage_digests(components: TrainingComponents, stage: str) -> dict[str, str]:
    """Return the hashes of a stage's inputs by the options that name them.

    The sets are opened if necessary, so every process of the run has to call this.

    Args:
        components: The components of the run.
        stage: `parser`, `identity`, `denoise` or `joint`.

    Returns:
        `--parsing` for the parser; `--data` for the others, with `--masks` if templates are used,
        `[generator] base` if the recipe names such weights, `--features` if a loss term needs
        them, and for the joint stage `--identity` if a term needs an identity network, and `--init`
        if it is given; 64 hexadecimal digits, or the name of torchvision's VGG-16.

    Raises:
        DatasetError, InputMissingError: The faces or masks cannot be read.
        WeightsError: The file of the features or of the identity network cannot be read.

    """
    splits = ("train",) if stage == "identity" else ("train", "val")
    if stage == "parser":
        labelled = [parsing_digest(components.resources.parsing_set(split)) for split in splits]
        return {"--parsing": _combined(labelled)}
    digests = {"--data": _combined([faces_digest(components.faces(split)) for split in splits])}
    if stage == "identity":
        return digests
    recipe, masks = components.recipe, components.request.masks
    if masks is not None and recipe.data.masked > 0:
        digests["--masks"] = masks_digest(masks)
    if recipe.generator.base is not None:
        digests["[generator] base"] = entry(recipe.generator.base).sha256
    if recipe.loss.features:
        digests["--features"] = features_digest(components.request.features)
    if stage == "joint" and recipe.loss.recognition:
        digests["--identity"] = sha256_of(identity_path(components.request))
    if stage == "joint" and components.request.init is not None:
        digests["--init"] = weights_digest(components.request.init)
    return digests


def faces_digest(faces: FaceSet) -> str:
    """Return the SHA-256 of a set of faces in hexadecimal.

    It covers keys, pictures, points, names of people and part labels, and no paths or times. The
    hash of a set on disk is stored beside it and computed again when the size or the modification
    time of a file has changed.

    Raises:
        DatasetError: Its files cannot be read.

    """
    parts: dict[str, NDArray[Any] | None] = {
        "images": faces.images, "landmarks": faces.landmarks, "heat_points": faces.heat_points,
        "parsing": faces.parsing,
    }  # fmt: skip
    names = {"keys": faces.keys, "identities": faces.identities}
    return _stored_or_computed(faces.files, lambda: _hash(names, parts))


def parsing_digest(pictures: ParsingSet) -> str:
    """Return the SHA-256 of labelled faces in hexadecimal, as `faces_digest` does."""
    parts = {"images": pictures.images, "labels": pictures.labels}
    return _stored_or_computed(pictures.files, lambda: _hash({"keys": pictures.keys}, parts))


def masks_digest(folder: Path) -> str:
    """Return the SHA-256, in hexadecimal, of the files that are read from a template folder.

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
    return _combined([hashlib.sha256(content).hexdigest() for content in contents])


def features_digest(source: str | None) -> str:
    """Return the SHA-256 of a file of feature weights, or the name of torchvision's VGG-16.

    Args:
        source: As `TrainRequest.features`; None is torchvision's VGG-16.

    Raises:
        WeightsError: The file cannot be read.

    """
    return VGG16 if source in (None, VGG16) else sha256_of(Path(str(source)))


def weights_digest(name_or_path: str) -> str:
    """Return the SHA-256 of a weight file in hexadecimal, given by name or path.

    Raises:
        UsageError: There are no such weights.
        WeightsError: The file cannot be read.

    """
    path = path_of(name_or_path)
    return entry(name_or_path).sha256 if path is None else sha256_of(path)


def _combined(parts: Iterable[str]) -> str:
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


def _stored_or_computed(files: Sequence[Path], computed: Callable[[], str]) -> str:
    """Return the hash that is stored beside the first file, or compute and store it."""
    if not files:
        return computed()
    try:
        state = {file.name: _state(file) for file in files}
        path = files[0].with_suffix(SUFFIX)
        stored = _read(path)
        if stored.get("files") == state:
            return str(stored["sha256"])
        digest = computed()
    except OSError as error:
        raise DatasetError(
            f"the set cannot be read ({error.strerror or error})", where=files[0].parent
        ) from error
    text = json.dumps({"format": FORMAT, "files": state, "sha256": digest}, indent=1)
    with suppress(OutputError), atomic_file(path) as temporary:  # a set may be read-only
        temporary.write_text(text, encoding="utf-8")
    return digest


def _state(path: Path) -> list[int]:
    state = path.stat()
    return [state.st_size, state.st_mtime_ns]


def _read(path: Path) -> dict[str, Any]:
    """Return the stored values; empty if the file does not exist or is damaged."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    valid = isinstance(values, dict) and values.get("format") == FORMAT and "sha256" in values
    return values if valid else {}
