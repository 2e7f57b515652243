"""The detectors `retinaface-mobile` and `retinaface-r50`: facexlib's networks in torch.

Only the layers are those of facexlib. Its detector class builds a backbone by a deprecated call of
torchvision, computes the prior boxes of each image in a Python loop and decodes all of them. Here
images of one size run as a batch, priors are cached on the device, and only boxes above the
threshold are decoded and copied, all at once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from facexlib.detection.retinaface_net import (
    FPN,
    SSH,
    MobileNetV1,
    make_bbox_head,
    make_class_head,
    make_landmark_head,
)
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.models import resnet50

from jdsr_cli.errors import UsageError, WeightsCorruptError
from jdsr_cli.faces.detection.base import Detection
from jdsr_cli.faces.detection.network import Letterbox, decode_detections
from jdsr_cli.weights.state_dicts import read_state_dict

MEAN_RGB = (123.0, 117.0, 104.0)
"""Subtracted from the input, which the networks take as BGR in [0, 255]."""
STEPS = (8, 16, 32)
"""Pixels of the input for each step of the three output grids."""
PRIOR_SIDES = ((16.0, 32.0), (64.0, 128.0), (256.0, 512.0))
"""Sides in pixels of the boxes that each grid refines."""
CENTRE_VARIANCE, SIZE_VARIANCE = 0.1, 0.2
"""Scale of what the networks give for centres and points, and for logarithmic sizes."""
OVERLAP = 0.4
"""Intersection over union above which two boxes are one face; the networks' published value."""
CACHED_PRIORS = 8
"""Number of input sizes whose priors are cached on the device."""


@dataclass(frozen=True)
class RetinaFaceKind:
    """The parameters of one of the two networks."""

    name: str
    stages: tuple[str, str, str]
    """Children of the backbone whose output is used."""
    channels: tuple[int, int, int]
    """Channels of those outputs."""
    width: int
    """Channels of the layers after the backbone."""


KINDS = {
    kind.name: kind
    for kind in (
        RetinaFaceKind("retinaface-mobile", ("stage1", "stage2", "stage3"), (64, 128, 256), 64),
        RetinaFaceKind("retinaface-r50", ("layer2", "layer3", "layer4"), (512, 1024, 2048), 256),
    )
}
"""Networks by name."""


class RetinaFaceNet(nn.Module):
    """Backbone, feature pyramid and heads, with the names of facexlib's weight files."""

    def __init__(self, kind: RetinaFaceKind) -> None:
        super().__init__()
        backbone = MobileNetV1() if kind.name == "retinaface-mobile" else resnet50(weights=None)
        self.body = Backbone(backbone, kind.stages)
        self.fpn = FPN(list(kind.channels), kind.width)
        self.ssh1, self.ssh2, self.ssh3 = (SSH(kind.width, kind.width) for _ in range(3))
        self.ClassHead = make_class_head(fpn_num=3, inchannels=kind.width)
        self.BboxHead = make_bbox_head(fpn_num=3, inchannels=kind.width)
        self.LandmarkHead = make_landmark_head(fpn_num=3, inchannels=kind.width)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return boxes (B, P, 4), scores (B, P) and points (B, P, 10), relative to P priors.

        Args:
            images: (B, 3, H, W), BGR in [0, 255] less the mean; sides are multiples of 32.

        """
        pyramid = self.fpn(self.body(images))
        features = [self.ssh1(pyramid[0]), self.ssh2(pyramid[1]), self.ssh3(pyramid[2])]
        boxes, classes, points = (
            torch.cat([head(one) for head, one in zip(heads, features, strict=True)], dim=1)
            for heads in (self.BboxHead, self.ClassHead, self.LandmarkHead)
        )
        return boxes, classes.softmax(dim=-1)[..., 1], points


class Backbone(nn.ModuleDict):
    """The children of a network up to the last wanted one; gives the wanted outputs."""

    def __init__(self, network: nn.Module, wanted: Sequence[str]) -> None:
        children = OrderedDict(network.named_children())
        names = list(children)
        super().__init__({name: children[name] for name in names[: names.index(wanted[-1]) + 1]})
        self._wanted = frozenset(wanted)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the wanted outputs in the order of the layers."""
        outputs, values = [], images
        for name, child in self.items():
            values = child(values)
            if name in self._wanted:
                outputs.append(values)
        return outputs


