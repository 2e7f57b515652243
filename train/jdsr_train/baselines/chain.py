"""CBDNet followed by a super-resolver: the systems of the paper's tables 3 and 4 (SPEC 6).

CBDNet is trained on masked faces and the super-resolver on clean ones. They are not trained
jointly: a chain receives the weights of both.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, nn

from jdsr_cli.errors import UsageError
from jdsr_cli.networks import GeneratorOutput, build
from jdsr_train.baselines.cbdnet import CBDNet, CBDNetConfig


@dataclass(frozen=True)
class ChainConfig:
    """Networks of a `Chain`."""

    lr_size: int = 32
    """Side of the input in pixels, of both networks: 32 (x4) or 16 (x8)."""
    super_resolver: str = "srfbn"
    """Name of the network that enlarges the denoised face, for `jdsr_cli.networks.build`."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """Its arguments, without `lr_size`."""
    noise_width: int = CBDNetConfig.noise_width
    """Channels of CBDNet's noise estimator."""
    denoiser_widths: tuple[int, int, int] = CBDNetConfig.denoiser_widths
    """Channels of CBDNet's U-Net, finest level first."""

    def __post_init__(self) -> None:
        if "lr_size" in self.arguments:
            raise UsageError(
                "arguments has an lr_size",
                where="chain",
                hint="Leave it out: both networks have the chain's.",
            )
        if self.super_resolver == "chain":
            raise UsageError("super_resolver is itself a chain", where="chain")


class Chain(nn.Module):
    """The children `denoiser`, a `CBDNet`, and `super_resolver`."""

    def __init__(self, config: ChainConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or ChainConfig()
        self.lr_size = config.lr_size
        self.denoiser = CBDNet(
            CBDNetConfig(config.lr_size, config.noise_width, config.denoiser_widths)
        )
        self.super_resolver = build(
            config.super_resolver, {**config.arguments, "lr_size": config.lr_size}
        )

    def forward(self, lr: Tensor) -> GeneratorOutput:
        """Restore (B, 3, lr_size, lr_size) RGB faces in [0, 1].

        The super-resolver receives the denoised face in the range of the faces on which it was
        trained, [0, 1]. Its results are those of the chain, besides those of CBDNet.
        """
        found: GeneratorOutput = self.denoiser(lr)
        enlarged: GeneratorOutput = self.super_resolver(found.denoised.clamp(0.0, 1.0))
        return replace(
            enlarged,
            denoised=found.denoised,
            noise_map=found.noise_map,
            occlusion=found.occlusion,
        )


NETWORK = (ChainConfig, Chain)
"""What the entry point gives to `jdsr_cli.networks.build`."""
