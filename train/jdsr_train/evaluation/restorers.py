"""What turns a small face into a large one: bicubic, and a generator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from jdsr_cli.faces.canonical import canonical_map
from jdsr_train.data import to_tensor
from jdsr_train.degradations.paper import resize_bicubic

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
            brought back to theirs; so are generators of footage. A face is taken for monochrome
            where its three channels are equal: there is no footage around it to tell.

    """

    def restore(lr: Tensor) -> Tensor:
        with torch.inference_mode():
            restored: Tensor = network(lr.to(device)).restored
        return restored.float().cpu()

    return in_canonical_colours(restore) if canonical else restore


def in_canonical_colours(restore: Restorer) -> Restorer:
    """Let a restorer see canonical colours, and give its result those of the input."""

    def wrapped(lr: Tensor) -> Tensor:
        crops = (lr.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        maps = [canonical_map(one, monochrome=bool((one == one[..., :1]).all())) for one in crops]
        shown = to_tensor([colours.apply(one) for colours, one in zip(maps, crops, strict=True)])
        given = restore(shown).clamp(0, 1).mul(255).permute(0, 2, 3, 1).numpy()
        back = [colours.invert(one) for colours, one in zip(maps, given, strict=True)]
        return torch.from_numpy(np.stack(back)).div(255).permute(0, 3, 1, 2).contiguous()

    return wrapped
