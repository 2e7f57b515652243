"""Stage `generate`: restore the faces of many frames and inputs in batches.

The stage handles batches, precision and results that are not finite.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.faces.canonical_colours import canonical_map
from jdsr_cli.faces.occlusion import MaskCalibration
from jdsr_cli.restoration.frame import Element, FaceItem, FrameItem, RestoredFace
from jdsr_cli.weights import LoadedGenerator

WINDOW_BYTES = 96 << 20
"""Bytes of frames that wait at most until a batch is full."""
PASS_SIZES = {"cpu": 4}
"""Faces in each pass of the network, by kind of device, if that number must be constant.

Convolutions on a CPU add up in another order for another number of faces, which changes some
values by one grey level. Passes of four, padded if necessary, give the same bytes for every batch
size; on one core they are as fast as larger ones.
"""


class FaceGenerator:
    """A loaded generator that restores batches of crops.

    Args:
        loaded: Network on its device.
        batch: Faces at once; halved permanently if the device runs out of memory.

    """

    def __init__(self, loaded: LoadedGenerator, batch: int) -> None:
        self.loaded = loaded
        self.batch = batch
        self.calibration = MaskCalibration.of(loaded.entry)

    @property
    def side(self) -> int:
        """Side of its input in pixels."""
        return self.loaded.lr_size

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
            except torch.OutOfMemoryError:
                if self.batch == 1:
                    raise
                self.batch //= 2
        return faces

    def _restore_batch(self, crops: Sequence[NDArray[np.uint8]]) -> list[RestoredFace | None]:
        faces = self._run(crops, exact=self.loaded.dtype == torch.float32, redone=False)
        lost = [index for index, face in enumerate(faces) if face is None]
        if lost and self.loaded.dtype != torch.float32:
            repeated = self._run([crops[index] for index in lost], exact=True, redone=True)
            for index, face in zip(lost, repeated, strict=True):
                faces[index] = face
        return faces

    @torch.inference_mode()
    def _run(
        self, crops: Sequence[NDArray[np.uint8]], *, exact: bool, redone: bool
    ) -> list[RestoredFace | None]:
        """Run one batch, with one transfer to the device and one back."""
        device = self.loaded.device
        stack = torch.from_numpy(np.stack(crops))
        if device.type == "cuda":
            stack = stack.pin_memory()
        given = stack.to(device, non_blocking=True).permute(0, 3, 1, 2).float().div(255.0)
        size = PASS_SIZES.get(device.type)
        parts = [given] if size is None else _padded_parts(given, size)
        packed = torch.cat([self._pass(part.contiguous(), exact) for part in parts])
        return [_unpack(row, redone, self.side) for row in packed[: len(crops)].cpu().numpy()]

    def _pass(self, lr: Tensor, exact: bool) -> Tensor:
        """Restore (B, 3, side, side); return (B, n) uint8: pictures, occlusion, finite or not."""
        output = self.loaded(lr, torch.float32) if exact else self.loaded(lr)
        restored, occlusion = output.restored.float(), output.occlusion.float()
        finite = restored.isfinite().flatten(1).all(1) & occlusion.isfinite().flatten(1).all(1)
        images = _levels(restored).permute(0, 2, 3, 1).flatten(1)
        maps = F.interpolate(
            occlusion.nan_to_num(0.0),
            size=(TEMPLATE_SIZE, TEMPLATE_SIZE),
            mode="bilinear",
            align_corners=False,
        )
        return torch.cat([images, _levels(maps).flatten(1), finite[:, None].to(torch.uint8)], 1)


def _padded_parts(given: Tensor, size: int) -> list[Tensor]:
    """Split a batch into parts of `size`, the last padded with its last face."""
    missing = -len(given) % size
    if missing:
        given = torch.cat([given, given[-1:].expand(missing, -1, -1, -1)])
    return [given[first : first + size] for first in range(0, len(given), size)]


def _levels(values: Tensor) -> Tensor:
    """Convert values in [0, 1] to grey levels, uint8, rounded."""
    return values.nan_to_num(0.0).clamp(0.0, 1.0).mul(255.0).round().to(torch.uint8)


def _unpack(row: NDArray[np.uint8], redone: bool, side: int) -> RestoredFace | None:
    pixels = TEMPLATE_SIZE * TEMPLATE_SIZE
    if not row[-1]:
        return None
    image = row[: 3 * pixels].reshape(TEMPLATE_SIZE, TEMPLATE_SIZE, 3).copy()
    occlusion = row[3 * pixels : -1].reshape(TEMPLATE_SIZE, TEMPLATE_SIZE).astype(
        np.float32
    ) / np.float32(255)
    return RestoredFace(image, occlusion, redone, side)


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
