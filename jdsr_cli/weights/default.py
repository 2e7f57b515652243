"""Which generator restores footage when nobody names one."""

from __future__ import annotations

from dataclasses import dataclass

from jdsr_cli.weights.places import find_file
from jdsr_cli.weights.registry import entries

GPU_WEIGHTS = "camera"
"""The paper's generator for footage: fifty times the arithmetic of the light one."""
CPU_WEIGHTS = "lite-camera"
"""The light generator for footage, which every installation carries."""
GPUS = ("cuda", "mps")


@dataclass(frozen=True)
class DefaultWeights:
    """The generator that `auto` stands for on a device."""

    name: str
    """Name in the registry."""
    reason: str
    """Why, in words that follow the name."""


def default_weights(device: str) -> DefaultWeights:
    """Return what `auto` stands for: `camera` on a GPU that has it, else `lite-camera`.

    Args:
        device: Kind of device: `cpu`, `cuda` or `mps`.

    Raises:
        WeightsMissingError, WeightsCorruptError: no manifest, or one that cannot be read.

    """
    if device not in GPUS:
        return DefaultWeights(CPU_WEIGHTS, f"the default for footage on {device}")
    better = next((one for one in entries() if one.name == GPU_WEIGHTS), None)
    if better is None:
        reason = f"the default for footage; no weights called {GPU_WEIGHTS} are listed"
        return DefaultWeights(CPU_WEIGHTS, reason)
    if find_file(better.file) is None:
        return DefaultWeights(
            CPU_WEIGHTS,
            f"the default for footage; {GPU_WEIGHTS}, the better one on a GPU, is not on this "
            f"machine: jdsr weights fetch {GPU_WEIGHTS}",
        )
    return DefaultWeights(GPU_WEIGHTS, f"the default for footage on {device}")
