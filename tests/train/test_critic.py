"""The critic and its gradient penalty (eq. 7)."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from jdsr_cli.errors import UsageError
from jdsr_train import losses
from jdsr_train.networks import Critic


def small() -> Critic:
    torch.manual_seed(0)
    return Critic(widths=(4, 8, 8), size=16)


def faces(seed: int, count: int = 3) -> torch.Tensor:
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(seed))


class Linear(nn.Module):
    """Score = <weight, image>, with a weight of a chosen norm."""

    def __init__(self, norm: float) -> None:
        super().__init__()
        weight = torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(0))
        self.weight = nn.Parameter(weight * norm / weight.norm())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return (images * self.weight).flatten(1).sum(1)


def test_parameters_and_multiply_adds_match_the_specification() -> None:
    with torch.device("meta"):
        critic = Critic()
        images = torch.zeros(2, 3, 128, 128)
    assert sum(weight.numel() for weight in critic.parameters()) == 12_475_649
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        assert critic(images).shape == (2,)
    assert counter.get_total_flops() / 4e9 == pytest.approx(7.10, abs=0.005)


def test_a_folded_critic_depends_on_every_pixel() -> None:
    torch.manual_seed(0)
    critic, image = Critic(widths=(4, 8), size=16, fold=4), faces(1, 1)
    assert critic.enter.in_channels == 48
    changes = []
    for pixel in (0, 1, 17, 255):
        altered = image.clone()
        altered.view(1, 3, -1)[..., pixel] += 0.5
        changes.append(float((critic(altered) - critic(image)).detach().abs()))
    assert min(changes) > 1e-6


def test_a_score_depends_on_its_own_image_alone() -> None:
    critic, images = small(), faces(1)
    assert not [part for part in critic.modules() if isinstance(part, nn.BatchNorm2d)]
    assert not list(critic.buffers())
    together = critic(images)
    alone = torch.cat([critic(image[None]) for image in images])
    assert torch.allclose(together, alone, atol=1e-5)
    assert len(together.detach().round(decimals=4).unique()) == 3


def test_sizes_that_cannot_be_halved_are_refused() -> None:
    with pytest.raises(UsageError, match="3 stages cannot take images of 20 px folded by 1"):
        Critic(widths=(4, 4, 4, 4), size=20)
    with pytest.raises(UsageError, match="folded by 3"):
        Critic(widths=(4, 4), size=16, fold=3)
    with pytest.raises(UsageError, match="0 stages"):
        Critic(widths=(4,), size=16)


@pytest.mark.parametrize(("norm", "penalty"), [(2.0, 1.0), (1.0, 0.0), (0.5, 0.25), (4.0, 9.0)])
def test_penalty_of_a_linear_critic_depends_on_its_norm(norm: float, penalty: float) -> None:
    for seed in (1, 5):
        value = losses.gradient_penalty(Linear(norm), faces(seed), faces(seed + 1))
        assert float(value.detach()) == pytest.approx(penalty, abs=1e-5)


def test_penalty_is_measured_between_the_two_faces_by_the_given_share() -> None:
    evaluated: list[torch.Tensor] = []

    def critic(images: torch.Tensor) -> torch.Tensor:
        evaluated.append(images.detach().clone())
        return images.flatten(1).sum(1)

    restored, truth = torch.zeros(3, 3, 16, 16), torch.ones(3, 3, 16, 16)
    losses.gradient_penalty(critic, restored, truth, torch.tensor([0.0, 0.25, 1.0]))
    assert torch.allclose(evaluated[0].mean((1, 2, 3)), torch.tensor([0.0, 0.25, 1.0]))
    assert torch.equal(evaluated[0].amax((1, 2, 3)), evaluated[0].amin((1, 2, 3)))
    losses.gradient_penalty(critic, restored, truth)
    drawn = evaluated[1].mean((1, 2, 3))
    assert len(drawn.unique()) == 3
    assert 0 <= float(drawn.min()) <= float(drawn.max()) <= 1


def test_penalty_of_a_constant_critic_is_one_with_a_finite_gradient() -> None:
    constant = Linear(2.0)
    nn.init.zeros_(constant.weight)
    penalty = losses.gradient_penalty(constant, faces(1), faces(2))
    penalty.backward()
    assert float(penalty.detach()) == 1
    assert constant.weight.grad is not None
    assert torch.isfinite(constant.weight.grad).all()


@pytest.mark.parametrize("name", ["enter.weight", "stages.0.norm2.weight", "score.weight"])
def test_gradient_of_the_penalty_is_that_of_finite_differences(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second derivative with a smooth activation, as ReLU's kink spoils finite differences."""
    monkeypatch.setattr(F, "relu", F.softplus)
    critic, share = small(), torch.tensor([0.2, 0.5, 0.8])
    penalty = losses.gradient_penalty(critic, faces(1), faces(2), share)
    weight = critic.get_parameter(name)
    (gradient,) = torch.autograd.grad(penalty, weight)
    along, step = gradient / gradient.norm(), 1e-3
    sides = []
    for sign in (1, -1):
        with torch.no_grad():
            weight.add_(sign * step * along)
        penalty = losses.gradient_penalty(critic, faces(1), faces(2), share)
        sides.append(float(penalty.detach()))
        with torch.no_grad():
            weight.sub_(sign * step * along)
    assert (sides[0] - sides[1]) / (2 * step) == pytest.approx(float(gradient.norm()), rel=0.02)


