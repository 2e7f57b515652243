"""The training loop: it learns, can be interrupted at any step, and resumes exactly."""

import dataclasses
import itertools
import json
import math
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_generator import tiny_arguments
from torch import Tensor, nn

from jdsr_cli.datasets.face_set import FaceSet
from jdsr_cli.datasets.samples import Degrader, SampleSettings
from jdsr_cli.errors import OutputError, TrainingError
from jdsr_cli.networks import build
from jdsr_cli.synthesis.mask_drawing import draw_sprites
from jdsr_train.auxiliary import build_auxiliary_models
from jdsr_train.data.samples import TrainingSamples
from jdsr_train.loss_recipe import LossRecipe
from jdsr_train.recipe import (
    CriticRecipe,
    GeneratorRecipe,
    OptimiserRecipe,
    Recipe,
)
from jdsr_train.request import RunSettings
from jdsr_train.run import stage_settings
from jdsr_train.stages import JointStage
from jdsr_train.training import checkpoint
from jdsr_train.training.monitoring import LOG
from jdsr_train.training.stage import SchedulePosition
from jdsr_train.training.trainer import CHECKPOINT, Trainer

TINY = tiny_arguments(16)
RECIPE = Recipe(
    "tiny",
    generator=GeneratorRecipe("lite", TINY, scale=8),
    loss=LossRecipe(decibel_hr=0.01, occlusion=0.02, adversarial=1e-3, adversarial_from=0.5),
    critic=CriticRecipe(widths=(4, 4, 4, 4, 4, 4), steps_per_update=1),
    optimiser=OptimiserRecipe(steps=6, batch=2, rate=2e-3, warmup=2, precision="float32"),
)
Make = Callable[..., Trainer]


class ActingProgress:
    """Progress that calls a function after a number of steps, and records notes."""

    def __init__(self, at: int = -1, act: Callable[[], object] = lambda: None) -> None:
        self.at, self.act = at, act
        self.done, self.notes = 0, list[str]()

    def begin(self, task: str, total: int | None) -> None:
        self.task, self.total = task, total

    def advance(self, task: str, units: int = 1) -> None:
        self.done += units
        if self.done == self.at:
            self.act()

    def end(self, task: str) -> None:
        assert task == self.task

    def note(self, message: str) -> None:
        self.notes.append(message)


class MeasuredStage(JointStage):
    """A joint stage that is validated by a function of the test."""

    measure: Callable[[nn.Module, int], dict[str, float]] = staticmethod(lambda network, step: {})

    def validate(
        self, network: nn.Module, position: SchedulePosition, until: float = math.inf
    ) -> dict[str, float]:
        return self.measure(network, position.step)


def optimised(**changes: Any) -> Recipe:
    return dataclasses.replace(RECIPE, optimiser=dataclasses.replace(RECIPE.optimiser, **changes))


@pytest.fixture(scope="module")
def make(face_set: FaceSet) -> Make:
    """Return a function that creates trainers on the portraits."""
    samples = TrainingSamples(
        face_set, Degrader(draw_sprites(4, 1), SampleSettings(16, "paper", 1.0)), 0
    )

    def make_trainer(
        out: Path,
        recipe: Recipe = RECIPE,
        every: int = 100,
        validate: Callable[[nn.Module, int], dict[str, float]] | None = None,
        progress: ActingProgress | None = None,
    ) -> Trainer:
        torch.manual_seed(recipe.seed)
        stage = MeasuredStage(
            recipe, build("lite", TINY), samples, auxiliary=build_auxiliary_models(recipe)
        )
        if validate is not None:
            stage.measure = validate
        settings = RunSettings(
            out, workers=0, checkpoint_every=every, validate_every=2, log_every=1
        )
        return Trainer(stage, settings, stage_settings(recipe, "joint"), progress=progress)

    return make_trainer


