"""Layers of the generators, and the interface and output that all generators share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn
from torch.nn import functional as F

from jdsr_cli.conventions import TEMPLATE_SIZE

SIDES = (16, 32, 64, TEMPLATE_SIZE)
"""Sides of the inputs of generators."""
REDUCTION = 16
"""Factor by which channel attention reduces its channels, which it therefore needs at least."""


@dataclass(frozen=True)
class GeneratorOutput:
    """The results of a forward pass; images are RGB, nominally in [0, 1], not clamped.

    `s` is the side of the images in the denoiser: the low-resolution side, or 128
    for the paper's generator on grid `hr`.
    """

    restored: Tensor
    """I_SR, (B, 3, 128, 128): the face without its mask, super-resolved."""
    denoised: Tensor
    """I_D_LR, (B, 3, s, s): the low-resolution face without its mask (eq. 1-2)."""
    noise_map: Tensor
    """gamma, (B, 3, s, s), not negative: estimated |masked - clean| per pixel and channel."""
    occlusion: Tensor
    """(B, 1, s, s) in [0, 1]: share of each pixel that was covered by the mask."""
    coarse: Tensor | None = None
    """I_C, (B, 3, 128, 128), of generators that have a coarse network (eq. 3)."""
    landmarks: Tensor | None = None
    """(B, N, 64, 64) in [0, 1]: a heat map for each landmark, of generators with a prior. Those of
    DIC are 32 px wide and only nominally in [0, 1]."""
    parsing: Tensor | None = None
    """(B, 11, 64, 64) logits of the face parts, of generators with a prior."""
    steps: tuple[Tensor, ...] = ()
    """Results on which training also computes its loss, in the order of computation: the restored
    faces of the steps of a recurrent network, (B, 3, 128, 128) each; the pictures of the scales of
    DRN, coarsest first, (B, 3, r, r). The last one is `restored`."""
    landmark_steps: tuple[Tensor, ...] = ()
    """(B, N, r, r) landmark heat maps of each step, of recurrent networks with a prior."""


class Generator(Protocol):
    """A network that maps (B, 3, lr_size, lr_size) RGB in [0, 1] to a `GeneratorOutput`."""

    lr_size: int
    """Side of the square low-resolution input, in pixels."""

    def __call__(self, lr: Tensor) -> GeneratorOutput:
        """Restore a batch of aligned low-resolution faces."""


class ChannelAttention(nn.Module):
    """Scale each channel by a learned function of the means of all channels (as in RCAN).

    Global average pool, 1x1 convolution to ``channels // reduction``, ReLU, 1x1 convolution
    back, sigmoid, multiply. (B, C, H, W) in and out.
    """

    def __init__(self, channels: int, reduction: int = REDUCTION) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.squeeze = nn.Conv2d(channels, channels // reduction, 1)
        self.excite = nn.Conv2d(channels // reduction, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` with its channels rescaled."""
        weights: Tensor = self.excite(self.squeeze(self.pool(x)).relu()).sigmoid()
        return x * weights


class ResidualBlock(nn.Module):
    """conv 3x3, ReLU, conv 3x3, channel attention, plus identity; no normalisation.

    The residual block of the paper's super-resolver (PAPER section 3.2): that of FSRNet with the
    attention of RCAN before the addition. (B, C, H, W) in and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.attention = ChannelAttention(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` plus the residual."""
        residual: Tensor = self.attention(self.conv2(self.conv1(x).relu()))
        return x + residual


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """Create a convolution with bias and zero padding of half its kernel."""
    return nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2)


def conv_bn_relu(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Create the paper's main-stream "Conv": convolution, batch normalisation, ReLU (figure 3)."""
    return nn.Sequential(
        conv(inputs, outputs, kernel, stride), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


def residual_blocks(width: int, count: int) -> nn.Sequential:
    """Create a sequence of `count` residual blocks with channel attention."""
    return nn.Sequential(*(ResidualBlock(width) for _ in range(count)))


def enlarge(image: Tensor, side: int) -> Tensor:
    """Enlarge (B, C, h, w) images to `side` x `side` by the bicubic kernel of Pillow.

    The kernel has a = -0.5; the bicubic mode of torch without antialiasing has -0.75. Computes in
    float32.
    """
    return F.interpolate(image.float(), size=(side, side), mode="bicubic", antialias=True)


def he_normal(module: nn.Module) -> None:
    """Initialise all convolutions of a module as He normal (fan-in) with zero bias."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def remove_attention(network: nn.Module) -> None:
    """Replace every channel attention in a network by the identity."""
    for part in network.modules():
        for name, child in part.named_children():
            if isinstance(child, ChannelAttention):
                setattr(part, name, nn.Identity())
