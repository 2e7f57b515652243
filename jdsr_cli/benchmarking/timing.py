"""Repeated timing of a function."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class CallTimes:
    """Seconds of one call, one value for each measurement."""

    wall: tuple[float, ...]
    cpu: tuple[float, ...]
    """Processor time of all threads of the process."""


def time_calls(work: Callable[[], object], repeat: int, seconds: float) -> CallTimes:
    """Time `work`, which must return when its result is complete.

    A first call is not counted. A measurement calls it until `seconds` have passed, at least once.
    """
    work()
    wall, cpu = [], []
    for _ in range(repeat):
        calls, start, start_cpu = 0, time.perf_counter(), time.process_time()
        while True:
            work()
            calls += 1
            spent = time.perf_counter() - start
            if spent >= seconds:
                break
        wall.append(spent / calls)
        cpu.append((time.process_time() - start_cpu) / calls)
    return CallTimes(tuple(wall), tuple(cpu))