@pytest.fixture(scope="module")
def whole(make: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an uninterrupted run."""
    out = tmp_path_factory.mktemp("whole")
    make(out).run()
    return out


def state(out: Path) -> dict[str, Any]:
    return torch.load(out / "joint" / CHECKPOINT, weights_only=True)  # type: ignore[no-any-return]


def losses(out: Path) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (out / "joint" / LOG).read_text().splitlines()]
    for row in rows:
        row.pop("samples_per_s", None)
    return rows


def assert_same(first: Any, second: Any) -> None:
    """Compare contents of checkpoints bit by bit."""
    assert type(first) is type(second)
    if isinstance(first, dict):
        assert first.keys() == second.keys()
        for key, value in first.items():
            assert_same(value, second[key])
    elif isinstance(first, (list, tuple)):
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            assert_same(one, other)
    elif isinstance(first, Tensor):
        assert first.dtype == second.dtype
        assert torch.equal(first, second)
    else:
        assert first == second


def test_the_loss_decreases(make: Make, tmp_path: Path) -> None:
    trainer = make(tmp_path, optimised(steps=40, batch=4, ema=0.9))
    network = trainer.run()
    rows = losses(tmp_path)
    assert [row["step"] for row in rows] == list(range(1, 41))
    for name in ("pixel_lr", "asymmetric", "occlusion", "decibel_hr"):
        first, last = (sum(row[name] for row in part) for part in (rows[:8], rows[-8:]))
        assert last < first
    assert network is trainer.average
    assert not network.training
    assert not any(weight.requires_grad for weight in network.parameters())


def test_the_average_lags_behind_the_network(whole: Path) -> None:
    saved = state(whole)
    pairs = [
        (saved["average"][key], value) for key, value in saved["networks"]["generator"].items()
    ]
    assert any(not torch.equal(one, other) for one, other in pairs)
    assert all((one - other).abs().max() < 0.1 for one, other in pairs)


def test_a_repeated_run_gives_the_same_bits(whole: Path, make: Make, tmp_path: Path) -> None:
    make(tmp_path).run()
    assert_same(state(tmp_path), state(whole))
    assert losses(tmp_path) == losses(whole)


@pytest.mark.parametrize("stop", [1, 4])
def test_a_run_resumed_after_ctrl_c_equals_an_uninterrupted_one(
    stop: int, whole: Path, make: Make, tmp_path: Path
) -> None:
    interrupt = ActingProgress(stop, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, progress=interrupt).run()
    assert state(tmp_path)["step"] == stop
    torch.manual_seed(999)  # the checkpoint restores the random state
    resumed = ActingProgress()
    make(tmp_path, progress=resumed).run()
    assert resumed.notes == [f"joint: resumed at step {stop}"]
    assert (resumed.done, resumed.total) == (6, 6)
    assert_same(state(tmp_path), state(whole))
    by_step = {row["step"]: row for row in losses(tmp_path)}
    expected = {row["step"]: row for row in losses(whole)}
    for step in range(stop + 1, 7):
        assert by_step[step] == expected[step]


CHILD = """
import os, pickle, signal, sys, torch
torch.set_num_threads(1)
from pathlib import Path
from jdsr_cli.networks import build
from jdsr_train.auxiliary import build_auxiliary_models
from jdsr_train.run import stage_settings
from jdsr_train.stages import JointStage
from jdsr_train.request import RunSettings
from jdsr_train.training import checkpoint
from jdsr_train.training.trainer import Trainer

class Killed:
    done = 0
    def begin(self, task, total): pass
    def advance(self, task, units=1):
        self.done += units
        if self.done == 5:
            os.kill(os.getpid(), signal.SIGKILL)
    def end(self, task): pass
    def note(self, message): pass

recipe, samples = pickle.load(open(sys.argv[1], "rb"))
every = dict(checkpoint_every=2, validate_every=2, log_every=1)
settings = RunSettings(Path(sys.argv[2]), workers=0, **every)
torch.manual_seed(recipe.seed)
network = build("lite", recipe.generator.arguments)
stage = JointStage(recipe, network, samples, auxiliary=build_auxiliary_models(recipe))
Trainer(stage, settings, stage_settings(recipe, "joint"), progress=Killed()).run()
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no SIGKILL")
def test_a_killed_run_resumes_from_its_last_checkpoint(
    whole: Path, make: Make, tmp_path: Path
) -> None:
    trainer = make(tmp_path / "run", every=2)
    (tmp_path / "job.pickle").write_bytes(pickle.dumps((RECIPE, trainer.stage.samples)))
    killed = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path / "job.pickle"), str(tmp_path / "run")],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert state(tmp_path / "run")["step"] == 4
    trainer.run()
    assert_same(state(tmp_path / "run"), state(whole))
    expected = {row["step"]: row for row in losses(whole)}
    rows = losses(tmp_path / "run")
    assert {row["step"] for row in rows} == set(range(1, 7))
    for row in rows:
        assert row == expected[row["step"]]


