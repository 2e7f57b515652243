"""What turns a small face into a large one: bicubic, and a generator."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

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


def restorer(network: nn.Module, device: str = "cpu") -> Restorer:
    """Wrap a generator: its restored face, in float32, without gradients."""

    def restore(lr: Tensor) -> Tensor:
        with torch.inference_mode():
            restored: Tensor = network(lr.to(device)).restored
        return restored.float().cpu()

    return restore
