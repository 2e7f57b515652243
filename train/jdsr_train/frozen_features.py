"""Frozen ImageNet features of VGG-16 or SqueezeNet 1.1 for eq. 11 and 13."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import VGG16_Weights, squeezenet1_1, vgg16

from jdsr_cli.errors import InputMissingError, WeightsCorruptError, WeightsMissingError
from jdsr_cli.excerpts import first_line
from jdsr_cli.weights import read_state_dict
from jdsr_cli.weights.downloading import READ_ERRORS, download_file
from jdsr_cli.weights.locations import sha256_of

LEVELS = 3
"""Levels that eq. 11 and 13 compare: pool1, pool2 and pool3 of VGG-16, or comparable ones."""


class FeatureExtractor(nn.Module, ABC):
    """A frozen network divided into stages; its input is (B, 3, H, W) RGB in [0, 1].

    Its weights have no gradient; gradients are propagated through it to the images.

    Args:
        stages: Run in sequence; the output of each is a level.
        scales: Divisors of the first `LEVELS` levels in `maps`.
        name: Network and file, recorded in checkpoints.
        deviation: Difference from the paper's VGG-16, also recorded; None if there is none.
        half: Whether to compute in bfloat16; the outputs are float32 in either case.

    """

    def __init__(
        self,
        stages: Sequence[nn.Module],
        *,
        scales: Sequence[float],
        name: str,
        deviation: str | None,
        half: bool,
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.scales = tuple(scales)
        self.name = name
        self.deviation = deviation
        self.half_precision = half
        self.eval().requires_grad_(False).to(memory_format=torch.channels_last)

    @abstractmethod
    def prepare(self, images: Tensor) -> Tensor:
        """Convert RGB in [0, 1] to the value range on which the network was trained."""

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the outputs of all stages, finest first, float32."""
        return self._run(images, len(self.stages))

    def maps(self, images: Tensor) -> list[Tensor]:
        """Return the three levels of eq. 11 and 13: strides 2, 4, 8 and 64, 128, 256 channels."""
        levels = self._run(images, LEVELS)
        return [level / scale for level, scale in zip(levels, self.scales, strict=True)]

    def _run(self, images: Tensor, count: int) -> list[Tensor]:
        x = self.prepare(images.float()).contiguous(memory_format=torch.channels_last)
        outputs = []
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.half_precision):
            for stage in self.stages[:count]:
                x = stage(x)
                outputs.append(x.float())
        return outputs


def split_layers(layers: Sequence[nn.Module], ends: Sequence[int]) -> list[nn.Module]:
    """Divide a sequence of layers into stages that end before the given indices."""
    return [
        nn.Sequential(*layers[first:last]) for first, last in zip((0, *ends), ends, strict=False)
    ]


def read_state(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a state dict by name, on the CPU, without executing any code in it.

    Raises:
        InputMissingError: The file does not exist.
        WeightsCorruptError: It contains anything other than named tensors.

    """
    if not path.is_file():
        raise InputMissingError(
            "no feature weights", where=path, hint="Give --features vgg16 or --features FILE"
        )
    return read_state_dict(path).tensors


CAFFE_MEAN_BGR = (104.0, 117.0, 123.0)
SQUEEZENET_STAGES = (2, 5, 8)
"""Ends of the stages whose outputs are compared: strides 2, 4 and 8."""
SCALES = (12.9, 28.0, 23.7)
"""Mean magnitudes of the three levels on aligned faces of 128 px.

SqueezeNet takes levels up to 255, VGG-16 standardised colours. Without the division its maps would
be about ten times as large as those for which the weights of eq. 11 and 13 were chosen.
"""


class SqueezeNetFeatures(FeatureExtractor):
    """Outputs of three stages of SqueezeNet 1.1, for eq. 11 and 13.

    Replaces the paper's VGG-16 where that is not available. Its use is a deviation, which exported
    weights record. The input is (B, 3, H, W) RGB in [0, 1].

    Args:
        path: State dict of torchvision's `squeezenet1_1` that expects BGR 0 to 255 minus
            `CAFFE_MEAN_BGR`.
        half: Whether to compute in bfloat16; the outputs are float32 in either case.

    Raises:
        InputMissingError: The file does not exist.
        WeightsCorruptError: The file is not such a state dict.

    """

    mean: Tensor

    def __init__(self, path: Path, *, half: bool = False) -> None:
        network = squeezenet1_1(weights=None)
        try:
            network.load_state_dict(read_state(path))
        except RuntimeError as error:
            raise WeightsCorruptError(
                "not a state dict of torchvision's squeezenet1_1", where=path
            ) from error
        super().__init__(
            split_layers(list(network.features.children()), SQUEEZENET_STAGES),
            scales=SCALES,
            name=f"SqueezeNet 1.1 ({path.name})",
            deviation="perceptual and style terms use SqueezeNet 1.1 instead of VGG-16, each level "
            "scaled to a mean of 1 on faces",
            half=half,
        )
        self.register_buffer("mean", torch.tensor(CAFFE_MEAN_BGR).view(1, 3, 1, 1))

    def prepare(self, images: Tensor) -> Tensor:
        """Convert RGB in [0, 1] to BGR levels around 0."""
        return images.flip(1) * 255.0 - self.mean


URL: str = VGG16_Weights.IMAGENET1K_V1.url
"""Address of torchvision's file; its name ends in the first digits of its SHA-256."""
VGG_STAGES = (5, 10, 17)
"""Ends of the stages: after pool1, pool2 and pool3."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and deviation of ImageNet, RGB in [0, 1] (our choice, SPEC 2; the parent network omits
the standardisation)."""


def vgg16_trunk() -> nn.Sequential:
    """Return torchvision's VGG-16 up to pool3, on the meta device."""
    with torch.device("meta"):
        trunk: nn.Sequential = vgg16(weights=None).features[: VGG_STAGES[-1]]
    return trunk


class Vgg16Features(FeatureExtractor):
    """pool1, pool2 and pool3 of VGG-16; the input is (B, 3, H, W) RGB in [0, 1].

    Args:
        path: State dict of torchvision's `vgg16`, complete or only its layers up to pool3.
        half: Whether to compute in bfloat16; the outputs are float32 in either case.

    Raises:
        InputMissingError: The file does not exist.
        WeightsCorruptError: The file is not such a state dict.

    """

    mean: Tensor
    std: Tensor

    def __init__(self, path: Path, *, half: bool = False) -> None:
        trunk = vgg16_trunk()
        _load_trunk(trunk, path)
        super().__init__(
            split_layers(list(trunk.children()), VGG_STAGES),
            scales=(1.0, 1.0, 1.0),
            name=f"VGG-16 ({path.name})",
            deviation=_deviation(path),
            half=half,
        )
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))

    def prepare(self, images: Tensor) -> Tensor:
        """Standardise by ImageNet's mean and deviation."""
        return (images - self.mean) / self.std


