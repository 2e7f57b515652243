"""Every stage of the paper's recipe, with tiny networks: results, interruption, resuming."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import squeezenet1_1

from jdsr_cli.errors import InputMissingError, UsageError, WeightsCorruptError
from jdsr_cli.networks import JDSRGenerator
from jdsr_cli.progress import Silent
from jdsr_cli.weights import load_generator, load_state, read_manifest
from jdsr_train import recipe_files
from jdsr_train.components import TrainingComponents
from jdsr_train.dry_run import SyntheticResources, plan_training
from jdsr_train.recipe import Recipe
from jdsr_train.request import RunSettings, TrainRequest
from jdsr_train.run import StageResult, stages_of, train
from jdsr_train.training.fabric import open_fabric
from jdsr_train.training.monitoring import LOG
from jdsr_train.training.trainer import CHECKPOINT

TINY = """
base = "paper_x4"

[generator]
arguments = { hourglass_blocks = 1, noise_width = 16, denoiser_widths = [16, 16, 16], width = 16, prior_width = 16 }

[data]
drawn_masks = 4

[critic]
fold = 8
widths = [4, 4, 4]
steps_per_update = 2

[identity]
widths = [4, 4, 8, 8]
blocks = [1, 1, 1, 1]
features = 16
optimiser = { batch = 2, kind = "sgd", warmup = 0, rate = 0.01, precision = "float32" }

[parser]
width = 4
optimiser = { batch = 2, warmup = 0, precision = "float32" }

[optimiser]
batch = 2
precision = "float32"

[denoise]
batch = 2
precision = "float32"
"""  # noqa: E501
STEPS = 4
Make = Callable[..., TrainRequest]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    path.write_text(TINY, encoding="utf-8")
    return recipe_files.shortened(recipe_files.load(str(path)), STEPS)


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory, write_faces: Callable[..., Path]) -> Path:
    """Portraits of two people with identities."""
    folder = write_faces(tmp_path_factory.mktemp("faces"), ("train.tar", "val.tar"))
    lines = (folder / "faces.csv").read_text(encoding="utf-8").splitlines()
    named = [lines[0] + ",identity"] + [f"{line},{line.split(',')[0][:-1]}" for line in lines[1:]]
    (folder / "faces.csv").write_text("\n".join(named) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few pictures with label maps, skin in the middle of background."""
    path = tmp_path_factory.mktemp("labelled") / "parts.tar"
    rng = np.random.default_rng(0)
    labels = np.zeros((64, 64), np.uint8)
    labels[16:48, 16:48] = 1
    with tarfile.open(path, "w") as archive:
        for split, count in (("train", 5), ("val", 2), ("test", 1)):
            for number in range(count):
                picture = np.where(labels[..., None] > 0, 200, 60) + rng.integers(
                    0, 20, (64, 64, 3)
                )
                for name, image in (
                    (f"{split}/{number}.webp", picture.astype(np.uint8)),
                    (f"{split}/{number}.png", labels),
                ):
                    stream = io.BytesIO()
                    Image.fromarray(image).save(stream, format=Path(name).suffix[1:])
                    member = tarfile.TarInfo(name)
                    member.size = len(stream.getvalue())
                    archive.addfile(member, io.BytesIO(stream.getvalue()))
    return path


@pytest.fixture(scope="module")
def make(
    recipe: Recipe, faces: Path, labelled: Path, tmp_path_factory: pytest.TempPathFactory
) -> Make:
    torch.manual_seed(0)
    features = tmp_path_factory.mktemp("features") / "squeezenet.pth"
    torch.save(squeezenet1_1(weights=None).state_dict(), features)
    cache = tmp_path_factory.mktemp("cache")

    def request(out: Path, **changes: object) -> TrainRequest:
        settings = RunSettings(out, workers=0, checkpoint_every=2, validate_every=2, log_every=1)
        whole = TrainRequest(
            recipe, faces, settings, features=str(features), parsing=labelled, cache=cache,
            validation_faces=2,
        )  # fmt: skip
        return dataclasses.replace(whole, **changes)  # type: ignore[arg-type]

    return request


@pytest.fixture(scope="module")
def whole(make: Make, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[StageResult]]:
    out = tmp_path_factory.mktemp("whole")
    return out, train(make(out))


