"""`lite`: a small generator for machines without a GPU.

It has the interface of the paper's generator at a twentieth of its operations. A U-Net with
channel attention processes the whole face on a 32x32 grid, whatever the input size: 16 px inputs
are enlarged to it, 64 and 128 px inputs are folded into it (pixel unshuffle) and also have a skip
connection to the 64x64 stage of the tail. Heads on the U-Net predict the denoised low-resolution
face, the noise map and the occlusion map; the tail predicts the difference to the bicubic
enlargement of the denoised face (of a 128 px face, the detail that the coarse grid cannot
represent). For a folded input the detail finer than the grid bypasses the U-Net where the
face is bare, and is suppressed where the occlusion map marks a mask.

All sizes share one trunk, so a generator of one size can be initialised with the trained trunk of
another.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.errors import UsageError
from jdsr_cli.networks.layers import SIDES, GeneratorOutput, ResidualBlock, he_normal

GRID = 32
"""Side of the grid of the U-Net."""
TAIL_SIZE = 64
"""Side of the grid of the tail."""
HEAD_CHANNELS = 7
"""3 of the denoised image, 3 of the noise map, 1 of the occlusion map."""


@dataclass(frozen=True)
class LiteConfig:
    """Shape of a `LiteGenerator`."""

    lr_size: int = 32
    """Side of the input in pixels: 16, 32, 64 or 128."""
    widths: tuple[int, ...] = (80, 128, 192, 224)
    """Channels at 32x32, 16x16, 8x8 and 4x4; one level for each entry."""
    encoder_blocks: tuple[int, ...] = (3, 3, 1, 2)
    """Residual blocks of the encoder, by level."""
    decoder_blocks: tuple[int, ...] = (4, 3, 2)
    """Residual blocks of the decoder, by level, finest first."""
    tail_width: int = 48
    """Channels at 64x64."""
    tail_blocks: int = 1
    """Residual blocks at 64x64."""

    def __post_init__(self) -> None:
        if self.lr_size not in SIDES:
            raise UsageError(
                f"lr_size is {self.lr_size}, it can be {', '.join(map(str, SIDES))}", where="lite"
            )
        levels = len(self.widths)
        if len(self.encoder_blocks) != levels or len(self.decoder_blocks) != levels - 1:
            raise UsageError(
                f"{levels} widths need {levels} encoder and {levels - 1} decoder entries",
                where="lite",
            )


def unfold_state(state: Mapping[str, Tensor], network: LiteGenerator) -> dict[str, Tensor]:
    """Convert weights for a smaller input to initial weights of a folding `network`.

    With the result, the network treats the mean of each square of pixels like the given weights
    treat a pixel: input layers distribute their weights over the pixels of a square, output layers
    on the grid of the input repeat theirs for each pixel, and additional layers add zero.

    Args:
        state: State dict of a generator with a smaller `lr_size`, at least 32.
        network: Generator with `lr_size` 64 or 128 and the same widths; it may have more or fewer
            blocks.

    """
    own = network.state_dict()
    fold = math.isqrt(state["stem.weight"].shape[1] // 3)
    factor = network.fold // fold
    unfolded = {name: value for name, value in state.items() if name in own}
    unfolded["stem.weight"] = _distribute(state["stem.weight"], fold, factor)
    if "detail.weight" in state:
        detail_fold = math.isqrt(state["detail.weight"].shape[1] // 3)
        target_fold = math.isqrt(own["detail.weight"].shape[1] // 3)
        unfolded["detail.weight"] = _distribute(
            state["detail.weight"], detail_fold, target_fold // detail_fold
        )
        for name in ("fine_head.weight", "fine_head.bias"):
            unfolded[name] = _repeat(state[name], fold, factor)
    for name in own.keys() - unfolded.keys():
        zero = name.startswith(("fine_head.", "detail.")) or ".conv2." in name
        unfolded[name] = torch.zeros_like(own[name]) if zero else own[name]
    return unfolded


def _distribute(weight: Tensor, fold: int, factor: int) -> Tensor:
    """Distribute weights for inputs folded by `fold` over inputs folded `factor` times further."""
    outputs, inputs, *kernel = weight.shape
    squares = weight.reshape(outputs, inputs // fold**2, fold, fold, *kernel)
    spread = squares.repeat_interleave(factor, 2).repeat_interleave(factor, 3) / factor**2
    return spread.reshape(outputs, inputs * factor**2, *kernel)


def _repeat(values: Tensor, fold: int, factor: int) -> Tensor:
    """Repeat `values` for each of `factor` x `factor` unfolded outputs."""
    squares = values.reshape(values.shape[0] // fold**2, fold, fold, *values.shape[1:])
    spread = squares.repeat_interleave(factor, 1).repeat_interleave(factor, 2)
    return spread.reshape(values.shape[0] * factor**2, *values.shape[1:])


def _stack(width: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(width) for _ in range(blocks)))


class LiteGenerator(nn.Module):
    """U-Net on the 32x32 grid with sub-pixel upsampling to 128x128."""

    def __init__(self, config: LiteConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or LiteConfig()
        self.lr_size = config.lr_size
        widths, tail = config.widths, config.tail_width
        self.fold = fold = max(1, self.lr_size // GRID)
        self.stem = nn.Conv2d(3 * fold * fold, widths[0], 3, padding=1)
        self.encoder = nn.ModuleList(map(_stack, widths, config.encoder_blocks))
        self.down = nn.ModuleList(
            nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in itertools.pairwise(widths)
        )
        self.up = nn.ModuleList(
            nn.Conv2d(coarse, 4 * fine, 1) for fine, coarse in itertools.pairwise(widths)
        )
        self.decoder = nn.ModuleList(map(_stack, widths, config.decoder_blocks))
        self.head = nn.Conv2d(widths[0], HEAD_CHANNELS, 3, padding=1)
        self.fine_head = self.detail = None
        if fold > 1:
            self.fine_head = nn.Conv2d(widths[0], HEAD_CHANNELS * fold * fold, 3, padding=1)
            self.detail = nn.Conv2d(3 * (self.lr_size // TAIL_SIZE) ** 2, tail, 3, padding=1)
        self.to_tail = nn.Conv2d(widths[0], 4 * tail, 3, padding=1)
        self.tail = _stack(tail, config.tail_blocks)
        self.to_image = nn.Conv2d(tail, 12, 3, padding=1)
        self._initialise()

    def _initialise(self) -> None:
        """Initialise as He normal, blocks near the identity, the output as bicubic enlargement."""
        he_normal(self)
        for module in self.modules():
            if isinstance(module, ResidualBlock):
                with torch.no_grad():
                    module.conv2.weight.mul_(0.1)
        for last in (self.head, self.fine_head, self.to_image):
            if last is not None:
                nn.init.zeros_(last.weight)

    def forward(self, lr: Tensor, added: Tensor | None = None) -> GeneratorOutput:
        """Restore faces.

        Args:
            lr: (B, 3, lr_size, lr_size) RGB in [0, 1].
            added: (B, widths[0], 32, 32), added to the features of the first layer; None for none.

        """
        features = self._trunk(self._to_grid(lr), added)
        head = self._heads(features).float()
        occlusion = head[:, 6:7].sigmoid()
        lr = self._without_covered_detail(lr, occlusion)
        denoised = lr + head[:, 0:3]
        tail = F.pixel_shuffle(self.to_tail(features), 2)
        if self.detail is not None:
            tail = tail + self.detail(F.pixel_unshuffle(lr, self.lr_size // TAIL_SIZE))
        detail = F.pixel_shuffle(self.to_image(self.tail(tail.relu())), 2).float()
        return GeneratorOutput(
            restored=self._to_picture(denoised) + detail,
            denoised=denoised,
            noise_map=F.softplus(head[:, 3:6], beta=20.0),
            occlusion=occlusion,
        )

    def _trunk(self, x: Tensor, added: Tensor | None) -> Tensor:
        features: Tensor = self.stem(x)
        if added is not None:
            features = features + added
        skips: list[Tensor] = []
        for level, blocks in enumerate(self.encoder):
            if level:
                features = self.down[level - 1](features)
            features = blocks(features)
            skips.append(features)
        for level in reversed(range(len(self.decoder))):
            features = F.pixel_shuffle(self.up[level](features), 2) + skips[level]
            features = self.decoder[level](features)
        return features

    def _heads(self, features: Tensor) -> Tensor:
        """Return the heads' maps at the input's size."""
        maps: Tensor = self.head(features)
        if self.fine_head is not None:
            return self._enlarge(maps) + F.pixel_shuffle(self.fine_head(features), self.fold)
        return F.avg_pool2d(maps, GRID // self.lr_size) if self.lr_size < GRID else maps

    def _without_covered_detail(self, lr: Tensor, occlusion: Tensor) -> Tensor:
        """Remove detail finer than the grid from covered areas of the input.

        The folds and prints of a mask are finer than the grid; the trunk replaces the rest.
        """
        if self.fold == 1:
            return lr
        shown = self._enlarge(F.avg_pool2d(lr, self.fold))
        return shown + (1.0 - occlusion) * (lr - shown)

    def _enlarge(self, maps: Tensor) -> Tensor:
        """Enlarge bilinearly from the grid to the input."""
        return F.interpolate(maps, scale_factor=self.fold, mode="bilinear", align_corners=False)

    def _to_picture(self, denoised: Tensor) -> Tensor:
        if self.lr_size == TEMPLATE_SIZE:
            return denoised
        size = (TEMPLATE_SIZE, TEMPLATE_SIZE)
        return F.interpolate(denoised, size=size, mode="bicubic", align_corners=False)

    def _to_grid(self, lr: Tensor) -> Tensor:
        if self.lr_size < GRID:
            return F.interpolate(lr, size=(GRID, GRID), mode="bicubic", align_corners=False)
        return F.pixel_unshuffle(lr, self.fold) if self.fold > 1 else lr
