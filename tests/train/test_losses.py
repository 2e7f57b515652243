"""Loss terms against manually computed values (eq. 8 to 14 and additional ones)."""

import math

import pytest
import torch

from jdsr_cli.errors import UsageError
from jdsr_cli.networks import occlusion_from_noise
from jdsr_train import losses


def full(value: float, *shape: int) -> torch.Tensor:
    return torch.full(shape or (2, 3, 4, 4), value)


@pytest.mark.parametrize(
    ("estimate", "truth", "loss"), [(0.0, 0.5, 0.175), (0.5, 0.0, 0.075), (0.3, 0.3, 0.0)]
)
def test_under_estimated_noise_weighs_more(estimate: float, truth: float, loss: float) -> None:
    assert float(losses.asymmetric_loss(full(estimate), full(truth))) == pytest.approx(loss)


def test_total_variation_of_ramps_and_constant_maps() -> None:
    across = torch.linspace(0, 1, 128).expand(1, 3, 128, 128)
    step = (1 / 127) ** 2
    assert float(losses.total_variation(across)) == pytest.approx(step, rel=1e-4)
    assert float(losses.total_variation(across.mT)) == pytest.approx(step, rel=1e-4)
    assert float(losses.total_variation(across + across.mT)) == pytest.approx(2 * step, rel=1e-4)
    assert float(losses.total_variation(full(0.7))) == 0


def test_smooth_loss_of_ramps_and_constant_images() -> None:
    across = torch.linspace(0, 1, 128).expand(1, 3, 128, 128)
    assert float(losses.smooth_loss(across)) == pytest.approx(1 / 127, rel=1e-4)
    assert float(losses.smooth_loss(-across.mT)) == pytest.approx(1 / 127, rel=1e-4)
    assert float(losses.smooth_loss(across - 2 * across.mT)) == pytest.approx(3 / 127, rel=1e-4)
    assert float(losses.smooth_loss(full(0.7))) == 0


def test_the_true_noise_level_is_the_difference_without_gradient() -> None:
    masked, clean = full(0.2).requires_grad_(), full(0.5).requires_grad_()
    truth = losses.noise_level(masked, clean)
    assert torch.allclose(truth, full(0.3))
    assert not truth.requires_grad
    estimate = full(0.1).requires_grad_()
    losses.asymmetric_loss(estimate, truth).backward()
    assert masked.grad is None
    assert clean.grad is None
    assert estimate.grad is not None
    assert bool((estimate.grad < 0).all())  # raising an under-estimate lowers the loss


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.5, 0.8, 1.0])
def test_the_covered_level_minimises_the_asymmetric_loss(share: float) -> None:
    """Among 1,001 constant maps it has the least loss, and the share is recovered from it."""
    truth = torch.zeros(1, 3, 10, 10)
    truth[..., : round(10 * share)] = 1.0
    values = torch.linspace(0, 1, 1001)
    losses_of_values = [losses.asymmetric_loss(value.expand_as(truth), truth) for value in values]
    best = values[int(torch.stack(losses_of_values).argmin())]
    level = losses.covered_level(torch.full((1, 1, 10, 10), share).requires_grad_())
    assert not level.requires_grad
    assert torch.allclose(level, best.expand_as(level), atol=1e-3)
    read = occlusion_from_noise(level.expand(-1, 3, -1, -1), "alpha")
    assert torch.allclose(read, torch.full_like(read, share), atol=1e-6)


def test_pixel_loss_is_the_mean_absolute_error() -> None:
    image = full(0.5)
    image[:, 0] += 0.3
    image[:, 1] -= 0.3
    assert float(losses.pixel_loss(image, full(0.5))) == pytest.approx(0.2)


def test_squared_loss_is_the_mean_squared_error() -> None:
    image = full(0.5)
    image[:, 0] += 0.3
    image[:, 1] -= 0.3
    assert float(losses.squared_loss(image, full(0.5))) == pytest.approx(0.06)


def test_decibel_loss_of_uniform_errors() -> None:
    # An error of 0.1 is 20 dB, one of 0.01 is 40 dB: the mean over images is of decibels.
    assert float(losses.decibel_loss(full(0.6), full(0.5))) == pytest.approx(-20, abs=1e-3)
    image = torch.cat([full(0.6, 1, 3, 4, 4), full(0.51, 1, 3, 4, 4)])
    assert float(losses.decibel_loss(image, full(0.5))) == pytest.approx(-30, abs=1e-3)


def test_decibel_loss_of_no_error_is_finite_with_a_finite_gradient() -> None:
    image = full(0.5).requires_grad_()
    loss = losses.decibel_loss(image, full(0.5))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(-80, abs=1e-3)
    assert image.grad is not None
    assert torch.isfinite(image.grad).all()


def test_decibel_loss_gives_each_image_a_gradient_scaled_by_its_own_error() -> None:
    image = torch.cat([full(0.6, 1, 3, 4, 4), full(0.51, 1, 3, 4, 4)]).requires_grad_()
    losses.decibel_loss(image, full(0.5)).backward()
    assert image.grad is not None
    hard, easy = image.grad.abs().flatten(1).sum(1)
    assert float(easy / hard) == pytest.approx(10, rel=1e-2)


def test_occlusion_loss_is_the_cross_entropy() -> None:
    assert float(losses.occlusion_loss(full(0.5), full(1.0))) == pytest.approx(math.log(2))
    assert float(losses.occlusion_loss(full(0.25), full(0.0))) == pytest.approx(-math.log(0.75))
    assert float(losses.occlusion_loss(full(0.0), full(1.0))) < 20  # saturated, but finite
    estimate = full(0.25).requires_grad_()
    losses.occlusion_loss(estimate, full(0.0)).backward()
    assert float(estimate.grad.sum()) == pytest.approx(1 / 0.75)
    broken = torch.stack([torch.tensor(0.5), torch.tensor(math.nan)])
    assert math.isnan(float(losses.occlusion_loss(broken, full(1.0, 2))))


