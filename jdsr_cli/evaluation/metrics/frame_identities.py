"""Video identity distance: how much the identity of a face changes from frame to frame.

VIDD of Chen et al. 2024, "Towards Real-world Video Face Restoration: A New Benchmark": the mean
distance between the embeddings of neighbouring frames. Their published code takes the Euclidean
distance by default and offers one minus the cosine. Here it is the Euclidean distance of embeddings
of length 1, 0 to 2, which is a function of the cosine c: the root of 2 - 2 c. Figures of another
network, or of embeddings that are not of length 1, are not comparable.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.datasets.samples import to_tensor
from jdsr_cli.faces.embedding import RecognitionNetwork
from jdsr_cli.weights.locations import sha256_of


class FrameIdentities:
    """Embeddings of the faces of frames.

    Args:
        path: ONNX or TorchScript file, see `RecognitionNetwork`.
        device: Device of the network.

    Raises:
        WeightsMissingError: The file does not exist.
        WeightsCorruptError: It is not such a network.

    """

    def __init__(self, path: Path, device: str = "cpu") -> None:
        self._network = RecognitionNetwork(path, device)

    @property
    def protocol(self) -> str:
        """Description of the metric."""
        path = self._network.path
        return (
            "VIDD (Chen et al. 2024): Euclidean distance of the embeddings of neighbouring frames, "
            f"of length 1, by {path.name} (SHA-256 {sha256_of(path)}), 112x112 aligned to the "
            "template of ArcFace by the similarity between both templates; 0 to 2"
        )

    def embed(self, faces: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return embeddings of length 1, (n, D), of aligned faces, RGB uint8 (n, 128, 128, 3)."""
        return np.asarray(self._network.embed(to_tensor(list(faces))).numpy(), np.float64)


def identity_distance(before: NDArray[np.float64], now: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distances (n,) between the embeddings (n, D) of a frame and of the next."""
    return np.asarray(np.linalg.norm(now - before, axis=1), np.float64)
