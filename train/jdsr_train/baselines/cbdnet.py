"""CBDNet, the blind denoiser on which the paper's denoising module is based (arXiv 1807.04686).

It is that module without channel attention, on the grid of the low-resolution face (SPEC 6.1). A
mask is the noise that it estimates and removes.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.errors import UsageError
from jdsr_cli.networks.denoiser import Denoiser
from jdsr_cli.networks.generator import occlusion_from_noise
from jdsr_cli.networks.layers import (
    REDUCTION,
    SIDES,
    GeneratorOutput,
    enlarge,
    he_normal,
    remove_attention,
)


@dataclass(frozen=True)
class CBDNetConfig:
    """Shape of a `CBDNet`; the defaults are the published ones."""

    lr_size: int = 32
    """Side of the input in pixels: 16, 32, 64 or 128."""
    noise_width: int = 32
    """Channels of the noise estimator."""
    denoiser_widths: tuple[int, int, int] = (64, 128, 256)
    """Channels of the U-Net, finest level first."""

    def __post_init__(self) -> None:
        if self.lr_size not in SIDES:
            raise UsageError(
                f"lr_size is {self.lr_size}, it can be {', '.join(map(str, SIDES))}", where="cbdnet"
            )
        if len(self.denoiser_widths) != 3:
            raise UsageError("denoiser_widths has 3 entries", where="cbdnet")
        if min(self.noise_width, *self.denoiser_widths) < REDUCTION:
            raise UsageError(
                f"noise_width and denoiser_widths are at least {REDUCTION}", where="cbdnet"
            )


class CBDNet(nn.Module):
    """Noise estimator and U-Net without attention, 4.4 M parameters."""

    def __init__(self, config: CBDNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or CBDNetConfig()
        self.lr_size = config.lr_size
        self.denoiser = Denoiser(config.noise_width, config.denoiser_widths)
        remove_attention(self)
        he_normal(self)

    def forward(self, lr: Tensor) -> GeneratorOutput:
        """Remove masks from (B, 3, lr_size, lr_size) RGB faces in [0, 1].

        `restored` is the bicubic enlargement of `denoised`.
        """
        denoised, gamma = self.denoiser(lr.float())
        return GeneratorOutput(
            restored=enlarge(denoised, TEMPLATE_SIZE),
            denoised=denoised,
            noise_map=gamma,
            occlusion=occlusion_from_noise(gamma),
        )


NETWORK = (CBDNetConfig, CBDNet)
"""What the entry point gives to `jdsr_cli.networks.build`."""
