"""Search of the frames of one input for faces, in groups of frames of one scene.

Where the groups begin depends on the numbers of the frames alone, so that a segment is searched in
the same way by a run that resumes with it, or by another process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from jdsr_cli.errors import UsageError
from jdsr_cli.faces import Detection, Detector
from jdsr_cli.faces.detection.near_tracks import (
    NearTrackDetector,
    key_frame_interval,
    search_interval,
)
from jdsr_cli.faces.embedding import FaceEmbedder
from jdsr_cli.faces.head_appearance import head_thumbnails
from jdsr_cli.faces.scene import colourfulness, face_colourfulness, thumbnail
from jdsr_cli.faces.scene_changes import SceneChange, compare_scenes
from jdsr_cli.media import Image
from jdsr_cli.restoration.frame import FrameDetections, FrameItem
from jdsr_cli.settings import DEFAULT_FRAME_RATE, SEGMENT_STEP

MAX_GROUP = 8
"""Most frames that the detector receives together; a power of two, see `group_size`."""
MAX_GROUP_BYTES = 48 << 20
"""Most bytes of frames that the detector receives together."""


@dataclass(frozen=True, eq=False)
class FrameBefore:
    """What the frame that follows is compared with."""

    time: float
    """Seconds."""
    thumbnail: Image


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


class SceneSearch:
    """Searches consecutive frames of one input.

    Args:
        plan: How faces are searched.
        frame_rate: Frames per second, None if unknown.
        before: The frame before the first one; None if that begins a scene.

    """

    def __init__(
        self, plan: DetectionPlan, frame_rate: Fraction | None, before: FrameBefore | None = None
    ) -> None:
        self._plan = plan
        self._rate = float(frame_rate or DEFAULT_FRAME_RATE)
        self._waiting: list[tuple[FrameItem, SceneChange]] = []
        """Frames, and what changes with each."""
        self._before = before
        self._near = self._new_near()

    def _new_near(self) -> NearTrackDetector | None:
        """Return what searches near tracks, with no frame before."""
        plan = self._plan
        return None if plan.every is not None or plan.near_tracks is None else plan.near_tracks()

    def add(self, item: FrameItem) -> list[FrameItem]:
        """Add a frame and return those whose faces are known then."""
        size = group_size(item.image.nbytes)
        if self._near is not None:
            size = min(size, key_frame_interval(self._rate))
        item.thumbnail = thumbnail(item.image)
        change = self._change(item)
        done: list[FrameItem] = []
        if self._waiting and (change.cut or item.number % size == 0):
            done = self._detect(None if change.cut else item)
        self._before = FrameBefore(float(item.time), item.thumbnail)
        self._waiting.append((item, change))
        return done

    def end_group(self, following: FrameItem | None) -> list[FrameItem]:
        """Return the frames that wait, with their faces.

        Args:
            following: The frame after them, which begins another group; None at the end.

        """
        if not self._waiting:
            return []
        if following is not None:
            following.thumbnail = thumbnail(following.image)
            if self._change(following).cut:
                following = None
        return self._detect(following)

    def skip(self, item: FrameItem) -> None:
        """Pass over a frame of a segment whose detections are known."""
        if item.ends_segment:
            item.thumbnail = thumbnail(item.image)
            self._before = FrameBefore(float(item.time), item.thumbnail)
            self._near = self._new_near()

    def _change(self, item: FrameItem) -> SceneChange:
        """Return what changes with a frame, which has its thumbnail, after the last one."""
        if self._before is None:
            return SceneChange()
        seconds = float(item.time) - self._before.time
        return compare_scenes(self._before.thumbnail, item.thumbnail, seconds)

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
            chosen = [item for item, one in waiting if one.cut or item.number % every == 0]
            found = iter(self._plan.detector.detect(self._pictures(chosen)) if chosen else [])
            faces = [next(found) if item in chosen else None for item in items]
        else:
            after = None if following is None else self._pictures([following])[0]
            # A run that resumes at a segment has no earlier frames to compare its first one with.
            afresh = following is not None and following.number % self._plan.segment == 0
            every = search_interval(self._rate, sparse=self._plan.sparse)
            faces = self._near.detect(self._pictures(items), after, afresh=afresh, every=every)
        for (item, change), ours in zip(waiting, faces, strict=True):
            item.detections = self._describe(item, ours, change)
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
        self, item: FrameItem, found: Sequence[Detection] | None, change: SceneChange
    ) -> FrameDetections:
        """Return what tracking needs to know of a frame, `found` in it if it was searched."""
        faces = found or ()
        display, roi, embedder = item.input.display, self._plan.roi, self._plan.embedder
        if roi is not None:
            faces = [_moved(face, *roi[:2]) for face in faces]
        image = display.squared(item.image)
        height, width = image.shape[:2]
        shift = change.shift and (change.shift[0] * width, change.shift[1] * height)
        return FrameDetections(
            time=float(item.time),
            searched=found is not None,
            cut=change.cut,
            shift=shift,
            colour=colourfulness(item.thumbnail if display.is_square else image),
            detections=tuple(faces),
            face_colours=tuple(face_colourfulness(image, face.box) for face in faces),
            heads=head_thumbnails(image, [face.box for face in faces]),
            embeddings=embedder(item.image, tuple(faces), display) if embedder else None,
        )


def _moved(face: Detection, right: int, down: int) -> Detection:
    x0, y0, x1, y1 = face.box
    points = (face.points + np.array([right, down], np.float32)).astype(np.float32)
    return replace(face, box=(x0 + right, y0 + down, x1 + right, y1 + down), points=points)
