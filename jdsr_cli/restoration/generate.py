"""Crops in, restored faces out: batches, precision and numbers that are not finite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from jdsr_cli.weights import LoadedGenerator

HR_SIZE = 128


@dataclass(frozen=True)
class RestoredFace:
    """One face as the generator gives it, in the 128-pixel template."""

    image: NDArray[np.uint8]
    """RGB uint8 (128, 128, 3)."""
    occlusion: NDArray[np.float32]
    """(128, 128) in [0, 1]: how much of each pixel was covered."""
    redone: bool
    """Whether it took a second pass in float32."""


class FaceGenerator:
    """A loaded generator, fed with batches of crops.

    Args:
        loaded: Network on its device.
        batch: Faces at once; halved for good when the device runs out of memory.

    """

    def __init__(self, loaded: LoadedGenerator, batch: int) -> None:
        self.loaded = loaded
        self.batch = batch

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
        """Run one batch; one round trip to the device for all its faces."""
        stack = torch.from_numpy(np.stack(crops)).to(self.loaded.device)
        lr = stack.permute(0, 3, 1, 2).float().div(255.0).contiguous()
        output = self.loaded(lr, torch.float32) if exact else self.loaded(lr)
        restored, occlusion = output.restored.float(), output.occlusion.float()
        finite = restored.isfinite().flatten(1).all(1) & occlusion.isfinite().flatten(1).all(1)
        images = _to_uint8(restored).cpu().numpy()
        maps = _to_template(occlusion).cpu().numpy()
        return [
            RestoredFace(images[index], maps[index], redone) if good else None
            for index, good in enumerate(finite.tolist())
        ]


def _to_uint8(restored: Tensor) -> Tensor:
    """(B, 3, 128, 128) in [0, 1] to (B, 128, 128, 3) uint8, rounded."""
    pixels = restored.nan_to_num(0.0).clamp(0.0, 1.0).mul(255.0).round()
    return pixels.to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def _to_template(occlusion: Tensor) -> Tensor:
    """(B, 1, s, s) to (B, 128, 128), bilinear, in [0, 1]."""
    size = (HR_SIZE, HR_SIZE)
    maps = F.interpolate(occlusion.nan_to_num(0.0), size=size, mode="bilinear", align_corners=False)
    return maps[:, 0].clamp(0.0, 1.0)
