"""The generator's loss: the paper's terms with their weights, and those that are left out."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from jdsr_cli.datasets.face_set import FaceSet
from jdsr_cli.datasets.samples import Degrader, SampleSettings
from jdsr_cli.networks import GeneratorOutput, JDSRGenerator, build, occlusion_from_noise
from jdsr_cli.networks.layers import enlarge
from jdsr_cli.synthesis.mask_drawing import draw_sprites
from jdsr_train.components import recipe_arguments, sample_settings
from jdsr_train.data.samples import Batch, TrainingSamples
from jdsr_train.losses.objective import (
    LossNetworks,
    denoising_terms,
    noise_target,
    restoring_terms,
    select_region,
)
from jdsr_train.recipe import LossRecipe
from jdsr_train.recipe_files import load

NOTHING = LossRecipe(
    asymmetric=0.0, total_variation=0.0, pixel_lr=0.0, pixel_hr=0.0, prior_parsing=0.1
)


def full(value: float, *shape: int) -> Tensor:
    return torch.full(shape, value)


@pytest.fixture
def batch() -> Batch:
    """Two faces of 32 px whose mask is half a level brighter than the clean ones."""
    return Batch(
        lr=full(0.75, 2, 3, 32, 32),
        lr_clean=full(0.25, 2, 3, 32, 32),
        hr=full(0.25, 2, 3, 128, 128),
        occlusion=full(0.5, 2, 1, 32, 32),
        heat_maps=full(0.0, 2, 5, 64, 64),
        parsing=torch.zeros(2, 64, 64, dtype=torch.int64),
    )


def output(grid: int, **changes: Tensor | None) -> GeneratorOutput:
    made = GeneratorOutput(
        restored=full(0.5, 2, 3, 128, 128),
        denoised=full(0.5, 2, 3, grid, grid),
        noise_map=full(0.0, 2, 3, grid, grid),
        occlusion=full(0.5, 2, 1, grid, grid),
        coarse=full(0.75, 2, 3, 128, 128),
        landmarks=full(0.5, 2, 5, 64, 64),
        parsing=full(0.0, 2, 11, 64, 64),
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def alone(name: str, weight: float = 1.0) -> LossRecipe:
    return dataclasses.replace(NOTHING, **{name: weight})  # type: ignore[arg-type]


@pytest.mark.parametrize("grid", [32, 128])
@pytest.mark.parametrize(
    ("name", "wanted"),
    [("asymmetric", 0.7 * 0.5**2), ("total_variation", 0.0), ("pixel_lr", 0.25)],
)
def test_denoising_terms_work_on_either_grid(
    grid: int, name: str, wanted: float, batch: Batch
) -> None:
    made = output(grid)
    found = denoising_terms(made.denoised, made.noise_map, batch, alone(name, 2.0))
    assert {key: float(value) for key, value in found.items()} == {
        name: pytest.approx(2 * wanted, abs=1e-6)
    }


def test_the_noise_map_can_be_told_the_masks_share(batch: Batch) -> None:
    made = output(32)
    found = denoising_terms(
        made.denoised, made.noise_map, batch, alone("asymmetric"), noise_truth="alpha"
    )
    assert float(found["asymmetric"]) == pytest.approx(0.7 * 0.7**2)  # half covered is level 0.7
    other = dataclasses.replace(batch, occlusion=full(1.0, 2, 1, 32, 32))
    found = denoising_terms(
        made.denoised, made.noise_map, other, alone("asymmetric"), noise_truth="alpha"
    )
    assert float(found["asymmetric"]) == pytest.approx(0.7)


def camera_variant(name: str) -> SampleSettings:
    """Samples of the recipe `camera`, or with one thing changed."""
    settings = dataclasses.replace(sample_settings(load("camera")), priors=False)
    changes: dict[str, dict[str, object]] = {
        "as it stands": {},
        "paper": {"degradation": "paper", "lr_size": 32},
        "lowered": {"lowered": 1.0},
        "occluded": {"occluded": 1.0},
    }
    return dataclasses.replace(settings, **changes[name])  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["as it stands", "paper", "lowered", "occluded"])
def test_a_perfect_noise_map_of_the_camera_marks_masks_alone(name: str, face_set: FaceSet) -> None:
    """Blur, noise, codecs and what else is before a face are not taken for a mask."""
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
    met, joined = marked[1.0] & covered[1.0], marked[1.0] | covered[1.0]
    assert float(met.sum() / joined.sum()) > 0.95


@pytest.mark.parametrize(
    ("name", "key", "wanted"),
    [
        ("pixel_hr", "pixel_hr", 0.25),
        ("coarse", "coarse", 0.25),
        ("smooth_hr", "smooth_hr", 0.0),
        ("decibel_hr", "decibel_hr", -12.0412),
        ("prior", "prior_landmarks", 0.25),
    ],
)
def test_restoring_terms(name: str, key: str, wanted: float, batch: Batch) -> None:
    weights = dataclasses.replace(alone(name), prior_parsing=0.0)
    found = restoring_terms(output(32), batch, weights, LossNetworks())
    assert {one: float(value) for one, value in found.items()} == {
        key: pytest.approx(wanted, abs=1e-4)
    }


def test_the_prior_weighs_landmarks_and_parsing(batch: Batch) -> None:
    weights = dataclasses.replace(NOTHING, prior=2.0, prior_landmarks=3.0, prior_parsing=0.5)
    found = restoring_terms(output(32), batch, weights, LossNetworks())
    assert float(found["prior_landmarks"]) == pytest.approx(2 * 3 * 0.25)
    parsing = ((10 / 11) ** 2 + 10 * (1 / 11) ** 2) / 11
    assert float(found["prior_parsing"]) == pytest.approx(2 * 0.5 * parsing, rel=1e-5)


def test_terms_without_a_judge_or_a_truth_are_left_out(batch: Batch) -> None:
    weights = load("paper_x4").loss
    bare = dataclasses.replace(batch, heat_maps=None, parsing=None)
    found = restoring_terms(output(128), bare, weights, LossNetworks())
    assert set(found) == {"pixel_hr", "smooth_hr", "coarse"}
    lite = restoring_terms(
        output(128, coarse=None, landmarks=None, parsing=None), batch, weights, LossNetworks()
    )
    assert set(lite) == {"pixel_hr", "smooth_hr"}


class _Sums(nn.Module):
    """A stand-in for frozen networks and critics: one number for each image."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.stack([images.mean((1, 2, 3)), images.amax((1, 2, 3)) + 1], 1)


