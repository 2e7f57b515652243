"""Stage `generate`: restore the faces of many frames and inputs in batches.

The stage handles batches, precision and results that are not finite.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.faces.canonical_colours import canonical_map
from jdsr_cli.faces.occlusion import MaskCalibration
from jdsr_cli.inference.generator import GeneratorNetwork
from jdsr_cli.restoration.frame import Element, FaceItem, FrameItem, RestoredFace

WINDOW_BYTES = 96 << 20
"""Bytes of frames that wait at most until a batch is full."""


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
    crops = size = 0
    for element in stream:
        waiting.append(element)
        size += element.nbytes
        crops += len(_restorable(element))
        if crops >= generator.batch or size >= WINDOW_BYTES or not crops:
            yield from _restore_frames(waiting, generator)
            waiting, crops, size = [], 0, 0
    yield from _restore_frames(waiting, generator)


def _restorable(element: Element) -> list[FaceItem]:
    faces = element.faces if isinstance(element, FrameItem) else []
    return [face for face in faces if face.crop is not None]


def _restore_frames(waiting: Sequence[Element], generator: FaceGenerator) -> Iterator[Element]:
    start = time.perf_counter()
    passed = [one for one in waiting if not (isinstance(one, FrameItem) and one.state.failed)]
    faces = [face for one in passed for face in _restorable(one)]
    restored = generator.restore([canonical_crop(face) for face in faces])
    for face, result in zip(faces, restored, strict=True):
        face.generated = result
    spent = time.perf_counter() - start
    for one in passed:
        if faces and (own := len(_restorable(one))):
            one.state.clock.add("restore", spent * own / len(faces))
        yield one


def canonical_crop(face: FaceItem) -> NDArray[np.uint8]:
    """Set the colour map of a face; return its crop in canonical colours."""
    assert face.crop is not None
    face.colours = canonical_map(face.crop, monochrome=face.monochrome)
    return face.colours.apply(face.crop)