def rows(out: Path, stage: str) -> list[dict[str, float]]:
    logged = [json.loads(line) for line in (out / stage / LOG).read_text().splitlines()]
    for row in logged:
        row.pop("samples_per_s", None)
    return logged


def test_all_stages_run_in_order_and_write_their_files(
    whole: tuple[Path, list[StageResult]],
) -> None:
    out, results = whole
    assert [result.stage for result in results] == [
        "parser", "prepare", "identity", "denoise", "joint",
    ]  # fmt: skip
    for stage in ("parser", "identity", "denoise"):
        assert (out / stage / f"{stage}.safetensors").is_file()
        assert (out / stage / "curves.png").is_file()
    assert (out / "joint" / "panel.png").is_file()
    assert all(result.metrics["validation_loss"] > 0 for result in results if result.metrics)
    assert [bool(result.metrics) for result in results][2:] == [True] * 3 or (
        results[2].metrics == {}  # there may be no held-out portraits
    )


def test_every_term_of_the_paper_is_logged_with_its_share(
    whole: tuple[Path, list[StageResult]],
) -> None:
    names = {name for row in rows(whole[0], "joint") for name in row}
    terms = {
        "asymmetric", "total_variation", "style_lr", "perceptual_lr", "pixel_lr", "smooth_lr",
        "prior_landmarks", "prior_parsing", "perceptual_hr", "pixel_hr", "smooth_hr", "identity",
        "adversarial", "coarse",
    }  # fmt: skip
    assert terms <= names
    assert {f"share_{name}" for name in terms} <= names
    assert {"critic_wasserstein", "critic_gradient_penalty"} <= names
    assert {"masked_psnr", "masked_ssim", "validation_loss"} <= names


def test_the_weights_are_listed_in_a_manifest(whole: tuple[Path, list[StageResult]]) -> None:
    out, results = whole
    (entry,) = read_manifest(out / "weights" / "manifest.toml")
    assert (entry.name, entry.recipe, entry.network, entry.scale) == ("tiny", "tiny", "jdsr", 4)
    assert entry.arguments["landmarks"] == 5
    assert "faces" in entry.data
    assert float(entry.figures["masked_psnr"]) > 0
    assert "5 landmarks instead of the 81" in str(entry.figures["protocol"])
    assert "SqueezeNet" in str(entry.figures["protocol"])
    assert "scheduled for 8 faces instead of" in str(entry.figures["protocol"])
    loaded = load_generator(results[-1].path, "cpu", "float32")
    assert isinstance(loaded.network, JDSRGenerator)
    assert loaded.sha256 == entry.sha256


def test_weights_of_a_run_with_alpha_maps_state_the_kind_of_their_map(
    whole: tuple[Path, list[StageResult]], make: Make, tmp_path: Path
) -> None:
    out, _ = whole
    (default,) = read_manifest(out / "weights" / "manifest.toml")
    assert "noise" not in default.arguments
    for stage in ("denoise", "identity"):
        shutil.copytree(out / stage, tmp_path / stage)
    request = make(tmp_path, stage="joint")
    data = dataclasses.replace(request.recipe.data, noise_truth="alpha")
    once = dataclasses.replace(request.recipe.optimiser, steps=1)
    recipe = dataclasses.replace(request.recipe, data=data, optimiser=once)
    (result,) = train(dataclasses.replace(request, recipe=recipe))
    (entry,) = read_manifest(tmp_path / "weights" / "manifest.toml")
    assert entry.arguments["noise"] == "alpha"
    network = load_generator(result.path, "cpu", "float32").network
    assert isinstance(network, JDSRGenerator)
    assert network.config.noise == "alpha"


def test_different_kinds_of_noise_map_are_refused_before_training(
    make: Make, tmp_path: Path
) -> None:
    request = make(tmp_path / "run")
    arguments = {**request.recipe.generator.arguments, "noise": "alpha"}
    generator = dataclasses.replace(request.recipe.generator, arguments=arguments)
    invalid = dataclasses.replace(request.recipe, generator=generator)
    with pytest.raises(UsageError, match="learns 'difference' and is read as 'alpha'"):
        train(dataclasses.replace(request, recipe=invalid))
    assert not (tmp_path / "run" / "parser").exists()


