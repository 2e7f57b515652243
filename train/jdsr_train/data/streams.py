"""Endless streams of numbered samples, cut into batches for one process among several.

What a sample is depends on its number alone, so that a run can go on at any batch, and batch n of
several processes together is batch n of one process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

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
