"""The running average of a network's weights, which is what is validated and kept."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class Average:
    """Follows a network step by step; all weights move in a few kernels.

    Args:
        network: What is followed.
        decay: Of the average; less in the first steps. 0 keeps the last weights.

    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self._network = copy.deepcopy(network).eval().requires_grad_(False)
        self._pairs = list(self._network.parameters()), list(network.parameters())
        self._buffers = list(self._network.buffers()), list(network.buffers())

    @property
    def network(self) -> nn.Module:
        """The averaged network; statistics that are no weights are the followed network's own."""
        with torch.no_grad():
            for held, current in zip(*self._buffers, strict=True):
                held.copy_(current)
        return self._network

    def move(self, step: int) -> None:
        """Take in the weights after a step, counted from 1."""
        decay = min(self.decay, (1 + step) / (10 + step))
        with torch.no_grad():
            follow = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
            follow(*self._pairs, step)
