"""Stage `generate`: restore the faces of many frames and inputs in batches.

The stage handles batches, precision and results that are not finite.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.faces.canonical_colours import canonical_map
from jdsr_cli.faces.occlusion import MaskCalibration
from jdsr_cli.inference.generator import GeneratorNetwork
from jdsr_cli.media import Image
from jdsr_cli.restoration.frame import Element, FaceItem, FrameItem, RestoredFace

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
        batch: Faces at once; halved permanently if the device runs out of memory.

    """

    def __init__(self, network: GeneratorNetwork, batch: int) -> None:
        self.network = network
        self.batch = batch
        self.calibration = MaskCalibration.of(network.entry)

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
            part = crops[len(faces) : len(faces) + self.batch]
            try:
                faces += self._restore_batch(part)
            except MemoryError:
                if self.batch == 1:
                    raise
                self.batch //= 2
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
        pictures = self.network.restore(np.stack(crops), exact=exact)
        occlusions = pictures.occlusions.astype(np.float32) / np.float32(255)
        return [
            RestoredFace(image, occlusion, redone, self.side) if finite else None
            for image, occlusion, finite in zip(
                pictures.images, occlusions, pictures.finite, strict=True
            )
        ]


def generate(stream: Iterable[Element], generator: FaceGenerator) -> Iterator[Element]:
    """Restore the faces of the frames.

    Frames wait until there are faces for a batch, or until they take too much memory; then all
    are passed on in their order.
    """
    waiting: list[Element] = []
    faces = _Faces()
    size = 0
    for element in stream:
        waiting.append(element)
        size += element.nbytes
        faces.add(element)
        if faces.count >= generator.batch or size >= WINDOW_BYTES or not faces.count:
            yield from _restore_frames(waiting, faces, generator)
            waiting, size = [], 0
    yield from _restore_frames(waiting, faces, generator)


class _Faces:
    """The faces of waiting frames that are restored, and those that look as one before.

    A face whose picture has not changed since the track's last restored face gets its result. The
    comparison begins anew with each segment, so that a resumed run restores the same faces.
    """

    def __init__(self) -> None:
        self._chosen: list[tuple[FaceItem, Image]] = []
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
                self._chosen.append((face, crop))
                self._last[face.track] = (np.asarray(means, np.uint8), face)
        for track in element.ended_tracks:
            self._last.pop(track, None)
        if element.ends_segment:
            self._last.clear()

    def restore(self, generator: FaceGenerator) -> None:
        """Set the results of all waiting faces."""
        results = generator.restore([crop for _, crop in self._chosen])
        for (face, _), result in zip(self._chosen, results, strict=True):
            face.generated = result
        for face, before in self._same:
            face.generated = before.generated
        self._chosen, self._same = [], []


def _restorable(element: Element) -> list[FaceItem]:
    faces = element.faces if isinstance(element, FrameItem) else []
    return [face for face in faces if face.crop is not None]


def _restore_frames(
    waiting: Sequence[Element], faces: _Faces, generator: FaceGenerator
) -> Iterator[Element]:
    start, count = time.perf_counter(), faces.count
    faces.restore(generator)
    spent = time.perf_counter() - start
    for one in waiting:
        if isinstance(one, FrameItem) and one.state.failed:
            continue
        if count and (own := len(_restorable(one))):
            one.state.clock.add("restore", spent * own / count)
        yield one


def canonical_crop(face: FaceItem) -> NDArray[np.uint8]:
    """Set the colour map of a face; return its crop in canonical colours."""
    assert face.crop is not None
    face.colours = canonical_map(face.crop, monochrome=face.monochrome)
    return face.colours.apply(face.crop)
