"""Prepare images as aligned 128-px faces with landmarks and part labels, and open them."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import multiprocessing
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jdsr_cli.atomic import atomic_file
from jdsr_cli.datasets.aligned import load_faces
from jdsr_cli.datasets.celeba import has_landmarks
from jdsr_cli.datasets.cropping import LANDMARKS, PrepareSettings
from jdsr_cli.datasets.face_set import (
    FORMAT,
    SETTINGS_FILE,
    SKIPPED_FILE,
    FaceSet,
    SetFiles,
    find_prepared,
    load_prepared,
    write_json,
    writing,
)
from jdsr_cli.datasets.shards import (
    ShardMaker,
    ShardTask,
    begin_worker,
    label_shard,
    prepare_in_worker,
    read_shard,
)
from jdsr_cli.datasets.sources import (
    SPLITS,
    WHOLE,
    SourceFace,
    faces_of,
    kind_of,
    splits_of,
    state_of,
)
from jdsr_cli.errors import (
    DatasetError,
    InputMissingError,
    TrainingError,
    UsageError,
)
from jdsr_cli.faces import create_detector
from jdsr_cli.progress import Progress, Silent
from jdsr_cli.weights import resolve_device, sha256_of

SHARD = 256
"""Faces of a shard: what a stopped run does again at most."""


@dataclass(frozen=True)
class PreparedSets:
    """A folder of prepared faces."""

    folder: Path
    """Inside the one that was asked for, named after the hash of source and settings."""
    counts: Mapping[str, int]
    """Number of faces of each split that was asked for."""
    skipped: int
    """Number of pictures left out, in all splits; `skipped.csv` in the folder says why."""


def prepare(
    source: Path,
    out: Path,
    settings: PrepareSettings | None = None,
    progress: Progress | None = None,
    *,
    splits: Sequence[str] | None = None,
) -> PreparedSets:
    """Prepare the faces of a source; what is there already is not done again.

    A run that was stopped goes on at the first unfinished shard. Parts are labelled by the
    processes that cut the faces or, on a GPU, by this one while they cut the next. Source and
    settings are hashed: whatever changes in them leads to a fresh folder. One process at a time
    may prepare a folder.

    Args:
        source: See `open_faces`.
        out: Folder for the results; made if absent. While a set is joined of its shards it
            takes twice its final room (49 kB for each face).
        settings: How; the defaults of `PrepareSettings` where None.
        progress: Told of each face, or of each shard where workers make them.
        splits: `train`, `val`, `test` or `all`; those that the source has where None.

    Raises:
        InputMissingError: `source` does not exist.
        DatasetError: It is not laid out as described, a split is empty, or a picture that is
            part of a published set cannot be used.
        UsageError: There is no such split.
        WeightsError: A network that the settings ask for is not on this machine or damaged.
        OutputError: The results cannot be written.
        TrainingError: A worker process was ended from outside.

    """
    chosen, reporter = settings or PrepareSettings(), progress or Silent()
    if not source.exists():
        raise InputMissingError("no such file or folder", where=source)
    described = _describe(source, chosen)
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:16]
    folder = out / digest
    with writing("prepared faces", out):
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / SETTINGS_FILE).exists():
            write_json(folder / SETTINGS_FILE, {"format": FORMAT, "hash": digest, **described})
        counts = {}
        for split in splits or splits_of(source):
            if not SetFiles(folder, split).index.exists():
                faces = faces_of(source, split, out, reporter)
                _prepare_set(SetFiles(folder, split), faces, chosen, reporter)
            text = SetFiles(folder, split).index.read_text(encoding="utf-8")
            counts[split] = len(json.loads(text)["keys"])
    return PreparedSets(folder, counts, len(_read_skipped(folder / SKIPPED_FILE)))


def _describe(source: Path, settings: PrepareSettings) -> dict[str, Any]:
    """Return everything that decides the result, as plain values."""
    kind = kind_of(source)
    landmarks = settings.landmarks
    if landmarks not in LANDMARKS:
        landmarks = sha256_of(Path(landmarks))
    described: dict[str, Any] = {
        "source": {"kind": kind, "name": source.name, "state": state_of(source)},
        "landmarks": landmarks,
        "parsing": settings.labels.fingerprint if settings.labels else "none",
    }
    if kind != "aligned":
        described["crop"] = settings.crop
    if kind == "pictures" or (kind == "celeba" and not has_landmarks(source)):
        described["least_width"] = settings.least_width
        described["detector"] = create_detector().name
    return described


def _prepare_set(
    files: SetFiles, faces: Sequence[SourceFace], settings: PrepareSettings, progress: Progress
) -> None:
    files.shards.mkdir(exist_ok=True)
    parts = [tuple(faces[start : start + SHARD]) for start in range(0, len(faces), SHARD)]
    tasks = [
        ShardTask(part, files.shards / f"{number:05d}.npz") for number, part in enumerate(parts)
    ]
    waiting = [task for task in tasks if not task.path.exists()]
    look = any(face.row is None and face.five is None for face in faces)
    name = f"preparing {files.split}"
    progress.begin(name, len(faces))
    try:
        progress.advance(name, len(faces) - sum(len(task.faces) for task in waiting))
        _run(waiting, settings, look, progress, name)
    finally:
        progress.end(name)
    _join(files, [task.path for task in tasks], settings.labels is not None, progress)


def _run(
    tasks: Sequence[ShardTask],
    settings: PrepareSettings,
    look: bool,
    progress: Progress,
    name: str,
) -> None:
    if not tasks:
        return
    if not settings.workers or len(tasks) == 1:
        maker = ShardMaker(settings, look)
        for task in tasks:
            maker.make(task, lambda: progress.advance(name))
        return
    # On a GPU every process would have a context and the labelling network for itself.
    labels = settings.labels if resolve_device().type != "cpu" else None
    apart = labels is not None
    labeller = None if labels is None else labels.open()
    cut = [task for task in tasks if apart and task.cut.path.exists()]
    asked = dataclasses.replace(settings, labels=None) if apart else settings
    with ProcessPoolExecutor(
        min(settings.workers, len(tasks)),
        multiprocessing.get_context("spawn"),
        begin_worker,
        (asked, look),
    ) as pool:
        running = {
            pool.submit(prepare_in_worker, task.cut if apart else task): task
            for task in tasks
            if task not in cut
        }

        def finish(task: ShardTask) -> None:
            if labeller is not None:
                label_shard(task, labeller)
            progress.advance(name, len(task.faces))

        try:
            for task in cut:
                finish(task)
            for done in as_completed(running):
                done.result()
                finish(running[done])
        except BrokenProcessPool as error:
            raise TrainingError(
                "a worker of the prepare stage was ended from outside",
                hint="Where memory ran out, use fewer workers; finished shards are kept",
            ) from error
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _join(files: SetFiles, paths: Sequence[Path], labelled: bool, progress: Progress) -> None:
    """Join the shards of a set; the index is written last, so it is whole or absent."""
    keys: list[str] = []
    identities: list[str] = []
    skipped: list[tuple[str, str]] = []
    landmarks, heat_points = [], []
    with ExitStack() as stack:
        images, parsing = (
            stack.enter_context(stack.enter_context(atomic_file(path)).open("wb"))
            if wanted
            else None
            for path, wanted in ((files.images, True), (files.parsing, labelled))
        )
        for path in paths:
            shard = read_shard(path)
            keys += shard.keys
            identities += shard.identities
            skipped += shard.skipped
            if not shard.keys:
                continue
            for file, name in ((images, "images"), (parsing, "parsing")):
                if file is not None:
                    file.write(shard.arrays[name].tobytes())
            landmarks.append(shard.arrays["landmarks"])
            heat_points.append(shard.arrays["heat_points"])
        _note_skipped(files, skipped)
        if not keys:
            raise DatasetError(
                f"none of {len(skipped)} pictures of the split {files.split!r} has a usable face",
                where=files.folder / SKIPPED_FILE,
            )
    if skipped:
        progress.note(
            f"{files.split}: {len(skipped)} of {len(skipped) + len(keys)} pictures left out, "
            f"see {files.folder / SKIPPED_FILE}"
        )
    np.save(files.landmarks, np.concatenate(landmarks))
    np.save(files.heat_points, np.concatenate(heat_points))
    named = identities if any(identities) else None
    write_json(files.index, {"keys": keys, "identities": named, "parsing": labelled})
    shutil.rmtree(files.shards)


def _note_skipped(files: SetFiles, skipped: Sequence[tuple[str, str]]) -> None:
    path = files.folder / SKIPPED_FILE
    others = [row for row in _read_skipped(path) if row[0] != files.split]
    rows = [*others, *([files.split, key, reason] for key, reason in skipped)]
    with atomic_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["split", "key", "reason"], *rows])


def _read_skipped(path: Path) -> list[list[str]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))[1:]


def open_faces(
    source: Path,
    split: str | None,
    cache: Path,
    settings: PrepareSettings | None = None,
    progress: Progress | None = None,
) -> FaceSet:
    """Open the faces of a split, preparing first what has to be prepared.

    Args:
        source: An official CelebA folder, a tar archive of aligned faces or a folder of such
            archives or pictures with their landmarks, a folder of pictures of any size, or a
            folder made by `prepare`.
        split: `train`, `val`, `test`, or None for all faces.
        cache: Folder that keeps what was decoded and prepared; made if absent. A prepared
            folder needs none.
        settings: How to prepare; a prepared folder keeps those it was made with.
        progress: Told of each face.

    Raises:
        InputMissingError: `source` does not exist.
        DatasetError: It is not laid out as described, or the split has no face.
        UsageError: `split` is none of these.
        WeightsError: A network that the settings ask for is not on this machine or damaged.
        OutputError: The cache cannot be written.

    """
    chosen, reporter = settings or PrepareSettings(), progress or Silent()
    if not source.exists():
        raise InputMissingError("no such file or folder", where=source)
    if split is not None and split not in (*SPLITS, WHOLE):
        raise UsageError(f"there is no split {split!r}", hint=f"Use {', '.join(SPLITS)}")
    ready = find_prepared(source)
    if ready is not None:
        return load_prepared(ready, split)
    if kind_of(source) == "aligned" and chosen.keeps_aligned_faces:
        return load_faces(source, None if split == WHOLE else split, cache, reporter)
    name = split or "all"
    made = prepare(source, cache, chosen, reporter, splits=(name,))
    return load_prepared(made.folder, name)
