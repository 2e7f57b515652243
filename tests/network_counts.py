"""Parameters and multiply-adds of networks, as the specification counts them."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def gmac(module: nn.Module, channels: int, side: int) -> float:
    """Multiply-adds of convolutions and transposed convolutions, in 10^9."""
    image = torch.zeros(1, channels, side, side, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module.eval()(image)
    return counter.get_total_flops() / 2e9
