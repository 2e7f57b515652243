"""Every baseline trains by its recipe, resumes, and is restored from the file that it exports."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.models import squeezenet1_1

from jdsr_cli.datasets.face_set import FaceSet
from jdsr_cli.datasets.samples import Degrader
from jdsr_cli.errors import DatasetError, UsageError, WeightsError
from jdsr_cli.networks import build
from jdsr_cli.progress import Silent
from jdsr_cli.settings import TrainSettings
from jdsr_cli.synthesis.mask_drawing import draw_sprites
from jdsr_cli.weights import load_generator, save_network
from jdsr_train.auxiliary import build_auxiliary_models
from jdsr_train.components import TrainingComponents, sample_settings
from jdsr_train.data.samples import TrainingSamples
from jdsr_train.dry_run import SyntheticResources
from jdsr_train.frozen_features import FeatureExtractor, load_features
from jdsr_train.networks import IdentityClassifier, IdentityNetwork, MarginHead
from jdsr_train.recipe import Recipe
from jdsr_train.recipe_files import load
from jdsr_train.request import RunSettings, TrainRequest, make_request
from jdsr_train.requirements import check_given_weights, check_requirements
from jdsr_train.run import stage_settings
from jdsr_train.stages import JointStage
from jdsr_train.training.fabric import open_fabric
from jdsr_train.training.trainer import Trainer

TINY: dict[str, dict[str, Any]] = {
    "cbdnet": {"noise_width": 16, "denoiser_widths": [16, 16, 16]},
    "srfbn": {"features": 4, "groups": 1, "feedback_steps": 2},
    "drn": {"features": 4, "blocks": 1},
    "sicnn": {"width": 4, "growth": 2, "layers": 1, "tail_layers": 1},
    "fsrnet": {"width": 4, "prior_width": 4, "depth": 1, "encoder_blocks": 1, "landmarks": 68},
    "dic": {"features": 4, "groups": 1, "feedback_steps": 2, "fusion_blocks": 1,
            "prior_width": 8, "depth": 1},
}  # fmt: skip
TERMS = {
    "cbdnet": {"asymmetric", "total_variation", "squared_lr"},
    "srfbn": {"steps_hr"},
    "drn": {"steps_hr", "dual", "dual_networks"},
    "sicnn": {"squared_hr", "super_identity", "recognition"},
    "fsrnet": {"squared_hr", "coarse", "prior_landmarks", "prior_parsing"},
    "fsrgan": {"squared_hr", "coarse", "prior_landmarks", "prior_parsing", "perceptual_hr",
               "adversarial", "discriminator"},
    "dic": {"steps_hr", "prior_landmarks"},
    "dicgan": {"steps_hr", "prior_landmarks", "identity", "adversarial", "discriminator"},
}  # fmt: skip


def tiny(model: str, scale: int) -> Recipe:
    """Return the recipe of a model with narrow networks and four steps of two faces."""
    recipe = load(f"{model}_x{scale}")
    network = recipe.generator.network
    arguments = {**recipe.generator.arguments, **TINY[network]}
    return dataclasses.replace(
        recipe,
        generator=dataclasses.replace(recipe.generator, arguments=arguments),
        critic=dataclasses.replace(recipe.critic, widths=(4, 4)),
        identity=dataclasses.replace(recipe.identity, widths=(4,), blocks=(1,), features=4),
        optimiser=dataclasses.replace(recipe.optimiser, steps=4, batch=2, precision="float32"),
        loss=dataclasses.replace(recipe.loss, identity_from=0.0),
    )


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> FeatureExtractor:
    path = tmp_path_factory.mktemp("features") / "squeezenet.pth"
    torch.manual_seed(0)
    torch.save(squeezenet1_1(weights=None).state_dict(), path)
    return load_features(path)


@pytest.fixture(scope="module")
def complete(face_set: FaceSet) -> FaceSet:
    """The portraits with 68 heat maps, people and parsing labels."""
    labels = np.random.default_rng(0).integers(0, 11, (len(face_set), 64, 64)).astype(np.uint8)
    people = tuple(f"person{number % 2}" for number in range(len(face_set)))
    return FaceSet(
        face_set.keys, face_set.images, face_set.landmarks, face_set.landmarks, people, labels
    )


def trainer(recipe: Recipe, faces: FaceSet, features: FeatureExtractor, out: Path) -> Trainer:
    torch.manual_seed(0)
    degrader = Degrader(draw_sprites(2, 1), sample_settings(recipe))
    settings = recipe.identity
    recognition = IdentityNetwork(settings.widths, settings.blocks, settings.features)
    classifier = IdentityClassifier(recognition, MarginHead(settings.features, 2))
    auxiliary = build_auxiliary_models(recipe, classifier if recipe.loss.super_identity else None)
    stage = JointStage(
        recipe, build(recipe.generator.network, recipe.generator.arguments),
        TrainingSamples(faces, degrader, 0), auxiliary=auxiliary,
        features=features if recipe.loss.features else None,
        identity=recognition.requires_grad_(False) if recipe.loss.identity else None,
    )  # fmt: skip
    run = RunSettings(out, workers=0, checkpoint_every=2, validate_every=None, log_every=1)
    return Trainer(stage, run, stage_settings(recipe, "joint"))


@pytest.mark.parametrize("scale", [4, 8])
@pytest.mark.parametrize("model", list(TERMS))
def test_a_baseline_trains_and_is_exported(
    model: str, scale: int, complete: FaceSet, features: FeatureExtractor, tmp_path: Path
) -> None:
    recipe = tiny(model, scale)
    made = trainer(recipe, complete, features, tmp_path)
    (batch,) = made.stage.batches(0, 1, 0, 0, 1)
    terms = made.train_step(batch)
    assert set(terms) == TERMS[model]
    assert all(torch.isfinite(value) for value in terms.values())
    network, path = made.average, tmp_path / f"{model}.safetensors"
    arguments = recipe.generator.arguments
    save_network(path, recipe.generator.network, arguments, network, {})
    loaded = load_generator(path, "cpu", "float32")
    lr = batch.unpack("cpu").lr
    assert loaded.lr_size == 128 // scale
    with torch.inference_mode():
        expected = network.half().float()(lr).restored  # half precision in the file
        assert torch.allclose(loaded(lr).restored, expected, atol=1e-4)


@pytest.mark.parametrize("model", ["drn", "sicnn", "fsrgan"])
def test_a_baseline_with_auxiliary_models_resumes_to_the_same_weights(
    model: str, complete: FaceSet, features: FeatureExtractor, tmp_path: Path
) -> None:
    recipe = tiny(model, 4)
    whole = trainer(recipe, complete, features, tmp_path / "whole")
    whole.run()
    halves = trainer(recipe, complete, features, tmp_path / "halves")
    halves.folder.mkdir(parents=True)
    for batch in halves.stage.batches(0, 2, 0, 0, 1):
        halves.train_step(batch)
    halves._save()
    resumed = trainer(recipe, complete, features, tmp_path / "halves")
    resumed.run()
    for name, model_ in whole.stage.models.items():
        other = resumed.stage.models[name].network.state_dict()
        for key, value in model_.network.state_dict().items():
            assert torch.equal(value, other[key]), (name, key)


def components(recipe: Recipe, complete: FaceSet, tmp_path: Path, **options: Any) -> Any:
    """Return the components of a run whose faces are in memory."""
    request = TrainRequest(recipe, tmp_path, RunSettings(tmp_path / "out", workers=0), **options)
    resources = SyntheticResources(request, has_features=False)
    return TrainingComponents(request, resources, open_fabric("cpu"), Silent())


@pytest.mark.parametrize(
    ("model", "loss", "message"),
    [
        ("dic", {}, "dic needs 68 landmarks"),
        ("dicgan", {}, "dic needs 68 landmarks"),
        ("srfbn", {"dual": 0.1}, "loss.dual belongs to drn, not to the network srfbn"),
        ("sicnn", {"steps_hr": 1.0}, "loss.steps_hr belongs to srfbn, drn, dic"),
        ("drn", {"coarse": 1.0}, "loss.coarse belongs to jdsr, fsrnet"),
        ("sicnn", {"prior": 1.0}, "loss.prior belongs to jdsr, fsrnet, dic"),
        ("srfbn", {"pixel_lr": 1.0}, "loss.pixel_lr has no effect: the network srfbn"),
        ("drn", {"total_variation": 0.1}, "loss.total_variation has no effect"),
        ("fsrgan", {"style_lr": 1.0}, "loss.style_lr has no effect: the network fsrnet"),
        ("sicnn", {"perceptual_covered": 1.0}, "perceptual_covered has no effect: data.masked = 0"),
        ("dic", {"prior_parsing": 0.1}, "loss.prior_parsing has no effect: the network dic"),
    ],
)
def test_what_a_network_cannot_do_is_refused_before_the_faces_are_prepared(
    model: str, loss: dict[str, float], message: str, complete: FaceSet, tmp_path: Path
) -> None:
    recipe = tiny(model, 4)
    recipe = dataclasses.replace(recipe, loss=dataclasses.replace(recipe.loss, **loss))
    with pytest.raises(UsageError, match=message):
        check_requirements(components(recipe, complete, tmp_path), ("joint",))


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("srfbn", {"masks": Path("masks")}, "nothing in the recipe uses --masks"),
        ("drn", {"landmarks": "fan"}, "nothing in the recipe uses --landmarks"),
        ("dic", {"parsing": Path("parsing")}, "nothing in the recipe uses --parsing"),
        ("sicnn", {"labels": "facexlib"}, "nothing in the recipe uses --labels"),
    ],
)
def test_options_that_a_baseline_does_not_use_are_refused(
    model: str, options: dict[str, Any], message: str, complete: FaceSet, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        check_requirements(components(tiny(model, 4), complete, tmp_path, **options), ("joint",))


@pytest.mark.parametrize("model", ["srfbn", "sicnn", "cbdnet"])
def test_weights_of_another_network_are_refused_before_the_faces_are_prepared(
    model: str, complete: FaceSet, tmp_path: Path
) -> None:
    torch.save({"unknown": torch.zeros(3)}, tmp_path / "other.pth")
    given = components(tiny(model, 4), complete, tmp_path, init=str(tmp_path / "other.pth"))
    with pytest.raises(WeightsError, match=r"no tensor of .*other\.pth fits the network"):
        check_given_weights(given, ("identity", "joint"))


def test_an_identity_network_of_another_shape_is_refused_before_the_faces_are_prepared(
    complete: FaceSet, tmp_path: Path
) -> None:
    path = tmp_path / "identity.pth"
    torch.save(IdentityNetwork((8,), (1,), 4).state_dict(), path)
    given = components(tiny("sicnn", 4), complete, tmp_path, identity=path)
    with pytest.raises(WeightsError, match="the weights of another network"):
        check_given_weights(given, ("joint",))


@pytest.mark.parametrize("model", ["dic", "dicgan"])
def test_faces_that_are_annotated_with_68_landmarks_suffice(
    model: str, complete: FaceSet, tmp_path: Path
) -> None:
    """Whether an aligned set has them is known once it is open."""
    (tmp_path / "landmarks68.npz").touch()
    given = components(tiny(model, 4), complete, tmp_path)
    check_requirements(given, ("identity", "joint"))
    assert given.generator_arguments()["landmarks"] == 68
    five = dataclasses.replace(complete, heat_points=complete.heat_points[:, :5])
    given.resources.faces = lambda split: five
    with pytest.raises(UsageError, match="needs 68 landmarks, the faces have 5"):
        given.generator_arguments()


@pytest.mark.parametrize("model", ["drn", "srfbn", "cbdnet"])
def test_deviations_state_the_steps_that_are_trained(
    model: str, complete: FaceSet, tmp_path: Path
) -> None:
    found = "; ".join(components(tiny(model, 4), complete, tmp_path).deviations())
    assert "for 4 steps of 2" in found
    shipped = "; ".join(load(f"{model}_x4").stated_deviations)
    assert "for 150,000 steps of " in shipped
    small = "; ".join(load(f"{model}_x4_small").stated_deviations)
    assert "for 20,000 steps of 8" in small
    assert "trained at 0.001" in small
    assert "{" not in shipped + small


def test_steps_of_a_trial_are_a_deviation(complete: FaceSet, tmp_path: Path) -> None:
    given = components(tiny("fsrnet", 4), complete, tmp_path, planned_faces=1_000)
    assert "scheduled for 8 faces, the recipe for 1,000" in given.deviations()
    settings = TrainSettings(Path("faces"), recipe="srfbn_x4", steps=3)
    request = make_request(settings, 0.0)
    assert request.planned_faces == 150_000 * 16
    assert request.recipe.optimiser.steps == 3


@pytest.mark.parametrize(
    ("model", "masked", "expected"),
    [("srfbn", 0.0, "bare"), ("cbdnet", 1.0, "drawn masks"), ("cbdnet", 0.5, "50% of them with")],
)
def test_the_description_of_the_data_says_whether_faces_are_masked(
    model: str, masked: float, expected: str, complete: FaceSet, tmp_path: Path
) -> None:
    recipe = tiny(model, 4)
    recipe = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, masked=masked))
    _, masks, degradation = components(recipe, complete, tmp_path).data_description().split("; ")
    assert masks.startswith(expected)
    assert degradation == "paper degradation"


def test_the_start_that_a_publication_has_is_no_deviation(
    complete: FaceSet, tmp_path: Path
) -> None:
    started = components(tiny("dicgan", 4), complete, tmp_path, init="dic_x4.safetensors")
    assert not [one for one in started.deviations() if "started from" in one]
    other = components(tiny("dicgan", 4), complete, tmp_path, init="dic_x8.safetensors")
    assert "started from dic_x8" in other.deviations()


def test_deviations_of_baselines_are_recorded(complete: FaceSet, tmp_path: Path) -> None:
    found = components(tiny("dicgan", 4), complete, tmp_path).deviations()
    assert "the landmark network is not frozen" in found
    assert "not started from dic_x4" in found
    assert (
        "5 landmarks instead of the 81 of SeetaFace"
        in components(tiny("fsrnet", 4), complete, tmp_path).deviations()
    )
    shorter = components(tiny("srfbn", 4), complete, tmp_path)
    shorter.set_steps(2)
    assert "scheduled for 4 faces, the recipe for 8" in shorter.deviations()


def test_the_settings_of_sicnn_s_recognition_network_belong_to_its_checkpoints() -> None:
    assert "identity" in stage_settings(load("sicnn_x4"), "joint")
    assert "identity" not in stage_settings(load("paper_x4"), "joint")


@pytest.mark.parametrize("people", [(), ("one",) * 6, (None,) * 6])
def test_super_identity_needs_at_least_two_known_people(
    people: tuple[str | None, ...], complete: FaceSet, tmp_path: Path
) -> None:
    found = components(tiny("sicnn", 4), complete, tmp_path)
    faces = FaceSet(
        complete.keys, complete.images, complete.landmarks, complete.landmarks, people or None
    )
    found.resources.faces = lambda split: faces
    with pytest.raises(DatasetError, match=r"loss\.super_identity needs faces whose people are"):
        found.auxiliary_models()
