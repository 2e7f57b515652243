"""The generator of the paper: denoiser and super-resolver, trained jointly (JDSR-GAN, figure 2).

Implemented from arXiv 2103.13676, and where that is not specific, from the works on which it is
based (CBDNet, FSRNet, FCSR-GAN, RCAN).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.errors import UsageError
from jdsr_cli.networks.denoiser import Denoiser
from jdsr_cli.networks.hourglass import Bottleneck
from jdsr_cli.networks.layers import (
    REDUCTION,
    SIDES,
    GeneratorOutput,
    ResidualBlock,
    enlarge,
    he_normal,
    remove_attention,
)
from jdsr_cli.networks.super_resolver import SuperResolver

SMALL = 0.1
"""Factor on the initial weights of the last convolutions."""


def initialise(module: nn.Module, outputs: tuple[nn.Conv2d, ...]) -> None:
    """Initialise convolutions as He normal with zero bias (PAPER section 3.1, CBDNet).

    The last convolution of every residual block and bottleneck and those in `outputs` start at
    `SMALL` times that. Otherwise about fifty consecutive bottlenecks add up to logits in the
    hundreds, and heat maps that are saturated from the first step do not learn.
    """
    he_normal(module)
    last = list(outputs)
    for part in module.modules():
        if isinstance(part, ResidualBlock):
            last.append(part.conv2)
        if isinstance(part, Bottleneck):
            last.append(part.last)
    with torch.no_grad():
        for convolution in last:
            convolution.weight.mul_(SMALL)


NoiseMap = Literal["difference", "alpha"]
"""Quantity that a noise map estimates: |masked - clean|, or the covered share of each pixel."""

UNDER_ESTIMATED = 0.7
"""Weight of an under-estimated noise level in eq. 8, of an over-estimated one 0.3: |alpha - 1| with
alpha = 0.3 (CBDNet). Noise maps are trained with it."""
NOISE_FLOOR = 0.02
"""Noise level up to which a pixel counts as not covered: the level of sensors and codecs."""
NOISE_FULL = 0.12
"""Noise level from which a pixel counts as completely covered."""


@dataclass(frozen=True)
class JDSRConfig:
    """Shape of a `JDSRGenerator`; the defaults are the paper's."""

    grid: Literal["hr", "lr"] = "hr"
    """Resolution of the denoiser: the input enlarged to 128 px, or the input itself."""
    lr_size: int = 32
    """Side of the input in pixels: 32 (x4), 16 (x8), or 64 or 128 for footage."""
    landmarks: int = 81
    """Landmark heat maps."""
    hourglass_blocks: int = 4
    """Bottlenecks at each position of an hourglass; 1 is the light generator."""
    attention: bool = True
    """Whether channel attention is used; off for the ablation of table 2."""
    hourglass_attention: bool = False
    """Whether the bottlenecks have channel attention."""
    noise_width: int = 32
    """Channels of the noise estimator."""
    denoiser_widths: tuple[int, int, int] = (64, 128, 256)
    """Channels of the denoiser's U-Net, finest level first."""
    width: int = 64
    """Channels of the coarse network, the encoder and the decoder."""
    prior_width: int = 256
    """Channels of the prior network."""
    noise: NoiseMap = "difference"
    """Quantity that the noise map was trained to estimate; the occlusion map follows from it."""

    def __post_init__(self) -> None:
        if self.grid not in ("hr", "lr"):
            raise UsageError(f"grid is {self.grid!r}, it can be 'hr' or 'lr'", where="jdsr")
        if self.noise not in get_args(NoiseMap):
            raise UsageError(
                f"noise is {self.noise!r}, it can be 'difference' or 'alpha'", where="jdsr"
            )
        if self.lr_size not in SIDES:
            raise UsageError(
                f"lr_size is {self.lr_size}, it can be {', '.join(map(str, SIDES))}", where="jdsr"
            )
        if self.landmarks < 1 or self.hourglass_blocks < 1:
            raise UsageError("landmarks and hourglass_blocks are at least 1", where="jdsr")
        if len(self.denoiser_widths) != 3:
            raise UsageError("denoiser_widths has 3 entries", where="jdsr")
        if min(self.noise_width, *self.denoiser_widths, self.width, self.prior_width) < REDUCTION:
            raise UsageError(
                f"channel attention needs widths of at least {REDUCTION}", where="jdsr"
            )


