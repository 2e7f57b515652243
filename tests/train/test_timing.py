"""What the samples of a batch cost to make, timed as a run makes them."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator
from multiprocessing.synchronize import Lock
from typing import Any

import pytest
import torch
from torch.utils.data import Dataset

from jdsr_train.data.samples import SampleNumbers, numbered_batches
from jdsr_train.timing import time_batches

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")

SAMPLE = 0.05
"""Seconds that a sample takes."""
FIRST = 2.0
"""More of them for the first one of a process."""


class Slow(Dataset[int]):
    """Samples that take a while, the first one of each process a long one."""

    def __init__(self, alone: Lock | None = None) -> None:
        self.alone = alone
        self.seen: set[int] = set()

    def __getitem__(self, number: int) -> int:
        if os.getpid() not in self.seen:
            self.seen.add(os.getpid())
            time.sleep(FIRST)
        if self.alone is None:
            time.sleep(SAMPLE)
        else:
            with self.alone:
                time.sleep(SAMPLE)
        return number


class Stage:
    """As much of a stage as makes batches of two."""

    def __init__(self, samples: Slow) -> None:
        self.samples = samples

    def batches(
        self, first: int, last: int, workers: int, rank: int, world: int
    ) -> Iterator[torch.Tensor]:
        numbers = SampleNumbers(2, first, last, rank, world)
        return numbered_batches(self.samples, torch.tensor, numbers, workers)


def timed(samples: Slow, count: int, workers: int) -> tuple[list[Any], float]:
    return time_batches(Stage(samples), count, 1, workers)  # type: ignore[arg-type]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_a_process_is_timed_without_its_start(workers: int) -> None:
    found, seconds = timed(Slow(), 4, workers)
    first = max(1, workers)
    assert [batch.tolist() for batch in found] == [
        [2 * number, 2 * number + 1] for number in range(first, first + 4)
    ]
    assert SAMPLE <= seconds < FIRST  # the long first one is not in it
    assert not multiprocessing.active_children()


def test_processes_that_wait_for_one_another_are_as_slow_as_they_are_together() -> None:
    found, seconds = timed(Slow(multiprocessing.Lock()), 1, 3)
    assert len(found) == 1
    assert seconds >= 3 * SAMPLE  # alone one would take two
    assert not multiprocessing.active_children()