def test_a_finished_run_is_not_trained_again(whole: Path, make: Make) -> None:
    before = state(whole)
    written = (whole / "joint" / LOG).read_text()
    network = make(whole).run()
    assert_same(state(whole), before)
    assert (whole / "joint" / LOG).read_text() == written
    assert_same(dict(network.state_dict()), dict(before["average"]))


def generator(trainer: Trainer) -> nn.Module:
    return trainer.stage.models["generator"].network


def corrupted(make: Make, out: Path, corrupt: Callable[[Trainer], None]) -> Trainer:
    """Return a trainer that saves after two steps and is then corrupted."""
    trainers: list[Trainer] = []

    def validate(network: nn.Module, step: int) -> dict[str, float]:
        if step == 2:
            corrupt(trainers[0])
        return {"figure": float(step)}

    trainers.append(make(out, every=2, validate=validate))
    return trainers[0]


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_term(
    whole: Path, make: Make, tmp_path: Path
) -> None:
    def corrupt(trainer: Trainer) -> None:
        with torch.no_grad():
            generator(trainer).get_parameter("to_image.bias")[0] = float("nan")

    with pytest.raises(TrainingError, match="not finite at step 2: pixel_hr, decibel_hr") as caught:
        corrupted(make, tmp_path, corrupt).run()
    assert "pixel_lr" not in str(caught.value)
    assert "last checkpoint is intact" in str(caught.value)
    saved = state(tmp_path)
    assert saved["step"] == 2
    assert all(torch.isfinite(value).all() for value in saved["networks"]["generator"].values())
    make(tmp_path).run()
    assert_same(state(tmp_path), state(whole))


def test_a_gradient_that_is_not_finite_stops_the_run(make: Make, tmp_path: Path) -> None:
    def corrupt(trainer: Trainer) -> None:
        weight = generator(trainer).get_parameter("to_image.bias")
        weight.register_hook(lambda gradient: gradient * float("inf"))

    with pytest.raises(TrainingError, match="gradient is not finite at step 2"):
        corrupted(make, tmp_path, corrupt).run()
    assert state(tmp_path)["step"] == 2


@pytest.mark.parametrize("part", ["loss", "gradient"])
def test_values_that_are_not_finite_are_reported_later_but_never_saved(
    part: str, make: Make, tmp_path: Path
) -> None:
    """Further steps may be computed, but none of them is logged, validated or saved."""
    recorded: list[int] = []

    def validate(network: nn.Module, step: int) -> dict[str, float]:
        recorded.append(step)
        return {"figure": float(step)}

    trainer = make(tmp_path, optimised(steps=8), every=2, validate=validate)
    trainer.settings = dataclasses.replace(
        trainer.settings, log_every=100, validate_every=6, checkpoint_every=3
    )

    def corrupt() -> None:
        weight = generator(trainer).get_parameter("to_image.bias")
        if part == "loss":
            weight.data[0] = float("nan")
        else:
            weight.register_hook(lambda gradient: gradient * float("inf"))

    trainer.progress = ActingProgress(4, corrupt)
    expected = "the loss is not finite at step 4: critic" if part == "loss" else "gradient is not"
    with pytest.raises(TrainingError, match=expected):
        trainer.run()
    assert trainer.step == 6
    assert recorded == []
    assert state(tmp_path)["step"] == 3
    assert not (tmp_path / "joint" / LOG).exists()


