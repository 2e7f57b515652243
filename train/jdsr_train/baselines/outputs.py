"""The output of networks that only enlarge a face and neither find nor remove what covers it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from jdsr_cli.networks import GeneratorOutput


def enlarged_only(lr: Tensor, restored: Tensor, **further: Any) -> GeneratorOutput:
    """Return the output of a super-resolver: nothing is denoised and nothing counts as covered.

    Args:
        lr: Its input, (B, 3, s, s) RGB in [0, 1].
        restored: Its result, (B, 3, 128, 128).
        further: Other fields of `GeneratorOutput`.

    """
    nothing = torch.zeros_like(lr)
    return GeneratorOutput(restored, lr, nothing, nothing[:, :1], **further)