def test_identity_and_adversary_judge_the_restored_face_only(batch: Batch) -> None:
    weights = dataclasses.replace(NOTHING, identity=2.0, adversarial=0.5, identity_reduction="sum")
    restored = full(0.5, 2, 3, 128, 128).requires_grad_()
    judges = LossNetworks(identity=_Sums(), critic=lambda images: images.mean((1, 2, 3)))
    found = restoring_terms(output(32, restored=restored), batch, weights, judges)
    assert set(found) == {"identity", "adversarial"}
    assert float(found["adversarial"].detach()) == pytest.approx(-0.25)
    one, other = (
        nn.functional.normalize(_Sums()(images)[:1]) for images in (restored.detach(), batch.hr)
    )
    assert float(found["identity"].detach()) == pytest.approx(2 * float(((one - other) ** 2).sum()))
    torch.stack(list(found.values())).sum().backward()
    assert restored.grad is not None
    assert batch.hr.grad is None


class _Levels:
    """A stand-in for frozen features: the pictures themselves."""

    name, deviation = "levels", None

    def maps(self, images: Tensor) -> list[Tensor]:
        return [images]


def test_features_can_judge_the_covered_part_alone(batch: Batch) -> None:
    half = torch.zeros(2, 1, 32, 32)
    half[..., 16:] = 1.0
    covered = dataclasses.replace(batch, occlusion=half)
    restored = full(0.75, 2, 3, 128, 128).requires_grad_()
    found = restoring_terms(
        output(32, restored=restored),
        covered,
        alone("perceptual_covered", 2.0),
        LossNetworks(features=_Levels()),  # type: ignore[arg-type]
    )
    assert set(found) == {"perceptual_covered"}
    assert float(found["perceptual_covered"].detach()) == pytest.approx(2 * 0.5 * 0.5)
    found["perceptual_covered"].backward()
    assert restored.grad is not None
    assert not restored.grad[..., :60].any()
    assert restored.grad[..., 68:].all()