def test_the_joint_stage_starts_from_the_warmed_up_denoiser(
    whole: tuple[Path, list[StageResult]], make: Make, tmp_path: Path
) -> None:
    out, _ = whole
    warmed_up = load_state(out / "denoise" / "denoise.safetensors")
    (tmp_path / "denoise").mkdir()
    (tmp_path / "identity").mkdir()
    for stage in ("denoise", "identity"):
        name = f"{stage}/{stage}.safetensors"
        (tmp_path / name).write_bytes((out / name).read_bytes())
    frozen = make(tmp_path, stage="joint")
    unchanged = dataclasses.replace(
        frozen.recipe,
        optimiser=dataclasses.replace(frozen.recipe.optimiser, rate=0.0, steps=1),
    )
    train(dataclasses.replace(frozen, recipe=unchanged))
    average = torch.load(tmp_path / "joint" / CHECKPOINT, weights_only=True)["average"]
    for name, value in warmed_up.items():
        assert torch.equal(average[f"denoiser.{name}"], value)


CHILD = """
import os, pickle, signal, sys, torch
torch.set_num_threads(1)
from jdsr_train.run import train

class Killed:
    done = {}
    def begin(self, task, total): pass
    def advance(self, task, units=1):
        self.done[task] = self.done.get(task, 0) + units
        if self.done[task] == 3 and task == "training " + sys.argv[2]:
            os.kill(os.getpid(), signal.SIGKILL)
    def end(self, task): pass
    def note(self, message): pass

train(pickle.load(open(sys.argv[1], "rb")), Killed())
"""


