"""Stage `detect`: find the faces of each frame, and the cuts between scenes.

The detector receives groups of frames of one input. Where the groups begin depends on the numbers
of the frames alone, so that a resumed run detects exactly as the interrupted one did.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.faces import Detection, Detector
from jdsr_cli.faces.embedding import FaceEmbedder
from jdsr_cli.faces.scene import colourfulness, face_colourfulness, is_cut, thumbnail
from jdsr_cli.media import Image
from jdsr_cli.restoration.frame import Element, FrameDetections, FrameItem, InputStarted
from jdsr_cli.restoration.workspace import Snapshot, Workspace

MAX_GROUP = 8
"""Most frames that the detector receives together; a power of two, see `group_size`."""
MAX_GROUP_BYTES = 48 << 20
"""Most bytes of frames that the detector receives together."""
DETECTIONS_FORMAT = 2
"""Version of the detection method and of the stored detections; part of the request, so that a
run that another version began is not resumed. Increase it if either changes."""
DAMAGED = "the detections of the interrupted run are damaged"
_NUMBERS = 18
"""Numbers of a detection: box (4), points (10), score, turn, spread, confirmed."""


@dataclass(frozen=True)
class DetectionPlan:
    """How faces are searched."""

    detector: Detector
    every: int = 1
    """Faces are searched in each n-th frame, and where a scene begins."""
    roi: tuple[int, int, int, int] | None = None
    """Left, top, width and height of the searched part of the frame, in displayed pixels."""
    embedder: FaceEmbedder | None = None
    """Computes embeddings for re-identification."""


def group_size(nbytes: int) -> int:
    """Return how many frames of so many bytes are detected together: 8, 4, 2 or 1.

    As powers of two, groups end where a segment does, whose length is a multiple of 8.
    """
    size = MAX_GROUP
    while size > 1 and size * nbytes > MAX_GROUP_BYTES:
        size //= 2
    return size


def detect(stream: Iterable[Element], plan: DetectionPlan) -> Iterator[Element]:
    """Detect the faces of each frame, in groups of frames of one input."""
    group: list[FrameItem] = []
    previous: Image | None = None
    for element in stream:
        if isinstance(element, FrameItem):
            group.append(element)
            if (element.number + 1) % group_size(element.image.nbytes):
                continue
        if group:
            found = group[0].state.attempt("detect", _detect_group, group, plan, previous)
            yield from found or []
            previous = found[-1].thumbnail if found else None
            group = []
        if not isinstance(element, FrameItem):
            if isinstance(element, InputStarted):
                snapshot = element.input.snapshot
                previous = None if snapshot is None else snapshot.part("detect").arrays["thumbnail"]
            yield element


def _detect_group(
    group: list[FrameItem], plan: DetectionPlan, previous: Image | None
) -> list[FrameItem]:
    for item in group:
        item.thumbnail = thumbnail(item.image)
    pairs = pairwise([previous, *(item.thumbnail for item in group)])
    cuts = [a is not None and b is not None and is_cut(a, b) for a, b in pairs]
    searched = [item.number % plan.every == 0 or cut for item, cut in zip(group, cuts, strict=True)]
    images = [item.input.display.squared(item.image) for item in group]
    chosen = [image for image, yes in zip(images, searched, strict=True) if yes]
    found = iter(_search(chosen, plan))
    for item, image, cut, yes in zip(group, images, cuts, searched, strict=True):
        faces, display = tuple(next(found)) if yes else (), item.input.display
        item.detections = FrameDetections(
            time=float(item.time),
            searched=yes,
            cut=cut,
            colour=colourfulness(item.thumbnail if display.is_square else image),
            detections=faces,
            face_colours=tuple(face_colourfulness(image, face.box) for face in faces),
            embeddings=plan.embedder(item.image, faces, display) if plan.embedder else None,
        )
    return group


def _search(images: Sequence[Image], plan: DetectionPlan) -> list[list[Detection]]:
    if plan.roi is None or not images:
        return plan.detector.detect(images) if images else []
    left, top, width, height = plan.roi
    if left + width > images[0].shape[1] or top + height > images[0].shape[0]:
        raise UsageError(
            f"{left},{top},{width},{height} reaches beyond the frame of "
            f"{images[0].shape[1]}x{images[0].shape[0]} pixels",
            where="--roi",
            hint="Give left, top, width and height in pixels of the frame as it is displayed.",
        )
    parts = [
        np.ascontiguousarray(image[top : top + height, left : left + width]) for image in images
    ]
    return [[_moved(face, left, top) for face in faces] for faces in plan.detector.detect(parts)]


def _moved(face: Detection, right: int, down: int) -> Detection:
    x0, y0, x1, y1 = face.box
    points = (face.points + np.array([right, down], np.float32)).astype(np.float32)
    return replace(face, box=(x0 + right, y0 + down, x1 + right, y1 + down), points=points)


def detections_file(workspace: Workspace, number: int) -> Path:
    """Return the path of the stored detections of segment `number`."""
    return workspace.segment_file(number, ".facts.npz")


def write_detections(path: Path, frames: Sequence[FrameDetections]) -> None:
    """Store the detections of a segment, so that tracking can be repeated exactly.

    Raises:
        OutputError: The file cannot be written.

    """
    faces = [_numbers(face) for one in frames for face in one.detections]
    arrays = {"faces": np.array(faces, np.float64).reshape(-1, _NUMBERS)}
    embeddings = {
        f"embeddings/{number}": one.embeddings
        for number, one in enumerate(frames)
        if one.embeddings is not None
    }
    table = [
        (one.time, one.searched, one.cut, one.colour, len(one.detections), one.face_colours)
        for one in frames
    ]
    Snapshot({"frames": table}, arrays | embeddings).write(path)


def read_detections(path: Path) -> Iterator[FrameDetections]:
    """Yield what `write_detections` stored.

    Raises:
        InputUnreadableError: The file is missing or damaged.

    """
    stored, first = Snapshot.read(path, DAMAGED), 0
    for number, (time, searched, cut, colour, count, colours) in enumerate(stored.values["frames"]):
        faces = stored.arrays["faces"][first : first + count]
        first += count
        detections = tuple(_detection(face) for face in faces)
        embeddings = stored.arrays.get(f"embeddings/{number}")
        measures = (time, searched, cut, colour)
        yield FrameDetections(*measures, detections, tuple(colours), embeddings)


def _numbers(face: Detection) -> list[float]:
    points = face.points.ravel().tolist()
    return [*face.box, *points, face.score, face.turn, face.spread, face.confirmed]


def _detection(numbers: NDArray[np.float64]) -> Detection:
    left, top, right, bottom, *points, score, turn, spread, confirmed = numbers.tolist()
    landmarks = np.array(points, np.float32).reshape(5, 2)
    return Detection((left, top, right, bottom), landmarks, score, turn, spread, bool(confirmed))
