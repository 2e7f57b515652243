"""Stage `generate`: restore the faces of many frames and inputs in batches.

The stage handles batches, precision and results that are not finite.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from threading import Lock

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import InputUnreadableError
from jdsr_cli.faces.canonical_colours import ColourMap, canonical_map
from jdsr_cli.faces.occlusion import MaskCalibration
from jdsr_cli.faces.occlusion_calibration import OcclusionCalibration
from jdsr_cli.inference.generator import GeneratorNetwork
from jdsr_cli.media import Image
from jdsr_cli.restoration.frame import (
    Element,
    FaceItem,
    FrameItem,
    InputStarted,
    OpenInput,
    RestoredFace,
)
from jdsr_cli.restoration.shared_segments import SharedResults
from jdsr_cli.restoration.stored_faces import SUFFIX, StoredFaces

WINDOW_BYTES = 96 << 20
"""Bytes of frames that wait at most until a batch is full."""
GRID = 32
"""Side of the grid of means by which the pictures of a face in two frames are compared."""
MAX_NOISE = 3
"""Grey levels by which such a mean differs at most where the picture has not changed."""


class FaceGenerator:
    """A generator that restores batches of crops.

    Args:
        network: The generator in its backend.
        batch: Most faces at once; fewer where more gain nothing, so that the first frame need not
            wait for them. Halved permanently if the device runs out of memory.

    """

    def __init__(self, network: GeneratorNetwork, batch: int) -> None:
        self.network = network
        self.batch = min(batch, network.enough or batch)
        self.calibration = MaskCalibration.of(network.entry)
        self._lock = Lock()
        """Of the network and of changes of `batch`: best shots are restored again while later
        frames are, in another thread."""
        self.occlusion_calibration = OcclusionCalibration.of(network.entry)

    @property
    def side(self) -> int:
        """Side of its input in pixels."""
        return self.network.side

    def restore(self, crops: Sequence[NDArray[np.uint8]]) -> list[RestoredFace | None]:
        """Restore crops, each RGB uint8 (side, side, 3).

        Returns:
            One face for each crop; None if even float32 gives no finite picture.

        """
        faces: list[RestoredFace | None] = []
        while len(faces) < len(crops):
            batch = self.batch
            try:
                faces += self._restore_batch(crops[len(faces) : len(faces) + batch])
            except MemoryError:
                if batch == 1:
                    raise
                with self._lock:
                    # Half of what failed: another thread may have halved it meanwhile.
                    self.batch = min(self.batch, batch // 2)
        return faces

    def _restore_batch(self, crops: Sequence[NDArray[np.uint8]]) -> list[RestoredFace | None]:
        exact = self.network.precision == "float32"
        faces = self._run(crops, exact=exact, redone=False)
        lost = [index for index, face in enumerate(faces) if face is None]
        if lost and not exact:
            repeated = self._run([crops[index] for index in lost], exact=True, redone=True)
            for index, face in zip(lost, repeated, strict=True):
                faces[index] = face
        return faces

    def _run(
        self, crops: Sequence[NDArray[np.uint8]], *, exact: bool, redone: bool
    ) -> list[RestoredFace | None]:
        with self._lock:
            pictures = self.network.restore(np.stack(crops), exact=exact)
        occlusions = pictures.occlusions.astype(np.float32) / np.float32(255)
        return [
            RestoredFace(image, occlusion, redone, self.side) if finite else None
            for image, occlusion, finite in zip(
                pictures.images, occlusions, pictures.finite, strict=True
            )
        ]


def generate(stream: Iterable[Element], generator: FaceGenerator) -> Iterator[Element]:
    """Restore the faces of the frames; those of a prepared segment are only read.

    Frames wait until there are faces for a batch, or until they take too much memory; then all
    are passed on in their order.

    Args:
        stream: Frames with aligned faces.
        generator: Restores them.

    """
    batch = FaceBatch(generator)
    segments: _PreparedSegments | None = None
    for element in stream:
        if isinstance(element, InputStarted):
            segments = _PreparedSegments(element.input, generator.side)
        if not isinstance(element, FrameItem) or segments is None:
            yield from batch.add(element)
            continue
        attempt = element.state.attempt
        if segments.begins and not attempt("restore", segments.begin, wait=False):
            # Another process restores the segment: what waits here need not wait for that.
            yield from batch.restore()
            attempt("restore", segments.begin, wait=True)
        if segments.are_stored:
            yield from batch.restore()
            attempt("restore", segments.set_faces, element)
            yield element
        else:
            yield from batch.add(element)
        segments.end_frame(element)
    yield from batch.restore()


class _PreparedSegments:
    """The segments of one input, whose faces another process may have restored."""

    def __init__(self, opened: OpenInput, side: int) -> None:
        self._state = opened.state
        self._run = opened.request.run
        self._side = side
        self._shared = SharedResults(opened.workspace, SUFFIX)
        self._stored: StoredFaces | None = None
        self._used: list[int] = []
        """Segments whose stored faces were used; they stay until the segment is finished, so that
        nobody prepares them again."""
        self._number = len(opened.finished)
        opened.workspace.segments.clear(SUFFIX, self._number)
        self.begins = True
        """Whether a segment begins with the next frame."""
        opened.state.resources.callback(self._close)

    @property
    def are_stored(self) -> bool:
        """Whether another process has restored the faces of the segment."""
        return self._stored is not None

    def begin(self, *, wait: bool) -> bool:
        """Open the faces of the segment if they are there; otherwise claim it.

        Args:
            wait: Whether to wait for another process that restores it.

        Returns:
            Whether that succeeded; False if another process restores the segment.

        """
        self._forget(self._state.workspace.finished_segments)
        found = self._shared.claim(self._number)
        if found == "elsewhere" and wait:
            found = self._shared.await_claim(self._number, lambda: self._state.failed)
        if found == "there":
            try:
                self._stored = StoredFaces(self._shared.path(self._number), self._side, self._run)
            except InputUnreadableError:
                # The damaged file was removed.
                found = self._shared.claim(self._number)
        self.begins = found == "elsewhere"
        return not self.begins

    def set_faces(self, item: FrameItem) -> None:
        """Set the faces of a frame of a stored segment."""
        for face in _restorable(item):
            set_canonical_colours(face)
        assert self._stored is not None
        self._stored.set_faces(item)

    def end_frame(self, item: FrameItem) -> None:
        """Go on to the next segment if one ends with this frame."""
        if item.ends_segment:
            self._close_stored()
            self._number += 1
            self.begins = True

    def _forget(self, finished: int) -> None:
        """Give up claims and remove faces of finished segments, which nobody prepares again."""
        self._shared.release_before(finished)
        while self._used and self._used[0] < finished:
            self._shared.remove(self._used.pop(0))

    def _close_stored(self) -> None:
        if self._stored is not None:
            self._stored.close()
            self._stored = None
            self._used.append(self._number)

    def _close(self) -> None:
        self._close_stored()
        self._shared.release_all()


class FaceBatch:
    """Frames that wait until there are faces for a batch.

    Args:
        generator: Restores the faces.

    """

    def __init__(self, generator: FaceGenerator) -> None:
        self._generator = generator
        self._waiting: list[Element] = []
        self._faces = _Faces()
        self._size = 0

    def add(self, element: Element) -> Iterator[Element]:
        """Add an element; yield all that wait, in their order, if a batch is full."""
        self._waiting.append(element)
        self._size += element.nbytes
        self._faces.add(element)
        count = self._faces.count
        if count >= self._generator.batch or self._size >= WINDOW_BYTES or not count:
            yield from self.restore()

    def restore(self) -> Iterator[Element]:
        """Restore the faces that wait, and yield the elements in their order."""
        start, count = time.perf_counter(), self._faces.count
        self._faces.restore(self._generator)
        spent = time.perf_counter() - start
        waiting, self._waiting, self._size = self._waiting, [], 0
        for one in waiting:
            if isinstance(one, FrameItem) and one.state.failed:
                continue
            if count and (own := len(_restorable(one))):
                one.state.clock.add("restore", spent * own / count)
            yield one


class _Faces:
    """The faces of waiting frames that are restored, and those that look as one before.

    A face whose picture has not changed since the track's last restored face gets its result. The
    comparison begins anew with each segment, so that a resumed run restores the same faces.
    """

    def __init__(self) -> None:
        self._chosen: list[FaceItem] = []
        self._same: list[tuple[FaceItem, FaceItem]] = []
        self._last: dict[int, tuple[Image, FaceItem]] = {}

    @property
    def count(self) -> int:
        """Number of faces that wait."""
        return len(self._chosen) + len(self._same)

    def add(self, element: Element) -> None:
        """Add the faces of a frame."""
        if not isinstance(element, FrameItem):
            self._last.clear()
            return
        for face in _restorable(element):
            crop = canonical_crop(face)
            means = cv2.resize(crop, (GRID, GRID), interpolation=cv2.INTER_AREA)
            before = self._last.get(face.track)
            if before is not None and cv2.absdiff(before[0], means).max() <= MAX_NOISE:
                self._same.append((face, before[1]))
            else:
                self._chosen.append(face)
                self._last[face.track] = (np.asarray(means, np.uint8), face)
        for track in element.ended_tracks:
            self._last.pop(track, None)
        if element.ends_segment:
            self._last.clear()

    def restore(self, generator: FaceGenerator) -> None:
        """Set the results of all waiting faces."""
        results = generator.restore([_generator_input(face) for face in self._chosen])
        for face, result in zip(self._chosen, results, strict=True):
            face.generated = result
        for face, before in self._same:
            face.generated, face.frames = before.generated, before.frames
        self._chosen, self._same = [], []


def _restorable(element: Element) -> list[FaceItem]:
    faces = element.faces if isinstance(element, FrameItem) else []
    return [face for face in faces if face.crop is not None]


def canonical_crop(face: FaceItem) -> NDArray[np.uint8]:
    """Set the colour map of a face; return its crop in canonical colours."""
    assert face.crop is not None
    return set_canonical_colours(face).apply(face.crop)


def _generator_input(face: FaceItem) -> NDArray[np.uint8]:
    """Return what the generator receives: the face, averaged with its neighbours if it has any."""
    assert face.crop is not None
    assert face.colours is not None
    seen = face.crop
    if face.window is not None:
        windowed = face.window.combine(face.crop)
        seen, face.frames = windowed.image, windowed.frames
    return face.colours.apply(seen)


def set_canonical_colours(face: FaceItem) -> ColourMap:
    """Set and return the colour map of a face."""
    assert face.crop is not None
    face.colours = canonical_map(face.crop, monochrome=face.monochrome)
    return face.colours
