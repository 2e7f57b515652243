"""Stage `detect`: find the faces of each frame, and the cuts between scenes.

The detector receives groups of frames of one input. Where the groups begin depends on the numbers
of the frames alone, so that a resumed run detects exactly as the interrupted one did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.faces import Detection, Detector
from jdsr_cli.faces.detection.near_tracks import (
    NearTrackDetector,
    key_frame_interval,
    search_interval,
)
from jdsr_cli.faces.embedding import FaceEmbedder
from jdsr_cli.faces.scene import colourfulness, face_colourfulness, is_cut, thumbnail
from jdsr_cli.media import Image
from jdsr_cli.restoration.frame import (
    Element,
    FrameDetections,
    FrameItem,
    InputStarted,
    OpenInput,
)
from jdsr_cli.restoration.workspace import Snapshot, Workspace
from jdsr_cli.settings import DEFAULT_FRAME_RATE, SEGMENT_STEP

MAX_GROUP = 8
"""Most frames that the detector receives together; a power of two, see `group_size`."""
MAX_GROUP_BYTES = 48 << 20
"""Most bytes of frames that the detector receives together."""
DETECTIONS_FORMAT = 3
"""Version of the detection method and of the stored detections; part of the request, so that a
run that another version began is not resumed. Increase it if either changes."""
DAMAGED = "the detections of the interrupted run are damaged"
_NUMBERS = 18
"""Numbers of a detection: box (4), points (10), score, turn, spread, confirmed."""


@dataclass(frozen=True)
class DetectionPlan:
    """How faces are searched."""

    detector: Detector
    every: int | None = None
    """Faces are searched in each n-th frame, and where a scene begins; None to search key frames,
    and the frames between them near the faces, where `near_tracks` is given."""
    near_tracks: Callable[[], NearTrackDetector] | None = None
    """Makes the detector for the frames of an input, where `every` is None."""
    sparse: bool = False
    """Whether a few frames of each person are enough, see `search_interval`."""
    segment: int = SEGMENT_STEP
    """Frames between the points at which a run can be resumed."""
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
    groups: _Groups | None = None
    for element in stream:
        state = element.state
        if isinstance(element, InputStarted):
            groups = _Groups(element.input, plan)
            yield element
        elif groups is None:
            yield element
        elif isinstance(element, FrameItem):
            yield from state.attempt("detect", groups.add, element) or []
        else:
            yield from state.attempt("detect", groups.finish) or []
            yield element
            groups = None


class _Groups:
    """The frames of one input that are detected together."""

    def __init__(self, opened: OpenInput, plan: DetectionPlan) -> None:
        self._plan = plan
        self._opened = opened
        self._waiting: list[tuple[FrameItem, bool]] = []
        """Frames, and whether another scene begins with each."""
        self._near = None
        if plan.every is None and plan.near_tracks is not None:
            self._near = plan.near_tracks()
        snapshot = opened.snapshot
        self._thumbnail: Image | None = None
        if snapshot is not None:
            self._thumbnail = snapshot.part("detect").arrays["thumbnail"]

    @property
    def _rate(self) -> float:
        return float(self._opened.info.frame_rate or DEFAULT_FRAME_RATE)

    def add(self, item: FrameItem) -> list[FrameItem]:
        """Add a frame and return those whose faces are known then."""
        item.thumbnail = thumbnail(item.image)
        cut = self._thumbnail is not None and is_cut(self._thumbnail, item.thumbnail)
        self._thumbnail = item.thumbnail
        size = group_size(item.image.nbytes)
        if self._near is not None:
            size = min(size, key_frame_interval(self._rate))
        done: list[FrameItem] = []
        if self._waiting and (cut or item.number % size == 0):
            done = self._detect(None if cut else item)
        self._waiting.append((item, cut))
        return done

    def finish(self) -> list[FrameItem]:
        """Return the remaining frames after the last one was added."""
        return self._detect(None) if self._waiting else []

    def _detect(self, following: FrameItem | None) -> list[FrameItem]:
        """Return the waiting frames with their faces.

        Args:
            following: The next frame if it belongs to the same scene.

        """
        waiting, self._waiting = self._waiting, []
        items = [item for item, _ in waiting]
        faces: Sequence[Sequence[Detection] | None]
        if self._near is None:
            every = self._plan.every or 1
            chosen = [item for item, cut in waiting if cut or item.number % every == 0]
            found = iter(self._plan.detector.detect(self._pictures(chosen)) if chosen else [])
            faces = [next(found) if item in chosen else None for item in items]
        else:
            after = None if following is None else self._pictures([following])[0]
            # A run that resumes at a segment has no earlier frames to compare its first one with.
            afresh = following is not None and following.number % self._plan.segment == 0
            every = search_interval(self._rate, sparse=self._plan.sparse)
            faces = self._near.detect(self._pictures(items), after, afresh=afresh, every=every)
        for (item, cut), ours in zip(waiting, faces, strict=True):
            item.detections = self._describe(item, ours, cut)
        return items

    def _pictures(self, items: Sequence[FrameItem]) -> list[Image]:
        """Return the part of each frame that is searched, as displayed."""
        images = [item.input.display.squared(item.image) for item in items]
        if self._plan.roi is None:
            return images
        left, top, width, height = self._plan.roi
        if left + width > images[0].shape[1] or top + height > images[0].shape[0]:
            raise UsageError(
                f"{left},{top},{width},{height} reaches beyond the frame of "
                f"{images[0].shape[1]}x{images[0].shape[0]} pixels",
                where="--roi",
                hint="Give left, top, width and height in pixels of the frame as it is displayed.",
            )
        return [
            np.ascontiguousarray(image[top : top + height, left : left + width]) for image in images
        ]

    def _describe(
        self, item: FrameItem, found: Sequence[Detection] | None, cut: bool
    ) -> FrameDetections:
        """Return what tracking needs to know of a frame, `found` in it if it was searched."""
        faces = found or ()
        display, roi, embedder = item.input.display, self._plan.roi, self._plan.embedder
        if roi is not None:
            faces = [_moved(face, *roi[:2]) for face in faces]
        image = display.squared(item.image)
        return FrameDetections(
            time=float(item.time),
            searched=found is not None,
            cut=cut,
            colour=colourfulness(item.thumbnail if display.is_square else image),
            detections=tuple(faces),
            face_colours=tuple(face_colourfulness(image, face.box) for face in faces),
            embeddings=embedder(item.image, tuple(faces), display) if embedder else None,
        )


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
