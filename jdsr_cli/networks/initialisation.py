"""The weights that the paper's generator starts training with."""

from __future__ import annotations

import torch
from torch import nn

from jdsr_cli.networks.attention import ResidualBlock
from jdsr_cli.networks.hourglass import Bottleneck

SMALL = 0.1


def initialise(module: nn.Module, outputs: tuple[nn.Conv2d, ...]) -> None:
    """Start convolutions as He normal with zero bias (PAPER section 3.1, CBDNet).

    The last convolution of every residual block and bottleneck and those in `outputs` start at
    `SMALL` times that. Otherwise some fifty bottlenecks in a row add up to logits in the
    hundreds, and heat maps that are saturated from the first step learn nothing.
    """
    last = list(outputs)
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(part.weight)
            nn.init.zeros_(part.bias)  # type: ignore[arg-type]
        if isinstance(part, ResidualBlock):
            last.append(part.conv2)
        if isinstance(part, Bottleneck):
            last.append(part.last)
    with torch.no_grad():
        for convolution in last:
            convolution.weight.mul_(SMALL)
