"""Batches of samples: packed for transfer between processes, and unpacked for the networks.

Images travel as bytes and landmarks as points; heat maps and float images are made on the device
that trains, since a packed sample is a tenth as large. A sample depends on its number alone, so
that a run can continue at any batch, and batch n of several processes together is batch n of one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, Self, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from jdsr_cli.datasets.samples import HEAT_SIGMA, images_on_device
from jdsr_train.data.labels import heat_maps

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
            lr=images_on_device(device, self.lr),
            lr_clean=images_on_device(device, self.lr_clean),
            hr=images_on_device(device, self.hr),
            occlusion=self.occlusion.to(device, non_blocking=True),
            heat_maps=None
            if points is None
            else heat_maps(points.to(device, non_blocking=True), sigma=self.heat_sigma),
            parsing=None if parsing is None else parsing.to(device, non_blocking=True).long(),
            identity=None if identity is None else identity.to(device, non_blocking=True),
        )


SampleT = TypeVar("SampleT")
BatchT = TypeVar("BatchT")


AHEAD = 4
"""Batches that each process has ready or in the making."""


class SampleNumbers(Sampler[int]):
    """Numbers of the samples of one process: of each batch its part, in order."""

    def __init__(self, size: int, first: int, last: int, rank: int = 0, world: int = 1) -> None:
        self.size, self.rank, self.world = size, rank, world
        self.steps = range(first, last)

    def __iter__(self) -> Iterator[int]:
        """Yield the numbers, batch by batch."""
        for step in self.steps:
            start = (step * self.world + self.rank) * self.size
            yield from range(start, start + self.size)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.steps) * self.size


def numbered_batches(
    samples: Dataset[SampleT],
    stack: Callable[[list[Any]], BatchT],
    numbers: SampleNumbers,
    workers: int,
) -> Iterator[BatchT]:
    """Batches of the samples of these numbers; no global random state is touched.

    Args:
        samples: Give a sample for any number.
        stack: Puts samples side by side.
        numbers: Which samples, and how many make a batch.
        workers: Processes that make samples; 0 makes them here. Where this process trains on a
            GPU, what they make is pinned, so that it is copied beside the training.

    """
    if workers:
        # Here and not in them: a forked process would wait for threads that it does not have.
        cv2.setNumThreads(1)
    loader = DataLoader(
        samples,
        batch_size=numbers.size,
        sampler=numbers,
        num_workers=workers,
        collate_fn=stack,
        prefetch_factor=AHEAD if workers else None,
        pin_memory=torch.cuda.is_initialized(),  # type: ignore[no-untyped-call]
        generator=torch.Generator(),
    )
    return iter(loader)


@lru_cache(maxsize=2)
def shuffled(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the order in which an epoch shows `count` things."""
    return np.random.default_rng((seed, epoch)).permutation(count)
