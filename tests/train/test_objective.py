"""The generator's loss: its terms and weights, and terms that are left out."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from constant_batch import constant_batch, full
from torch import Tensor, nn

from jdsr_cli.datasets.face_set import FaceSet
from jdsr_cli.datasets.samples import Degrader, SampleSettings
from jdsr_cli.networks import GeneratorOutput, JDSRGenerator, build, occlusion_from_noise
from jdsr_cli.networks.layers import enlarge
from jdsr_cli.synthesis.mask_drawing import draw_sprites
from jdsr_train.components import recipe_arguments, sample_settings
from jdsr_train.data.samples import Batch, TrainingSamples
from jdsr_train.loss_recipe import LossRecipe
from jdsr_train.losses.objective import (
    LossNetworks,
    denoising_terms,
    noise_target,
    restoring_terms,
    select_region,
)
from jdsr_train.recipe_files import load

NO_TERMS = LossRecipe(
    asymmetric=0.0, total_variation=0.0, pixel_lr=0.0, pixel_hr=0.0, prior_parsing=0.1
)


@pytest.fixture
def batch() -> Batch:
    """Two faces of 32 px that are 0.5 brighter with a mask than without."""
    return constant_batch(
        masked=0.75,
        occlusion=0.5,
        heat_maps=full(0.0, 2, 5, 64, 64),
        parsing=torch.zeros(2, 64, 64, dtype=torch.int64),
    )


def output(grid: int, **changes: Tensor | tuple[Tensor, ...] | None) -> GeneratorOutput:
    result = GeneratorOutput(
        restored=full(0.5, 2, 3, 128, 128),
        denoised=full(0.5, 2, 3, grid, grid),
        noise_map=full(0.0, 2, 3, grid, grid),
        occlusion=full(0.5, 2, 1, grid, grid),
        coarse=full(0.75, 2, 3, 128, 128),
        landmarks=full(0.5, 2, 5, 64, 64),
        parsing=full(0.0, 2, 11, 64, 64),
    )
    return dataclasses.replace(result, **changes)  # type: ignore[arg-type]


def alone(name: str, weight: float = 1.0) -> LossRecipe:
    return dataclasses.replace(NO_TERMS, **{name: weight})  # type: ignore[arg-type]


@pytest.mark.parametrize("grid", [32, 128])
@pytest.mark.parametrize(
    ("name", "expected"),
    [("asymmetric", 0.7 * 0.5**2), ("total_variation", 0.0), ("pixel_lr", 0.25)],
)
def test_denoising_terms_are_computed_on_either_grid(
    grid: int, name: str, expected: float, batch: Batch
) -> None:
    result = output(grid)
    terms = denoising_terms(result.denoised, result.noise_map, batch, alone(name, 2.0))
    assert {key: float(value) for key, value in terms.items()} == {
        name: pytest.approx(2 * expected, abs=1e-6)
    }


def test_the_truth_of_the_noise_map_can_be_the_covered_share(batch: Batch) -> None:
    result = output(32)
    terms = denoising_terms(
        result.denoised, result.noise_map, batch, alone("asymmetric"), noise_truth="alpha"
    )
    assert float(terms["asymmetric"]) == pytest.approx(0.7 * 0.7**2)  # half covered is level 0.7
    other = dataclasses.replace(batch, occlusion=full(1.0, 2, 1, 32, 32))
    terms = denoising_terms(
        result.denoised, result.noise_map, other, alone("asymmetric"), noise_truth="alpha"
    )
    assert float(terms["asymmetric"]) == pytest.approx(0.7)


def camera_variant(name: str) -> SampleSettings:
    """Return the sample settings of the recipe `camera`, or a variant of them."""
    settings = dataclasses.replace(sample_settings(load("camera")), priors=False)
    changes: dict[str, dict[str, object]] = {
        "unchanged": {},
        "paper": {"degradation": "paper", "lr_size": 32},
        "lowered": {"lowered": 1.0},
        "occluded": {"occluded": 1.0},
    }
    return dataclasses.replace(settings, **changes[name])  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["unchanged", "paper", "lowered", "occluded"])
def test_a_perfect_noise_map_of_the_camera_marks_only_masks(name: str, face_set: FaceSet) -> None:
    """Blur, noise, compression and other occluders are not marked."""
    recipe, settings = load("camera"), camera_variant(name)
    with torch.device("meta"):
        network = build(recipe.generator.network, recipe_arguments(recipe))
    assert isinstance(network, JDSRGenerator)
    marked, covered = {}, {}
    for masked in (0.0, 1.0):
        chosen = dataclasses.replace(settings, masked=masked)
        samples = TrainingSamples(face_set, Degrader(draw_sprites(4, 1), chosen), seed=3)
        (packed,) = samples.batches(12, 0, 1, workers=0)
        batch = packed.unpack("cpu")
        perfect = noise_target(batch, 128, recipe.data.noise_truth)
        assert perfect.shape == (12, 3, 128, 128)
        marked[masked] = occlusion_from_noise(perfect, network.config.noise)[:, 0] >= 0.5
        covered[masked] = enlarge(batch.occlusion, 128)[:, 0] >= 0.5
    assert float(marked[0.0].float().mean()) < 0.005
    assert float(covered[1.0].float().mean()) > 0.05
    intersection, union = marked[1.0] & covered[1.0], marked[1.0] | covered[1.0]
    assert float(intersection.sum() / union.sum()) > 0.95


@pytest.mark.parametrize(
    ("name", "key", "expected"),
    [
        ("pixel_hr", "pixel_hr", 0.25),
        ("coarse", "coarse", 0.25),
        ("smooth_hr", "smooth_hr", 0.0),
        ("decibel_hr", "decibel_hr", -12.0412),
        ("prior", "prior_landmarks", 0.25),
    ],
)
def test_restoring_terms_have_their_values(
    name: str, key: str, expected: float, batch: Batch
) -> None:
    weights = dataclasses.replace(alone(name), prior_parsing=0.0)
    terms = restoring_terms(output(32), batch, weights, LossNetworks())
    assert {one: float(value) for one, value in terms.items()} == {
        key: pytest.approx(expected, abs=1e-4)
    }


def test_the_prior_weighs_landmarks_and_parsing(batch: Batch) -> None:
    weights = dataclasses.replace(NO_TERMS, prior=2.0, prior_landmarks=3.0, prior_parsing=0.5)
    terms = restoring_terms(output(32), batch, weights, LossNetworks())
    assert float(terms["prior_landmarks"]) == pytest.approx(2 * 3 * 0.25)
    parsing = ((10 / 11) ** 2 + 10 * (1 / 11) ** 2) / 11
    assert float(terms["prior_parsing"]) == pytest.approx(2 * 0.5 * parsing, rel=1e-5)


def test_terms_without_a_network_or_a_truth_are_left_out(batch: Batch) -> None:
    weights = load("paper_x4").loss
    uncovered = dataclasses.replace(batch, heat_maps=None, parsing=None)
    terms = restoring_terms(output(128), uncovered, weights, LossNetworks())
    assert set(terms) == {"pixel_hr", "smooth_hr", "coarse"}
    lite = restoring_terms(
        output(128, coarse=None, landmarks=None, parsing=None), batch, weights, LossNetworks()
    )
    assert set(lite) == {"pixel_hr", "smooth_hr"}


class _Sums(nn.Module):
    """A fake embedding: two numbers for each image."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.stack([images.mean((1, 2, 3)), images.amax((1, 2, 3)) + 1], 1)


