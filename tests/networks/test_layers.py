"""Bicubic enlargement, initialisation and attention."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from jdsr_cli.networks import ChannelAttention, ResidualBlock
from jdsr_cli.networks.generator import initialise
from jdsr_cli.networks.layers import conv, enlarge, residual_blocks


@pytest.mark.parametrize("side", [16, 32])
def test_enlargement_matches_pillow(side: int) -> None:
    pixels = np.random.default_rng(0).integers(80, 176, (side, side, 3), np.uint8)
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    expected = np.asarray(Image.fromarray(pixels).resize((128, 128), Image.Resampling.BICUBIC))
    enlarged = enlarge(image, 128)[0].permute(1, 2, 0).mul(255).round().clamp(0, 255).numpy()
    difference = np.abs(enlarged - expected)
    assert difference.max() <= 1
    torch_bicubic = F.interpolate(image, size=(128, 128), mode="bicubic")[0].permute(1, 2, 0) * 255
    assert difference.mean() < 0.2 * np.abs(torch_bicubic.numpy() - expected).mean()


def test_initialisation_has_the_specified_deviations() -> None:
    torch.manual_seed(0)
    blocks = residual_blocks(64, 1)
    output = conv(64, 3)
    initialise(nn.Sequential(blocks, output), outputs=(output,))
    block = blocks[0]
    assert isinstance(block, ResidualBlock)
    he = (2 / (64 * 9)) ** 0.5
    assert block.conv1.weight.std().item() == pytest.approx(he, rel=0.05)
    assert block.conv2.weight.std().item() == pytest.approx(he / 10, rel=0.05)
    assert output.weight.std().item() == pytest.approx(he / 10, rel=0.1)
    assert output.bias is not None
    assert output.bias.abs().max() == 0


def test_channel_attention_scales_whole_channels() -> None:
    attention = ChannelAttention(16)
    x = torch.rand(2, 16, 4, 4) + 0.5
    ratio = (attention(x) / x).detach()
    assert torch.allclose(ratio, ratio[..., :1, :1].expand_as(ratio), atol=1e-5)
    assert 0 < ratio.min() <= ratio.max() < 1
    assert ratio.std() > 0


def test_residual_block_adds_to_its_input() -> None:
    block = ResidualBlock(16)
    nn.init.zeros_(block.conv2.weight)
    nn.init.zeros_(block.conv2.bias)  # type: ignore[arg-type]
    x = torch.randn(1, 16, 5, 7)
    assert torch.equal(block(x), x)
