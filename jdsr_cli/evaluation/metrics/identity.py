"""Cosine similarity of identities by an independent face recognition network (SPEC 5)."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from jdsr_cli.faces.embedding import RecognitionNetwork
from jdsr_cli.weights.locations import sha256_of


class IdentityMetric:
    """Cosine in [-1, 1] between embeddings of restored and ground-truth faces; higher is better.

    Args:
        path: TorchScript file, see `RecognitionNetwork`.
        device: Device of the network.

    Raises:
        WeightsMissingError: The file does not exist.
        WeightsCorruptError: It is not TorchScript, or does not return one vector per face.

    """

    figure = "identity"

    def __init__(self, path: Path, device: str = "cpu") -> None:
        self._network = RecognitionNetwork(path, device)

    @property
    def protocol(self) -> str:
        """Description of the metric."""
        path = self._network.path
        return (
            f"cosine of embeddings by {path.name} "
            f"(SHA-256 {sha256_of(path)}), 112x112 aligned to ArcFace's template by the "
            "similarity between both templates, RGB 0 to 255"
        )

    def features(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return embeddings of length 1, (B, D), of (B, 3, 128, 128) RGB in [0, 1]."""
        return (self._network.embed(images),)

    def compare(self, restored: tuple[Tensor, ...], truth: tuple[Tensor, ...]) -> Tensor:
        """Return the cosine of each face, (B,)."""
        return (restored[0] * truth[0]).sum(1).double()
