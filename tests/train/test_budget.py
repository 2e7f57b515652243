"""Steps for a given time: how they are fitted, stored and resumed."""

import dataclasses
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_generator import tiny_arguments

from jdsr_cli.errors import TrainingError, UsageError
from jdsr_cli.weights import read_manifest
from jdsr_train import timing
from jdsr_train.loss_recipe import LossRecipe
from jdsr_train.recipe import (
    CriticRecipe,
    DataRecipe,
    GeneratorRecipe,
    OptimiserRecipe,
    Recipe,
)
from jdsr_train.request import RunSettings, TrainRequest
from jdsr_train.run import train
from jdsr_train.stages import JointStage
from jdsr_train.timing import BUDGET, Costs, Phase, Speed, fit_steps, phases
from jdsr_train.training.trainer import CHECKPOINT

RECIPE = Recipe(
    "tiny",
    generator=GeneratorRecipe("lite", tiny_arguments(16), scale=8),
    data=DataRecipe(drawn_masks=2),
    optimiser=OptimiserRecipe(batch=2, warmup=2),
)
Make = Callable[..., TrainRequest]


@pytest.fixture(scope="module")
def make(write_faces: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Make:
    faces = write_faces(tmp_path_factory.mktemp("faces"), ("train-0.tar", "val-0.tar"))
    cache = tmp_path_factory.mktemp("cache")

    def request(out: Path, **changes: Any) -> TrainRequest:
        settings = RunSettings(out, workers=0, validate_every=500, log_every=5)
        whole = TrainRequest(RECIPE, faces, settings, cache=cache, validation_faces=2, minutes=0.1)
        return dataclasses.replace(whole, **changes)

    return request


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace the measurement by one that fits ten steps; record each measurement."""
    measurements: list[str] = []
    monkeypatch.setattr(timing, "PHASE_SECONDS", 0.0)

    def ten(seconds: float, costs: Costs, validate_every: int) -> int:
        measurements.append("measured")
        assert costs.step > 0
        assert costs.validation > 0
        assert costs.saving > 0
        assert 0 < seconds < 6
        return 10

    monkeypatch.setattr(timing, "fit_steps", ten)
    return measurements


def test_steps_validations_and_checkpoints_fill_the_time() -> None:
    assert fit_steps(100, Costs(0.5, 0.0, 0.0), 500) == 200
    assert fit_steps(100, Costs(0.5, 10.0, 0.0), 100) == 150  # one more validation ends the run
    assert fit_steps(126, Costs(0.5, 0.0, 6.0), 500) == 218  # a tenth of the time goes into saving
    assert fit_steps(3, Costs(60.0, 1.0, 1.0), 500) == 1


def test_the_slower_of_computing_and_sampling_determines_the_time_of_a_step() -> None:
    speed = Speed(computing=0.1, sampling=0.6)
    assert speed.step(0) == pytest.approx(0.7)
    assert speed.step(1) == pytest.approx(0.6)
    assert speed.step(12) == pytest.approx(0.1)


def test_a_schedule_is_timed_in_its_phases() -> None:
    loss = LossRecipe(
        identity=1.0, identity_from=0.4, adversarial=1e-3, adversarial_from=0.7,
        perceptual_hr=0.0, perceptual_from=0.2,
    )  # fmt: skip
    recipe = Recipe("x", loss=loss, optimiser=OptimiserRecipe(steps=100))
    schedule = phases("joint", recipe)
    assert [phase.step for phase in schedule] == [0, 40, 70]
    assert [phase.share for phase in schedule] == pytest.approx([0.4, 0.3, 0.3])
    assert phases("denoise", recipe) == [Phase(1.0, 0)]


def test_phases_are_weighted_by_their_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock advances by 1 s for each step before step 40, and by 3 s from it on."""
    clock = [0.0]
    monkeypatch.setattr(timing, "clock_of", lambda device: lambda: clock[0])

    class Fake:
        step = 0
        steps: list[int] = []  # noqa: RUF012
        fabric: Any = type(
            "F", (), {"device": torch.device("cpu"), "broadcast": staticmethod(lambda value: value)}
        )

        def train_step(self, batch: object) -> None:
            clock[0] += 3.0 if self.step >= 40 else 1.0
            self.steps.append(self.step)
            self.step += 1

    loss = LossRecipe(adversarial=1.0, adversarial_from=0.4)
    recipe = Recipe(
        "x",
        loss=loss,
        optimiser=OptimiserRecipe(steps=100),
        critic=CriticRecipe(steps_per_update=3),
    )
    fake = Fake()
    seconds = timing.time_stage(fake, "joint", recipe, [None], 20.0)  # type: ignore[arg-type, list-item]
    assert seconds == pytest.approx(0.4 * 1 + 0.6 * 3)
    assert set(fake.steps) == {0, 1, 2, 42, 43, 44}  # whole updates, from the start of each phase


def test_the_number_of_steps_is_stored_and_the_same_command_resumes(
    make: Make, quick: list[str], tmp_path: Path
) -> None:
    class InterruptingProgress:
        done = 0

        def begin(self, task: str, total: int | None) -> None: ...
        def end(self, task: str) -> None: ...
        def note(self, message: str) -> None: ...

        def advance(self, task: str, units: int = 1) -> None:
            self.done += units if task == "training joint" else 0
            if self.done == 4:
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(make(tmp_path), InterruptingProgress())
    stored = json.loads((tmp_path / "joint" / BUDGET).read_text(encoding="utf-8"))
    assert (stored["minutes"], stored["steps"]) == (0.1, 10)
    assert quick == ["measured"]
    train(make(tmp_path))
    state = torch.load(tmp_path / "joint" / CHECKPOINT, weights_only=True)
    assert state["step"] == state["recipe"]["optimiser"]["steps"] == 10
    (entry,) = read_manifest(tmp_path / "weights" / "manifest.toml")
    assert "step 10" in str(entry.figures["protocol"])
    assert quick == ["measured"]
    # The measurement does not affect the training.
    steps = dataclasses.replace(RECIPE.optimiser, steps=10)
    reference = dataclasses.replace(RECIPE, optimiser=steps)
    train(make(tmp_path / "reference", recipe=reference, minutes=None))
    other = torch.load(tmp_path / "reference" / "joint" / CHECKPOINT, weights_only=True)
    for name, value in state["average"].items():
        assert torch.equal(value, other["average"][name])
    assert not list(tmp_path.rglob("trial*"))
    with pytest.raises(UsageError, match=r"started with --minutes 0\.1"):
        train(make(tmp_path, minutes=0.2))
    with pytest.raises(UsageError, match="started without --minutes"):
        train(make(tmp_path / "reference"))
    (tmp_path / "joint" / BUDGET).write_text('{"minutes": 0.1', encoding="utf-8")
    with pytest.raises(TrainingError, match=r"budget\.json: the run's number of steps"):
        train(make(tmp_path))


def test_the_first_validation_is_a_warm_up_and_is_not_measured(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[Costs] = []
    calls: list[int] = []
    original = JointStage.validate

    now = [0.0]

    def validate(self: JointStage, *arguments: Any) -> dict[str, float]:
        calls.append(1)
        now[0] += 3.0 if len(calls) == 1 else 0.3
        return original(self, *arguments)

    def one(seconds: float, costs: Costs, validate_every: int) -> int:
        measured.append(costs)
        return 1

    monkeypatch.setattr(JointStage, "validate", validate)
    monkeypatch.setattr(timing, "clock_of", lambda device: lambda: now[0])
    monkeypatch.setattr(timing, "PHASE_SECONDS", 0.0)
    monkeypatch.setattr(timing, "fit_steps", one)
    train(make(tmp_path))
    assert measured[0].validation == pytest.approx(0.3)


def test_minutes_need_the_joint_stage(make: Make, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--minutes is for the joint stage"):
        train(make(tmp_path, stage="prepare"))
