"""Each loss term against values worked out by hand (eq. 8 to 11 and our own)."""

import dataclasses
import math

import pytest
import torch

from jdsr_cli.errors import TrainingError
from jdsr_cli.networks import GeneratorOutput
from jdsr_train import losses, objective
from jdsr_train.data import Batch
from jdsr_train.recipes import LossRecipe


def full(value: float, *shape: int) -> torch.Tensor:
    return torch.full(shape or (2, 3, 4, 4), value)


@pytest.mark.parametrize(
    ("estimate", "truth", "loss"), [(0.0, 0.5, 0.175), (0.5, 0.0, 0.075), (0.3, 0.3, 0.0)]
)
def test_under_estimated_noise_weighs_more(estimate: float, truth: float, loss: float) -> None:
    assert float(losses.asymmetric_loss(full(estimate), full(truth))) == pytest.approx(loss)


def test_total_variation_of_ramps_and_plain_maps() -> None:
    across = torch.linspace(0, 1, 128).expand(1, 3, 128, 128)
    step = (1 / 127) ** 2
    assert float(losses.total_variation(across)) == pytest.approx(step, rel=1e-4)
    assert float(losses.total_variation(across.mT)) == pytest.approx(step, rel=1e-4)
    assert float(losses.total_variation(across + across.mT)) == pytest.approx(2 * step, rel=1e-4)
    assert float(losses.total_variation(full(0.7))) == 0


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


def test_pixel_loss_is_the_mean_absolute_error() -> None:
    image = full(0.5)
    image[:, 0] += 0.3
    image[:, 1] -= 0.3
    assert float(losses.pixel_loss(image, full(0.5))) == pytest.approx(0.2)


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


def output_and_batch() -> tuple[GeneratorOutput, Batch]:
    output = GeneratorOutput(
        restored=full(0.6, 1, 3, 128, 128),
        denoised=full(0.4, 1, 3, 32, 32),
        noise_map=full(0.0, 1, 3, 32, 32),
        occlusion=full(0.5, 1, 1, 32, 32),
    )
    batch = Batch(
        lr=full(0.8, 1, 3, 32, 32),
        lr_clean=full(0.3, 1, 3, 32, 32),
        hr=full(0.5, 1, 3, 128, 128),
        occlusion=full(1.0, 1, 1, 32, 32),
    )
    return output, batch


def test_terms_are_weighted_and_only_those_with_a_weight_are_there() -> None:
    recipe = LossRecipe(
        pixel_hr=2.0, decibel_hr=0.1, pixel_lr=3.0, asymmetric=0.5, total_variation=0.05,
        occlusion=4.0,
    )  # fmt: skip
    found = objective.terms(*output_and_batch(), recipe)
    wanted = {
        "pixel_hr": 2.0 * 0.1,
        "decibel_hr": 0.1 * -20,
        "pixel_lr": 3.0 * 0.1,
        "asymmetric": 0.5 * 0.175,
        "total_variation": 0.0,
        "occlusion": 4.0 * math.log(2),
    }
    assert {name: float(value) for name, value in found.items()} == pytest.approx(wanted, abs=1e-4)
    assert float(objective.total(found, 0)) == pytest.approx(sum(wanted.values()), abs=1e-4)
    alone = LossRecipe(pixel_hr=1.0, pixel_lr=0.0, asymmetric=0.0, total_variation=0.0)
    assert list(objective.terms(*output_and_batch(), alone)) == ["pixel_hr"]


class Pictures:
    """A stand-in for frozen features: the mean absolute difference of the pictures."""

    def distance(self, images: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        return (images - truth).abs().mean()


def test_features_can_judge_the_covered_part_alone() -> None:
    output, batch = output_and_batch()
    half = torch.zeros_like(batch.occlusion)
    half[..., half.shape[-1] // 2 :] = 1.0
    recipe = LossRecipe(
        pixel_hr=0.0, pixel_lr=0.0, asymmetric=0.0, total_variation=0.0, perceptual_covered=2.0
    )
    found = objective.terms(
        output,
        dataclasses.replace(batch, occlusion=half),
        recipe,
        Pictures(),  # type: ignore[arg-type]
    )
    whole = float((output.restored - batch.hr).abs().mean())
    assert list(found) == ["perceptual_covered"]
    assert float(found["perceptual_covered"]) == pytest.approx(2 * whole / 2, rel=0.02)


def test_terms_that_are_not_finite_are_named_with_the_step() -> None:
    found = {"pixel_hr": torch.tensor(1.0), "asymmetric": torch.tensor(float("nan"))}
    with pytest.raises(TrainingError, match="not finite at step 7: asymmetric") as caught:
        objective.total(found, 7)
    assert "pixel_hr" not in str(caught.value)
