"""Processes and devices of a training run, managed by Lightning Fabric.

Each process uses one device. Several are started by ``torchrun``, which passes the rank to each in
its environment::

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

COLLECTIVE_TIMEOUT = timedelta(days=2)
"""How long processes wait for one another."""


def open_fabric(device: str) -> Fabric:
    """Join the processes of the run, or run as the only one.

    Args:
        device: `cpu`, `cuda` or `cuda:N`; in a run of several processes only its type is used.

    Raises:
        UsageError: Lightning Fabric is not installed.

    """
    create: Any = _lightning("").Fabric
    kind, _, index = device.partition(":")
    world = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    nodes = int(os.environ.get("WORLD_SIZE", "1")) // world
    several = world * nodes > 1
    devices: Any = [int(index)] if index and not several else world
    fabric: Fabric = create(
        accelerator="gpu" if kind == "cuda" else kind,
        devices=devices,
        num_nodes=nodes,
        strategy=_ddp_strategy() if several else "auto",
    )
    fabric.launch()
    if fabric.device.type == "cuda":
        _enable_fast_kernels()
    return fabric


def _lightning(module: str) -> ModuleType:
    """Import a module of Fabric, from its own package or from `lightning`."""
    for package in ("lightning_fabric", "lightning.fabric"):
        try:
            return importlib.import_module(package + module)
        except ImportError as error:
            missing = error
    raise UsageError(
        "training needs Lightning Fabric, which is not installed",
        hint="pip install 'jdsr[train]'",
    ) from missing


def _enable_fast_kernels() -> None:
    """Enable cuDNN autotuning and TF32 on a GPU.

    Shapes are fixed, so cuDNN can select its fastest algorithms. Products in float32 (the critic,
    its gradient penalty and everything outside autocast) use TF32, which has 10 bits of mantissa
    and the range of float32. Runs on a GPU are reproducible up to rounding.
    """
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True


def _ddp_strategy() -> Any:
    """Return the strategy with which several processes share a step.

    Parameters without a gradient, such as a head without labels, are allowed as in a single
    process. The timeout covers the preparation of faces by one process, which can take hours.
    """
    strategies: Any = _lightning(".strategies")
    return strategies.DDPStrategy(find_unused_parameters=True, timeout=COLLECTIVE_TIMEOUT)


class PrecisionWrapper(nn.Module):
    """Runs a network in its own precision and returns a dataclass output as a dict.

    Fabric traverses the output of a network and does not support frozen dataclasses.

    Args:
        network: The network.
        half: Whether the forward pass runs in bfloat16 autocast.
        compiled: Whether to compile the network (`torch.compile`).

    """

    def __init__(self, network: nn.Module, half: bool, compiled: bool = False) -> None:
        super().__init__()
        self.network = network
        self.in_bfloat16 = half
        # In a tuple, so that it is not registered as a submodule: it shares the weights.
        self._run = (torch.compile(network) if compiled else network,)

    def forward(self, *inputs: torch.Tensor) -> Any:
        """Return the output of the network; the fields by name if it is a dataclass."""
        with torch.autocast(inputs[0].device.type, torch.bfloat16, enabled=self.in_bfloat16):
            output = self._run[0](*inputs)
        return dict(vars(output)) if dataclasses.is_dataclass(output) else output
