"""Repeated evaluation of a generator on the same faces during training.

Everything that does not change is prepared once and stored on the generator's device: inputs in
canonical colours, the inverse colour maps, the terms of the metrics that depend on the ground truth
alone. All other computations run on the device too, and are read in one transfer, so that the GPU
is synchronised once. Results equal those of `score` with a `restorer` up to rounding.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from jdsr_cli.datasets.samples import EvaluationSample, images_on_device, stack, to_tensor
from jdsr_cli.evaluation.methods import crop_colour_map
from jdsr_cli.evaluation.metrics.fidelity import FIDELITY_FIGURES, GroundTruth, fidelity_by_region
from jdsr_cli.evaluation.scoring import Scores
from jdsr_cli.faces.canonical_colours import ColourMap
from jdsr_cli.networks import GeneratorOutput
from jdsr_cli.synthesis.compression import resize_bicubic


class RepeatedEvaluation:
    """Faces that are evaluated many times.

    Args:
        samples: The faces; at least one.
        device: Device of the generator.
        canonical: Whether faces are converted to canonical colours; see `restorer`.
        returned: Indices of the faces whose restored images are returned.
        batch: Batch size.

    """

    def __init__(
        self,
        samples: Sequence[EvaluationSample],
        device: torch.device,
        *,
        canonical: bool,
        returned: Sequence[int] = (),
        batch: int = 32,
    ) -> None:
        self.device = device
        self.keys = tuple(sample.key for sample in samples)
        starts = range(0, len(samples), batch)
        self._batches = [
            _Batch.of(samples[start : start + batch], device, canonical=canonical)
            for start in starts
        ]
        self._returned = [
            [index - start for index in returned if start <= index < start + batch]
            for start in starts
        ]

    def score(
        self, network: nn.Module, until: float = math.inf
    ) -> tuple[Scores, list[NDArray[np.uint8]]]:
        """Restore every face in float32 and compute its metrics.

        Args:
            network: The generator, in evaluation mode.
            until: Time of `time.monotonic` after which no further batch is started.

        Returns:
            The scores, and the restored images of `returned`, RGB uint8 (128, 128, 3), in order.

        """
        figures: dict[str, list[Tensor]] = {name: [] for name in FIDELITY_FIGURES}
        pictures: list[Tensor] = []
        with torch.inference_mode():
            for number, (batch, indices) in enumerate(
                zip(self._batches, self._returned, strict=True)
            ):
                if number and time.monotonic() >= until:
                    break
                levels = batch.restore(network)
                for name, values in batch.measure(levels).items():
                    figures[name].append(values)
                pictures += [levels[index].byte().permute(1, 2, 0) for index in indices]
            read = torch.stack([torch.cat(parts) for parts in figures.values()]).cpu().numpy()
            images = list(torch.stack(pictures).cpu().numpy()) if pictures else []
        keys = self.keys[: read.shape[1]]
        return Scores(keys, dict(zip(figures, read, strict=True))), images


@dataclass(frozen=True, eq=False)
class _Batch:
    """A batch of faces on the device."""

    lr: Tensor
    """(B, s, s, 3) uint8 RGB, the inputs of the generator."""
    truth: GroundTruth
    covered: Tensor
    """(B, 1, 128, 128) bool."""
    border: int
    """Width of the border that `psnr_crop` ignores."""
    colour_restoration: _ColourRestoration | None
    """Inverse colour maps; None if the colours of no face were changed."""

    @classmethod
    def of(
        cls, samples: Sequence[EvaluationSample], device: torch.device, *, canonical: bool
    ) -> _Batch:
        inputs = [sample.pair.lr for sample in samples]
        side, colour_restoration = samples[0].pair.hr.shape[0], None
        if canonical:
            maps = [crop_colour_map(crop) for crop in inputs]
            if not all(colours.is_identity for colours in maps):
                colour_restoration = _ColourRestoration.of(
                    maps, [resize_bicubic(crop, side) for crop in inputs], device
                )
            inputs = [colours.apply(crop) for colours, crop in zip(maps, inputs, strict=True)]
        covered = stack([sample.alpha for sample in samples])[:, None] > 0.5
        truth = to_tensor([sample.pair.hr for sample in samples]).to(device)
        border = side // samples[0].pair.lr.shape[0]
        return cls(
            stack(inputs).to(device),
            GroundTruth.of(truth),
            covered.to(device),
            border,
            colour_restoration,
        )

    def restore(self, network: nn.Module) -> Tensor:
        """Return the restored faces, (B, 3, 128, 128) float32, rounded to grey levels."""
        output: GeneratorOutput = network(images_on_device(self.lr.device, self.lr))
        levels = (output.restored.float().clamp(0, 1) * 255).round()
        if self.colour_restoration is None:
            return levels
        return self.colour_restoration.apply(levels, output.occlusion.float())

    def measure(self, levels: Tensor) -> dict[str, Tensor]:
        return fidelity_by_region(levels / 255, self.truth, self.covered, self.border)


@dataclass(frozen=True, eq=False)
class _ColourRestoration:
    """`ColourMap.restore` for several faces on the device."""

    matrix: Tensor
    """(B, 3, 4, 1, 1) float32: `ColourMap.backward`."""
    lost: Tensor
    """(B, 3, side, side) float32: `ColourMap.lost`."""

    @classmethod
    def of(
        cls, maps: Sequence[ColourMap], crops: Sequence[NDArray[np.uint8]], device: torch.device
    ) -> _ColourRestoration:
        matrix = stack([colours.backward for colours in maps])[..., None, None]
        lost = stack([colours.lost(crop) for colours, crop in zip(maps, crops, strict=True)])
        return cls(matrix.to(device), lost.permute(0, 3, 1, 2).contiguous().to(device))

    def apply(self, levels: Tensor, occlusion: Tensor) -> Tensor:
        side = levels.shape[-1]
        covered = F.interpolate(occlusion, size=(side, side), mode="bilinear")
        # Sums of products, since a GPU computes matrix products with ten-bit mantissas.
        restored = self.matrix[:, :, 3] + self.lost * (1 - covered)
        for channel in range(3):
            restored.addcmul_(self.matrix[:, :, channel], levels[:, channel, None])
        return restored.round_().clamp_(0, 255)
