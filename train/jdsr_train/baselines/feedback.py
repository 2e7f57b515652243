"""The feedback block of SRFBN (arXiv 1903.09814), which DIC also uses (arXiv 2003.13063).

Pairs of projections alternate between the coarse grid and one that is `factor` times finer. Each
takes the results of all earlier ones on its grid (SPEC 6.2 and 6.6). Every convolution has a PReLU
with one slope.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from jdsr_cli.networks.layers import conv

SLOPE = 0.2
"""Initial slope of a PReLU below zero."""
OVERLAP = 4
"""Pixels by which the kernel of a projection exceeds its stride: 6/2, 8/4 and 12/8."""


def conv_prelu(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    """Create a convolution at stride 1 and a PReLU."""
    return nn.Sequential(conv(inputs, outputs, kernel), nn.PReLU(init=SLOPE))


def up_projection(features: int, factor: int) -> nn.Sequential:
    """Create a transposed convolution from (B, C, H, W) to (B, C, fH, fW), and a PReLU."""
    kernel, padding = factor + OVERLAP, OVERLAP // 2
    return nn.Sequential(
        nn.ConvTranspose2d(features, features, kernel, factor, padding), nn.PReLU(init=SLOPE)
    )


def down_projection(features: int, factor: int) -> nn.Sequential:
    """Create a convolution from (B, C, fH, fW) to (B, C, H, W), and a PReLU."""
    kernel, padding = factor + OVERLAP, OVERLAP // 2
    return nn.Sequential(
        nn.Conv2d(features, features, kernel, factor, padding), nn.PReLU(init=SLOPE)
    )


def _merging_layers(features: int, groups: int) -> nn.ModuleList:
    """Create the 1x1 convolutions of 2, 3, ... `groups` concatenated results."""
    return nn.ModuleList(
        conv_prelu(count * features, features, 1) for count in range(2, groups + 1)
    )


class FeedbackBlock(nn.Module):
    """`groups` pairs of up and down projections, densely connected; (B, C, H, W) in and out.

    The input is already compressed: its users differ in what they concatenate before a 1x1
    convolution to C channels (`conv_prelu`), such as features of the picture and the block's
    result of the last step.
    """

    def __init__(self, features: int, groups: int, factor: int) -> None:
        super().__init__()
        self.up = nn.ModuleList(up_projection(features, factor) for _ in range(groups))
        self.down = nn.ModuleList(down_projection(features, factor) for _ in range(groups))
        self.merge_coarse = _merging_layers(features, groups)
        self.merge_fine = _merging_layers(features, groups)
        self.compress = conv_prelu(groups * features, features, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return the compressed results of all down projections."""
        coarse, fine = [features], []
        for index, (up, down) in enumerate(zip(self.up, self.down, strict=True)):
            fine.append(up(_merge(coarse, self.merge_coarse, index)))
            coarse.append(down(_merge(fine, self.merge_fine, index)))
        result: Tensor = self.compress(torch.cat(coarse[1:], dim=1))
        return result


def _merge(results: list[Tensor], layers: nn.ModuleList, index: int) -> Tensor:
    """Return the input of projection `index` from all earlier results on its grid."""
    if index == 0:
        return results[0]
    merged: Tensor = layers[index - 1](torch.cat(results, dim=1))
    return merged
