"""The critic of the adversarial term: the residual critic of WGAN-GP with an additional stage.

PAPER section 3.3 uses "the same discriminator as WGAN-GP", which has four stages for 64 x 64
images; this one has five for 128 x 128 (SPEC 1.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from jdsr_cli.errors import UsageError

WIDTHS = (64, 128, 256, 512, 512, 512)
"""Channels of the first convolution and of each stage."""


def _layer_norm(channels: int) -> nn.GroupNorm:
    """Normalise each sample over C, H and W, with a scale and a shift per channel.

    Batch normalisation is not possible, since the gradient penalty is defined per sample.
    """
    return nn.GroupNorm(1, channels)


class _DownBlock(nn.Module):
    """Normalisation, ReLU and convolution, twice, and a 2 x 2 mean; with a shortcut.

    (B, inputs, H, W) to (B, outputs, H/2, W/2).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm1 = _layer_norm(inputs)
        self.conv1 = nn.Conv2d(inputs, inputs, 3, padding=1, bias=False)
        self.norm2 = _layer_norm(inputs)
        self.conv2 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        residual = self.conv1(F.relu(self.norm1(x)))
        residual = self.conv2(F.relu(self.norm2(residual)))
        shortcut: Tensor = self.shortcut(F.avg_pool2d(x, 2))
        return shortcut + F.avg_pool2d(residual, 2)


class Critic(nn.Module):
    """Scores the realism of faces: (B, 3, size, size) RGB in [0, 1] to (B,) unbounded scores.

    A convolution, pre-activation residual blocks that halve the grid, and a linear layer, without
    batch normalisation or a final activation. Twice differentiable where ReLU is.

    Args:
        widths: Channels of the first convolution and of each stage.
        size: Side of the images, divisible by `fold` and then by 2 for each stage.
        fold: Side of the blocks of pixels that are moved to channels (pixel unshuffle); 1 for the
            critic of WGAN-GP.

    Raises:
        UsageError: The size is not divisible, or there is no stage.

    """

    def __init__(self, widths: Sequence[int] = WIDTHS, size: int = 128, *, fold: int = 1) -> None:
        super().__init__()
        stages = len(widths) - 1
        if stages < 1 or size % (fold * 2**stages):
            raise UsageError(
                f"a critic of {stages} stages cannot take images of {size} px folded by {fold}",
                hint="The side must be divisible by the fold, then by two for each stage",
            )
        self.fold = fold
        self.enter = nn.Conv2d(3 * fold**2, widths[0], 3, padding=1)
        self.stages = nn.Sequential(
            *(_DownBlock(inputs, outputs) for inputs, outputs in pairwise(widths))
        )
        self.score = nn.Linear(widths[-1] * (size // fold >> stages) ** 2, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Return the scores, (B,) float32."""
        folded = F.pixel_unshuffle(images, self.fold)
        features = self.stages(self.enter(folded)).flatten(1)
        scores: Tensor = self.score(features).float().squeeze(1)
        return scores
