"""The identity network of table 1, its margin head and its loss (eq. 15)."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from jdsr_cli.errors import UsageError
from jdsr_train import losses
from jdsr_train.networks import IdentityNetwork, MarginHead


def small(size: int = 16) -> IdentityNetwork:
    torch.manual_seed(0)
    return IdentityNetwork(widths=(4, 8), blocks=(1, 2), features=6, size=size)


def faces(seed: int, count: int = 4) -> torch.Tensor:
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(seed))


def test_parameters_and_multiply_adds_match_the_specification() -> None:
    with torch.device("meta"):
        network = IdentityNetwork()
        images = torch.zeros(1, 3, 128, 128)
    assert sum(weight.numel() for weight in network.parameters()) == 38_545_984
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        assert network(images).shape == (1, 512)
    assert counter.get_total_flops() / 2e9 == pytest.approx(5.783, abs=0.0005)


def test_parts_have_the_sizes_of_table_1() -> None:
    with torch.device("meta"):
        network = IdentityNetwork()
    blocks = [part for part in network.body if type(part).__name__ == "_ResidualBlock"]
    sizes = [sum(weight.numel() for weight in block.parameters()) for block in blocks]
    assert sizes == [73_984] * 2 + [295_424] * 4 + [1_180_672] * 8 + [4_720_640] * 2
    assert sum(weight.numel() for weight in network.output.parameters()) == 16_777_728


def test_features_have_the_given_size_and_normalised_ones_unit_length() -> None:
    network, images = small(), faces(1)
    features, normalised = network(images), network.normalised(images)
    assert features.shape == normalised.shape == (4, 6)
    assert torch.allclose(normalised.norm(dim=1), torch.ones(4), atol=1e-6)
    assert torch.allclose(F.normalize(features), normalised, atol=1e-6)
    assert float((features.detach().norm(dim=1) - 1).abs().max()) > 0.01


def test_features_of_an_untrained_deep_network_are_bounded() -> None:
    """Sixteen residual sums follow without normalisation: the initialisation bounds them."""
    torch.manual_seed(0)
    network = IdentityNetwork(widths=(8, 8, 8, 8), blocks=(2, 4, 8, 2), features=64, size=32)
    images = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    assert 0.01 < float(network(images).detach().std()) < 10


def test_arguments_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="cannot take images of 18 px"):
        small(size=18)
    with pytest.raises(UsageError, match="cannot take images"):
        IdentityNetwork(widths=(4, 8), blocks=(1,), size=16)
    with pytest.raises(UsageError, match="cannot be distinguished"):
        MarginHead(6, 1)


def test_the_margin_is_subtracted_from_the_true_cosine_only() -> None:
    head = MarginHead(2, 3)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]]))
    logits = head(torch.tensor([[5.0, 0.0], [1.0, 1.0]]), torch.tensor([0, 1]))
    half = math.sqrt(0.5)
    expected = [[0.65 * 30, 0.0, -30.0], [half * 30, (half - 0.35) * 30, -half * 30]]
    assert torch.allclose(logits, torch.tensor(expected), atol=1e-4)
    head.scale, head.margin = 2.0, 0.5
    loss = head.loss(torch.tensor([[5.0, 0.0]]), torch.tensor([0]))
    by_hand = math.log(math.exp(1) + math.exp(0) + math.exp(-2)) - 1
    assert float(loss.detach()) == pytest.approx(by_hand, rel=1e-5)


def test_the_network_learns_to_distinguish_faces() -> None:
    network = small()
    head, people = MarginHead(6, 4), torch.arange(4)
    both = nn.ModuleList([network, head])
    optimiser = torch.optim.Adam(both.parameters(), 3e-3)
    images = faces(1)
    first = float(head.loss(network(images), people).detach())
    for _ in range(60):
        optimiser.zero_grad()
        loss = head.loss(network(images), people)
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.3 * first
    assert torch.equal(head.cosines(network(images)).argmax(1), people)


def test_identity_loss_matches_a_manual_computation() -> None:
    restored = torch.tensor([[3.0, 0.0], [0.0, 2.0]])
    truth = torch.tensor([[0.0, 7.0], [0.0, 1.0]])
    # Unit vectors at right angles are sqrt(2) apart; equal directions have no error.
    assert float(losses.identity_loss(restored, truth, "sum")) == pytest.approx((2 + 0) / 2)
    assert float(losses.identity_loss(restored, truth)) == pytest.approx((2 + 0) / 4)
    assert float(losses.identity_loss(restored, -restored, "sum")) == pytest.approx(4)
    with pytest.raises(UsageError, match="reduction is called 'median'"):
        losses.identity_loss(restored, truth, "median")


def test_gradient_reaches_the_restored_face_but_neither_the_network_nor_the_truth() -> None:
    network = small().eval().requires_grad_(False)
    restored, truth = faces(1).requires_grad_(), faces(2).requires_grad_()
    losses.identity_loss(network(restored), network(truth)).backward()
    assert restored.grad is not None
    assert float(restored.grad.abs().sum()) > 0
    assert truth.grad is None
    assert all(weight.grad is None for weight in network.parameters())
