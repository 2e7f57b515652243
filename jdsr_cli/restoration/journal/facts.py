"""What was seen in the frames of a segment, stored so that tracking can be repeated exactly."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.atomic import atomic_file
from jdsr_cli.errors import InputUnreadableError
from jdsr_cli.faces import Detection

DETECTIONS_FORMAT = 2
"""Of the way in which faces are found and detections are stored: a part of the request, so that
a run that another way began is refused and not gone on with. Raise it with either."""
_NUMBERS = 18
"""Of a detection: box (4), points (10), score, turn, spread, confirmed or not."""


@dataclass(frozen=True, eq=False)
class FrameFacts:
    """Measures of a frame and the faces found in it."""

    time: float
    """Seconds."""
    looked: bool
    """Whether faces were looked for."""
    cut: bool
    """Whether another scene begins with this frame."""
    colour: float
    """How colourful the frame is, see `faces.tone.colourfulness`."""
    detections: tuple[Detection, ...]
    face_colours: tuple[float, ...]
    """Of each detection, see `faces.tone.face_colourfulness`."""
    embeddings: NDArray[np.float32] | None = None
    """(n, D), of length 1, where a face network is used."""


def write_facts(path: Path, facts: Sequence[FrameFacts]) -> None:
    """Write the facts of a segment's frames; OutputError where that is not possible."""
    faces = [_numbers(face) for one in facts for face in one.detections]
    embeddings = [one.embeddings for one in facts if one.embeddings is not None]
    with atomic_file(path) as partial, partial.open("wb") as file:
        np.savez_compressed(
            file,
            time=np.array([one.time for one in facts], np.float64),
            looked=np.array([one.looked for one in facts], np.bool_),
            cut=np.array([one.cut for one in facts], np.bool_),
            colour=np.array([one.colour for one in facts], np.float64),
            count=np.array([len(one.detections) for one in facts], np.int64),
            face_colours=np.array([x for one in facts for x in one.face_colours], np.float64),
            faces=np.array(faces, np.float64).reshape(-1, _NUMBERS),
            embedded=np.array([one.embeddings is not None for one in facts], np.bool_),
            embeddings=np.concatenate(embeddings) if embeddings else np.zeros((0, 1), np.float32),
        )


def read_facts(path: Path) -> Iterator[FrameFacts]:
    """Yield the facts that `write_facts` wrote.

    Raises:
        InputUnreadableError: The file is missing or damaged.

    """
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            table = {name: stored[name] for name in stored.files}
        counts = table["count"].tolist()
        first = embedded = 0
        for number, count in enumerate(counts):
            faces = table["faces"][first : first + count]
            face_colours = table["face_colours"][first : first + count]
            first += count
            embeddings = None
            if table["embedded"][number]:
                embeddings = table["embeddings"][embedded : embedded + count]
                embedded += count
            yield FrameFacts(
                time=float(table["time"][number]),
                looked=bool(table["looked"][number]),
                cut=bool(table["cut"][number]),
                colour=float(table["colour"][number]),
                detections=tuple(_detection(face) for face in faces),
                face_colours=tuple(face_colours.tolist()),
                embeddings=embeddings,
            )
    except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile) as fault:
        raise InputUnreadableError(
            "the detections of the interrupted run are damaged",
            where=path,
            hint="Start anew with --force.",
        ) from fault


def _numbers(face: Detection) -> list[float]:
    points = face.points.ravel().tolist()
    return [*face.box, *points, face.score, face.turn, face.spread, face.confirmed]


def _detection(numbers: NDArray[np.float64]) -> Detection:
    left, top, right, bottom, *points, score, turn, spread, confirmed = numbers.tolist()
    marks = np.array(points, np.float32).reshape(5, 2)
    return Detection((left, top, right, bottom), marks, score, turn, spread, bool(confirmed))