def test_gram_of_ones_and_of_two_different_channels() -> None:
    assert torch.equal(losses.gram(full(1.0, 1, 2, 2, 2)), full(0.5, 1, 2, 2))
    maps = torch.stack([full(1.0, 2, 2), full(3.0, 2, 2)])[None]
    expected = torch.tensor([[[0.5, 1.5], [1.5, 4.5]]])  # products times 4 pixels over 2 * 4
    assert torch.allclose(losses.gram(maps), expected)


def test_feature_terms_sum_the_mean_differences_of_the_levels() -> None:
    restored = [full(1.0, 1, 2, 2, 2), full(2.0, 1, 4, 1, 1)]
    truth = [full(1.5, 1, 2, 2, 2), full(1.0, 1, 4, 1, 1)]
    assert float(losses.perceptual_loss(restored, truth)) == pytest.approx(0.5 + 1.0)
    # Gram entries: 4 * 1 / 8 and 4 * 2.25 / 8; 4 / 4 and 1 / 4.
    assert float(losses.style_loss(restored, truth)) == pytest.approx(0.625 + 0.75)


def test_style_loss_ignores_positions_and_perceptual_loss_does_not() -> None:
    maps = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    assert float(losses.style_loss([maps.flip(3)], [maps])) == pytest.approx(0, abs=1e-6)
    assert float(losses.perceptual_loss([maps.flip(3)], [maps])) > 0.1


def test_landmark_loss_ignores_unknown_maps() -> None:
    maps, truth = full(0.5, 2, 3, 4, 4), full(0.0, 2, 3, 4, 4)
    truth[0, 0] = 1.0
    truth[1] = 0.4
    assert float(losses.landmark_loss(maps, truth)) == pytest.approx((3 * 0.25 + 3 * 0.01) / 6)
    truth[1] = -1
    truth[0, 2] = -1
    assert float(losses.landmark_loss(maps, truth)) == pytest.approx(0.25)


def test_parsing_loss_of_both_kinds_matches_a_manual_computation() -> None:
    logits = torch.zeros(1, 4, 1, 2)
    logits[0, 2, 0, 1] = math.log(3)  # probabilities 1/6, 1/6, 1/2, 1/6
    labels = torch.tensor([[[0, 2]]])
    uniform = (0.75**2 + 3 * 0.25**2) / 4
    confident = (0.5**2 + 3 / 36) / 4
    assert float(losses.parsing_loss(logits, labels)) == pytest.approx((uniform + confident) / 2)
    cross = (math.log(4) + math.log(2)) / 2
    assert float(losses.parsing_loss(logits, labels, "ce")) == pytest.approx(cross)
    labels[0, 0, 0] = -1
    assert float(losses.parsing_loss(logits, labels, "mse")) == pytest.approx(confident)
    assert float(losses.parsing_loss(logits, labels, "ce")) == pytest.approx(math.log(2))
    with pytest.raises(UsageError, match="parsing loss is called 'dice'"):
        losses.parsing_loss(logits, labels, "dice")


@pytest.mark.parametrize("kind", ["mse", "ce"])
def test_prior_terms_without_labels_are_zero_with_a_gradient_of_zero(kind: str) -> None:
    logits, unknown = torch.rand(2, 11, 4, 4, requires_grad=True), -torch.ones(2, 4, 4).long()
    maps = torch.rand(2, 5, 4, 4, requires_grad=True)
    loss = losses.parsing_loss(logits, unknown, kind) + losses.landmark_loss(maps, -full(1.0, 1))
    loss.backward()
    assert float(loss.detach()) == 0
    for estimate in (logits, maps):
        assert estimate.grad is not None
        assert not estimate.grad.any()


PAIRS = {
    "asymmetric_loss": losses.asymmetric_loss,
    "pixel_loss": losses.pixel_loss,
    "squared_loss": losses.squared_loss,
    "decibel_loss": losses.decibel_loss,
    "occlusion_loss": losses.occlusion_loss,
    "landmark_loss": losses.landmark_loss,
    "identity_loss": lambda a, b: losses.identity_loss(a.flatten(1), b.flatten(1)),
    "perceptual_loss": lambda a, b: losses.perceptual_loss([a], [b]),
    "style_loss": lambda a, b: losses.style_loss([a], [b]),
}


@pytest.mark.parametrize("name", PAIRS)
def test_terms_are_float32_for_any_input_and_give_the_truth_no_gradient(name: str) -> None:
    draw = torch.Generator().manual_seed(0)
    estimate, truth = (
        torch.rand(2, 3, 4, 4, generator=draw).bfloat16().requires_grad_() for _ in range(2)
    )
    loss = PAIRS[name](estimate, truth)
    assert loss.dtype == torch.float32
    exact = PAIRS[name](estimate.detach().float(), truth.detach().float())
    assert float(loss.detach()) == pytest.approx(float(exact), rel=1e-6)
    loss.backward()
    assert truth.grad is None
    assert estimate.grad is not None
    assert bool(estimate.grad.any())


def test_terms_do_not_depend_on_the_number_of_equal_faces_in_a_batch() -> None:
    draw = torch.Generator().manual_seed(0)
    one, other = (torch.rand(1, 3, 8, 8, generator=draw) for _ in range(2))
    for term in PAIRS.values():
        many = term(one.repeat(4, 1, 1, 1), other.repeat(4, 1, 1, 1))
        assert float(many) == pytest.approx(float(term(one, other)), rel=1e-5)
