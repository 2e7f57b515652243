"""The adversarial losses of FSRGAN and DICGAN."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from jdsr_train.baselines.adversary import discriminator_loss, generator_loss


@pytest.mark.parametrize("shape", [(4,), (2, 1, 8, 8)])
def test_losses_are_binary_cross_entropies(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    restored, true = 3 * torch.randn(shape), 3 * torch.randn(shape)
    zeros, ones = torch.zeros(shape), torch.ones(shape)
    probability = F.binary_cross_entropy(restored.sigmoid(), zeros)
    probability += F.binary_cross_entropy(true.sigmoid(), ones)
    torch.testing.assert_close(discriminator_loss(restored, true), probability)
    torch.testing.assert_close(
        generator_loss(restored), F.binary_cross_entropy(restored.sigmoid(), ones)
    )


def test_an_undecided_discriminator_has_a_loss_of_one_bit_for_each_kind() -> None:
    logits = torch.zeros(3)
    assert float(discriminator_loss(logits, logits)) == pytest.approx(2 * math.log(2))
    assert float(generator_loss(logits)) == pytest.approx(math.log(2))


def test_gradients_separate_the_faces_and_the_generator_opposes() -> None:
    restored, true = torch.zeros(2, requires_grad=True), torch.zeros(2, requires_grad=True)
    discriminator_loss(restored, true).backward()
    assert restored.grad.tolist() == [0.25, 0.25]  # lower logits lower the loss
    assert true.grad.tolist() == [-0.25, -0.25]
    restored.grad = None
    generator_loss(restored).backward()
    assert restored.grad.tolist() == [-0.25, -0.25]


def test_losses_of_large_logits_in_half_precision_are_exact() -> None:
    large = torch.tensor([120.25, -120.25], dtype=torch.float64)
    for loss in (generator_loss(large.half()), discriminator_loss(large.half(), large.half())):
        assert loss.dtype == torch.float32
        assert torch.isfinite(loss)
    assert float(generator_loss(large.half())) == pytest.approx(float(large.half()[0]) / 2)
