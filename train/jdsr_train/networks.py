"""Networks that only training uses: critic, identity network and face parser.

The critic is the residual critic of WGAN-GP with an additional stage: PAPER section 3.3 uses "the
same discriminator as WGAN-GP", which has four stages for 64 x 64 images; this one has five for
128 x 128 (SPEC 1.4). Identity features follow eq. 15 and PAPER table 1. The parser predicts which
of eleven parts each pixel belongs to (SPEC 3). It provides the parsing labels of eq. 14 where the
data has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jdsr_cli.errors import UsageError
from jdsr_cli.networks.super_resolver import FACE_PARTS
from jdsr_train.recipe import PUBLISHED_WIDTHS


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

    def __init__(
        self,
        widths: Sequence[int] = PUBLISHED_WIDTHS["wasserstein"],
        size: int = 128,
        *,
        fold: int = 1,
    ) -> None:
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


IDENTITY_WIDTHS = (64, 128, 256, 512)
IDENTITY_BLOCKS = (2, 4, 8, 2)
RESIDUAL_START = 0.1
"""Factor of the initial weights of the last convolution of a residual block."""


def _conv(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.PReLU(outputs)]


class _ResidualBlock(nn.Module):
    """Two convolutions with PReLU and a residual connection, (B, C, H, W) in and out."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*_conv(channels, channels))
        self.last = nn.Conv2d(channels, channels, 3, padding=1)
        self.activation = nn.PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.activation(self.last(self.body(x)))
        return x + residual


class IdentityNetwork(nn.Module):
    """Computes identity features: (B, 3, size, size) RGB in [0, 1] to (B, features).

    Each stage has a convolution, a 3 x 3 average pool of stride 2 and residual blocks, with a PReLU
    per channel and without normalisation; a linear layer follows. Colours are scaled to [-1, 1], as
    in the parent networks, since the paper does not specify it.

    Args:
        widths: Channels of the stages.
        blocks: Residual blocks of the stages, as many numbers as `widths`.
        features: Length of the feature vector.
        size: Side of the images, divisible by 2 for each stage.

    Raises:
        UsageError: `widths` and `blocks` differ in length, or the size is not divisible.

    """

    def __init__(
        self,
        widths: Sequence[int] = IDENTITY_WIDTHS,
        blocks: Sequence[int] = IDENTITY_BLOCKS,
        features: int = 512,
        size: int = 128,
    ) -> None:
        super().__init__()
        if len(widths) != len(blocks) or size % 2 ** len(widths):
            raise UsageError(
                f"an identity network of widths {tuple(widths)} and blocks {tuple(blocks)} "
                f"cannot take images of {size} px",
                hint="Give as many blocks as widths, and a side divisible by two for each",
            )
        layers: list[nn.Module] = []
        for inputs, width, count in zip((3, *widths[:-1]), widths, blocks, strict=True):
            layers += [*_conv(inputs, width), nn.AvgPool2d(3, stride=2, padding=1)]
            layers += [_ResidualBlock(width) for _ in range(count)]
        self.body = nn.Sequential(*layers)
        self.output = nn.Linear(widths[-1] * (size >> len(widths)) ** 2, features)
        self._initialise()

    def _initialise(self) -> None:
        """Use He normal weights with small residual branches, since there is no normalisation."""
        slope = 0.25
        for part in self.modules():
            if isinstance(part, nn.Conv2d) and part.bias is not None:
                nn.init.kaiming_normal_(part.weight, a=slope)
                nn.init.zeros_(part.bias)
        with torch.no_grad():
            for part in self.modules():
                if isinstance(part, _ResidualBlock):
                    part.last.weight.mul_(RESIDUAL_START)

    def forward(self, images: Tensor) -> Tensor:
        """Return the features, (B, features) float32, not normalised."""
        features: Tensor = self.output(self.body(images * 2 - 1).flatten(1)).float()
        return features

    def normalised(self, images: Tensor) -> Tensor:
        """Return the features scaled to length 1, (B, features) float32."""
        return F.normalize(self(images))


class MarginHead(nn.Module):
    """Classifies features by identity with an additive cosine margin (CosFace).

    The logit of the true identity is ``scale * (cosine - margin)``, others ``scale * cosine``;
    the paper does not specify the loss of its network (SPEC 3).

    Args:
        features: Length of the feature vectors.
        identities: Number of people.
        scale: Factor of the cosines.
        margin: Margin that is subtracted from the cosine of the true identity.

    Raises:
        UsageError: There are fewer than two people.

    """

    def __init__(
        self, features: int, identities: int, scale: float = 30.0, margin: float = 0.35
    ) -> None:
        super().__init__()
        if identities < 2:
            raise UsageError(
                f"{identities} identities cannot be distinguished", hint="At least two are needed"
            )
        self.scale, self.margin = scale, margin
        self.weight = nn.Parameter(torch.empty(identities, features))
        nn.init.xavier_normal_(self.weight)

    def cosines(self, features: Tensor) -> Tensor:
        """Return the cosine of each feature vector and each identity, (B, identities) float32."""
        with torch.autocast(features.device.type, enabled=False):
            return F.linear(F.normalize(features.float()), F.normalize(self.weight.float()))

    def forward(self, features: Tensor, identities: Tensor) -> Tensor:
        """Return the logits, (B, identities) float32.

        Args:
            features: (B, features), not necessarily normalised.
            identities: (B,) int64, the true identities.

        """
        cosines = self.cosines(features)
        true = F.one_hot(identities, cosines.shape[1])
        return self.scale * (cosines - self.margin * true)

    def loss(self, features: Tensor, identities: Tensor) -> Tensor:
        """Return the mean cross-entropy of the logits."""
        return F.cross_entropy(self(features, identities), identities)


class IdentityClassifier(nn.Module):
    """An identity network with a classification head."""

    def __init__(self, network: IdentityNetwork, head: MarginHead) -> None:
        super().__init__()
        self.network, self.head = network, head

    def forward(self, faces: Tensor, people: Tensor) -> Tensor:
        """Return the logits of (B, 3, 128, 128) faces, (B, identities)."""
        logits: Tensor = self.head(self.network(faces), people)
        return logits


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

    The encoder has two convolutions at each of ``levels + 1`` resolutions, the decoder two at each,
    with batch normalisation, max pooling, nearest-neighbour upsampling and concatenated skip
    connections. Channels double with each level, up to four times `width`. The side must be
    divisible by ``2 ** levels``.

    Args:
        width: Channels at the highest resolution.
        levels: Number of times the resolution is halved.

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
