"""Embeddings of the faces of a frame, for re-identification."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.evaluation.metrics.identity import IdentityJudge
from jdsr_cli.faces import Detection, crop, estimate
from jdsr_cli.faces.display import Display


class FaceEmbedder:
    """Embeds the faces of a frame for re-identification.

    Args:
        path: TorchScript file as `IdentityJudge` takes it.
        device: Device that the network runs on.

    Raises:
        WeightsMissingError: The file does not exist.
        WeightsCorruptError: It is not such a network.

    """

    def __init__(self, path: Path, device: str = "cpu") -> None:
        self._network = IdentityJudge(path, device)
        self._length = len(self._embed(np.zeros((128, 128, 3), np.uint8)))

    def __call__(
        self, image: NDArray[np.uint8], faces: Sequence[Detection], display: Display
    ) -> NDArray[np.float32]:
        """Return (n, D) float32: a unit vector for each face, zeros if it cannot be aligned.

        Faces are embedded one at a time, so that no embedding depends on other faces.

        Args:
            image: The frame as it is stored, RGB uint8 (H, W, 3).
            faces: Its faces, in pixels of the displayed picture.
            display: How stored pixels are displayed.

        """
        found = np.zeros((len(faces), self._length), np.float32)
        for number, face in enumerate(faces):
            try:
                aligned = crop(image, display.stored_alignment(estimate(face.points)))
            except UsageError:
                continue
            found[number] = self._embed(aligned)
        return found

    def _embed(self, face: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the vector (D,) of an aligned face (128, 128, 3)."""
        image = torch.from_numpy(face).permute(2, 0, 1)[None].float().div(255.0)
        return np.asarray(self._network.describe(image)[0][0].numpy(), np.float32)