def _digest_start() -> str:
    return Path(URL).stem.rpartition("-")[2]


def _deviation(path: Path) -> str | None:
    if sha256_of(path).startswith(_digest_start()):
        return None
    return f"perceptual and style terms use a VGG-16 ({path.name}) that is not torchvision's file"


def cached_file() -> Path:
    """Return the path of torchvision's VGG-16 in its cache."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(URL).name


def installed_file() -> Path:
    """Return torchvision's own file in its cache; nothing is downloaded.

    Raises:
        WeightsMissingError: It is missing.

    """
    path = cached_file()
    if not path.is_file():
        raise WeightsMissingError(
            "torchvision's VGG-16 is not on this machine",
            where=path,
            hint=f"Give --features {VGG16} to download it (528 MB), or --features FILE "
            "(a VGG-16 or SqueezeNet 1.1 state dict)",
        )
    return path


def fetch() -> Path:
    """Return torchvision's own file, downloaded into its cache (528 MB) if it is missing.

    Raises:
        WeightsMissingError: It cannot be downloaded or written.

    """
    path = cached_file()
    if path.is_file():
        return path
    try:
        download_file(URL, path, _digest_start())
    except READ_ERRORS as error:
        raise WeightsMissingError(
            f"torchvision's VGG-16 is missing and cannot be fetched ({first_line(error)})",
            where=path,
            hint=f"Put {URL} there, or give --features FILE "
            "(a VGG-16 or SqueezeNet 1.1 state dict)",
        ) from error
    return path


def _load_trunk(trunk: nn.Sequential, path: Path) -> None:
    """Load only the layers up to pool3."""
    layers = {}
    for name, tensor in read_state(path).items():
        layer, _, kind = name.removeprefix("features.").partition(".")
        if name.startswith("features.") and layer.isdecimal() and int(layer) < VGG_STAGES[-1]:
            layers[f"{layer}.{kind}"] = tensor.float()
    try:
        trunk.load_state_dict(layers, assign=True)
    except RuntimeError as error:
        raise WeightsCorruptError(
            "not a state dict of torchvision's vgg16 or squeezenet1_1", where=path
        ) from error


VGG16 = "vgg16"
"""Name of torchvision's own VGG-16, which is downloaded where it is asked for by this name."""


def load_features(source: str | Path | None, *, half: bool = False) -> FeatureExtractor:
    """Create a feature extractor.

    Args:
        source: None for torchvision's VGG-16 in its cache; `VGG16` to download it if it is not
            there; or a state dict of torchvision's `vgg16` or `squeezenet1_1`
            (.safetensors, or a file of `torch.save`). The names of its tensors identify the
            network.
        half: Whether to compute in bfloat16.

    Raises:
        InputMissingError: The file does not exist.
        WeightsMissingError: torchvision's VGG-16 is missing, and is not to be downloaded or cannot
            be.
        WeightsCorruptError: The file is neither.

    """
    if source is None:
        return Vgg16Features(installed_file(), half=half)
    if str(source) == VGG16:
        return Vgg16Features(fetch(), half=half)
    path = Path(source)
    if _is_squeezenet(read_state(path)):
        return SqueezeNetFeatures(path, half=half)
    return Vgg16Features(path, half=half)


def _is_squeezenet(state: Mapping[str, object]) -> bool:
    return any(".squeeze." in name for name in state)
