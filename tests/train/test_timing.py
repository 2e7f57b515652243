"""The time to create the samples of a batch, measured as in a run."""

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
"""Seconds for a sample."""
FIRST = 2.0
"""Additional seconds for the first sample of a process."""


class SlowSamples(Dataset[int]):
    """Slow samples; the first one of each process is slower."""

    def __init__(self, lock: Lock | None = None) -> None:
        self.lock = lock
        self.started: set[int] = set()

    def __getitem__(self, number: int) -> int:
        if os.getpid() not in self.started:
            self.started.add(os.getpid())
            time.sleep(FIRST)
        if self.lock is None:
            time.sleep(SAMPLE)
        else:
            with self.lock:
                time.sleep(SAMPLE)
        return number


class Stage:
    """The part of a stage that creates batches of two."""

    def __init__(self, samples: SlowSamples) -> None:
        self.samples = samples

    def batches(
        self, first: int, last: int, workers: int, rank: int, world: int
    ) -> Iterator[torch.Tensor]:
        numbers = SampleNumbers(2, first, last, rank, world)
        return numbered_batches(self.samples, torch.tensor, numbers, workers)


def timed(samples: SlowSamples, count: int, workers: int) -> tuple[list[Any], float]:
    return time_batches(Stage(samples), count, 1, workers)  # type: ignore[arg-type]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_a_process_is_timed_without_its_start(workers: int) -> None:
    batches, seconds = timed(SlowSamples(), 4, workers)
    first = max(1, workers)
    assert [batch.tolist() for batch in batches] == [
        [2 * number, 2 * number + 1] for number in range(first, first + 4)
    ]
    assert SAMPLE <= seconds < FIRST  # without the slow first sample
    assert not multiprocessing.active_children()


def test_processes_that_share_a_lock_are_timed_together() -> None:
    batches, seconds = timed(SlowSamples(multiprocessing.Lock()), 1, 3)
    assert len(batches) == 1
    assert seconds >= 3 * SAMPLE  # a single process would need two
    assert not multiprocessing.active_children()
