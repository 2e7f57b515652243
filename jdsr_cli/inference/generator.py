"""The interface of generators for whole batches of crops, and exported generators."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.errors import WeightsCorruptError
from jdsr_cli.inference.backends import enough_for_cpu
from jdsr_cli.inference.models import ExportedModel, open_model
from jdsr_cli.weights.locations import sha256_of
from jdsr_cli.weights.registry import WeightEntry

EXPORT_FORMAT = 1
"""Version of the exported graph: its inputs, outputs and name."""
INPUT_NAME = f"jdsr{EXPORT_FORMAT}_"
"""Start of the name of the input in exported files; the precision follows."""


class Pictures(NamedTuple):
    """What a generator gives for n crops."""

    images: NDArray[np.uint8]
    """(n, 128, 128, 3) RGB: the restored faces."""
    occlusions: NDArray[np.uint8]
    """(n, 128, 128): how much of each pixel was covered, 0 to 255."""
    finite: NDArray[np.bool_]
    """(n,): False where the network gave values that are not finite."""


class GeneratorNetwork(Protocol):
    """A generator in some backend."""

    backend: str
    """``torch``, ``openvino`` or ``onnx``."""
    precision: str
    """``float32``, ``bfloat16``, ``float16`` or ``int8``."""
    device: str
    side: int
    """Side of its input in pixels."""
    entry: WeightEntry | None
    """Manifest entry of its weights."""
    path: Path
    """File of the weights."""
    sha256: str
    """Hash of that file."""
    enough: int | None
    """Number of faces from which more at once gain nothing; None if there is none."""

    def restore(self, crops: NDArray[np.uint8], *, exact: bool = False) -> Pictures:
        """Restore crops (n, side, side, 3) RGB.

        Args:
            crops: At least one.
            exact: In float32 where the backend has a choice.

        Raises:
            MemoryError: The device has too little memory for so many.

        """


class ExportedGenerator:
    """A `GeneratorNetwork` from an ONNX file that `jdsr export` wrote.

    Faces run one by one, so that none depends on the others in its batch.

    Args:
        path: The ONNX file.
        backend: ``openvino`` or ``onnx``.
        entry: Manifest entry of its weights.

    Raises:
        WeightsCorruptError: The file is not an exported generator.

    """

    device = "cpu"

    def __init__(self, path: Path, backend: str, entry: WeightEntry | None) -> None:
        self._model: ExportedModel = open_model(path, backend)
        self.backend = backend
        self.entry, self.path, self.sha256 = entry, path, sha256_of(path)
        name = self._model.input_name
        self.precision = name.removeprefix(INPUT_NAME)
        batch, height, width, channels = (*self._model.input_shape, 0, 0, 0)[:4]
        if self.precision == name or (height, channels) != (width, 3):
            raise WeightsCorruptError(
                "is not a generator that jdsr exported",
                where=path,
                hint="Export one with `jdsr export`.",
            )
        assert batch == 1
        assert isinstance(height, int)
        self.side = height
        self.enough: int | None = enough_for_cpu()

    def restore(self, crops: NDArray[np.uint8], *, exact: bool = False) -> Pictures:
        """Restore crops (n, side, side, 3) RGB; see `GeneratorNetwork.restore`."""
        outputs = self._model.run_each(np.ascontiguousarray(crops))
        size = TEMPLATE_SIZE
        images = np.stack([picture for picture, _, _ in outputs]).reshape(-1, size, size, 3)
        occlusions = np.stack([occlusion for _, occlusion, _ in outputs]).reshape(-1, size, size)
        return Pictures(images, occlusions, np.array([bool(one[2][0]) for one in outputs]))