def test_the_identity_term_gives_only_the_restored_face_a_gradient(batch: Batch) -> None:
    weights = dataclasses.replace(NO_TERMS, identity=2.0, identity_reduction="sum")
    restored = full(0.5, 2, 3, 128, 128).requires_grad_()
    terms = restoring_terms(
        output(32, restored=restored), batch, weights, LossNetworks(identity=_Sums())
    )
    assert set(terms) == {"identity"}
    one, other = (
        nn.functional.normalize(_Sums()(images)[:1]) for images in (restored.detach(), batch.hr)
    )
    assert float(terms["identity"].detach()) == pytest.approx(2 * float(((one - other) ** 2).sum()))
    torch.stack(list(terms.values())).sum().backward()
    assert restored.grad is not None
    assert batch.hr.grad is None


class _Levels:
    """Fake features: the images themselves."""

    name, deviation = "levels", None

    def maps(self, images: Tensor) -> list[Tensor]:
        return [images]


def test_feature_terms_can_be_restricted_to_the_covered_part(batch: Batch) -> None:
    half = torch.zeros(2, 1, 32, 32)
    half[..., 16:] = 1.0
    covered = dataclasses.replace(batch, occlusion=half)
    restored = full(0.75, 2, 3, 128, 128).requires_grad_()
    terms = restoring_terms(
        output(32, restored=restored),
        covered,
        alone("perceptual_covered", 2.0),
        LossNetworks(features=_Levels()),  # type: ignore[arg-type]
    )
    assert set(terms) == {"perceptual_covered"}
    assert float(terms["perceptual_covered"].detach()) == pytest.approx(2 * 0.5 * 0.5)
    terms["perceptual_covered"].backward()
    assert restored.grad is not None
    assert not restored.grad[..., :60].any()
    assert restored.grad[..., 68:].all()


def half_covered(batch: Batch) -> Batch:
    """Return the batch with the right half of the first face covered, and the second uncovered."""
    occlusion = torch.zeros(2, 1, 32, 32)
    occlusion[0, ..., 16:] = 1.0
    return dataclasses.replace(batch, occlusion=occlusion)


