"""Which weights footage is restored with where nobody names any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jdsr_cli.weights.places import find_file
from jdsr_cli.weights.registry import entries

if TYPE_CHECKING:
    import torch

GPUS = ("cuda", "mps")
"""Kinds of devices on which the paper's generator keeps up with footage."""
ON_GPU = "camera"
"""The paper's generator, trained for faces as cameras deliver them."""
ANYWHERE = "lite-camera"
"""The light generator, trained for the same; every installation carries it."""


@dataclass(frozen=True)
class DefaultWeights:
    """What was chosen, and why."""

    name: str
    """Of the entry."""
    reason: str
    """In a few words, such as ``the default on a CPU``; says what to fetch for a better one."""


def default_weights(device: torch.device) -> DefaultWeights:
    """Choose the weights for footage on `device`; nothing is fetched.

    `camera` on a GPU that has it on its machine, `lite-camera` otherwise. A file that is there is
    chosen whatever its bytes: loading says that they were altered, and takes no other instead.

    Raises:
        WeightsMissingError, WeightsCorruptError: as `entries`, on a GPU only.

    """
    if device.type not in GPUS:
        return DefaultWeights(ANYWHERE, "the default on a CPU")
    wanted = next((one for one in entries() if one.name == ON_GPU), None)
    if wanted is None:
        return DefaultWeights(
            ANYWHERE, f"{ON_GPU}, the default on a GPU, is not among the listed weights"
        )
    if find_file(wanted.file) is None:
        return DefaultWeights(
            ANYWHERE,
            f"{ON_GPU}, the default on a GPU, is not on this machine: jdsr weights fetch {ON_GPU}",
        )
    return DefaultWeights(ON_GPU, "the default on a GPU")