@pytest.mark.nightly
@pytest.mark.parametrize("stage", ["parser", "identity", "denoise", "joint"])
def test_a_run_killed_in_any_stage_resumes_to_the_same_result(
    stage: str, whole: tuple[Path, list[StageResult]], make: Make, tmp_path: Path
) -> None:
    request = make(tmp_path / "run")
    (tmp_path / "job.pickle").write_bytes(pickle.dumps(request))
    killed = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path / "job.pickle"), stage],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert killed.returncode == -9
    train(request)
    for name in ("parser", "identity", "denoise", "joint"):
        assert rows(tmp_path / "run", name) == rows(whole[0], name)
    states = [
        torch.load(out / "joint" / CHECKPOINT, weights_only=True)["average"]
        for out in (tmp_path / "run", whole[0])
    ]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_the_error_for_a_single_stage_names_the_stages_before_it(
    make: Make, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        train(make(tmp_path, stage="joint"))
    assert "run --stage identity first" in str(caught.value)
    assert "run --stage denoise first" in str(caught.value)


@pytest.mark.parametrize("stage", ["identity", "denoise"])
def test_weights_of_another_network_are_refused(
    stage: str, whole: tuple[Path, list[StageResult]], make: Make, tmp_path: Path
) -> None:
    for name in ("identity", "denoise"):
        (tmp_path / name).mkdir()
        source = whole[1][-1].path if name == stage else whole[0] / name / f"{name}.safetensors"
        (tmp_path / name / f"{name}.safetensors").write_bytes(source.read_bytes())
    with pytest.raises(WeightsCorruptError, match=f"{stage}.safetensors: the weights of another"):
        train(make(tmp_path, stage="joint"))


def test_invalid_networks_and_missing_inputs_are_errors_before_training(
    make: Make, tmp_path: Path
) -> None:
    request = make(tmp_path / "run")
    arguments = {**request.recipe.generator.arguments, "grid": "none"}
    generator = dataclasses.replace(request.recipe.generator, arguments=arguments)
    invalid = dataclasses.replace(request.recipe, generator=generator)
    with pytest.raises(UsageError, match="grid is 'none'"):
        train(dataclasses.replace(request, recipe=invalid))
    with pytest.raises(InputMissingError, match="absent"):
        train(dataclasses.replace(request, data=tmp_path / "absent"))
    assert not (tmp_path / "run" / "parser").exists()


def test_an_interrupted_validation_is_repeated(
    whole: tuple[Path, list[StageResult]], make: Make, tmp_path: Path
) -> None:
    shutil.copytree(whole[0], tmp_path / "run")
    log = tmp_path / "run" / "denoise" / LOG
    lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
    assert "validation_loss" in lines[-1]
    log.write_text("".join(lines[:-1]) + '{"step": 4, "half', encoding="utf-8")
    (result,) = train(make(tmp_path / "run", stage="denoise"))
    assert rows(tmp_path / "run", "denoise") == rows(whole[0], "denoise")
    assert result.metrics == whole[1][3].metrics


def test_a_loss_without_terms_is_refused(make: Make, tmp_path: Path) -> None:
    request = make(tmp_path, stage="denoise")
    none = dataclasses.replace(
        request.recipe.loss, asymmetric=0.0, total_variation=0.0, style_lr=0.0,
        perceptual_lr=0.0, pixel_lr=0.0, smooth_lr=0.0,
    )  # fmt: skip
    with pytest.raises(UsageError, match="no loss term trains the denoiser"):
        train(dataclasses.replace(request, recipe=dataclasses.replace(request.recipe, loss=none)))


def test_unused_options_are_refused(make: Make, tmp_path: Path) -> None:
    request = make(tmp_path)
    without_features = dataclasses.replace(request, recipe=Recipe("other"))
    with pytest.raises(UsageError, match="nothing in the recipe uses --features"):
        train(without_features)


def test_a_stage_absent_from_the_recipe_is_refused(make: Make, tmp_path: Path) -> None:
    request = make(tmp_path, recipe=recipe_files.load("lite_x4"), stage="denoise")
    with pytest.raises(UsageError, match="lite_x4 has no stage 'denoise'"):
        stages_of(request)


def test_a_stage_that_a_recipe_omits_can_be_trained_by_name(make: Make, tmp_path: Path) -> None:
    request = make(tmp_path)
    joint_only = dataclasses.replace(request.recipe, stages=("joint",))
    assert stages_of(dataclasses.replace(request, recipe=joint_only)) == ("prepare", "joint")
    for stage in ("parser", "identity"):
        single = dataclasses.replace(request, recipe=joint_only, stage=stage)
        assert stages_of(single) == (stage,)
    with pytest.raises(UsageError, match="run --stage identity first"):
        train(dataclasses.replace(request, recipe=joint_only))


def test_a_run_can_use_networks_of_another_run(
    whole: tuple[Path, list[StageResult]], make: Make, tmp_path: Path
) -> None:
    out, results = whole
    request = make(
        tmp_path, parsing=None, labels=str(out / "parser" / "parser.safetensors"),
        identity=out / "identity" / "identity.safetensors", init=str(results[-1].path),
    )  # fmt: skip
    loss = dataclasses.replace(request.recipe.loss, identity_from=0.0)
    own = dataclasses.replace(request.recipe, name="second", stages=("joint",), loss=loss)
    optimiser = dataclasses.replace(own.optimiser, rate=0.0, steps=2)
    request = dataclasses.replace(request, recipe=dataclasses.replace(own, optimiser=optimiser))
    assert stages_of(request) == ("prepare", "joint")
    before = {path.name for path in request.cache.iterdir()}
    train(request)
    assert {path.name for path in request.cache.iterdir()} == before  # not prepared again
    assert any("identity" in row for row in rows(tmp_path, "joint"))
    (entry,) = read_manifest(tmp_path / "weights" / "manifest.toml")
    assert entry.name == "second"
    assert "started from tiny" in str(entry.figures["protocol"])
    first, second = (
        load_state(path) for path in (results[-1].path, tmp_path / "weights" / "second.safetensors")
    )
    name = "super_resolver.decoder.output.weight"
    assert torch.equal(first[name], second[name])


def test_a_missing_or_unused_identity_network_is_refused(make: Make, tmp_path: Path) -> None:
    request = make(tmp_path, identity=tmp_path / "absent.safetensors")
    assert stages_of(request) == ("parser", "prepare", "denoise", "joint")
    with pytest.raises(InputMissingError, match="absent"):
        train(request)
    loss = dataclasses.replace(request.recipe.loss, identity=0.0)
    unused = dataclasses.replace(request.recipe, loss=loss)
    with pytest.raises(UsageError, match="nothing in the recipe uses --identity"):
        train(dataclasses.replace(request, recipe=unused))


def test_given_weights_leave_out_the_warm_up(make: Make, tmp_path: Path) -> None:
    request = make(tmp_path, init="given.safetensors")
    assert stages_of(request) == ("parser", "prepare", "identity", "joint")
    alone = dataclasses.replace(request, stage="denoise")
    assert stages_of(alone) == ("denoise",)
    with pytest.raises(UsageError, match="--init is for the joint stage"):
        train(alone)


def test_without_labelled_faces_the_parser_is_not_trained(make: Make, tmp_path: Path) -> None:
    request = make(tmp_path, parsing=None)
    assert stages_of(request) == ("prepare", "identity", "denoise", "joint")


def test_a_plan_states_sizes_and_missing_stages_and_writes_nothing(
    make: Make, tmp_path: Path
) -> None:
    plan = plan_training(make(tmp_path / "run", stage="joint"))
    (stage,) = plan.stages
    assert (stage.stage, stage.steps, stage.batch) == ("joint", STEPS, 2)
    assert set(stage.parameters) == {"generator", "critic"}
    assert stage.seconds > 0
    assert stage.trained_per_second > 0
    assert stage.prepared_per_second > stage.trained_per_second
    assert stage.limit == "computing"
    assert stage.steps_in(1.0) == pytest.approx(60 * STEPS / stage.seconds, abs=1)
    assert 0 < stage.gigabytes < 4
    assert plan.missing is not None
    assert "identity" in plan.missing
    assert not (tmp_path / "run").exists()


WORKER = """
import pickle, sys, torch
torch.set_num_threads(1)
from jdsr_train.run import train
train(pickle.load(open(sys.argv[1], "rb")))
"""


def run_two(request: TrainRequest, tmp_path: Path) -> None:
    (tmp_path / "job.pickle").write_bytes(pickle.dumps(request))
    (tmp_path / "worker.py").write_text(WORKER, encoding="utf-8")
    subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
            str(tmp_path / "worker.py"), str(tmp_path / "job.pickle"),
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=True, capture_output=True, timeout=600,
    )  # fmt: skip


