"""Processes and devices of a training run, by Lightning Fabric.

One process drives one device. Several are started by ``torchrun``, which tells each its rank
through the environment::

    torchrun --standalone --nproc-per-node 4 -m jdsr_cli train --data celeba/ --recipe paper_x4
"""

from __future__ import annotations

import dataclasses
import importlib
import os
from datetime import timedelta
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from jdsr_cli.errors import UsageError

if TYPE_CHECKING:
    from lightning_fabric import Fabric


PATIENCE = timedelta(days=2)
"""How long processes wait for one another."""


def open_fabric(device: str) -> Fabric:
    """Join the run's processes, or be the only one.

    Args:
        device: `cpu`, `cuda` or `cuda:N`; of a run of several processes only its kind counts.

    Raises:
        UsageError: Lightning Fabric is not installed.

    """
    made: Any = _lightning("").Fabric
    kind, _, index = device.partition(":")
    world = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    nodes = int(os.environ.get("WORLD_SIZE", "1")) // world
    several = world * nodes > 1
    devices: Any = [int(index)] if index and not several else world
    fabric: Fabric = made(
        accelerator="gpu" if kind == "cuda" else kind,
        devices=devices,
        num_nodes=nodes,
        strategy=_together() if several else "auto",
    )
    fabric.launch()
    if fabric.device.type == "cuda":
        _hasten()
    return fabric


def _lightning(module: str) -> ModuleType:
    """Import a module of Fabric, from its own package or from the big one that holds it."""
    for package in ("lightning_fabric", "lightning.fabric"):
        try:
            return importlib.import_module(package + module)
        except ImportError as error:
            missing = error
    raise UsageError(
        "training needs Lightning Fabric, which is not installed",
        hint="pip install 'jdsr[train]'",
    ) from missing


def _hasten() -> None:
    """Let a GPU work as fast as it can.

    Shapes are fixed, so cuDNN may try which of its algorithms is fastest. What is in float32, the
    critic, its gradient penalty and whatever is not under autocast, is multiplied in TF32: 10 bits
    of mantissa, as much range as ever. Runs on a GPU are the same to rounding, not to the bit.
    """
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True


def _together() -> Any:
    """Return how several processes share a step.

    A part of a network that no term reaches, such as a head without labels, is allowed, as it is
    to a single process. One process prepares faces while the others wait, hours if need be.
    """
    strategies: Any = _lightning(".strategies")
    return strategies.DDPStrategy(find_unused_parameters=True, timeout=PATIENCE)


class Adapted(nn.Module):
    """A network as Fabric carries it: in its own precision, and with a dict as its output.

    Fabric walks through what a network returns and cannot walk through frozen dataclasses.
    """

    def __init__(self, network: nn.Module, half: bool, compiled: bool = False) -> None:
        super().__init__()
        self.network = network
        self.in_bfloat16 = half
        # In a tuple, so that it is no part of the module: it has the same weights.
        self._run = (torch.compile(network) if compiled else network,)

    def forward(self, *inputs: torch.Tensor) -> Any:
        """Return the network's output, of a dataclass its fields by name."""
        with torch.autocast(inputs[0].device.type, torch.bfloat16, enabled=self.in_bfloat16):
            output = self._run[0](*inputs)
        return dict(vars(output)) if dataclasses.is_dataclass(output) else output