class JDSRGenerator(nn.Module):
    """Denoiser (4.4 M parameters) and super-resolver (27.6 M) from a masked low-resolution face.

    On grid ``hr`` the input is enlarged before the denoiser, on grid ``lr`` after it; the
    parameters are the same.
    """

    def __init__(self, config: JDSRConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or JDSRConfig()
        self.lr_size = config.lr_size
        self.denoiser = Denoiser(config.noise_width, config.denoiser_widths)
        self.super_resolver = SuperResolver(
            config.landmarks,
            config.width,
            config.prior_width,
            config.hourglass_blocks,
            config.hourglass_attention,
        )
        if not config.attention:
            remove_attention(self)
        initialise(
            self,
            outputs=(
                self.denoiser.noise.output,
                self.denoiser.output,
                self.super_resolver.coarse.output,
                self.super_resolver.prior.features,
                self.super_resolver.prior.landmarks,
                self.super_resolver.prior.parsing,
                self.super_resolver.decoder.output,
            ),
        )

    def forward(self, lr: Tensor) -> GeneratorOutput:
        """Restore (B, 3, lr_size, lr_size) RGB faces in [0, 1].

        The output's `denoised`, `noise_map` and `occlusion` are 128 px wide on grid ``hr`` and
        lr_size on grid ``lr``. Images are not clamped.
        """
        denoised, gamma = self.denoise(lr)
        face = denoised if self.config.grid == "hr" else enlarge(denoised, TEMPLATE_SIZE)
        restored, coarse, landmarks, parsing = self.super_resolver(face)
        return GeneratorOutput(
            restored=restored,
            denoised=denoised,
            noise_map=gamma,
            occlusion=occlusion_from_noise(gamma, self.config.noise),
            coarse=coarse,
            landmarks=landmarks,
            parsing=parsing,
        )

    def denoise(self, lr: Tensor) -> tuple[Tensor, Tensor]:
        """Return the output of the denoiser alone: I_D_LR and gamma (eq. 1-2)."""
        masked = enlarge(lr, TEMPLATE_SIZE) if self.config.grid == "hr" else lr.float()
        denoised, gamma = self.denoiser(masked)
        return denoised, gamma


def occlusion_from_noise(noise_map: Tensor, kind: NoiseMap = "difference") -> Tensor:
    """Compute an occlusion map from a noise map, since the paper's denoiser has no head for one.

    A map of the difference, |masked - clean|, is high in at least one channel of a covered pixel.
    The result is the highest channel, scaled linearly from `NOISE_FLOOR` (0) to `NOISE_FULL` (1). A
    mask of the same colour as the skin below it is not detected; blur, noise and compression are.

    The three channels of a map of alpha have the same target; their mean is g. For a pixel that is
    covered with probability p, eq. 8 yields not p but the expectile g of the weights 0.7
    (`UNDER_ESTIMATED`) and 0.3: 0.7 p (1 - g) = 0.3 (1 - p) g. The result is p, which is one half
    at g = 0.7.

    Args:
        noise_map: (B, 3, H, W), not negative.
        kind: Quantity that the map estimates.

    Returns:
        (B, 1, H, W) in [0, 1].

    """
    if kind == "alpha":
        level = noise_map.mean(dim=1, keepdim=True).clamp(0.0, 1.0)
        bare = UNDER_ESTIMATED * (1.0 - level)
        covered = (1.0 - UNDER_ESTIMATED) * level
        return covered / (bare + covered)
    highest = noise_map.amax(dim=1, keepdim=True)
    return ((highest - NOISE_FLOOR) / (NOISE_FULL - NOISE_FLOOR)).clamp(0.0, 1.0)
