"""FSRNet, the super-resolver with facial priors (CVPR 2018, arXiv 1711.10703; SPEC 6.5).

The layout of a public implementation, with independent residual blocks: a coarse network cleans the
enlarged face; from its result an encoder computes features and hourglasses a prior, namely landmark
and parsing maps; a decoder computes the fine face from both.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.errors import UsageError
from jdsr_cli.networks.generator import SMALL
from jdsr_cli.networks.hourglass import Bottleneck, Hourglass
from jdsr_cli.networks.layers import GeneratorOutput, enlarge
from jdsr_cli.networks.super_resolver import FACE_PARTS
from jdsr_train.baselines.inputs import check_side
from jdsr_train.baselines.outputs import enlarged_only

MAX_DEPTH = (TEMPLATE_SIZE // 2).bit_length() - 1
"""Times that the grid of the prior can be halved."""
DEVIATION = 0.02
"""Standard deviation of the initial weights."""

Prior = Literal["maps", "features"]
"""What the decoder takes of the prior network: its maps, or the hourglasses' features."""


@dataclass(frozen=True)
class FSRNetConfig:
    """Shape of an `FSRNet`; the wider variant has `prior_width` 256 and `depth` 4."""

    lr_size: int = 32
    """Side of the input in pixels: 32 (x4) or 16 (x8)."""
    landmarks: int = 81
    """Landmark heat maps."""
    width: int = 64
    """Channels of the coarse network, the encoder and the decoder."""
    coarse_blocks: int = 3
    """Residual blocks of the coarse network."""
    encoder_blocks: int = 12
    """Residual blocks of the encoder."""
    decoder_blocks: int = 3
    """Residual blocks of the decoder."""
    prior_width: int = 128
    """Channels of the prior network."""
    prior_blocks: int = 2
    """Residual blocks of the prior network before its hourglasses."""
    hourglasses: int = 2
    """Hourglasses, one after the other."""
    depth: int = 3
    """Number of times an hourglass halves its resolution, at most 6."""
    decoded: Prior = "maps"
    """Input of the decoder beside the encoder's features. The maps are those of the paper; the
    public implementation takes the features."""

    def __post_init__(self) -> None:
        check_side(self.lr_size, "fsrnet")
        counts = (
            self.landmarks,
            self.width,
            self.coarse_blocks,
            self.encoder_blocks,
            self.decoder_blocks,
            self.prior_blocks,
            self.hourglasses,
            self.depth,
        )
        if min(counts) < 1:
            raise UsageError("widths and numbers of layers are at least 1", where="fsrnet")
        if self.prior_width < 2:
            raise UsageError(f"prior_width is {self.prior_width}, it is at least 2", where="fsrnet")
        if self.depth > MAX_DEPTH:
            raise UsageError(
                f"depth is {self.depth}, maps of {TEMPLATE_SIZE // 2} px can be halved "
                f"{MAX_DEPTH} times",
                where="fsrnet",
            )
        if self.decoded not in get_args(Prior):
            raise UsageError(
                f"decoded is {self.decoded!r}, it can be 'maps' or 'features'", where="fsrnet"
            )


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """Create a convolution without bias; those of stride 1 continue the picture by reflection."""
    mode: Literal["reflect", "zeros"] = "reflect" if stride == 1 else "zeros"
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False, padding_mode=mode)


def _unit(convolution: nn.Module, width: int) -> list[nn.Module]:
    return [convolution, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]


class NormalisedBlock(nn.Module):
    """A residual block whose convolutions have batch normalisation; (B, C, H, W) in and out."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_unit(_conv(width, width), width), _conv(width, width), nn.BatchNorm2d(width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` plus the residual."""
        residual: Tensor = self.body(x)
        return x + residual


def _blocks(width: int, count: int) -> list[nn.Module]:
    return [NormalisedBlock(width) for _ in range(count)]


class FSRNet(nn.Module):
    """Enlarges clean faces with the help of a prior (3.3 M parameters)."""

    def __init__(self, config: FSRNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or FSRNetConfig()
        self.lr_size = config.lr_size
        width, prior_width = config.width, config.prior_width
        maps = config.landmarks + FACE_PARTS
        prior = maps if config.decoded == "maps" else prior_width
        self.coarse = nn.Sequential(
            *_unit(_conv(3, width), width),
            *_blocks(width, config.coarse_blocks),
            _conv(width, 3),
        )
        self.encoder = nn.Sequential(
            *_unit(_conv(3, width, stride=2), width),
            *_blocks(width, config.encoder_blocks),
            _conv(width, width),
            nn.Tanh(),
        )
        self.prior = nn.Sequential(
            *_unit(_conv(3, width, 7, stride=2), width),
            Bottleneck(prior_width, inputs=width),
            *_blocks(prior_width, config.prior_blocks),
            *(
                Hourglass(partial(Bottleneck, prior_width), config.depth)
                for _ in range(config.hourglasses)
            ),
        )
        self.landmarks = nn.Conv2d(prior_width, config.landmarks, 1)
        self.parsing = nn.Conv2d(prior_width, FACE_PARTS, 1)
        self.decoder = nn.Sequential(
            *_unit(nn.Conv2d(width + prior, width, 3, padding=1, bias=False), width),
            *_unit(nn.ConvTranspose2d(width, width, 3, 2, 1, output_padding=1, bias=False), width),
            *_blocks(width, config.decoder_blocks),
            _conv(width, 3),
        )
        self._initialise()

    def _initialise(self) -> None:
        """Draw weights from N(0, 0.02), scales of batch normalisation from N(1, 0.02).

        The heads start at `SMALL` times that. Each hourglass multiplies its features by about four,
        and the maps would be saturated, which they cannot be in the public implementation: it has
        neither sigmoid nor softmax.
        """
        for part in self.modules():
            if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(part.weight, 0.0, DEVIATION)
                if part.bias is not None:
                    nn.init.zeros_(part.bias)
            if isinstance(part, nn.BatchNorm2d):
                nn.init.normal_(part.weight, 1.0, DEVIATION)
        with torch.no_grad():
            for head in (self.landmarks, self.parsing):
                head.weight.mul_(SMALL)

    def forward(self, lr: Tensor) -> GeneratorOutput:
        """Restore (B, 3, lr_size, lr_size) RGB faces in [0, 1].

        The output has `coarse`, `landmarks` (B, landmarks, 64, 64) in (0, 1) and `parsing`
        (B, 11, 64, 64) logits. The decoder takes the landmark maps unchanged and parsing maps as
        probabilities, like that of `JDSRGenerator`.
        """
        coarse = self.coarse(enlarge(lr, TEMPLATE_SIZE) * 2.0 - 1.0).float().tanh()
        features = self.prior(coarse)
        landmarks = self.landmarks(features).float().sigmoid()
        parsing = self.parsing(features).float()
        prior = [landmarks, parsing.softmax(dim=1)]
        if self.config.decoded == "features":
            prior = [features]
        mix = torch.cat([self.encoder(coarse), *prior], dim=1)
        fine = self.decoder(mix).float().tanh()
        return enlarged_only(
            lr,
            _to_unit_range(fine),
            coarse=_to_unit_range(coarse),
            landmarks=landmarks,
            parsing=parsing,
        )


def _to_unit_range(image: Tensor) -> Tensor:
    """Convert [-1, 1] to [0, 1]."""
    return (image + 1.0) / 2.0


NETWORK = (FSRNetConfig, FSRNet)
"""What the entry point gives to `jdsr_cli.networks.build`."""
