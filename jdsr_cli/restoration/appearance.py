"""Telling people apart by a face network, where one was given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.evaluation.metrics.identity import IdentityMetric
from jdsr_cli.faces import Detection, crop, estimate
from jdsr_cli.faces.display import Display


class FaceEmbedder:
    """Embeds the faces of a frame.

    Args:
        path: TorchScript file as `IdentityJudge` takes it.
        device: Where it runs.

    Raises:
        WeightsMissingError: No such file.
        WeightsCorruptError: It is no such network.

    """

    def __init__(self, path: Path, device: str = "cpu") -> None:
        self._judge = IdentityMetric(path, device)
        self._length = len(self._embed(np.zeros((128, 128, 3), np.uint8)))

    def __call__(
        self, image: NDArray[np.uint8], faces: Sequence[Detection], display: Display
    ) -> NDArray[np.float32]:
        """Return (n, D) float32: a vector of length 1 for each face, of zeros where none can be.

        Faces are embedded one at a time, so that none depends on the others.

        Args:
            image: The frame as it is stored, RGB uint8 (H, W, 3).
            faces: In it, in pixels of the displayed picture.
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
        return np.asarray(self._judge.describe(image)[0][0].numpy(), np.float32)
