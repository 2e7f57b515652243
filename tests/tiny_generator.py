"""Arguments of the smallest complete generator."""

from __future__ import annotations


def tiny_arguments(lr_size: int) -> dict[str, object]:
    return {
        "lr_size": lr_size,
        "widths": [16, 16],
        "encoder_blocks": [1, 1],
        "decoder_blocks": [1],
        "tail_width": 16,
        "tail_blocks": 1,
    }