def test_the_penalty_falls_when_optimised_and_every_stage_has_a_gradient() -> None:
    critic = small()
    optimiser = torch.optim.Adam(critic.parameters(), 1e-3, betas=(0.0, 0.9))
    share = torch.full((3,), 0.5)
    penalties = []
    for _ in range(30):
        optimiser.zero_grad()
        penalty = losses.gradient_penalty(critic, faces(1), faces(2), share)
        penalty.backward()
        optimiser.step()
        penalties.append(float(penalty.detach()))
    assert penalties[-1] < 0.1 * penalties[0]
    without_gradient = {name for name, weight in critic.named_parameters() if weight.grad is None}
    # A constant added to the score or just before it has no gradient.
    assert without_gradient <= {
        "score.bias",
        "stages.1.conv2.bias",
        "stages.1.shortcut.bias",
        "enter.bias",
    }


def test_critic_loss_parts_are_weighted_and_do_not_reach_the_generator() -> None:
    critic = Linear(2.0)
    restored, truth = faces(1).requires_grad_(), faces(2)
    parts = losses.critic_loss(critic, restored, truth)
    assert set(parts) == {"wasserstein", "gradient_penalty"}
    gap = float((critic(restored).mean() - critic(truth).mean()).detach())
    assert float(parts["wasserstein"].detach()) == pytest.approx(1e-3 * gap, rel=1e-4)
    assert float(parts["gradient_penalty"].detach()) == pytest.approx(0.1)
    literal = losses.critic_loss(critic, restored, truth, weight=1.0, eta=10.0)
    assert float(literal["wasserstein"].detach()) == pytest.approx(gap, rel=1e-4)
    assert float(literal["gradient_penalty"].detach()) == pytest.approx(10.0, rel=1e-5)
    torch.stack(list(parts.values())).sum().backward()
    assert restored.grad is None
    assert critic.weight.grad is not None


def test_generator_term_raises_the_score() -> None:
    scores = torch.tensor([1.0, 2.0, 6.0], requires_grad=True)
    loss = losses.generator_adversarial(scores)
    loss.backward()
    assert float(loss.detach()) == -3
    assert scores.grad is not None
    assert torch.allclose(scores.grad, torch.full((3,), -1 / 3))


def test_penalty_is_float32_under_autocast() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        penalty = losses.gradient_penalty(Linear(2.0), faces(1), faces(2))
    assert penalty.dtype == torch.float32
    assert float(penalty.detach()) == pytest.approx(1.0, abs=1e-5)
