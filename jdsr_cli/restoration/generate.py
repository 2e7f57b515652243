"""Crops in, restored faces out: batches, precision and numbers that are not finite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from jdsr_cli.faces.occlusion import MaskCalibration
from jdsr_cli.weights import LoadedGenerator

HR_SIZE = 128
PASS_SIZES = {"cpu": 4}
"""Faces in each pass of the network, by kind of device, where that number must not change.

Convolutions on a CPU add up in another order for another number of faces, which turns some
values by one grey level. Passes of four, filled up where need be, give the same bytes whatever
the batch; measured on one core, they were as fast as larger ones.
"""


@dataclass(frozen=True)
class RestoredFace:
    """One face as the generator gives it, in the 128-pixel template."""

    image: NDArray[np.uint8]
    """RGB uint8 (128, 128, 3)."""
    occlusion: NDArray[np.float32]
    """(128, 128) in [0, 1]: how much of each pixel was covered; in steps of 1/255."""
    redone: bool
    """Whether it took a second pass in float32."""
    side: int
    """Side in pixels of the crop that the generator saw."""


class FaceGenerator:
    """A loaded generator, fed with batches of crops.

    Args:
        loaded: Network on its device.
        batch: Faces at once; halved for good when the device runs out of memory.

    """

    def __init__(self, loaded: LoadedGenerator, batch: int) -> None:
        self.loaded = loaded
        self.batch = batch
        self.calibration = MaskCalibration.of(loaded.entry)

    @property
    def side(self) -> int:
        """Side of the crops that it takes, in pixels."""
        return self.loaded.lr_size

    def restore(self, crops: Sequence[NDArray[np.uint8]]) -> list[RestoredFace | None]:
        """Restore crops, each RGB uint8 (side, side, 3).

        Returns:
            One face for each crop, None where even float32 gives no finite picture.

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
            again = self._run([crops[index] for index in lost], exact=True, redone=True)
            for index, face in zip(lost, again, strict=True):
                faces[index] = face
        return faces

    @torch.inference_mode()
    def _run(
        self, crops: Sequence[NDArray[np.uint8]], *, exact: bool, redone: bool
    ) -> list[RestoredFace | None]:
        """Run one batch; one transfer to the device and one back for all its faces."""
        device = self.loaded.device
        stack = torch.from_numpy(np.stack(crops))
        if device.type == "cuda":
            stack = stack.pin_memory()
        given = stack.to(device, non_blocking=True).permute(0, 3, 1, 2).float().div(255.0)
        size = PASS_SIZES.get(device.type)
        parts = [given] if size is None else _filled_parts(given, size)
        packed = torch.cat([self._pass(part.contiguous(), exact) for part in parts])
        return [_unpack(row, redone, self.side) for row in packed[: len(crops)].cpu().numpy()]

    def _pass(self, lr: Tensor, exact: bool) -> Tensor:
        """Restore (B, 3, side, side); return (B, n) uint8: pictures, occlusion, finite or not."""
        output = self.loaded(lr, torch.float32) if exact else self.loaded(lr)
        restored, occlusion = output.restored.float(), output.occlusion.float()
        finite = restored.isfinite().flatten(1).all(1) & occlusion.isfinite().flatten(1).all(1)
        images = _levels(restored).permute(0, 2, 3, 1).flatten(1)
        maps = F.interpolate(
            occlusion.nan_to_num(0.0), size=(HR_SIZE, HR_SIZE), mode="bilinear", align_corners=False
        )
        return torch.cat([images, _levels(maps).flatten(1), finite[:, None].to(torch.uint8)], 1)


def _filled_parts(given: Tensor, size: int) -> list[Tensor]:
    """Cut a batch into parts of `size`, the last filled up with its last face."""
    missing = -len(given) % size
    if missing:
        given = torch.cat([given, given[-1:].expand(missing, -1, -1, -1)])
    return [given[first : first + size] for first in range(0, len(given), size)]


def _levels(values: Tensor) -> Tensor:
    """Turn values in [0, 1] into grey levels, uint8, rounded."""
    return values.nan_to_num(0.0).clamp(0.0, 1.0).mul(255.0).round().to(torch.uint8)


def _unpack(row: NDArray[np.uint8], redone: bool, side: int) -> RestoredFace | None:
    pixels = HR_SIZE * HR_SIZE
    if not row[-1]:
        return None
    image = row[: 3 * pixels].reshape(HR_SIZE, HR_SIZE, 3).copy()
    occlusion = row[3 * pixels : -1].reshape(HR_SIZE, HR_SIZE).astype(np.float32) / np.float32(255)
    return RestoredFace(image, occlusion, redone, side)