def half_covered(batch: Batch) -> Batch:
    """Let the first face wear a mask on its right half, and the second none."""
    occlusion = torch.zeros(2, 1, 32, 32)
    occlusion[0, ..., 16:] = 1.0
    return dataclasses.replace(batch, occlusion=occlusion)


def test_a_judge_of_what_was_covered_is_shown_nothing_else(batch: Batch) -> None:
    restored = full(0.75, 2, 3, 128, 128)
    shown, truth = select_region(restored, half_covered(batch), "covered", 0.5)
    assert shown.shape == truth.shape == (1, 3, 128, 128)  # the face without a mask is left out
    assert torch.equal(shown[..., :60], truth[..., :60])
    assert torch.equal(shown[..., 68:], restored[:1, ..., 68:])
    whole, same = select_region(restored, half_covered(batch), "face", 0.5)
    assert whole is restored
    assert same is batch.hr


def covered_by(areas: list[float]) -> tuple[Tensor, Batch]:
    """Return restored faces and a batch: face n is n / 10, restored 0.05 brighter, covered so."""
    count = len(areas)
    faces = (torch.arange(count) / 10).view(-1, 1, 1, 1)
    lr, hr = faces.expand(-1, 3, 32, 32), faces.expand(-1, 3, 128, 128)
    occlusion = torch.tensor(areas).view(-1, 1, 1, 1).expand(-1, 1, 32, 32)
    return hr + 0.05, Batch(lr=lr, lr_clean=lr, hr=hr, occlusion=occlusion)


@pytest.mark.parametrize(
    ("areas", "masked", "wanted"),
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
def test_as_many_faces_are_judged_in_every_batch(
    areas: list[float], masked: float, wanted: list[int]
) -> None:
    restored, batch = covered_by(areas)
    shown, truth = select_region(restored, batch, "covered", masked)
    assert torch.equal(truth, batch.hr[wanted])
    means = [place / 10 + 0.05 * areas[place] for place in wanted]
    assert shown.mean((1, 2, 3)).tolist() == pytest.approx(means, abs=1e-5)


def test_of_faces_without_masks_the_judge_sees_the_truth(batch: Batch) -> None:
    bare = dataclasses.replace(batch, occlusion=torch.zeros(2, 1, 32, 32))
    shown, truth = select_region(full(0.75, 2, 3, 128, 128), bare, "covered")
    assert torch.equal(shown, truth)
    assert torch.equal(truth, batch.hr)


def test_a_critic_of_what_was_covered_moves_nothing_else(batch: Batch) -> None:
    restored = full(0.75, 2, 3, 128, 128).requires_grad_()
    found = restoring_terms(
        output(32, restored=restored),
        half_covered(batch),
        alone("adversarial", 2.0),
        LossNetworks(critic=lambda images: images.mean((1, 2, 3)), region="covered", masked=0.5),
    )
    assert set(found) == {"adversarial"}
    assert float(found["adversarial"].detach()) == pytest.approx(-2 * (0.25 + 0.75) / 2)
    found["adversarial"].backward()
    assert restored.grad is not None
    assert not restored.grad[0, ..., :60].any()
    assert not restored.grad[1].any()
    assert restored.grad[0, ..., 68:].all()


def test_a_face_without_a_mask_takes_no_part_in_what_is_judged(batch: Batch) -> None:
    restored = full(0.75, 2, 3, 128, 128).requires_grad_()
    weights = dataclasses.replace(NOTHING, adversarial=2.0, perceptual_covered=1.0)
    found = restoring_terms(
        output(32, restored=restored),
        half_covered(batch),
        weights,
        LossNetworks(
            features=_Levels(), critic=lambda images: images.mean((1, 2, 3)), region="covered"
        ),  # type: ignore[arg-type]
    )
    # Both faces are shown, the second as its truth.
    assert float(found["perceptual_covered"].detach()) == pytest.approx(0.5 * 0.25)
    torch.stack(list(found.values())).sum().backward()
    assert restored.grad is not None
    assert restored.grad[0].any()
    assert not restored.grad[1].any()
