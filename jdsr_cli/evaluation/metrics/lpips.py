"""LPIPS v0.1 (Zhang et al. 2018): distance of two images in the features of a trained network.

A trunk (AlexNet, VGG-16 or SqueezeNet 1.1) computes features at several depths; each is normalised
to unit length across its channels, squared differences are weighted by learned heads, averaged over
the image and summed over the depths. This implementation is needed because torchmetrics and the
`lpips` package can only download their trunks and cannot read them from a file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision import models

from jdsr_cli.errors import WeightsCorruptError, WeightsMissingError
from jdsr_cli.excerpts import first_line
from jdsr_cli.weights import read_state_dict, sha256_of
from jdsr_cli.weights.downloading import READ_ERRORS, download_file

DOWNLOAD = "download"
"""Trunk setting for torchvision's own AlexNet."""
HEADS = Path(__file__).with_name("lpips_heads.safetensors")
"""The published heads of all three trunks; `lpips_heads.LICENSE` states their origin."""
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CAFFE_MEAN_BGR = (104.0, 117.0, 123.0)
_EPSILON = 1e-8


@dataclass(frozen=True)
class Trunk:
    """A feature network of torchvision."""

    name: str
    model: str
    """Its name in torchvision."""
    ends: tuple[int, ...]
    """Indices in `features` of the layers whose rectified outputs are compared."""
    key: str
    """Name of a tensor that identifies the trunk."""
    shape: tuple[int, ...]
    """Shape of that tensor."""


TRUNKS = (
    Trunk("alex", "alexnet", (1, 4, 7, 9, 11), "features.0.weight", (64, 3, 11, 11)),
    Trunk("vgg", "vgg16", (3, 8, 15, 22, 29), "features.28.weight", (512, 512, 3, 3)),
    Trunk("squeeze", "squeezenet1_1", (1, 4, 7, 9, 10, 11, 12), "features.12.squeeze.weight",
          (64, 512, 1, 1)),
)  # fmt: skip


def identify_trunk(path: Path, state: dict[str, Tensor]) -> Trunk:
    """Identify the trunk of a state dict by its tensors.

    Raises:
        WeightsCorruptError: It is not one of `TRUNKS`.

    """
    for trunk in TRUNKS:
        if trunk.key in state and tuple(state[trunk.key].shape) == trunk.shape:
            return trunk
    raise WeightsCorruptError(
        "not a state dict of torchvision's alexnet, vgg16 or squeezenet1_1", where=path
    )


def published_url(trunk: Trunk) -> str:
    """Return the URL of torchvision's weights, which ends with a prefix of their hash."""
    return str(models.get_model_weights(trunk.model)["IMAGENET1K_V1"].url)


def hash_prefix(url: str) -> str:
    """Return the first digits of the SHA-256 of a file from its torchvision URL."""
    return Path(url).stem.rsplit("-", 1)[1]


def download_trunk() -> Path:
    """Download torchvision's AlexNet, the usual trunk of LPIPS, into torch's cache.

    Raises:
        WeightsMissingError: The download failed.

    """
    url = published_url(TRUNKS[0])
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[1]
    if path.is_file():
        return path
    try:
        download_file(url, path, hash_prefix(url))
    except READ_ERRORS as error:
        raise WeightsMissingError(
            f"the trunk of LPIPS cannot be downloaded ({first_line(error)})",
            where=url,
            hint="Fetch it with a browser and give --lpips FILE",
        ) from error
    return path


def read_heads(path: Path | None, trunk: Trunk) -> list[Tensor]:
    """Return the weights of each depth, (C, 1, 1), from a file or the published ones.

    Raises:
        WeightsMissingError, WeightsCorruptError: See `read_state_dict`; also if the depths do not
            match the trunk.

    """
    if path is None:
        start = f"{trunk.name}."
        stored = read_state_dict(HEADS).tensors
        state = {key[len(start) :]: one for key, one in stored.items() if key.startswith(start)}
    else:
        state = read_state_dict(path).tensors
    names = [f"lin{depth}.model.1.weight" for depth in range(len(trunk.ends))]
    if sorted(state) != sorted(names):
        raise WeightsCorruptError(f"not the heads of LPIPS for {trunk.model}", where=path)
    return [state[name].float()[0] for name in names]


