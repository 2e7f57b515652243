"""Which weights footage is restored with where nobody names any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jdsr_cli.weights.gates import CARRIED, verdict
from jdsr_cli.weights.places import find_file
from jdsr_cli.weights.registry import entries

if TYPE_CHECKING:
    import torch

GPUS = ("cuda", "mps")
"""Kinds of devices on which a larger generator keeps up with footage."""
ON_GPU = "camera"
"""Name of the weights that are the default on a GPU once they beat the carried ones."""


@dataclass(frozen=True)
class DefaultWeights:
    """What was chosen, and why."""

    name: str
    """Of the entry."""
    reason: str
    """In a few words, such as ``the default on a CPU``; on a GPU, why no other was chosen."""


def default_weights(device: torch.device) -> DefaultWeights:
    """Choose the weights for footage on `device`; nothing is fetched.

    `camera` on a GPU that has it on its machine, where its manifest entry shows that it beats
    `lite-camera` on every gate (`jdsr_cli.weights.gates`); `lite-camera` otherwise. A file that is
    there is chosen whatever its bytes: loading says that they were altered, and takes no other
    instead.

    Raises:
        WeightsMissingError, WeightsCorruptError: as `entries`, on a GPU only.

    """
    if device.type not in GPUS:
        return DefaultWeights(CARRIED, "the default on a CPU")
    known = {one.name: one for one in entries()}
    wanted = known.get(ON_GPU)
    if wanted is None:
        return DefaultWeights(CARRIED, f"no weights called {ON_GPU} are listed for a GPU")
    found = verdict(wanted, known.get(CARRIED))
    if not found.passed:
        return DefaultWeights(CARRIED, f"{ON_GPU} {found.told}")
    if find_file(wanted.file) is None:
        return DefaultWeights(
            CARRIED,
            f"{ON_GPU}, the default on a GPU, is not on this machine: jdsr weights fetch {ON_GPU}",
        )
    return DefaultWeights(ON_GPU, f"the default on a GPU, {found.told}")
