"""What one pass of a network costs: operations, and the least memory traffic."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from jdsr_cli.weights import LoadedGenerator


@dataclass(frozen=True)
class NetworkCost:
    """The cost of a network for one face."""

    gmacs: float
    """10^9 multiply-accumulate operations of convolutions and matrix products."""
    values: int
    """Numbers that its layers read and write, where each layer does so once."""
    parameters: int
    """Number of its weights, which every pass reads."""

    def gbytes(self, bytes_per_value: int, faces: int) -> float:
        """Return the traffic for each face, in 10^9 bytes, if a pass holds so many faces."""
        return (self.values + self.parameters / faces) * bytes_per_value / 1e9


def count_cost(loaded: LoadedGenerator) -> NetworkCost:
    """Count the cost of a generator by one pass with one face."""
    network, values = loaded.network, 0

    def add(_: nn.Module, given: tuple[Any, ...], result: Any) -> None:
        nonlocal values
        values += sum(one.numel() for one in (*_tensors(given), *_tensors(result)))

    with ExitStack() as hooks:
        for module in network.modules():
            if next(module.children(), None) is None:
                hooks.callback(module.register_forward_hook(add).remove)
        side = loaded.lr_size
        with FlopCounterMode(display=False) as counter:
            loaded(torch.zeros(1, 3, side, side, device=loaded.device), torch.float32)
    parameters = sum(one.numel() for one in network.parameters())
    return NetworkCost(counter.get_total_flops() / 2 / 1e9, values, parameters)


def _tensors(given: Any) -> Iterator[Tensor]:
    if isinstance(given, Tensor):
        yield given
    elif isinstance(given, tuple | list):
        for one in given:
            yield from _tensors(one)
