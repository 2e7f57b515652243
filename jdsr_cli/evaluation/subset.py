"""Which faces of a source are measured, and how any of them is had again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jdsr_train.data import Degrader, Exam, FaceSet, exams
from jdsr_train.data.prepared import SetFiles, find_prepared
from jdsr_train.data.sources import splits_of


def default_split(source: Path) -> str | None:
    """Return `test` where a source has such a part, None (all faces) where it has not.

    Official CelebA has one, archives where the name of one starts with `test`, pictures where a
    folder is called so, and prepared folders where it was prepared.
    """
    if not source.is_dir():
        return None
    prepared = find_prepared(source)
    if prepared is not None:
        return "test" if SetFiles(prepared, "test").index.is_file() else None
    return "test" if "test" in splits_of(source) else None


def part(faces: FaceSet, places: Sequence[int]) -> FaceSet:
    """Take some faces of a set; the pictures stay on disk where all are taken."""
    picked = list(places)
    if picked == list(range(len(faces))):
        return faces
    return FaceSet(
        tuple(faces.keys[place] for place in picked), faces.images[picked], faces.landmarks[picked]
    )


def spread(faces: FaceSet, limit: int | None) -> FaceSet:
    """Take at most `limit` faces, evenly spaced."""
    count = len(faces) if limit is None else min(limit, len(faces))
    return part(faces, [place * len(faces) // count for place in range(count)])


@dataclass(frozen=True)
class Subject:
    """Faces and the way they are made small and masked: the same for the same name."""

    faces: FaceSet
    degrader: Degrader

    def exams(self, kind: str) -> Iterator[Exam]:
        """Make every face: `masked`, or bare, which is both `plain` and `sharp`."""
        return exams(self.faces, self.degrader, masked=kind == "masked")

    def some(self, kind: str, places: Sequence[int]) -> list[Exam]:
        """Make some faces again."""
        return list(replace(self, faces=part(self.faces, places)).exams(kind))
