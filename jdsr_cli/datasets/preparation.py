"""Prepare aligned 128-px faces with landmarks and part labels from images, and open them."""

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
    output_errors,
    write_array,
    write_json,
)
from jdsr_cli.datasets.shards import (
    ShardBuilder,
    ShardTask,
    initialise_worker,
    label_shard,
    prepare_in_worker,
    read_shard,
)
from jdsr_cli.datasets.sources import (
    ALL_FACES,
    SPLITS,
    SourceFace,
    list_faces,
    source_digest,
    source_kind,
    source_splits,
)
from jdsr_cli.errors import (
    DatasetError,
    InputMissingError,
    TrainingError,
    UsageError,
)
from jdsr_cli.faces import create_detector
from jdsr_cli.file_names import BYTES
from jdsr_cli.progress import Progress, Silent
from jdsr_cli.weights import resolve_device, sha256_of

SHARD_SIZE = 256
"""Number of faces of a shard; an interrupted run repeats at most one shard per worker."""


@dataclass(frozen=True)
class PreparedSets:
    """A folder of prepared faces."""

    folder: Path
    """Subfolder of the output folder, named after the hash of source and settings."""
    counts: Mapping[str, int]
    """Number of faces of each requested split."""
    skipped: int
    """Number of skipped pictures in all splits; `skipped.csv` in the folder lists the reasons."""


def prepare(
    source: Path,
    out: Path,
    settings: PrepareSettings | None = None,
    progress: Progress | None = None,
    *,
    splits: Sequence[str] | None = None,
) -> PreparedSets:
    """Prepare the faces of a source; finished sets and shards are reused.

    An interrupted run continues at the first unfinished shard. Parts are labelled by the
    processes that crop the faces or, on a GPU, by the calling process in parallel to them. Source
    and settings are hashed: any change leads to a new folder. Only one process at a time may
    prepare a folder.

    Args:
        source: See `open_faces`.
        out: Folder for the results; created if absent. While the shards of a set are joined it
            takes twice its final disk space (49 kB per face).
        settings: Crop, landmarks and labels; None for the defaults.
        progress: Receives a step per face, or per shard if there are workers.
        splits: `train`, `val`, `test` or `all`; None for those of the source.

    Raises:
        InputMissingError: `source` does not exist.
        DatasetError: The layout is not as described, a split is empty, or a picture of a
            published set cannot be used.
        UsageError: A split is unknown.
        WeightsError: The weights of a required network are missing or damaged.
        OutputError: The results cannot be written.
        TrainingError: A worker process was terminated from outside.

    """
    settings, progress = settings or PrepareSettings(), progress or Silent()
    if not source.exists():
        raise InputMissingError("no such file or folder", where=source)
    description = _describe(source, settings)
    digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:16]
    folder = out / digest
    with output_errors("prepared faces", out):
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / SETTINGS_FILE).exists():
            write_json(folder / SETTINGS_FILE, {"format": FORMAT, "hash": digest, **description})
        counts = {}
        for split in splits or source_splits(source):
            if not SetFiles(folder, split).index.exists():
                faces = list_faces(source, split, out, progress)
                _prepare_set(SetFiles(folder, split), faces, settings, progress)
            text = SetFiles(folder, split).index.read_text(encoding="utf-8")
            counts[split] = len(json.loads(text)["keys"])
    return PreparedSets(folder, counts, len(_read_skipped(folder / SKIPPED_FILE)))


def _describe(source: Path, settings: PrepareSettings) -> dict[str, Any]:
    """Return everything that determines the result, as JSON values."""
    kind = source_kind(source)
    landmarks = settings.landmarks
    if landmarks not in LANDMARKS:
        landmarks = sha256_of(Path(landmarks))
    description: dict[str, Any] = {
        "source": {"kind": kind, "name": source.name, "state": source_digest(source)},
        "landmarks": landmarks,
        "parsing": settings.labels.fingerprint if settings.labels else "none",
    }
    if kind != "aligned":
        description["crop"] = settings.crop
    if kind == "pictures" or (kind == "celeba" and not has_landmarks(source)):
        description["least_width"] = settings.least_width
        description["detector"] = create_detector().name
    return description


def _prepare_set(
    files: SetFiles, faces: Sequence[SourceFace], settings: PrepareSettings, progress: Progress
) -> None:
    files.shards.mkdir(exist_ok=True)
    parts = [tuple(faces[start : start + SHARD_SIZE]) for start in range(0, len(faces), SHARD_SIZE)]
    tasks = [
        ShardTask(part, files.shards / f"{number:05d}.npz") for number, part in enumerate(parts)
    ]
    pending = [task for task in tasks if not task.path.exists()]
    detect = any(face.row is None and face.five is None and face.fault is None for face in faces)
    name = f"preparing {files.split}"
    progress.begin(name, len(faces))
    try:
        progress.advance(name, len(faces) - sum(len(task.faces) for task in pending))
        _build_shards(pending, settings, detect, progress, name)
    finally:
        progress.end(name)
    _join(files, [task.path for task in tasks], settings.labels is not None, progress)