class RetinaFace:
    """RetinaFace as a `FaceNetwork`.

    Threshold and least width were chosen with the mobile network on 420 street pictures with
    903 faces of 24 px and wider, most of them masked: 92.7 % are found (box overlap of at least
    0.4), with one box of that size in 10 pictures that is not an annotated face. CenterFace finds
    more of them; the large network was not measured.

    Args:
        name: `retinaface-mobile` or `retinaface-r50`.
        path: The weight file of facexlib.
        device: The device to run on.

    Raises:
        UsageError: There is no such network.
        WeightsCorruptError: The file is not a state dict of that network.

    """

    backend = "torch"
    threshold = 0.6
    least_width = 20.0

    def __init__(self, name: str, path: Path, device: torch.device) -> None:
        if name not in KINDS:
            raise UsageError(f"no RetinaFace is called {name!r}", hint=f"Use {' or '.join(KINDS)}.")
        self.name = name
        self.batch_pixels = 4_000_000 if device.type == "cpu" else 24_000_000
        self._device = device
        self._net = _load(KINDS[name], path).to(device)
        self._mean = torch.tensor(MEAN_RGB[::-1], device=device).view(1, 3, 1, 1)
        self._priors: OrderedDict[tuple[int, int], Tensor] = OrderedDict()

    @torch.inference_mode()
    def find(
        self, images: Sequence[NDArray[np.uint8]], letterbox: Letterbox, threshold: float
    ) -> list[list[Detection]]:
        """Return the faces of each image with at least `threshold`, in pixels of the image."""
        batch = torch.from_numpy(letterbox.fit(images, MEAN_RGB)).to(self._device)
        boxes, scores, points = self._net(batch.permute(0, 3, 1, 2).flip(1).float() - self._mean)
        image, index = torch.nonzero(scores >= threshold, as_tuple=True)
        priors = self._priors_of(letterbox.outer_width, letterbox.outer_height)[index]
        found = torch.cat(
            [
                image.unsqueeze(1).float(),
                scores[image, index].unsqueeze(1),
                _decode_boxes(boxes[image, index], priors),
                _decode_points(points[image, index], priors),
            ],
            dim=1,
        )
        rows = found.cpu().numpy()
        each = (rows[rows[:, 0] == number] for number in range(len(images)))
        return [
            decode_detections(row[:, 2:6], row[:, 6:], row[:, 1], letterbox, OVERLAP)
            for row in each
        ]

    def _priors_of(self, width: int, height: int) -> Tensor:
        """Return (P, 4) centre x, y and sides of the prior boxes, in pixels of the input."""
        key = (width, height)
        if key not in self._priors:
            self._priors[key] = make_priors(width, height).to(self._device)
            if len(self._priors) > CACHED_PRIORS:
                self._priors.popitem(last=False)
        self._priors.move_to_end(key)
        return self._priors[key]


def make_priors(width: int, height: int) -> Tensor:
    """Return (P, 4) centre x, y, width and height of the prior boxes of an input, in pixels.

    Row by row for each grid, the smaller of two boxes first: the order of the networks' output.
    """
    grids = []
    for step, sides in zip(STEPS, PRIOR_SIDES, strict=True):
        y = (torch.arange(-(-height // step)) + 0.5) * step
        x = (torch.arange(-(-width // step)) + 0.5) * step
        rows, columns, side = torch.meshgrid(y, x, torch.tensor(sides), indexing="ij")
        grids.append(torch.stack([columns, rows, side, side], dim=-1).view(-1, 4))
    return torch.cat(grids)


def _decode_boxes(relative: Tensor, priors: Tensor) -> Tensor:
    centre = priors[:, :2] + relative[:, :2] * CENTRE_VARIANCE * priors[:, 2:]
    half = priors[:, 2:] * torch.exp(relative[:, 2:] * SIZE_VARIANCE) / 2
    return torch.cat([centre - half, centre + half], dim=1)


def _decode_points(relative: Tensor, priors: Tensor) -> Tensor:
    offsets = relative.view(-1, 5, 2) * CENTRE_VARIANCE * priors[:, None, 2:]
    return (priors[:, None, :2] + offsets).view(-1, 10)


def _load(kind: RetinaFaceKind, path: Path) -> RetinaFaceNet:
    try:
        state = read_state_dict(path).tensors
        network = RetinaFaceNet(kind)
        network.load_state_dict({key.removeprefix("module."): one for key, one in state.items()})
    except Exception as error:
        # A damaged file makes the unpickler of torch raise errors of any type.
        raise WeightsCorruptError(
            f"not the weights of {kind.name} ({type(error).__name__})",
            where=path,
            hint=f"Delete it and run `jdsr weights fetch {kind.name}`.",
        ) from error
    return network.eval().requires_grad_(requires_grad=False)
