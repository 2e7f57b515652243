"""What turns a small face into a large one: bicubic, and a generator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from jdsr_cli.faces.canonical_colours import ColourMap, canonical_map
from jdsr_cli.networks import GeneratorOutput
from jdsr_cli.synthesis.degradations.paper import resize_bicubic
from jdsr_train.data import to_tensor

Restorer = Callable[[Tensor], Tensor]
"""Turns (B, 3, s, s) RGB in [0, 1] into (B, 3, 128, 128)."""


def bicubic(lr: Tensor) -> Tensor:
    """Enlarge by PIL's bicubic, the floor that every method is compared with.

    What has 128 pixels already comes back as it is.
    """
    pictures = (lr.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    return to_tensor([resize_bicubic(picture, 128) for picture in pictures])


def restorer(network: nn.Module, device: str = "cpu", *, canonical: bool = False) -> Restorer:
    """Wrap a generator: its restored face, in float32, without gradients.

    Args:
        network: The generator.
        device: Where it is.
        canonical: Whether it sees faces in canonical colours, as in `restore`, and its result is
            brought back to theirs; so are generators of footage. See `colours_of`.

    """

    def run(lr: Tensor) -> GeneratorOutput:
        with torch.inference_mode():
            output: GeneratorOutput = network(lr.to(device))
        return output

    def with_occlusion(lr: Tensor) -> tuple[Tensor, Tensor]:
        output = run(lr)
        return output.restored.float().cpu(), output.occlusion.float().cpu()

    if canonical:
        return in_canonical_colours(with_occlusion)
    return lambda lr: run(lr).restored.float().cpu()


def colours_of(crop: NDArray[np.uint8]) -> ColourMap:
    """Return how an aligned face, RGB uint8 (side, side, 3), is brought to canonical colours.

    It is taken for monochrome where its channels are equal: there is no footage around it to tell.
    """
    return canonical_map(crop, monochrome=bool((crop == crop[..., :1]).all()))


def in_canonical_colours(run: Callable[[Tensor], tuple[Tensor, Tensor]]) -> Restorer:
    """Let a generator see canonical colours, and give its result those of the input.

    Args:
        run: Takes (B, 3, s, s) RGB in [0, 1]; returns the restored faces, (B, 3, 128, 128), and
            how much of each pixel was covered, (B, 1, r, r) in [0, 1].

    """

    def wrapped(lr: Tensor) -> Tensor:
        crops = (lr.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        maps = [colours_of(one) for one in crops]
        shown = to_tensor([colours.apply(one) for colours, one in zip(maps, crops, strict=True)])
        restored, occlusion = run(shown)
        side = restored.shape[-1]
        given = (restored.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
        covered = F.interpolate(occlusion, size=(side, side), mode="bilinear", align_corners=False)
        back = [
            colours.restore(face, resize_bicubic(one, side), share)
            for colours, face, one, share in zip(
                maps, given, crops, covered[:, 0].numpy(), strict=True
            )
        ]
        return to_tensor(back)

    return wrapped
