"""The feedback block of SRFBN and DIC."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from jdsr_train.baselines.feedback import (
    FeedbackBlock,
    conv_prelu,
    down_projection,
    up_projection,
)


@pytest.mark.parametrize(("factor", "kernel"), [(2, 6), (4, 8), (8, 12)])
def test_projections_change_between_grids(factor: int, kernel: int) -> None:
    up, down = up_projection(2, factor), down_projection(2, factor)
    assert up[0].kernel_size == down[0].kernel_size == (kernel, kernel)
    fine = up(torch.zeros(1, 2, 4, 4))
    assert fine.shape == (1, 2, 4 * factor, 4 * factor)
    assert down(fine).shape == (1, 2, 4, 4)


def test_an_activation_has_one_slope() -> None:
    activation = conv_prelu(3, 8, 3)[1]
    assert activation.weight.tolist() == [pytest.approx(0.2)]


def test_each_projection_takes_all_earlier_results_on_its_grid() -> None:
    block = FeedbackBlock(features=2, groups=4, factor=2)
    inputs = [layer[0].in_channels for layer in block.merge_coarse]
    assert inputs == [layer[0].in_channels for layer in block.merge_fine] == [4, 6, 8]
    assert block.compress[0].in_channels == 8


def test_the_input_itself_is_not_part_of_the_compressed_results() -> None:
    """With projections that give nothing, nothing of the input is left."""
    block = FeedbackBlock(features=2, groups=3, factor=2)
    for layer in block.down:
        nn.init.zeros_(layer[0].weight)
        nn.init.zeros_(layer[0].bias)
    nn.init.zeros_(block.compress[0].bias)
    assert block(torch.rand(1, 2, 4, 4)).abs().max() == 0.0


def test_gradients_reach_every_parameter_of_the_block() -> None:
    block = FeedbackBlock(features=3, groups=3, factor=2)
    block(torch.randn(2, 3, 4, 4)).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in block.parameters())
