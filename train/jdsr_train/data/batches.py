"""Batches as processes hand them over, small, and as networks take them, on their device.

Pictures travel as bytes and landmarks as points: what a heat map or a float picture holds beside
them is made on the device that trains. A sample is a tenth as large on its way.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jdsr_train.data.labels import HEAT_SIGMA, heat_maps

ReadyT = TypeVar("ReadyT")


class Packed(ABC, Generic[ReadyT]):
    """A batch on its way: a dataclass of tensors, Nones and plain numbers."""

    @abstractmethod
    def unpack(self, device: torch.device | str) -> ReadyT:
        """Return the batch as networks take it, on a device; it does not wait for the copies."""

    def pin_memory(self) -> Self:
        """Return the batch in pinned memory, from which a GPU copies beside its work."""
        pinned: dict[str, Any] = {
            name: value.pin_memory() if isinstance(value, Tensor) else value
            for name, value in vars(self).items()
        }
        return type(self)(**pinned)


@dataclass(frozen=True)
class Batch:
    """Samples side by side; images are float32 RGB in [0, 1]."""

    lr: Tensor
    """(B, 3, s, s)."""
    lr_clean: Tensor
    """(B, 3, s, s)."""
    hr: Tensor
    """(B, 3, 128, 128)."""
    occlusion: Tensor
    """(B, 1, s, s) in [0, 1]."""
    heat_maps: Tensor | None = None
    """(B, P, 64, 64) in [0, 1], one for each of the set's `heat_points`; with priors only."""
    parsing: Tensor | None = None
    """(B, 64, 64) int64 classes of the 11, -1 where unknown; with priors only."""
    identity: Tensor | None = None
    """(B,) int64 place in the set's `people`, -1 where unknown; with priors, of a set that
    names its people."""


@dataclass(frozen=True)
class PackedBatch(Packed[Batch]):
    """Samples side by side, on their way; pictures are uint8 RGB."""

    lr: Tensor
    """(B, s, s, 3)."""
    lr_clean: Tensor
    """(B, s, s, 3)."""
    hr: Tensor
    """(B, 128, 128, 3)."""
    occlusion: Tensor
    """(B, 1, s, s) float32 in [0, 1]."""
    heat_points: Tensor | None = None
    """(B, P, 2) float32 x, y in pixels of the 128-px face; with priors only."""
    parsing: Tensor | None = None
    """(B, 64, 64) int8 classes of the 11, -1 where unknown; with priors only."""
    identity: Tensor | None = None
    """(B,) int64, as in `Batch`."""
    heat_sigma: float = HEAT_SIGMA
    """Standard deviation of a heat map's peak, in pixels of 64."""

    def unpack(self, device: torch.device | str) -> Batch:
        """Return the batch on a device, its heat maps drawn there."""
        points, parsing, identity = self.heat_points, self.parsing, self.identity
        return Batch(
            lr=pictures_on(device, self.lr),
            lr_clean=pictures_on(device, self.lr_clean),
            hr=pictures_on(device, self.hr),
            occlusion=self.occlusion.to(device, non_blocking=True),
            heat_maps=None
            if points is None
            else heat_maps(points.to(device, non_blocking=True), sigma=self.heat_sigma),
            parsing=None if parsing is None else parsing.to(device, non_blocking=True).long(),
            identity=None if identity is None else identity.to(device, non_blocking=True),
        )


def stacked(arrays: Sequence[NDArray[Any]] | NDArray[Any]) -> Tensor:
    """Stack arrays of one shape to a tensor of their type, (B, ...)."""
    return torch.from_numpy(np.stack(list(arrays)))


def pictures_on(device: torch.device | str, pictures: Tensor) -> Tensor:
    """Copy uint8 (B, H, W, 3) pictures to a device as float32 (B, 3, H, W) in [0, 1].

    The result is channels last, as the networks are.
    """
    return pictures.to(device, non_blocking=True).permute(0, 3, 1, 2).float() / 255.0


def to_tensor(images: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]) -> Tensor:
    """Stack uint8 (H, W, 3) pictures to float32 (B, 3, H, W) in [0, 1], on the CPU."""
    return pictures_on("cpu", stacked(images)).contiguous()
