"""The one door to faces: whatever the source is, a set of aligned faces comes out."""

from __future__ import annotations

from pathlib import Path

from jdsr_cli.errors import InputMissingError, UsageError
from jdsr_cli.progress import Progress, Silent
from jdsr_train.data.face_set import FaceSet
from jdsr_train.data.faces import load_faces
from jdsr_train.data.prepare import prepare
from jdsr_train.data.prepared import find_prepared, load_prepared
from jdsr_train.data.settings import PrepareSettings
from jdsr_train.data.sources import SPLITS, WHOLE, kind_of


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
    chosen, told = settings or PrepareSettings(), progress or Silent()
    if not source.exists():
        raise InputMissingError("no such file or folder", where=source)
    if split is not None and split not in (*SPLITS, WHOLE):
        raise UsageError(f"there is no split {split!r}", hint=f"Use {', '.join(SPLITS)}")
    ready = find_prepared(source)
    if ready is not None:
        return load_prepared(ready, split)
    if kind_of(source) == "aligned" and chosen.plain:
        return load_faces(source, None if split == WHOLE else split, cache, told)
    name = split or "all"
    made = prepare(source, cache, chosen, told, splits=(name,))
    return load_prepared(made.folder, name)