class LpipsMetric:
    """LPIPS of restored and ground-truth faces; lower is better, 0 for equal images.

    Args:
        trunk: State dict of torchvision's `alexnet`, `vgg16` or `squeezenet1_1` (identified
            by its tensors), or `download` for torchvision's own AlexNet. A file with `caffe` in its
            name takes BGR 0 to 255 minus `CAFFE_MEAN_BGR`, any other torchvision's RGB.
        heads: State dict of the heads, `lin0.model.1.weight` and so on; None for the published
            heads (`HEADS`).
        device: Device of the network.

    Raises:
        WeightsMissingError: The file does not exist, or the download failed.
        WeightsCorruptError: The trunk is not one of the three, or the heads do not match it.

    """

    figure = "lpips"

    def __init__(self, trunk: str | Path, heads: Path | None = None, device: str = "cpu") -> None:
        path = download_trunk() if str(trunk) == DOWNLOAD else Path(trunk)
        state = read_state_dict(path).tensors
        self.trunk = identify_trunk(path, state)
        with torch.device("meta"):
            features = models.get_model(self.trunk.model, weights=None).features
        prefix = "features."
        layers = {key[len(prefix) :]: one for key, one in state.items() if key.startswith(prefix)}
        try:
            features.load_state_dict(layers, assign=True)
        except RuntimeError as error:
            raise WeightsCorruptError(
                f"not a state dict of torchvision's {self.trunk.model}", where=path
            ) from error
        starts = (0, *(end + 1 for end in self.trunk.ends))
        in_order = list(features.children())
        self._slices = nn.ModuleList(
            nn.Sequential(*in_order[start : end + 1])
            for start, end in zip(starts, self.trunk.ends, strict=False)
        )
        for layer in self._slices.modules():
            if isinstance(layer, nn.ReLU):
                layer.inplace = False
        self._slices.eval().requires_grad_(False).to(device)
        self._heads = [head.to(device) for head in read_heads(heads, self.trunk)]
        self._path, self._heads_path, self._device = path, heads, device
        self._caffe = "caffe" in path.name.lower()
        channels = [part.shape[1] for part in self.features(torch.zeros(1, 3, 64, 64))]
        if channels != [len(head) for head in self._heads]:
            raise WeightsCorruptError(f"not the heads of LPIPS for {self.trunk.model}", where=heads)

    @property
    def standard(self) -> bool:
        """Whether the trunk is torchvision's published file, according to its hash."""
        return sha256_of(self._path).startswith(hash_prefix(published_url(self.trunk)))

    @property
    def protocol(self) -> str:
        """Description of the metric, and whether it is comparable with published LPIPS."""
        heads = self._heads_path.name if self._heads_path else "the published"
        text = f"LPIPS v0.1, {self.trunk.model} trunk {self._path.name}, {heads} heads"
        if self.standard:
            return f"{text}; torchvision's published trunk"
        channels = "BGR 0 to 255 minus (104, 117, 123)" if self._caffe else "torchvision's RGB"
        return (
            f"{text}; the trunk (SHA-256 {sha256_of(self._path)}, input {channels}) is NOT "
            "torchvision's published one, on which the heads were trained: compare its figures "
            "only with each other"
        )

    def features(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return features of unit length at every depth of (B, 3, H, W) RGB in [0, 1]."""
        x = images.to(self._device).float()
        if self._caffe:
            x = x.flip(1) * 255 - x.new_tensor(CAFFE_MEAN_BGR).view(1, 3, 1, 1)
        else:
            mean, std = (x.new_tensor(v).view(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
            x = (x - mean) / std
        features = []
        with torch.inference_mode():
            for part in self._slices:
                x = part(x)
                features.append(x / (x.square().sum(1, keepdim=True) + _EPSILON).sqrt())
        return tuple(features)

    def compare(self, restored: tuple[Tensor, ...], truth: tuple[Tensor, ...]) -> Tensor:
        """Return the distance of each image, (B,)."""
        parts = [
            ((first - second).square() * head).sum(1).mean(dim=(1, 2))
            for first, second, head in zip(restored, truth, self._heads, strict=True)
        ]
        return torch.stack(parts).sum(0).double().cpu()