def _build_shards(
    tasks: Sequence[ShardTask],
    settings: PrepareSettings,
    detect: bool,
    progress: Progress,
    name: str,
) -> None:
    if not tasks:
        return
    if not settings.workers or len(tasks) == 1:
        builder = ShardBuilder(settings, detect)
        for task in tasks:
            builder.build(task, lambda: progress.advance(name))
        return
    # On a GPU every process would need its own context and its own labelling network.
    labels = settings.labels if resolve_device().type != "cpu" else None
    label_here = labels is not None
    labeller = None if labels is None else labels.open()
    cropped = [task for task in tasks if label_here and task.without_labels.path.exists()]
    worker_settings = dataclasses.replace(settings, labels=None) if label_here else settings
    with ProcessPoolExecutor(
        min(settings.workers, len(tasks)),
        multiprocessing.get_context("spawn"),
        initialise_worker,
        (worker_settings, detect),
    ) as pool:
        running = {
            pool.submit(prepare_in_worker, task.without_labels if label_here else task): task
            for task in tasks
            if task not in cropped
        }

        def finish(task: ShardTask) -> None:
            if labeller is not None:
                label_shard(task, labeller)
            progress.advance(name, len(task.faces))

        try:
            for task in cropped:
                finish(task)
            for future in as_completed(running):
                future.result()
                finish(running[future])
        except BrokenProcessPool as error:
            raise TrainingError(
                "a worker of the prepare stage was terminated from outside",
                hint="If memory ran out, use fewer workers; finished shards are reused",
            ) from error
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _join(files: SetFiles, paths: Sequence[Path], labelled: bool, progress: Progress) -> None:
    """Join the shards of a set; the index, written last, marks a complete set."""
    keys: list[str] = []
    identities: list[str] = []
    skipped: list[tuple[str, str]] = []
    landmarks, heat_points = [], []
    with ExitStack() as stack:
        images, parsing = (
            stack.enter_context(stack.enter_context(atomic_file(path)).open("wb"))
            if enabled
            else None
            for path, enabled in ((files.images, True), (files.parsing, labelled))
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
        _write_skipped(files, skipped)
        if not keys:
            raise DatasetError(
                f"none of {len(skipped)} pictures of the split {files.split!r} has a usable face",
                where=files.folder / SKIPPED_FILE,
            )
    if skipped:
        progress.note(
            f"{files.split}: {len(skipped)} of {len(skipped) + len(keys)} pictures skipped, "
            f"see {files.folder / SKIPPED_FILE}"
        )
    write_array(files.landmarks, np.concatenate(landmarks))
    write_array(files.heat_points, np.concatenate(heat_points))
    stored_identities = identities if any(identities) else None
    write_json(files.index, {"keys": keys, "identities": stored_identities, "parsing": labelled})
    shutil.rmtree(files.shards)


def _write_skipped(files: SetFiles, skipped: Sequence[tuple[str, str]]) -> None:
    path = files.folder / SKIPPED_FILE
    other_rows = [row for row in _read_skipped(path) if row[0] != files.split]
    rows = [*other_rows, *([files.split, key, reason] for key, reason in skipped)]
    with (
        atomic_file(path) as partial,
        partial.open("w", newline="", encoding="utf-8", errors=BYTES) as file,
    ):
        csv.writer(file).writerows([["split", "key", "reason"], *rows])


def _read_skipped(path: Path) -> list[list[str]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8", errors=BYTES) as file:
        return list(csv.reader(file))[1:]


def open_faces(
    source: Path,
    split: str | None,
    cache: Path,
    settings: PrepareSettings | None = None,
    progress: Progress | None = None,
) -> FaceSet:
    """Open the faces of a split; they are prepared first if necessary.

    Args:
        source: An official CelebA folder, a folder of Helen, a tar archive of aligned faces or a
            folder of such archives or pictures with their landmarks, a folder of pictures of any
            size, or a folder written by `prepare`.
        split: `train`, `val`, `test`, or None for all faces.
        cache: Folder for decoded and prepared faces; created if absent. A prepared folder does
            not need it.
        settings: Preparation settings; ignored for a prepared folder.
        progress: Receives a step per face.

    Raises:
        InputMissingError: `source` does not exist.
        DatasetError: The layout is not as described, or the split has no face.
        UsageError: `split` is unknown.
        WeightsError: The weights of a required network are missing or damaged.
        OutputError: The cache cannot be written.

    """
    settings, progress = settings or PrepareSettings(), progress or Silent()
    if not source.exists():
        raise InputMissingError("no such file or folder", where=source)
    if split is not None and split not in (*SPLITS, ALL_FACES):
        raise UsageError(f"unknown split {split!r}", hint=f"Use {', '.join(SPLITS)}")
    existing = find_prepared(source)
    if existing is not None:
        return load_prepared(existing, split)
    if source_kind(source) == "aligned" and settings.keeps_aligned_faces:
        return load_faces(source, None if split == ALL_FACES else split, cache, progress)
    name = split or "all"
    prepared = prepare(source, cache, settings, progress, splits=(name,))
    return load_prepared(prepared.folder, name)
