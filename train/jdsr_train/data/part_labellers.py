"""Networks that label the parts of aligned faces with our 11 classes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from jdsr_cli.datasets.cropping import LabelSource, PartLabeller, check_choice_or_file
from jdsr_cli.datasets.samples import to_tensor
from jdsr_cli.errors import WeightsCorruptError, WeightsError, WeightsMissingError
from jdsr_cli.weights import auxiliary, read_state_dict, resolve_device, sha256_of
from jdsr_train.data.labels import CELEBAMASK_TO_11, reduce_labels

LABELS = ("none", "facexlib")
"""Values of the setting that are not a file."""
FACEXLIB = ("parsing-bisenet", "parsing-parsenet")
"""facexlib's parsers, the faster first."""

# background, skin, l_brow, r_brow, l_eye, r_eye, glasses, l_ear, r_ear, earring, nose, mouth,
# upper lip, lower lip, neck, necklace, cloth, hair, hat
_BISENET_TO_11 = np.array([0, 1, 3, 2, 5, 4, 1, 1, 1, 1, 6, 8, 7, 9, 0, 0, 0, 10, 0], np.uint8)
"""Our class for each of BiSeNet's, whose order differs from that of CelebAMask-HQ."""
_SIDE = 512
"""Side in pixels of the pictures that facexlib's parsers were trained on."""


class TrainedParser:
    """A parser that was trained by the stage `parser`.

    Raises:
        WeightsError: The file does not contain such a parser.
        WeightsCorruptError: It is damaged.

    """

    def __init__(self, path: Path, device: str = "auto") -> None:
        from jdsr_train.networks import Parser

        state = read_state_dict(path)
        metadata = state.metadata
        if metadata.get("network") != "parser":
            raise WeightsError(
                f"is of network {metadata.get('network')!r}, not of a parser",
                where=path,
                hint="Give the file that the stage `parser` wrote",
            )
        try:
            network = Parser(**json.loads(metadata["arguments"]))
            network.load_state_dict(state.tensors)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise WeightsCorruptError(
                f"is not a parser of this version ({error})", where=path
            ) from error
        self._device = resolve_device(device)
        self._network = network.float().eval().to(self._device)

    def label(self, faces: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return (N, 64, 64) labels of the 11 classes for faces (N, 128, 128, 3)."""
        with torch.inference_mode():
            logits = self._network(to_tensor(faces).to(self._device))
        return _reduced(logits)


class FacexlibParser:
    """facexlib's BiSeNet or ParseNet, the first whose weights are installed.

    Raises:
        WeightsMissingError: Neither is installed.
        WeightsCorruptError: The weights are damaged or belong to another network.

    """

    def __init__(self, device: str = "auto") -> None:
        self.name, path = find_facexlib()
        if self.name == "parsing-bisenet":
            from facexlib.parsing.bisenet import BiSeNet

            network: nn.Module = BiSeNet(num_class=19)
            self._table, mean, deviation = (
                _BISENET_TO_11,
                (0.485, 0.456, 0.406),
                (0.229, 0.224, 0.225),
            )
        else:
            from facexlib.parsing.parsenet import ParseNet

            network = ParseNet(in_size=_SIDE, out_size=_SIDE, parsing_ch=19)
            self._table, mean, deviation = CELEBAMASK_TO_11, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
        try:
            network.load_state_dict(read_state_dict(path).tensors)
        except RuntimeError as error:  # includes WeightsCorruptError
            raise WeightsCorruptError(f"is not facexlib's {self.name}", where=path) from error
        self._device = resolve_device(device)
        self._network = network.eval().to(self._device)
        self._mean, self._deviation = (
            torch.tensor(values, device=self._device).view(3, 1, 1) for values in (mean, deviation)
        )

    def label(self, faces: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return (N, 64, 64) labels of the 11 classes for faces (N, 128, 128, 3)."""
        labels = []
        for face in faces:
            image = to_tensor([face]).to(self._device)
            large = F.interpolate(image, size=(_SIDE, _SIDE), mode="bicubic").clamp(0, 1)
            with torch.inference_mode():
                logits = self._network((large - self._mean) / self._deviation)[0]
            labels.append(_reduced(logits, self._table)[0])
        return np.stack(labels)


def _reduced(logits: Tensor, table: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    classes = logits.argmax(dim=1).byte().cpu().numpy()
    labels = classes if table is None else table[classes]
    return np.stack([reduce_labels(one) for one in labels])


def find_facexlib() -> tuple[str, Path]:
    """Return the name and path of the installed parser of facexlib.

    Raises:
        WeightsMissingError: There is none.

    """
    missing: WeightsMissingError | None = None
    for name in FACEXLIB:
        try:
            return name, auxiliary(name)
        except WeightsMissingError as error:
            missing = missing or error
    assert missing is not None
    raise missing


@dataclass(frozen=True)
class FacexlibLabels:
    """Labels from facexlib's parser (a `LabelSource`)."""

    @property
    def fingerprint(self) -> str:
        """Name of the parser whose weights are installed."""
        return find_facexlib()[0]

    def open(self) -> PartLabeller:
        """Load the parser."""
        return FacexlibParser()


@dataclass(frozen=True)
class TrainedParserLabels:
    """Labels from a parser that was trained by the stage `parser` (a `LabelSource`)."""

    path: Path

    @property
    def fingerprint(self) -> str:
        """SHA-256 of its file."""
        return sha256_of(self.path)

    def open(self) -> PartLabeller:
        """Load the parser."""
        return TrainedParser(self.path)


def label_source(setting: str) -> LabelSource | None:
    """Return the source for a `--labels` setting: `none`, `facexlib` or the file of a parser.

    Raises:
        UsageError: The setting is none of these.

    """
    check_choice_or_file(setting, LABELS, "parsing")
    if setting == "none":
        return None
    return FacexlibLabels() if setting == "facexlib" else TrainedParserLabels(Path(setting))
