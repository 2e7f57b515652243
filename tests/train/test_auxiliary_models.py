"""Models beside the generator: what they learn from, and the gradient that they give."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from unittest.mock import Mock

import pytest
import torch
from constant_batch import constant_batch, full
from torch import Tensor, nn

from jdsr_cli.networks import GeneratorOutput
from jdsr_train.auxiliary import (
    AuxiliaryCritic,
    AuxiliaryDiscriminator,
    AuxiliaryDualNetworks,
    AuxiliaryModel,
    AuxiliaryRecogniser,
    build_auxiliary_models,
)
from jdsr_train.data.samples import Batch, TrainingSamples
from jdsr_train.networks import IdentityClassifier, IdentityNetwork, MarginHead
from jdsr_train.recipe import Recipe
from jdsr_train.recipe_files import load
from jdsr_train.stages.generator import JointStage
from jdsr_train.training.stage import SchedulePosition


def changed(name: str, **tables: dict[str, object]) -> Recipe:
    """Return a recipe with changed keys in its tables."""
    recipe = load(name)
    return dataclasses.replace(
        recipe,
        **{
            table: dataclasses.replace(getattr(recipe, table), **values)
            for table, values in tables.items()
        },
    )


@pytest.fixture
def batch() -> Batch:
    """Two bare faces of different people, of whom the second is unknown."""
    return constant_batch(masked=0.25, occlusion=0.0, identity=torch.tensor([1, -1]))


def output(restored: Tensor, steps: Sequence[Tensor] = ()) -> GeneratorOutput:
    lr = full(0.25, len(restored), 3, 32, 32)
    return GeneratorOutput(restored, lr, lr, lr[:, :1], steps=tuple(steps))


RECOGNISED = changed("sicnn_x4", loss={"super_identity": 0.5, "identity_from": 0.4})


def recogniser() -> AuxiliaryRecogniser:
    torch.manual_seed(0)
    network = IdentityNetwork((4, 4), (1, 1), 8)
    (found,) = build_auxiliary_models(RECOGNISED, IdentityClassifier(network, MarginHead(8, 3)))
    assert isinstance(found, AuxiliaryRecogniser)
    return found


def build(name: str) -> AuxiliaryModel:
    if name == "recogniser":
        return recogniser()
    recipe = {
        "critic": changed("paper_x4", critic={"widths": (4, 4, 4), "fold": 8}),
        "patches": changed("fsrgan_x4", critic={"widths": (4, 4)}),
        "light_cnn": changed("dicgan_x4", critic={"widths": (4, 4)}),
        "dual": load("drn_x4"),
    }[name]
    torch.manual_seed(0)
    (found,) = build_auxiliary_models(recipe)
    return found


NAMES = ["critic", "patches", "light_cnn", "dual", "recogniser"]


@pytest.mark.parametrize("name", NAMES)
def test_an_auxiliary_model_trains_itself_and_then_the_generator_alone(
    name: str, batch: Batch
) -> None:
    one = build(name)
    network = one.model.network
    restored = torch.rand(2, 3, 128, 128).requires_grad_()
    steps = [nn.functional.avg_pool2d(restored, side) for side in (4, 2, 1)]
    given = output(restored, steps)
    own = torch.stack(list(one.own_terms(network, given, batch, 0).values())).sum()
    own.backward()
    assert restored.grad is None
    assert all(weight.grad is not None for weight in network.parameters() if weight.ndim > 1)
    network.zero_grad()
    network.requires_grad_(False)
    torch.stack(list(one.generator_terms(network, given, batch).values())).sum().backward()
    assert restored.grad is not None
    assert restored.grad.abs().sum() > 0
    assert all(weight.grad is None for weight in network.parameters())


@pytest.mark.parametrize(("name", "rate"), [("patches", 1e-2), ("light_cnn", 1e-3)])
def test_a_discriminator_learns_to_tell_restored_faces(
    name: str, rate: float, batch: Batch
) -> None:
    one = build(name)
    smooth = nn.functional.interpolate(torch.rand(2, 3, 8, 8), size=(128, 128), mode="bilinear")
    true, restored = dataclasses.replace(batch, hr=smooth), torch.rand(2, 3, 128, 128)
    adam = torch.optim.Adam(one.model.network.parameters(), rate)
    losses = []
    for _ in range(30):
        (loss,) = one.own_terms(one.model.network, output(restored), true, 0).values()
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]


def test_the_weight_of_the_dual_term_is_that_of_the_recipe(batch: Batch) -> None:
    one = build("dual")
    steps = [full(0.25, 2, 3, side, side) for side in (32, 64, 128)]
    for network in one.model.network.networks:  # type: ignore[union-attr]
        for weight in network.parameters():
            nn.init.zeros_(weight)
    terms = one.generator_terms(one.model.network, output(steps[-1], steps), batch)
    assert {name: float(value.detach()) for name, value in terms.items()} == {
        "dual": pytest.approx(0.1 * (0.25 + 0.25), abs=1e-4)  # two scales, each 0 instead of 0.25
    }


def test_unknown_people_do_not_train_the_recognition_network(batch: Batch) -> None:
    one = recogniser()
    unknown = dataclasses.replace(batch, identity=torch.tensor([-1, -1]))
    (loss,) = one.own_terms(
        one.model.network, output(torch.rand(2, 3, 128, 128)), unknown, 0
    ).values()
    loss.backward()
    assert float(loss.detach()) == 0.0
    gradients = [weight.grad for weight in one.model.network.parameters()]
    assert all(one is None or not one.any() for one in gradients)


@pytest.mark.parametrize(
    ("share", "terms"),
    [(0.0, {"squared_hr"}), (0.39, {"squared_hr"}), (0.4, {"squared_hr", "super_identity"})],
)
def test_the_recognition_network_learns_before_its_term_is_active(
    share: float, terms: set[str], batch: Batch
) -> None:
    generator, one = nn.Conv2d(3, 3, 1), recogniser()

    def restore(lr: Tensor) -> dict[str, object]:
        return vars(output(nn.functional.interpolate(generator(lr), scale_factor=4)))

    stage = JointStage(RECOGNISED, generator, Mock(spec=TrainingSamples), auxiliary=(one,))
    networks = {"generator": restore, "recogniser": one.model.network}
    steps = list(stage.train_steps(networks, batch, SchedulePosition(1, share)))
    assert [step.model for step in steps] == ["recogniser", "generator"]
    assert set(steps[1].terms) == terms
    assert all(weight.requires_grad for weight in one.model.network.parameters())


def test_a_perfect_face_has_no_super_identity_loss(batch: Batch) -> None:
    one = recogniser()
    terms = one.generator_terms(one.model.network, output(batch.hr), batch)
    assert float(terms["super_identity"].detach()) == pytest.approx(0.0, abs=1e-9)


def test_a_critic_of_covered_pixels_gives_other_pixels_no_gradient(batch: Batch) -> None:
    recipe = changed(
        "paper_x4", critic={"sees": "covered", "widths": (4, 4), "fold": 8},
        data={"masked": 0.5}, loss={"adversarial": 2.0},
    )  # fmt: skip
    half = torch.zeros(2, 1, 32, 32)
    half[0, ..., 16:] = 1.0
    restored = full(0.75, 2, 3, 128, 128).requires_grad_()
    terms = AuxiliaryCritic(recipe).generator_terms(
        lambda images: images.mean((1, 2, 3)),
        output(restored), dataclasses.replace(batch, occlusion=half),
    )  # fmt: skip
    assert float(terms["adversarial"].detach()) == pytest.approx(-2 * (0.25 + 0.75) / 2)
    terms["adversarial"].backward()
    assert restored.grad is not None
    assert not restored.grad[0, ..., :60].any()
    assert not restored.grad[1].any()
    assert restored.grad[0, ..., 68:].all()


def test_a_recipe_has_the_auxiliary_models_of_its_terms() -> None:
    kinds = {
        "srfbn_x4": [], "cbdnet_x4": [], "fsrnet_x4": [], "paper_x4": [AuxiliaryCritic],
        "drn_x4": [AuxiliaryDualNetworks], "fsrgan_x4": [AuxiliaryDiscriminator],
        "dicgan_x4": [AuxiliaryDiscriminator],
    }  # fmt: skip
    for name, expected in kinds.items():
        with torch.device("meta"):
            found = build_auxiliary_models(load(name))
        assert [type(one) for one in found] == expected, name
