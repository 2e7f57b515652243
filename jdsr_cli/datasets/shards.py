"""Shards of a set of faces: each is written atomically by one process; they are joined later.

If another process labels the face parts, a shard without labels is stored under a different name:
it does not count as finished, and an interrupted run reuses it.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from jdsr_cli.atomic import atomic_file
from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.datasets.cropping import (
    FaceCrop,
    FaceCropper,
    PartLabeller,
    PrepareSettings,
    map_points,
)
from jdsr_cli.datasets.face_set import MAP_SIZE
from jdsr_cli.datasets.landmark_networks import locate_landmarks, open_landmarks
from jdsr_cli.datasets.sources import SourceFace
from jdsr_cli.errors import DatasetError
from jdsr_cli.faces import create_detector
from jdsr_cli.synthesis.masks import landmarks_from_five

BATCH_SIZE = 32
"""Batch size of the networks."""

_WORKER_STATE: dict[str, Any] = {}
"""State of a worker process: the arguments of its `ShardBuilder`, and the builder once created."""


@dataclass(frozen=True, eq=False)
class ShardTask:
    """Faces of a shard and the path of its file."""

    faces: tuple[SourceFace, ...]
    path: Path
    """File of the finished shard."""

    @property
    def without_labels(self) -> ShardTask:
        """The task of the same shard without labels, which has a different path."""
        return ShardTask(self.faces, self.path.with_suffix(".cut.npz"))


def prepare_in_worker(task: ShardTask) -> None:
    """Build a shard with the builder of the worker process.

    Raises:
        JdsrError: See `ShardBuilder` and `ShardBuilder.build`.

    """
    builder = _WORKER_STATE.get("builder")
    if builder is None:
        builder = ShardBuilder(_WORKER_STATE["settings"], _WORKER_STATE["detect"])
        _WORKER_STATE["builder"] = builder
    builder.build(task)


def initialise_worker(settings: PrepareSettings, detect: bool) -> None:
    """Initialise a worker process: one thread, and immediate termination on Ctrl-C.

    Networks are loaded with the first shard, so that their errors reach the caller.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    _WORKER_STATE.update(settings=settings, detect=detect)


class ShardBuilder:
    """Prepares faces with networks that are loaded once.

    Args:
        settings: Crop, landmarks and labels.
        detect: Whether a face detector is needed.

    Raises:
        WeightsError: The weights of a network are missing or damaged.

    """

    def __init__(self, settings: PrepareSettings, detect: bool) -> None:
        self.detector = create_detector() if detect else None
        self.cropper = FaceCropper(settings.crop, settings.least_width, self.detector)
        self.landmarks = open_landmarks(settings.landmarks)
        self.labeller = settings.labels.open() if settings.labels else None

    def build(self, task: ShardTask, advance: Callable[[], None] = lambda: None) -> None:
        """Prepare the faces of a task and write its file; a shard without labels is only labelled.

        Raises:
            DatasetError: A picture that is required cannot be used.
            OutputError: The file cannot be written.

        """
        if self.labeller is not None and task.without_labels.path.exists():
            label_shard(task, self.labeller)
            for _ in task.faces:
                advance()
            return
        crops: list[FaceCrop] = []
        cropped_faces: list[SourceFace] = []
        skipped: list[tuple[str, str]] = []
        landmarks: list[NDArray[np.float32]] = []
        heat_points: list[NDArray[np.float32]] = []
        parsing: list[NDArray[np.uint8]] = []
        images: list[NDArray[np.uint8]] = []

        def process_crops() -> None:
            """Run the networks on the pending crops, so that few pictures are in memory."""
            if not crops:
                return
            located = None if self.landmarks is None else locate_landmarks(self.landmarks, crops)
            for index, crop in enumerate(crops):
                face = cropped_faces[len(images)]
                mask_points, heat = _points(face, crop, None if located is None else located[index])
                images.append(crop.image)
                landmarks.append(mask_points)
                heat_points.append(heat)
            if self.labeller is not None:
                parsing.append(self.labeller.label(np.stack([crop.image for crop in crops])))
            crops.clear()

        for face in task.faces:
            crop = self.cropper.crop(face)
            if isinstance(crop, str):
                if face.required:
                    raise DatasetError(crop, where=face.path)
                skipped.append((face.key, crop))
            else:
                crops.append(crop)
                cropped_faces.append(face)
            if len(crops) == BATCH_SIZE:
                process_crops()
            advance()
        process_crops()
        arrays: dict[str, Any] = {
            "keys": [face.key for face in cropped_faces],
            "identities": [face.identity or "" for face in cropped_faces],
            "skipped": _skipped_array(skipped),
            "parsing": _concatenated(parsing),
        }
        if cropped_faces:
            arrays |= {"images": images, "landmarks": landmarks, "heat_points": heat_points}
        _write(task.path, arrays)


def label_shard(task: ShardTask, labeller: PartLabeller) -> None:
    """Label a shard without labels, write the finished shard and delete the former.

    Raises:
        DatasetError: The shard without labels is damaged.
        OutputError: The file cannot be written.

    """
    unlabelled = read_shard(task.without_labels.path)
    images = unlabelled.arrays.get(
        "images", np.zeros((0, TEMPLATE_SIZE, TEMPLATE_SIZE, 3), np.uint8)
    )
    labels = [
        labeller.label(images[start : start + BATCH_SIZE])
        for start in range(0, len(images), BATCH_SIZE)
    ]
    arrays = {
        **unlabelled.arrays,
        "keys": list(unlabelled.keys),
        "identities": list(unlabelled.identities),
        "skipped": _skipped_array(unlabelled.skipped),
        "parsing": _concatenated(labels),
    }
    _write(task.path, arrays)
    task.without_labels.path.unlink()


def _skipped_array(skipped: Sequence[tuple[str, str]]) -> NDArray[np.str_]:
    return np.array(skipped, dtype=np.str_).reshape(-1, 2)


def _concatenated(labels: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    return np.concatenate(labels or [np.zeros((0, MAP_SIZE, MAP_SIZE), np.uint8)])


def _points(
    face: SourceFace, crop: FaceCrop, located: NDArray[np.float32] | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the 68 points for masks and the targets of the prior network."""
    if located is not None:
        return located, located
    if face.landmarks is not None and face.heat_points is not None:
        return map_points(face.landmarks, crop.to_face), map_points(face.heat_points, crop.to_face)
    assert crop.five is not None
    return landmarks_from_five(crop.five), crop.five


def _write(path: Path, arrays: dict[str, Any]) -> None:
    with atomic_file(path) as partial, partial.open("wb") as file:
        np.savez(file, **arrays)


@dataclass(frozen=True, eq=False)
class Shard:
    """The content of a shard's file."""

    keys: tuple[str, ...]
    identities: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]
    """Key and reason."""
    arrays: Mapping[str, NDArray[Any]]
    """`images`, `landmarks` and `heat_points` if there are faces, and `parsing`, which is empty
    without labels."""


def read_shard(path: Path) -> Shard:
    """Read a shard.

    Raises:
        DatasetError: It is damaged.

    """
    try:
        with np.load(path) as stored:
            arrays = {name: stored[name] for name in stored.files}
        return Shard(
            tuple(arrays.pop("keys").tolist()),
            tuple(arrays.pop("identities").tolist()),
            tuple((key, reason) for key, reason in arrays.pop("skipped").tolist()),
            arrays,
        )
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise DatasetError(
            f"a prepared shard is damaged ({error})", where=path, hint="Delete it and try again"
        ) from error