def test_ctrl_c_after_a_diverged_step_keeps_the_last_checkpoint(make: Make, tmp_path: Path) -> None:
    trainer = make(tmp_path, optimised(steps=8), every=2)
    trainer.settings = dataclasses.replace(trainer.settings, log_every=100, validate_every=100)

    def diverge_and_interrupt() -> None:
        with torch.no_grad():
            generator(trainer).get_parameter("to_image.bias")[0] = float("nan")
        trainer.train_step(next(iter(trainer.stage.batches(2, 3, 0, 0, 1))))
        signal.raise_signal(signal.SIGINT)

    trainer.progress = ActingProgress(3, diverge_and_interrupt)
    with pytest.raises(TrainingError, match="not finite at step 3"):
        trainer.run()
    assert state(tmp_path)["step"] == 2


def test_without_a_number_of_steps_a_checkpoint_is_written_once_a_minute(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make(tmp_path, optimised(steps=6))
    trainer.settings = dataclasses.replace(
        trainer.settings, checkpoint_every=None, validate_every=100, log_every=2
    )
    clock = [0.0]
    monkeypatch.setattr("jdsr_train.training.trainer.time.monotonic", lambda: clock[0])
    saved = []
    write = trainer._write
    monkeypatch.setattr(trainer, "_write", lambda: (saved.append(trainer.step), write()))

    def tick(_: object = None, __: int = 1) -> None:
        clock[0] += 31.0

    trainer.progress = ActingProgress()
    trainer.progress.advance = tick  # type: ignore[method-assign]
    trainer._saved = (0, 0.0)
    trainer.run()
    assert saved == [1, 3, 5, 6]  # a step takes 31 s, and so does the start
    clock[0], saved[:] = 0.0, []
    again = make(tmp_path / "fast", optimised(steps=6))
    again.settings = trainer.settings
    monkeypatch.setattr(again, "_write", lambda: saved.append(again.step))
    again.run()
    assert saved == [6]


def test_a_finished_stage_writes_no_checkpoint_again(whole: Path, make: Make) -> None:
    before = (whole / "joint" / CHECKPOINT).stat().st_mtime_ns
    make(whole).run()
    assert (whole / "joint" / CHECKPOINT).stat().st_mtime_ns == before


def test_validation_measures_the_average_and_is_logged(make: Make, tmp_path: Path) -> None:
    recorded: list[tuple[nn.Module, int]] = []

    def validate(network: nn.Module, step: int) -> dict[str, float]:
        recorded.append((network, step))
        return {"figure": step / 2}

    notes = ActingProgress()
    trainer = make(tmp_path, optimised(steps=5), validate=validate, progress=notes)
    trainer.run()
    assert [step for _, step in recorded] == [2, 4, 5]
    assert all(network is trainer.average for network, _ in recorded)
    rows = [row for row in losses(tmp_path) if "figure" in row]
    assert rows == [{"step": step, "figure": step / 2} for step in (2, 4, 5)]
    assert notes.notes[0] == "joint, step 2: figure 1"


@pytest.mark.parametrize(
    ("other", "section"),
    [
        (optimised(rate=1e-3), "optimiser"),
        (dataclasses.replace(RECIPE, seed=1), "seed"),
        (dataclasses.replace(RECIPE, loss=LossRecipe(occlusion=0.1)), "loss"),
    ],
)
def test_a_checkpoint_of_another_recipe_is_refused(
    other: Recipe, section: str, whole: Path, make: Make, tmp_path: Path
) -> None:
    (tmp_path / "joint").mkdir()
    (tmp_path / "joint" / CHECKPOINT).write_bytes((whole / "joint" / CHECKPOINT).read_bytes())
    with pytest.raises(TrainingError, match=rf"other settings \({section}\)"):
        make(tmp_path, other).run()
    assert (tmp_path / "joint" / CHECKPOINT).read_bytes() == (
        whole / "joint" / CHECKPOINT
    ).read_bytes()


@pytest.mark.parametrize("kind", ["half", "text", "empty", "weights", "parts", "shapes"])
def test_a_damaged_checkpoint_is_refused(
    kind: str, whole: Path, make: Make, tmp_path: Path
) -> None:
    path, data = tmp_path / "joint" / CHECKPOINT, (whole / "joint" / CHECKPOINT).read_bytes()
    path.parent.mkdir()
    if kind == "weights":
        checkpoint.save(path, {"step": torch.tensor(3)})
    elif kind in ("parts", "shapes"):
        state = torch.load(whole / "joint" / CHECKPOINT, weights_only=True)
        if kind == "parts":
            del state["optimisers"]
        else:
            name = next(iter(state["average"]))
            state["average"][name] = torch.zeros(3, 3, 3)
        checkpoint.save(path, state)
    else:
        path.write_bytes({"half": data[: len(data) // 2], "text": b"hello", "empty": b""}[kind])
    with pytest.raises(TrainingError, match=r"checkpoint\.pt: the checkpoint cannot be read"):
        make(tmp_path).run()


def test_an_unwritable_output_folder_is_an_error(make: Make, tmp_path: Path) -> None:
    (tmp_path / "occupied").write_text("")
    with pytest.raises(OutputError, match="occupied"):
        make(tmp_path / "occupied").run()


def test_the_generator_is_updated_every_nth_batch_and_the_critic_every_batch(
    make: Make, tmp_path: Path
) -> None:
    recipe = dataclasses.replace(
        optimised(steps=4, ema=0.0),
        loss=dataclasses.replace(RECIPE.loss, adversarial_from=0.0),
        critic=dataclasses.replace(RECIPE.critic, steps_per_update=2),
    )
    trainer = make(tmp_path, recipe)
    recorded: dict[str, list[list[Tensor]]] = {"generator": [], "critic": []}

    def record() -> None:
        for name, model in trainer.stage.models.items():
            recorded[name].append([w.detach().clone() for w in model.network.parameters()])

    record()
    for batch in trainer.stage.batches(0, 4, 0, 0, 1):
        trainer.train_step(batch)
        record()
    updated = {
        name: [
            any(not torch.equal(*pair) for pair in zip(early, late, strict=True))
            for early, late in itertools.pairwise(states)
        ]
        for name, states in recorded.items()
    }
    assert updated == {"generator": [False, True, False, True], "critic": [True] * 4}


def test_adversarial_training_starts_at_its_share_of_the_steps(make: Make, tmp_path: Path) -> None:
    make(tmp_path, optimised(steps=4)).run()
    rows = [row for row in losses(tmp_path) if "pixel_hr" in row]
    assert ["adversarial" in row for row in rows] == [False, False, True, True]
    assert ["critic_gradient_penalty" in row for row in rows] == [False, False, True, True]


def test_the_generators_step_leaves_no_gradient_in_the_critic(make: Make, tmp_path: Path) -> None:
    trainer = make(tmp_path)
    (batch,) = trainer.stage.batches(0, 1, 0, 0, 1)
    critic = trainer.stage.models["critic"].network
    for step in trainer.stage.train_steps(
        trainer.networks, batch.unpack("cpu"), SchedulePosition(5, 5 / 6)
    ):
        if step.model == "generator":
            torch.stack(list(step.terms.values())).sum().backward()
            assert all(weight.grad is None for weight in critic.parameters())
    assert all(weight.requires_grad for weight in critic.parameters())


@pytest.mark.parametrize("kind", ["adamw", "adam", "sgd"])
def test_every_optimiser_updates_the_weights(kind: str, make: Make, tmp_path: Path) -> None:
    trainer = make(tmp_path, optimised(steps=1, kind=kind))
    before = [weight.detach().clone() for weight in generator(trainer).parameters()]
    trainer.run()
    after = generator(trainer).parameters()
    assert any(not torch.equal(*pair) for pair in zip(before, after, strict=True))


def test_half_precision_trains_float32_weights(make: Make, tmp_path: Path) -> None:
    network = make(tmp_path, optimised(steps=2, precision="bfloat16")).run()
    assert all(weight.dtype == torch.float32 for weight in network.parameters())
    assert all(torch.isfinite(weight).all() for weight in network.parameters())


def test_ctrl_c_during_an_update_keeps_the_last_checkpoint(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make(tmp_path, every=2)
    optimiser = trainer.optimisers["generator"]
    original = optimiser.step

    def step(*arguments: Any, **options: Any) -> Any:
        if trainer.step == 3:
            raise KeyboardInterrupt
        return original(*arguments, **options)

    monkeypatch.setattr(optimiser, "step", step)
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    assert trainer.step == 3
    assert state(tmp_path)["step"] == 2
