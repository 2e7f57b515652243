"""PSNR inside of the face: the part of the crop that is pasted into frames and shown of tracks."""

from __future__ import annotations

import torch
from torch import Tensor

from jdsr_cli.evaluation.metrics.fidelity import PEAK, luma
from jdsr_cli.faces.regions import face_region

INSIDE = 0.5
"""Weight of compositing from which a pixel counts as one of the face."""


class FaceRegionMetric:
    """PSNR on Y over the pixels of the face, for images of 128x128 pixels; higher is better.

    Hair and background, which a registration of faces does not follow, do not count.
    """

    figure = "psnr_face"
    protocol = (
        "PSNR on Y over the pixels of the template that a restored face replaces by more than half"
    )

    def features(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return luma of the pixels of the face, (B, n)."""
        inside = torch.from_numpy(face_region() > INSIDE)
        return (luma(images)[:, 0][:, inside],)

    def compare(self, restored: tuple[Tensor, ...], truth: tuple[Tensor, ...]) -> Tensor:
        """Return the PSNR of each image in dB, (B,); infinite for equal ones."""
        error = ((restored[0] - truth[0]) ** 2).mean(dim=1)
        return 10.0 * torch.log10(PEAK**2 / error)
