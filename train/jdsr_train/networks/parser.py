"""A small face parser: which of eleven parts each pixel of an aligned face belongs to (SPEC 3).

It makes the parsing labels of eq. 14 where no others are known.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jdsr_cli.errors import UsageError
from jdsr_cli.networks.super_resolver import FACE_PARTS


def labels(logits: Tensor) -> Tensor:
    """Return the most likely class of each pixel: (B, C, H, W) logits to (B, H, W) int64."""
    return logits.argmax(dim=1)


def _double_conv(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers += [
            nn.Conv2d(channels, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


class Parser(nn.Module):
    """A U-Net: (B, 3, 128, 128) RGB in [0, 1] to (B, 11, 128, 128) float32 logits.

    Two convolutions at each of ``levels + 1`` grids on the way down and two at each on the way
    up, with batch normalisation; max pooling down, nearest neighbour up, skips concatenated.
    Channels double from grid to grid, up to four times `width`. Any side divisible by
    ``2 ** levels`` works.

    Args:
        width: Channels at the finest grid.
        levels: Times the grid is halved.

    Raises:
        UsageError: `width` or `levels` is below 1.

    """

    def __init__(self, width: int = 32, levels: int = 4) -> None:
        super().__init__()
        if width < 1 or levels < 1:
            raise UsageError(f"a parser of width {width} and {levels} levels cannot be built")
        self.width, self.levels = width, levels
        widths = [width * min(2**level, 4) for level in range(levels + 1)]
        self.down = nn.ModuleList(
            _double_conv(*pair) for pair in zip([3, *widths[:-1]], widths, strict=True)
        )
        self.up = nn.ModuleList(
            _double_conv(below + skip, skip)
            for skip, below in zip(widths[-2::-1], widths[:0:-1], strict=True)
        )
        self.output = nn.Conv2d(width, FACE_PARTS, 1)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of each pixel."""
        skips: list[Tensor] = []
        x = images
        for index, block in enumerate(self.down):
            x = block(x if index == 0 else F.max_pool2d(x, 2))
            skips.append(x)
        skips.pop()
        for block in self.up:
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = block(torch.cat([x, skips.pop()], dim=1))
        logits: Tensor = self.output(x).float()
        return logits