def test_the_covered_region_differs_from_the_truth_only_where_covered(batch: Batch) -> None:
    restored = full(0.75, 2, 3, 128, 128)
    shown, truth = select_region(restored, half_covered(batch), "covered", 0.5)
    assert shown.shape == truth.shape == (1, 3, 128, 128)  # the uncovered face is left out
    assert torch.equal(shown[..., :60], truth[..., :60])
    assert torch.equal(shown[..., 68:], restored[:1, ..., 68:])
    whole, same = select_region(restored, half_covered(batch), "face", 0.5)
    assert whole is restored
    assert same is batch.hr


def covered_by(areas: list[float]) -> tuple[Tensor, Batch]:
    """Return restored faces and a batch: face n has level n / 10, restored 0.05 brighter."""
    count = len(areas)
    faces = (torch.arange(count) / 10).view(-1, 1, 1, 1)
    lr, hr = faces.expand(-1, 3, 32, 32), faces.expand(-1, 3, 128, 128)
    occlusion = torch.tensor(areas).view(-1, 1, 1, 1).expand(-1, 1, 32, 32)
    return hr + 0.05, Batch(lr=lr, lr_clean=lr, hr=hr, occlusion=occlusion)


@pytest.mark.parametrize(
    ("areas", "masked", "expected"),
    [
        ([0.2, 0.9, 0.0, 0.5, 0.4, 0.0], 0.5, [1, 3, 4]),  # most covered first
        ([0.0, 0.9, 0.0, 0.0, 0.0, 0.0], 0.5, [1, 0, 2]),  # filled up in the batch's order
        ([0.5, 0.5, 0.5, 0.5], 0.5, [0, 1]),
        ([0.1, 0.2, 0.3], 1.0, [2, 1, 0]),
        ([0.1, 0.2, 0.3], 0.0, [2]),  # never none
        ([0.7], 0.3, [0]),
        ([0.0, 0.0, 0.0], 0.6, [0, 1]),
    ],
)
def test_the_covered_region_selects_a_fixed_number_of_faces(
    areas: list[float], masked: float, expected: list[int]
) -> None:
    restored, batch = covered_by(areas)
    shown, truth = select_region(restored, batch, "covered", masked)
    assert torch.equal(truth, batch.hr[expected])
    means = [index / 10 + 0.05 * areas[index] for index in expected]
    assert shown.mean((1, 2, 3)).tolist() == pytest.approx(means, abs=1e-5)


def test_uncovered_faces_are_replaced_by_the_truth(batch: Batch) -> None:
    uncovered = dataclasses.replace(batch, occlusion=torch.zeros(2, 1, 32, 32))
    shown, truth = select_region(full(0.75, 2, 3, 128, 128), uncovered, "covered")
    assert torch.equal(shown, truth)
    assert torch.equal(truth, batch.hr)


def test_an_uncovered_face_has_no_gradient_from_terms_of_covered_pixels(batch: Batch) -> None:
    restored = full(0.75, 2, 3, 128, 128).requires_grad_()
    terms = restoring_terms(
        output(32, restored=restored),
        half_covered(batch),
        alone("perceptual_covered"),
        LossNetworks(features=_Levels()),  # type: ignore[arg-type]
    )
    # Both faces are shown, the second as its truth.
    assert float(terms["perceptual_covered"].detach()) == pytest.approx(0.5 * 0.25)
    torch.stack(list(terms.values())).sum().backward()
    assert restored.grad is not None
    assert restored.grad[0].any()
    assert not restored.grad[1].any()


def test_steps_are_compared_at_their_own_size(batch: Batch) -> None:
    steps = (full(0.5, 2, 3, 32, 32), full(0.75, 2, 3, 64, 64), full(0.25, 2, 3, 128, 128))
    terms = restoring_terms(output(32, steps=steps), batch, alone("steps_hr", 2.0), LossNetworks())
    assert {key: float(value) for key, value in terms.items()} == {
        "steps_hr": pytest.approx(2 * (0.25 + 0.5 + 0.0), abs=1e-5)
    }


def test_every_step_s_landmarks_are_compared(batch: Batch) -> None:
    steps = (full(0.5, 2, 5, 32, 32), full(0.0, 2, 5, 32, 32))
    other = dataclasses.replace(batch, heat_maps=full(0.25, 2, 5, 64, 64))
    terms = restoring_terms(
        output(32, landmarks=steps[-1], landmark_steps=steps), other,
        dataclasses.replace(alone("prior", 2.0), prior_landmarks=0.5, prior_parsing=0.0),
        LossNetworks(),
    )  # fmt: skip
    assert float(terms["prior_landmarks"]) == pytest.approx(2 * 0.25**2)


@pytest.mark.parametrize(("name", "expected"), [("squared_lr", 0.25**2), ("squared_hr", 0.25**2)])
def test_squared_errors(name: str, expected: float, batch: Batch) -> None:
    result = output(32)
    weights = alone(name, 2.0)
    terms = denoising_terms(result.denoised, result.noise_map, batch, weights) | restoring_terms(
        result, batch, weights, LossNetworks()
    )
    assert {key: float(value) for key, value in terms.items()} == {
        name: pytest.approx(2 * expected)
    }
