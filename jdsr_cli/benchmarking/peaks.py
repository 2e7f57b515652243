"""What a device can do at most, measured: products of large matrices and copies of memory."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from jdsr_cli.benchmarking.timing import time_calls
from jdsr_cli.weights.loading import PRECISIONS

MATRIX_SIDE = {"cpu": 1024, "cuda": 8192}
"""Side of the multiplied matrices by kind of device; `OTHER_SIDE` for others."""
OTHER_SIDE = 4096
COPY_BYTES = {"cpu": 256 << 20, "cuda": 2 << 30}
"""Bytes of the copied memory, beyond the caches; `OTHER_BYTES` for others."""
OTHER_BYTES = 512 << 20
REPEAT, SECONDS = 3, 0.3
"""Measurements, and least seconds of each; the fastest counts."""


@dataclass(frozen=True)
class DevicePeaks:
    """Measured limits of a device."""

    gmacs_per_second: float
    """10^9 multiply-accumulate operations a second of a matrix product in this precision."""
    gbytes_per_second: float
    """10^9 bytes a second, read and written, of a copy within the memory of the device."""


def measure_peaks(name: str, precision: str) -> DevicePeaks:
    """Measure a device of torch, in a precision of `weights.loading.PRECISIONS`.

    A CPU is measured with the number of threads that torch uses.
    """
    device, dtype = torch.device(name), PRECISIONS[precision]
    side = MATRIX_SIDE.get(device.type, OTHER_SIDE)
    matrix = torch.rand(side, side, device=device).to(dtype)
    product = torch.empty_like(matrix)

    def multiply() -> None:
        torch.mm(matrix, matrix, out=product)
        _wait(device)

    size = COPY_BYTES.get(device.type, OTHER_BYTES)
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)

    def copy() -> None:
        target.copy_(source)
        _wait(device)

    return DevicePeaks(
        side**3 / min(time_calls(multiply, REPEAT, SECONDS).wall) / 1e9,
        2 * size / min(time_calls(copy, REPEAT, SECONDS).wall) / 1e9,
    )


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