@pytest.mark.nightly
def test_two_processes_train_like_one(
    whole: tuple[Path, list[StageResult]], make: Make, tmp_path: Path
) -> None:
    run_two(make(tmp_path / "run"), tmp_path)
    for stage in ("identity", "denoise"):
        alone, shared = (
            next(row for row in rows(out, stage) if row["step"] == 1)
            for out in (whole[0], tmp_path / "run")
        )
        name = "margin" if stage == "identity" else "pixel_lr"
        assert shared[name] == pytest.approx(alone[name], rel=0.05)
    assert (tmp_path / "run" / "weights" / "tiny.safetensors").is_file()


@pytest.mark.nightly
def test_two_processes_train_a_network_with_an_unused_parsing_head(
    whole: tuple[Path, list[StageResult]], make: Make, tmp_path: Path
) -> None:
    for stage in ("identity", "denoise"):
        (tmp_path / "run" / stage).mkdir(parents=True)
        name = f"{stage}/{stage}.safetensors"
        (tmp_path / "run" / name).write_bytes((whole[0] / name).read_bytes())
    request = make(tmp_path / "run", stage="joint", parsing=None)
    loss = dataclasses.replace(request.recipe.loss, prior_parsing=0.0)
    changed = dataclasses.replace(request.recipe, loss=loss)
    run_two(dataclasses.replace(request, recipe=changed), tmp_path)
    logged = rows(tmp_path / "run", "joint")
    assert logged[-1]["step"] == STEPS
    assert not any("prior_parsing" in row for row in logged)


@pytest.mark.parametrize("count", [4, 6])
def test_a_recipe_with_another_number_of_landmarks_is_refused(
    make: Make, recipe: Recipe, tmp_path: Path, count: int
) -> None:
    arguments = {**recipe.generator.arguments, "landmarks": count}
    generator = dataclasses.replace(recipe.generator, arguments=arguments)
    request = make(tmp_path, recipe=dataclasses.replace(recipe, generator=generator))
    resources = SyntheticResources(request, has_features=False)
    components = TrainingComponents(request, resources, open_fabric("cpu"), Silent())
    with pytest.raises(UsageError, match=f"has {count} landmarks, the faces 5"):
        components.generator_arguments()
