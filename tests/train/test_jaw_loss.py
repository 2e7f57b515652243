"""The edge strength along the covered jaw line."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from jdsr_cli.networks import GeneratorOutput
from jdsr_train.data.samples import Batch
from jdsr_train.loss_recipe import LossRecipe
from jdsr_train.losses.jaw import BAND_SIGMA, FLOOR, edge_strength, jaw_band, jaw_loss
from jdsr_train.losses.objective import LossNetworks, restoring_terms

CENTRE = 63.5


def contour(radius: float = 40.0, centre: float = CENTRE) -> Tensor:
    """Return (1, 17, 2) points on the lower half of a circle, from left to right."""
    angles = torch.linspace(math.pi, 0, 17)
    return torch.stack([centre + radius * angles.cos(), centre + radius * angles.sin()], -1)[None]


def head(softness: float, radius: float = 40.0, contrast: float = 0.5) -> Tensor:
    """Return a (1, 3, 128, 128) disc whose border is `softness` px wide."""
    axis = torch.arange(128.0) - CENTRE
    distance = (axis[None] ** 2 + axis[:, None] ** 2).sqrt()
    level = 0.2 + contrast * torch.sigmoid((radius - distance) * 4 / softness)
    return level.expand(1, 3, 128, 128).clone()


def lower_half(size: int = 128) -> Tensor:
    covered = torch.zeros(1, 1, size, size)
    covered[..., size // 2 :, :] = 1.0
    return covered


def loss(restored: Tensor, truth: Tensor, covered: Tensor | None = None) -> float:
    return float(jaw_loss(restored, truth, lower_half() if covered is None else covered, contour()))


@pytest.mark.parametrize("softness", [1.0, 3.0, 12.0])
def test_equal_faces_have_no_error(softness: float) -> None:
    assert loss(head(softness), head(softness)) == 0


def test_the_softer_the_chin_the_larger_the_error() -> None:
    errors = [loss(head(softness), head(2.0)) for softness in (2.0, 4.0, 8.0, 16.0)]
    assert errors == sorted(errors)
    assert errors[1] > 0.002
    assert loss(head(2.0), head(8.0)) > 0.01  # a border that is too sharp is an error too


@pytest.mark.parametrize("shift", [-2.0, -1.0, 1.0, 2.0])
def test_a_sharp_chin_beside_its_place_is_better_than_a_soft_one_at_it(shift: float) -> None:
    truth = head(2.0)
    assert loss(head(2.0, radius=40 + shift), truth) < 0.5 * loss(head(8.0), truth)


@pytest.mark.parametrize("contrast", [-0.15, 0.2, 0.7])
def test_the_border_can_be_lighter_or_darker_than_the_face(contrast: float) -> None:
    soft = loss(head(10.0, contrast=contrast), head(2.0, contrast=contrast))
    assert soft > 0.02 * abs(contrast)


def test_bare_faces_have_neither_error_nor_gradient() -> None:
    restored = head(9.0).requires_grad_()
    value = jaw_loss(restored, head(2.0), torch.zeros(1, 1, 32, 32), contour())
    value.backward()
    assert float(value.detach()) == 0
    assert restored.grad is not None
    assert not restored.grad.any()


def test_only_covered_pixels_near_the_jaw_line_get_a_gradient() -> None:
    restored = head(9.0).requires_grad_()
    jaw_loss(restored, head(2.0), lower_half(32), contour()).backward()
    assert restored.grad is not None
    size = restored.grad[0].abs().sum(0)
    assert not size[:60].any()
    assert size[100:108, 60:68].min() > 0  # the chin
    assert size[66:72, 60:68].max() < 0.01 * size.max()  # 34 px from the line


def test_errors_count_as_far_as_they_are_covered() -> None:
    truth, soft = head(2.0), head(9.0)
    some = [loss(soft, truth, share * lower_half()) for share in (0.0, 0.25, 0.5, 1.0)]
    assert some == sorted(some)
    left = lower_half()
    left[..., :64] = 0
    assert loss(soft, truth, left) == pytest.approx(0.5 * loss(soft, truth), rel=0.05)


def test_the_term_does_not_depend_on_the_number_of_equal_faces() -> None:
    arguments = head(9.0), head(2.0), lower_half(32), contour()
    many = jaw_loss(*(one.repeat(3, *[1] * (one.ndim - 1)) for one in arguments))
    assert float(many) == pytest.approx(float(jaw_loss(*arguments)), rel=1e-5)


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_a_face_without_a_finite_jaw_line_is_left_out(broken: float) -> None:
    points = contour().repeat(2, 1, 1)
    points[1, 4, 0] = broken
    restored = head(9.0).repeat(2, 1, 1, 1).requires_grad_()
    truth, covered = head(2.0).repeat(2, 1, 1, 1), lower_half().repeat(2, 1, 1, 1)
    value = jaw_loss(restored, truth, covered, points)
    value.backward()
    assert float(value.detach()) == pytest.approx(loss(head(9.0), head(2.0)), rel=1e-5)
    assert restored.grad is not None
    assert restored.grad[0].any()
    assert not restored.grad[1].any()


def test_a_jaw_line_outside_of_the_picture_has_no_error() -> None:
    away = contour(centre=400.0)
    assert float(jaw_loss(head(9.0), head(2.0), lower_half(), away)) == pytest.approx(0, abs=1e-12)


def test_flat_faces_have_finite_gradients() -> None:
    restored = torch.full((1, 3, 128, 128), 0.5, requires_grad=True)
    jaw_loss(restored, head(2.0), lower_half(), contour()).backward()
    assert restored.grad is not None
    assert restored.grad.isfinite().all()


def test_values_are_float32_and_the_truth_has_no_gradient() -> None:
    restored, truth = (head(softness).bfloat16().requires_grad_() for softness in (9.0, 2.0))
    value = jaw_loss(restored, truth, lower_half(), contour())
    assert value.dtype == torch.float32
    value.backward()
    assert truth.grad is None
    assert restored.grad is not None


def test_edge_strength_of_a_ramp_is_its_slope() -> None:
    ramp = (torch.arange(32.0) * 0.01).expand(1, 3, 32, 32)
    across, down = edge_strength(ramp)[0, :, 2:-2, 2:-2]
    assert across.flatten().tolist() == pytest.approx([math.hypot(0.01, FLOOR)] * 16, rel=1e-5)
    assert down.flatten().tolist() == pytest.approx([FLOOR] * 16, rel=1e-5)
    turned = edge_strength(ramp.mT)[0, :, 2:-2, 2:-2]
    assert torch.allclose(turned[1], across)


@pytest.mark.parametrize(
    ("row", "column", "distance"),
    [
        (10, 2, 0.0),
        (10, 4, 8.0),
        (10, 0, 8.0),
        (22, 9, 8.0),
        (1, 2, 12.0),
        (20, 17, 12.0),
        (23, 14, 12.0),
    ],
)
def test_the_band_is_a_gaussian_of_the_distance(row: int, column: int, distance: float) -> None:
    line = torch.tensor([[[9.5, 17.5], [9.5, 81.5], [57.5, 81.5]]])
    band = jaw_band(line, 32)[0, 0]  # its centres are 1.5, 5.5, ... px
    expected = math.exp(-(distance**2) / (2 * BAND_SIGMA**2))
    assert float(band[row, column]) == pytest.approx(expected, rel=1e-4)


def batch(jaw: Tensor | None) -> Batch:
    truth = head(2.0)
    return Batch(lr=truth, lr_clean=truth, hr=truth, occlusion=lower_half(), jaw=jaw)


NO_TERMS = LossRecipe(asymmetric=0.0, total_variation=0.0, pixel_lr=0.0, pixel_hr=0.0)


def terms(recipe: LossRecipe, jaw: Tensor | None) -> dict[str, Tensor]:
    soft, map_ = head(9.0), lower_half()
    output = GeneratorOutput(restored=soft, denoised=soft, noise_map=soft, occlusion=map_)
    return restoring_terms(output, batch(jaw), recipe, LossNetworks())


def test_the_weight_of_a_recipe_scales_the_term() -> None:
    found = terms(dataclasses.replace(NO_TERMS, jaw=3.0), contour())
    assert {name: float(value) for name, value in found.items()} == {
        "jaw": pytest.approx(3 * loss(head(9.0), head(2.0)))
    }


def test_the_term_is_left_out_without_weight_or_jaw_line() -> None:
    assert terms(NO_TERMS, contour()) == {}
    assert terms(dataclasses.replace(NO_TERMS, jaw=3.0), None) == {}
