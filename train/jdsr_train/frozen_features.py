"""Frozen ImageNet features of VGG-16 or SqueezeNet 1.1 for eq. 11 and 13."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import VGG16_Weights, squeezenet1_1, vgg16

from jdsr_cli.errors import InputMissingError, WeightsCorruptError, WeightsMissingError
from jdsr_cli.weights import read_state_dict
from jdsr_cli.weights.locations import sha256_of

LEVELS = 3
"""Levels that eq. 11 and 13 compare: pool1, pool2 and pool3 of VGG-16, or their like."""


class FeatureExtractor(nn.Module, ABC):
    """A frozen network cut into stages; (B, 3, H, W) RGB in [0, 1] goes in.

    Its weights take no gradient; gradients pass through it to the images.

    Args:
        stages: Run one after the other; each one's output is a level.
        scales: What each of the first `LEVELS` levels is divided by in `maps`.
        name: Network and file, recorded in checkpoints.
        deviation: How it differs from the paper's VGG-16, recorded too; None if it does not.
        half: Compute in bfloat16; the outputs are float32 all the same.

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
        """Bring RGB in [0, 1] to the colours that the network was trained on."""

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the stages' outputs, finest first, float32."""
        return self._run(images, len(self.stages))

    def maps(self, images: Tensor) -> list[Tensor]:
        """Return the three levels of eq. 11 and 13: strides 2, 4, 8 and 64, 128, 256 channels."""
        levels = self._run(images, LEVELS)
        return [level / scale for level, scale in zip(levels, self.scales, strict=True)]

    def _run(self, images: Tensor, count: int) -> list[Tensor]:
        x = self.prepare(images.float()).contiguous(memory_format=torch.channels_last)
        found = []
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.half_precision):
            for stage in self.stages[:count]:
                x = stage(x)
                found.append(x.float())
        return found


def cut(layers: Sequence[nn.Module], ends: Sequence[int]) -> list[nn.Module]:
    """Cut a row of layers into stages that end before the given places."""
    return [
        nn.Sequential(*layers[first:last]) for first, last in zip((0, *ends), ends, strict=False)
    ]


def read_state(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a state dict by name, on the CPU; nothing in it is executed.

    Raises:
        InputMissingError: No such file.
        WeightsCorruptError: It holds anything but named tensors.

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
"""Mean magnitudes of the three on aligned faces of 128 px.

This file works on levels up to 255, VGG-16 on standardised colours: without the division its maps
would weigh ten times as much as those that the weights of eq. 11 and 13 were made for.
"""


class SqueezeNetFeatures(FeatureExtractor):
    """Outputs of three stages of SqueezeNet 1.1, for eq. 11 and 13.

    The stand-in for the paper's VGG-16 where that cannot be had; using it is a deviation, and
    exported weights name it. (B, 3, H, W) RGB in [0, 1] goes in.

    Args:
        path: State dict of torchvision's `squeezenet1_1` that expects BGR 0 to 255 minus
            `CAFFE_MEAN_BGR`.
        half: Compute in bfloat16; the outputs are float32 all the same.

    Raises:
        InputMissingError: No such file.
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
            cut(list(network.features.children()), SQUEEZENET_STAGES),
            scales=SCALES,
            name=f"SqueezeNet 1.1 ({path.name})",
            deviation="perceptual and style terms use SqueezeNet 1.1 instead of VGG-16, each level "
            "scaled to a mean of 1 on faces",
            half=half,
        )
        self.register_buffer("mean", torch.tensor(CAFFE_MEAN_BGR).view(1, 3, 1, 1))

    def prepare(self, images: Tensor) -> Tensor:
        """Turn RGB in [0, 1] to BGR levels around 0."""
        return images.flip(1) * 255.0 - self.mean


URL: str = VGG16_Weights.IMAGENET1K_V1.url
"""Address of torchvision's file; its name ends in the first digits of its SHA-256."""
VGG_STAGES = (5, 10, 17)
"""Ends of the stages: after pool1, pool2 and pool3."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Colours of ImageNet, RGB in [0, 1] (our choice, SPEC 2; the parent network leaves them out)."""


def vgg16_trunk() -> nn.Sequential:
    """Return torchvision's VGG-16 up to pool3, on the meta device."""
    with torch.device("meta"):
        trunk: nn.Sequential = vgg16(weights=None).features[: VGG_STAGES[-1]]
    return trunk


class Vgg16Features(FeatureExtractor):
    """pool1, pool2 and pool3 of VGG-16; (B, 3, H, W) RGB in [0, 1] goes in.

    Args:
        path: State dict of torchvision's `vgg16`, whole or only its layers up to pool3; None is
            torchvision's own file in its cache, fetched there if it is not.
        half: Compute in bfloat16; the outputs are float32 all the same.

    Raises:
        InputMissingError: No such file.
        WeightsMissingError: torchvision's own file is not there and cannot be fetched.
        WeightsCorruptError: The file is not such a state dict.

    """

    mean: Tensor
    std: Tensor

    def __init__(self, path: Path | None = None, *, half: bool = False) -> None:
        path = path or fetch()
        trunk = vgg16_trunk()
        _load_trunk(trunk, path)
        super().__init__(
            cut(list(trunk.children()), VGG_STAGES),
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
    """Where torchvision keeps its VGG-16."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(URL).name


def fetch() -> Path:
    """Return torchvision's own file, downloaded into its cache (528 MB) if it is not there.

    Raises:
        WeightsMissingError: It cannot be downloaded or written.

    """
    path = cached_file()
    if path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(URL, str(path), _digest_start(), progress=False)
    except (OSError, RuntimeError, ValueError, HTTPException) as error:
        raise WeightsMissingError(
            f"torchvision's VGG-16 is not here and cannot be fetched ({error})",
            where=path,
            hint=f"Put {URL} there, or give --features FILE "
            "(a VGG-16 or SqueezeNet 1.1 state dict)",
        ) from error
    return path


def _load_trunk(trunk: nn.Sequential, path: Path) -> None:
    """Load the layers up to pool3, those and no others."""
    wanted = {}
    for name, tensor in read_state(path).items():
        layer, _, kind = name.removeprefix("features.").partition(".")
        if name.startswith("features.") and layer.isdecimal() and int(layer) < VGG_STAGES[-1]:
            wanted[f"{layer}.{kind}"] = tensor.float()
    try:
        trunk.load_state_dict(wanted, assign=True)
    except RuntimeError as error:
        raise WeightsCorruptError(
            "not a state dict of torchvision's vgg16 or squeezenet1_1", where=path
        ) from error


VGG16 = "vgg16"
"""Name of torchvision's own VGG-16, which is downloaded once."""


def load_features(source: str | Path, *, half: bool = False) -> FeatureExtractor:
    """Make the extractor that `source` names.

    Args:
        source: `VGG16`, or a state dict of torchvision's `vgg16` or `squeezenet1_1`
            (.safetensors, or what `torch.save` writes); which one, its tensors' names tell.
        half: Compute in bfloat16.

    Raises:
        InputMissingError: No such file.
        WeightsMissingError: torchvision's VGG-16 is not on this machine and cannot be fetched.
        WeightsCorruptError: The file is neither.

    """
    if str(source) == VGG16:
        return Vgg16Features(None, half=half)
    path = Path(source)
    if _is_squeezenet(read_state(path)):
        return SqueezeNetFeatures(path, half=half)
    return Vgg16Features(path, half=half)


def _is_squeezenet(state: Mapping[str, object]) -> bool:
    return any(".squeeze." in name for name in state)
