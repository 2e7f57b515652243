"""Faces on which a generator is measured again and again while it is trained.

What does not change from one time to the next is prepared once and lies on the generator's device:
inputs in canonical colours, the way back to those of the frame, the truth's share of the figures.
Everything else happens there, too, and is read in one go, so that a GPU is awaited once. Figures
are those of `score` with a `restorer`, to rounding.
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
from jdsr_cli.evaluation.methods import colours_of
from jdsr_cli.evaluation.metrics.fidelity import FIDELITY_FIGURES, Truth, fidelity_by_region
from jdsr_cli.evaluation.scoring import Scores
from jdsr_cli.faces.canonical_colours import ColourMap
from jdsr_cli.networks import GeneratorOutput
from jdsr_cli.synthesis.compression import resize_bicubic


class RepeatedEvaluation:
    """Faces that are measured many times.

    Args:
        samples: The faces; at least one.
        device: Where the generator is.
        canonical: Whether it sees canonical colours, as `restorer` explains.
        kept: Places of the faces whose restored pictures are wanted.
        batch: Faces at once.

    """

    def __init__(
        self,
        samples: Sequence[EvaluationSample],
        device: torch.device,
        *,
        canonical: bool,
        kept: Sequence[int] = (),
        batch: int = 32,
    ) -> None:
        self.device = device
        self.keys = tuple(sample.key for sample in samples)
        starts = range(0, len(samples), batch)
        self._groups = [
            _Group.of(samples[start : start + batch], device, canonical=canonical)
            for start in starts
        ]
        self._kept = [
            [index - start for index in kept if start <= index < start + batch] for start in starts
        ]

    def score(
        self, network: nn.Module, until: float = math.inf
    ) -> tuple[Scores, list[NDArray[np.uint8]]]:
        """Restore every face in float32 and measure it.

        Args:
            network: The generator, in evaluation mode.
            until: Time of `time.monotonic` after which no further batch is begun.

        Returns:
            The figures, and the kept faces as restored, RGB uint8 (128, 128, 3), in order.

        """
        figures: dict[str, list[Tensor]] = {name: [] for name in FIDELITY_FIGURES}
        pictures: list[Tensor] = []
        with torch.inference_mode():
            for number, (group, kept) in enumerate(zip(self._groups, self._kept, strict=True)):
                if number and time.monotonic() >= until:
                    break
                levels = group.restore(network)
                for name, values in group.measure(levels).items():
                    figures[name].append(values)
                pictures += [levels[index].byte().permute(1, 2, 0) for index in kept]
            read = torch.stack([torch.cat(parts) for parts in figures.values()]).cpu().numpy()
            shown = list(torch.stack(pictures).cpu().numpy()) if pictures else []
        keys = self.keys[: read.shape[1]]
        return Scores(keys, dict(zip(figures, read, strict=True))), shown


@dataclass(frozen=True, eq=False)
class _Group:
    """Faces of one batch, on the device."""

    lr: Tensor
    """(B, s, s, 3) uint8 RGB, as the generator sees them."""
    truth: Truth
    covered: Tensor
    """(B, 1, 128, 128) bool."""
    border: int
    """Pixels that `psnr_crop` leaves out."""
    colour_restoration: _ColourRestoration | None
    """To the colours of the frames, where those of a face were changed."""

    @classmethod
    def of(
        cls, samples: Sequence[EvaluationSample], device: torch.device, *, canonical: bool
    ) -> _Group:
        given = [sample.pair.lr for sample in samples]
        side, colour_restoration = samples[0].pair.hr.shape[0], None
        if canonical:
            maps = [colours_of(one) for one in given]
            if not all(colours.is_identity for colours in maps):
                colour_restoration = _ColourRestoration.of(
                    maps, [resize_bicubic(one, side) for one in given], device
                )
            given = [colours.apply(one) for colours, one in zip(maps, given, strict=True)]
        covered = stack([sample.alpha for sample in samples])[:, None] > 0.5
        truth = to_tensor([sample.pair.hr for sample in samples]).to(device)
        border = side // samples[0].pair.lr.shape[0]
        return cls(
            stack(given).to(device), Truth.of(truth), covered.to(device), border, colour_restoration
        )

    def restore(self, network: nn.Module) -> Tensor:
        """Return the restored faces, (B, 3, 128, 128) float32 in whole grey levels."""
        output: GeneratorOutput = network(images_on_device(self.lr.device, self.lr))
        levels = (output.restored.float().clamp(0, 1) * 255).round()
        if self.colour_restoration is None:
            return levels
        return self.colour_restoration.apply(levels, output.occlusion.float())

    def measure(self, levels: Tensor) -> dict[str, Tensor]:
        return fidelity_by_region(levels / 255, self.truth, self.covered, self.border)


@dataclass(frozen=True, eq=False)
class _ColourRestoration:
    """`ColourMap.restore` of several faces on their device."""

    matrix: Tensor
    """(B, 3, 4, 1, 1) float32: `ColourMap.backward`."""
    lost: Tensor
    """(B, 3, side, side) float32: `ColourMap.lost`."""

    @classmethod
    def of(
        cls, maps: Sequence[ColourMap], filmed: Sequence[NDArray[np.uint8]], device: torch.device
    ) -> _ColourRestoration:
        matrix = stack([colours.backward for colours in maps])[..., None, None]
        lost = stack([colours.lost(one) for colours, one in zip(maps, filmed, strict=True)])
        return cls(matrix.to(device), lost.permute(0, 3, 1, 2).contiguous().to(device))

    def apply(self, levels: Tensor, occlusion: Tensor) -> Tensor:
        side = levels.shape[-1]
        covered = F.interpolate(occlusion, size=(side, side), mode="bilinear")
        # Sums of products and no matrix product, which a GPU would round to ten bits.
        back = self.matrix[:, :, 3] + self.lost * (1 - covered)
        for channel in range(3):
            back.addcmul_(self.matrix[:, :, channel], levels[:, channel, None])
        return back.round_().clamp_(0, 255)
