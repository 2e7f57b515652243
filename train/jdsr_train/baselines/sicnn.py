"""CNN_H of SICNN, the network that enlarges faces (ECCV 2018, arXiv 1811.02328; SPEC 6.4).

For each factor of two a densely connected block and a transposed convolution, then a shorter dense
block. The identity loss, after which SICNN is named, is part of training.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from jdsr_cli.errors import UsageError
from jdsr_cli.networks.layers import GeneratorOutput, conv, he_normal
from jdsr_train.baselines.feedback import SLOPE, conv_prelu
from jdsr_train.baselines.inputs import PEAK, check_side, factor_of
from jdsr_train.baselines.outputs import enlarged_only

CENTRE = 127.5
"""Grey level that is 0 inside the network."""
SPAN = 128.0
"""Grey levels from `CENTRE` to the limits of the output's tanh."""


@dataclass(frozen=True)
class SICNNConfig:
    """Shape of a `SICNN`."""

    lr_size: int = 32
    """Side of the input in pixels: 32 (x4) or 16 (x8)."""
    width: int = 64
    """Channels of the first convolution of each dense block."""
    growth: int = 32
    """Channels that each layer of a dense block adds."""
    layers: int = 6
    """Layers of the dense block of each factor of two, after the first convolution."""
    tail_layers: int = 2
    """The same of the dense block at full resolution."""

    def __post_init__(self) -> None:
        check_side(self.lr_size, "sicnn")
        if min(self.width, self.growth, self.layers, self.tail_layers) < 1:
            raise UsageError("width, growth, layers and tail_layers are at least 1", where="sicnn")


class DenseBlock(nn.Module):
    """A convolution, then `layers` convolutions that take all earlier results; each with PReLU.

    (B, inputs, H, W) to (B, width + layers * growth, H, W).
    """

    def __init__(self, inputs: int, width: int, growth: int, layers: int) -> None:
        super().__init__()
        self.enter = conv_prelu(inputs, width, 3)
        self.layers = nn.ModuleList(
            conv_prelu(width + index * growth, growth, 3) for index in range(layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return all results."""
        features: Tensor = self.enter(x)
        for layer in self.layers:
            features = torch.cat([features, layer(features)], dim=1)
        return features


def _double(features: int, kernel: int) -> nn.Sequential:
    """Create a transposed convolution that doubles the resolution, and a PReLU."""
    return nn.Sequential(
        nn.ConvTranspose2d(features, features, kernel, 2, kernel // 2, output_padding=1),
        nn.PReLU(init=SLOPE),
    )


class SICNN(nn.Module):
    """Enlarges clean faces x4 (3.1 M parameters) or x8 (5.1 M)."""

    def __init__(self, config: SICNNConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or SICNNConfig()
        self.lr_size = config.lr_size
        features = config.width + config.layers * config.growth
        layers: list[nn.Module] = []
        for stage in range(factor_of(config.lr_size).bit_length() - 1):
            inputs, kernel = (features, 5) if stage else (3, 3)
            layers += [
                DenseBlock(inputs, config.width, config.growth, config.layers),
                _double(features, kernel),
            ]
        tail = DenseBlock(features, config.width, config.growth, config.tail_layers)
        self.body = nn.Sequential(*layers, tail)
        self.output = conv(config.width + config.tail_layers * config.growth, 3, 5)
        he_normal(self)

    def forward(self, lr: Tensor) -> GeneratorOutput:
        """Restore (B, 3, lr_size, lr_size) RGB faces in [0, 1]."""
        features = self.body((lr * PEAK - CENTRE) / SPAN)
        levels = self.output(features).float().tanh() * SPAN + CENTRE
        return enlarged_only(lr, levels / PEAK)


NETWORK = (SICNNConfig, SICNN)
"""What the entry point gives to `jdsr_cli.networks.build`."""
