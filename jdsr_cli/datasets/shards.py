"""A part of a set of faces: made by one process, written whole or not at all, joined later.

Where one process labels the parts of faces that others cut, a shard has another name until it has
its labels: it is not taken for a finished one, and what was done for it is not done again.
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
from jdsr_cli.datasets.cropping import Cut, Cutter, PartLabeller, PrepareSettings
from jdsr_cli.datasets.face_set import MAP_SIZE
from jdsr_cli.datasets.landmark_networks import landmarks_of, open_landmarks
from jdsr_cli.datasets.sources import SourceFace
from jdsr_cli.errors import DatasetError
from jdsr_cli.faces import create_detector
from jdsr_cli.synthesis.masks import landmarks_from_five

CHUNK = 32
"""Faces that go through a network at once."""

_EQUIPMENT: dict[str, Any] = {}
"""Of a worker process: what its maker is made of, and the maker once it is."""


@dataclass(frozen=True, eq=False)
class ShardTask:
    """Faces to be prepared into a file."""

    faces: tuple[SourceFace, ...]
    path: Path
    """Of the finished shard."""

    @property
    def cut(self) -> ShardTask:
        """The same without labels, which go to a file of their own name."""
        return ShardTask(self.faces, self.path.with_suffix(".cut.npz"))


def prepare_in_worker(task: ShardTask) -> None:
    """Make a shard with the worker's own maker.

    Raises:
        JdsrError: As `ShardMaker` and its `make`.

    """
    maker = _EQUIPMENT.get("maker")
    if maker is None:
        maker = _EQUIPMENT["maker"] = ShardMaker(_EQUIPMENT["settings"], _EQUIPMENT["look"])
    maker.make(task)


def begin_worker(settings: PrepareSettings, look: bool) -> None:
    """Ready a worker process: it runs on one thread and ends at once on Ctrl-C.

    Networks are opened with the first shard, so that their errors reach the caller.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    _EQUIPMENT.update(settings=settings, look=look)


class ShardMaker:
    """Prepares faces with networks that are opened once.

    Args:
        settings: How.
        look: Whether faces have to be looked for.

    Raises:
        WeightsError: A network is not on this machine or damaged.

    """

    def __init__(self, settings: PrepareSettings, look: bool) -> None:
        self.detector = create_detector() if look else None
        self.cutter = Cutter(settings.crop, settings.least_width, self.detector)
        self.landmarks = open_landmarks(settings.landmarks)
        self.labeller = settings.labels.open() if settings.labels else None

    def make(self, task: ShardTask, advance: Callable[[], None] = lambda: None) -> None:
        """Prepare the faces of a task and write its file; what was cut before is only labelled.

        Raises:
            DatasetError: A picture that is required cannot be used.
            OutputError: The file cannot be written.

        """
        if self.labeller is not None and task.cut.path.exists():
            label_shard(task, self.labeller)
            for _ in task.faces:
                advance()
            return
        cuts: list[Cut] = []
        kept: list[SourceFace] = []
        skipped: list[tuple[str, str]] = []
        landmarks: list[NDArray[np.float32]] = []
        heat_points: list[NDArray[np.float32]] = []
        parsing: list[NDArray[np.uint8]] = []
        images: list[NDArray[np.uint8]] = []

        def finish() -> None:
            """Run the networks on the waiting cuts, so that few pictures are held at once."""
            if not cuts:
                return
            found = None if self.landmarks is None else landmarks_of(self.landmarks, cuts)
            for place, cut in enumerate(cuts):
                face = kept[len(images)]
                wear, heat = _points(face, cut, None if found is None else found[place])
                images.append(cut.image)
                landmarks.append(wear)
                heat_points.append(heat)
            if self.labeller is not None:
                parsing.append(self.labeller.label(np.stack([cut.image for cut in cuts])))
            cuts.clear()

        for face in task.faces:
            cut = self.cutter.cut(face)
            if isinstance(cut, str):
                if face.required:
                    raise DatasetError(cut, where=face.path)
                skipped.append((face.key, cut))
            else:
                cuts.append(cut)
                kept.append(face)
            if len(cuts) == CHUNK:
                finish()
            advance()
        finish()
        arrays: dict[str, Any] = {
            "keys": [face.key for face in kept],
            "identities": [face.identity or "" for face in kept],
            "skipped": _table(skipped),
            "parsing": _joined(parsing),
        }
        if kept:
            arrays |= {"images": images, "landmarks": landmarks, "heat_points": heat_points}
        _write(task.path, arrays)


def label_shard(task: ShardTask, labeller: PartLabeller) -> None:
    """Finish a shard that was cut: label its faces, write it whole, and drop what was cut.

    Raises:
        DatasetError: What was cut is damaged.
        OutputError: The file cannot be written.

    """
    cut = read_shard(task.cut.path)
    images = cut.arrays.get("images", np.zeros((0, TEMPLATE_SIZE, TEMPLATE_SIZE, 3), np.uint8))
    labels = [
        labeller.label(images[start : start + CHUNK]) for start in range(0, len(images), CHUNK)
    ]
    arrays = {
        **cut.arrays,
        "keys": list(cut.keys),
        "identities": list(cut.identities),
        "skipped": _table(cut.skipped),
        "parsing": _joined(labels),
    }
    _write(task.path, arrays)
    task.cut.path.unlink()


def _table(skipped: Sequence[tuple[str, str]]) -> NDArray[np.str_]:
    return np.array(skipped, dtype=np.str_).reshape(-1, 2)


def _joined(labels: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    return np.concatenate(labels or [np.zeros((0, MAP_SIZE, MAP_SIZE), np.uint8)])


def _points(
    face: SourceFace, cut: Cut, found: NDArray[np.float32] | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the 68 points for masks and those for the prior network."""
    if found is not None:
        return found, found
    if face.landmarks is not None and face.heat_points is not None:
        return face.landmarks, face.heat_points
    assert cut.five is not None
    return landmarks_from_five(cut.five), cut.five


def _write(path: Path, arrays: dict[str, Any]) -> None:
    with atomic_file(path) as partial, partial.open("wb") as file:
        np.savez(file, **arrays)


@dataclass(frozen=True, eq=False)
class Shard:
    """What a shard's file holds."""

    keys: tuple[str, ...]
    identities: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]
    """Key and reason."""
    arrays: Mapping[str, NDArray[Any]]
    """`images`, `landmarks` and `heat_points` where there are faces, and `parsing`, which is
    empty where parts are not labelled."""


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
            f"a prepared part is damaged ({error})", where=path, hint="Delete it and try again"
        ) from error
