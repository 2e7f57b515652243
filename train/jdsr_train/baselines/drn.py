"""DRN, the dual regression network (arXiv 2003.07018, SPEC 6.3).

A U-Net over the bicubically enlarged face: down to the grid of the input, and up again in stages
of residual blocks with channel attention, with a picture at every scale. In training, small dual
networks map the pictures back to the next lower scale. Pictures are in levels of 0 to 255 inside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.errors import UsageError
from jdsr_cli.networks.layers import GeneratorOutput, conv, residual_blocks
from jdsr_train.baselines.inputs import (
    DIV2K_MEAN,
    PEAK,
    add_mean,
    check_side,
    factor_of,
    subtract_mean,
)
from jdsr_train.baselines.outputs import enlarged_only

SLOPE = 0.2
"""Slope of the leaky ReLUs below zero."""
_SHAPES = {("S", 4): (30, 16), ("S", 8): (30, 8), ("L", 4): (40, 20), ("L", 8): (36, 10)}
"""Blocks and features by size and factor."""
_MIN_FEATURES = 4
"""The narrowest stage is four times as wide, and channel attention needs 16 channels."""


@dataclass(frozen=True)
class DRNConfig:
    """Shape of a `DRN`."""

    lr_size: int = 32
    """Side of the input in pixels: 32 (x4) or 16 (x8)."""
    size: Literal["S", "L"] = "S"
    """Published size, which sets `blocks` and `features`."""
    blocks: int | None = None
    """Residual blocks of each stage, if not those of `size`."""
    features: int | None = None
    """Channels of the first convolution, if not those of `size`; the stages have multiples."""

    def __post_init__(self) -> None:
        check_side(self.lr_size, "drn")
        if self.size not in ("S", "L"):
            raise UsageError(f"size is {self.size!r}, it can be 'S' or 'L'", where="drn")
        blocks, features = self.shape
        if blocks < 1 or features < _MIN_FEATURES:
            raise UsageError(
                f"blocks is at least 1 and features at least {_MIN_FEATURES}", where="drn"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Residual blocks of each stage and channels of the first convolution."""
        blocks, features = _SHAPES[self.size, factor_of(self.lr_size)]
        return (
            blocks if self.blocks is None else self.blocks,
            features if self.features is None else self.features,
        )


def _octaves(factor: int) -> int:
    """Return the number of doublings in a factor that is a power of two."""
    return factor.bit_length() - 1


def _halving(inputs: int, outputs: int) -> nn.Sequential:
    """Create two convolutions without bias that halve the resolution."""
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, stride=2, padding=1, bias=False),
        nn.LeakyReLU(SLOPE, inplace=True),
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
    )


class DoublingStage(nn.Module):
    """Residual blocks and sub-pixel upsampling: (B, C, H, W) in, (B, outputs, 2H, 2W) out."""

    def __init__(self, width: int, outputs: int, blocks: int) -> None:
        super().__init__()
        self.blocks = residual_blocks(width, blocks)
        self.expand = conv(width, 4 * width)
        self.reduce = conv(width, outputs, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return features at twice the resolution."""
        doubled = F.pixel_shuffle(self.expand(self.blocks(features)), 2)
        reduced: Tensor = self.reduce(doubled)
        return reduced


class DRN(nn.Module):
    """U-Net with a picture at every scale: 4.8 M (S) or 9.8 M (L) parameters at x4."""

    def __init__(self, config: DRNConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or DRNConfig()
        self.lr_size = config.lr_size
        blocks, features = config.shape
        fine = [features << level for level in range(_octaves(factor_of(config.lr_size)))]
        coarsest = 2 * fine[-1]
        # A stage takes the result of the one before it and the features beside that.
        widths = [coarsest, *(2 * width for width in reversed(fine))]
        self.enter = conv(3, features)
        self.down = nn.ModuleList(_halving(width, 2 * width) for width in fine)
        self.stages = nn.ModuleList(
            DoublingStage(width, outputs, blocks)
            for width, outputs in zip(widths[:-1], reversed(fine), strict=True)
        )
        self.outputs = nn.ModuleList(conv(width, 3) for width in widths)

    def forward(self, lr: Tensor) -> GeneratorOutput:
        """Enlarge (B, 3, lr_size, lr_size) RGB faces in [0, 1].

        `steps` has the pictures of all scales, from the size of the input (coarsest) to 128.
        """
        size = (TEMPLATE_SIZE, TEMPLATE_SIZE)
        enlarged = F.interpolate(lr.float(), size=size, mode="bicubic", align_corners=False)
        features = self.enter(subtract_mean(enlarged, DIV2K_MEAN, PEAK))
        skips = []
        for down in self.down:
            skips.append(features)
            features = down(features)
        pictures = [self._picture(0, features)]
        for index, stage in enumerate(self.stages, start=1):
            features = torch.cat([stage(features), skips.pop()], dim=1)
            pictures.append(self._picture(index, features))
        return enlarged_only(lr, pictures[-1], steps=tuple(pictures))

    def _picture(self, index: int, features: Tensor) -> Tensor:
        return add_mean(self.outputs[index](features), DIV2K_MEAN, PEAK)


class DualNetworks(nn.Module):
    """A network for each pair of neighbouring scales, which maps the finer to the coarser one.

    They have no bias, so that they treat pictures in [0, 1] like 8-bit levels.

    Args:
        scale: Factor of the `DRN`, 4 or 8.

    """

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.networks = nn.ModuleList(_halving(3, 3) for _ in range(_octaves(scale)))

    def forward(self, *pictures: Tensor) -> tuple[Tensor, ...]:
        """Reduce all pictures but the coarsest.

        Args:
            pictures: `GeneratorOutput.steps` of a `DRN`, (B, 3, r, r), coarsest first.

        Returns:
            An estimate of each picture but the finest from the next finer one, float32.

        """
        return tuple(
            network(picture).float()
            for network, picture in zip(self.networks, pictures[1:], strict=True)
        )


NETWORK = (DRNConfig, DRN)
"""What the entry point gives to `jdsr_cli.networks.build`."""
