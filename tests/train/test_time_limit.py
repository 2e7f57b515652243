"""Runs with a deadline: they end in time, export their weights, and skip failed stages."""

from __future__ import annotations

import dataclasses
import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tiny_generator import tiny_arguments
from torch.nn.modules.module import register_module_forward_pre_hook

from jdsr_cli.errors import InputMissingError, TrainingError
from jdsr_cli.weights import load_generator, read_manifest
from jdsr_train import recipe_files
from jdsr_train.loss_recipe import LossRecipe
from jdsr_train.recipe import (
    CriticRecipe,
    DataRecipe,
    GeneratorRecipe,
    IdentityRecipe,
    OptimiserRecipe,
    Recipe,
)
from jdsr_train.request import RunSettings, TrainRequest
from jdsr_train.run import SKIPPED_STAGES, _limit, open_components, train
from jdsr_train.stages import JointStage, build_stage, validation
from jdsr_train.trained_generator import export_checkpoint
from jdsr_train.training.fabric import open_fabric
from jdsr_train.training.monitoring import PANEL
from jdsr_train.training.time_limit import Deadline, StepTimer, TimeLimitReached, interrupt_at

ENDLESS = 10_000_000
RECIPE = Recipe(
    "tiny",
    generator=GeneratorRecipe("lite", tiny_arguments(16), scale=8),
    data=DataRecipe(drawn_masks=2),
    optimiser=OptimiserRecipe(steps=ENDLESS, batch=2, warmup=2, precision="float32"),
)
WITH_IDENTITY = dataclasses.replace(
    RECIPE,
    stages=("identity", "joint"),
    loss=LossRecipe(identity=1.0),
    identity=IdentityRecipe(
        widths=(4, 4, 8, 8), blocks=(1, 1, 1, 1), features=16,
        optimiser=OptimiserRecipe(steps=4, batch=2, kind="sgd", rate=0.01, warmup=0, ema=0.0),
    ),
)  # fmt: skip
Make = Callable[..., TrainRequest]


@pytest.fixture(scope="module")
def make(write_faces: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Make:
    faces = write_faces(tmp_path_factory.mktemp("faces"), ("train-0.tar", "val-0.tar"))
    lines = (faces / "faces.csv").read_text(encoding="utf-8").splitlines()
    named = [lines[0] + ",identity"] + [f"{line},{line.split(',')[0][:-1]}" for line in lines[1:]]
    (faces / "faces.csv").write_text("\n".join(named) + "\n", encoding="utf-8")
    cache = tmp_path_factory.mktemp("cache")

    def request(out: Path, seconds: float | None = None, **changes: Any) -> TrainRequest:
        settings = RunSettings(out, workers=0, validate_every=None, log_every=5)
        deadline = None if seconds is None else Deadline.after(seconds)
        whole = TrainRequest(
            RECIPE, faces, settings, cache=cache, validation_faces=2, deadline=deadline
        )
        return dataclasses.replace(whole, **changes)

    train(request(cache / "warm", stage="prepare"))
    return request


class Clock:
    """A replacement for `time.monotonic` that advances only by assignment."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    replacement = Clock()
    monkeypatch.setattr(time, "monotonic", replacement)
    return replacement


class ActingProgress:
    """Progress that calls a function after a number of units of a task, and records notes.

    With a clock, every step of training takes one second.
    """

    def __init__(
        self,
        task: str = "",
        done: int = -1,
        act: Callable[[], object] = lambda: None,
        clock: Clock | None = None,
    ) -> None:
        self.task, self.units, self.act = task, done, act
        self.done, self.notes = 0, list[str]()
        self.clock = clock

    def begin(self, task: str, total: int | None) -> None: ...
    def end(self, task: str) -> None: ...

    def note(self, message: str) -> None:
        self.notes.append(message)

    def advance(self, task: str, units: int = 1) -> None:
        if self.clock is not None and task.startswith("training") and units == 1:
            self.clock.now += 1  # a resumed run reports its earlier steps at once
        if task == self.task:
            before, self.done = self.done, self.done + units
            if before < self.units <= self.done:
                self.act()


def entry(out: Path) -> Any:
    (one,) = read_manifest(out / "weights" / "manifest.toml")
    return one


def checkpoint(out: Path, stage: str = "joint") -> dict[str, Any]:
    return torch.load(out / stage / "checkpoint.pt", weights_only=True)  # type: ignore[no-any-return]


def rows(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "joint" / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("seconds", [20.0, 60.0])
def test_a_run_ends_in_time_with_its_schedule_at_the_end(
    seconds: float, make: Make, clock: Clock, tmp_path: Path
) -> None:
    began = clock.now
    train(make(tmp_path, seconds), ActingProgress(clock=clock))
    assert seconds - 11 < clock.now - began <= seconds - 5
    state = checkpoint(tmp_path)
    assert state["step"] == pytest.approx(seconds - 9, abs=2)
    assert state["share"] == 1.0
    rate = state["optimisers"]["generator"]["param_groups"][0]["lr"]
    assert rate < 0.1 * RECIPE.optimiser.rate
    assert rows(tmp_path)[-1]["step"] == state["step"]
    assert "masked_psnr" in rows(tmp_path)[-1]
    assert f"stopped at step {state['step']:,} of {ENDLESS:,}" in str(
        entry(tmp_path).figures["protocol"]
    )
    loaded = load_generator(tmp_path / "weights" / "tiny.safetensors", "cpu", "float32")
    for name, value in loaded.network.state_dict().items():
        assert torch.equal(value, state["average"][name].half().float())


def test_loss_terms_start_by_elapsed_time(make: Make, clock: Clock, tmp_path: Path) -> None:
    loss = dataclasses.replace(RECIPE.loss, adversarial=1e-3, adversarial_from=0.5)
    critic = CriticRecipe(widths=(4, 4, 4, 4, 4, 4), steps_per_update=1)
    train(
        make(tmp_path, 40.0, recipe=dataclasses.replace(RECIPE, loss=loss, critic=critic)),
        ActingProgress(clock=clock),
    )
    present = {row["step"]: "adversarial" in row for row in rows(tmp_path) if "pixel_hr" in row}
    assert not any(joined for step, joined in present.items() if step <= 15)
    assert all(joined for step, joined in present.items() if step >= 20)


def test_a_deadline_that_is_not_reached_changes_nothing(make: Make, tmp_path: Path) -> None:
    short = recipe_files.shortened(RECIPE, 6)
    train(make(tmp_path / "free", recipe=short))
    train(make(tmp_path / "timed", 1000.0, recipe=short))
    free, timed = (checkpoint(tmp_path / name) for name in ("free", "timed"))
    assert free["step"] == timed["step"] == 6
    for name, value in free["average"].items():
        assert torch.equal(value, timed["average"][name])
    assert "stopped" not in str(entry(tmp_path / "timed").figures["protocol"])


def test_a_stage_without_enough_time_is_skipped(make: Make, clock: Clock, tmp_path: Path) -> None:
    slow = dataclasses.replace(
        WITH_IDENTITY,
        identity=dataclasses.replace(
            WITH_IDENTITY.identity,
            optimiser=dataclasses.replace(WITH_IDENTITY.identity.optimiser, steps=ENDLESS),
        ),
    )
    results = train(make(tmp_path, 40.0, recipe=slow), ActingProgress(clock=clock))
    assert [result.stage for result in results] == ["prepare", "joint"]
    protocol = str(entry(tmp_path).figures["protocol"])
    assert "no identity stage: only " in protocol
    assert f"of {ENDLESS:,} steps fit into the time of the stage" in protocol
    assert not (tmp_path / "identity" / "identity.safetensors").exists()
    # The same command resumes without the stage: the joint stage now has another recipe.
    step = checkpoint(tmp_path)["step"]
    again = train(make(tmp_path, 20.0, recipe=slow), ActingProgress(clock=clock))
    assert [result.stage for result in again] == ["prepare", "joint"]
    assert checkpoint(tmp_path)["step"] > step
    (tmp_path / SKIPPED_STAGES).write_text("[", encoding="utf-8")
    with pytest.raises(TrainingError, match=r"left_out\.json: the list of"):
        train(make(tmp_path, 20.0, recipe=slow), ActingProgress(clock=clock))


def test_a_failed_stage_is_skipped_with_a_deadline(
    make: Make, clock: Clock, tmp_path: Path
) -> None:
    optimiser = dataclasses.replace(
        WITH_IDENTITY.identity.optimiser, rate=1e30, clip=0.0, steps=200
    )
    diverging = dataclasses.replace(
        WITH_IDENTITY, identity=dataclasses.replace(WITH_IDENTITY.identity, optimiser=optimiser)
    )
    with pytest.raises(TrainingError, match="not finite"):
        train(make(tmp_path / "unlimited", recipe=diverging, stage="identity"))
    results = train(make(tmp_path / "timed", 200.0, recipe=diverging), ActingProgress(clock=clock))
    assert [result.stage for result in results] == ["prepare", "joint"]
    protocol = str(entry(tmp_path / "timed").figures["protocol"])
    assert "no identity stage: the" in protocol
    assert "not finite" in protocol


def test_a_stage_that_ends_in_time_is_used(make: Make, clock: Clock, tmp_path: Path) -> None:
    results = train(make(tmp_path, 60.0, recipe=WITH_IDENTITY), ActingProgress(clock=clock))
    assert [result.stage for result in results] == ["prepare", "identity", "joint"]
    assert "no identity stage" not in str(entry(tmp_path).figures["protocol"])
    assert any("identity" in row for row in rows(tmp_path))


def test_a_last_stage_without_time_is_an_error(make: Make, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="joint: no step fits into the time"):
        train(make(tmp_path, 5.0))
    assert not (tmp_path / "weights").exists()


def test_preparing_ends_at_the_deadline_and_keeps_its_shards(make: Make, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="the deadline passed while the faces were prepared"):
        train(make(tmp_path, -1.0, cache=tmp_path / "cache"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_exports_its_weights(
    number: signal.Signals, make: Make, tmp_path: Path
) -> None:
    stop = ActingProgress("training joint", 7, lambda: signal.raise_signal(number))
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        train(make(tmp_path), stop)
    assert signal.getsignal(signal.SIGTERM) is handler
    weights = tmp_path / "weights" / "tiny.safetensors"
    assert f"exported: {weights}" in stop.notes
    assert f"stopped at step 7 of {ENDLESS:,}" in str(entry(tmp_path).figures["protocol"])
    state = checkpoint(tmp_path)["average"]
    loaded = load_generator(weights, "cpu", "float32").network.state_dict()
    assert all(torch.equal(value, state[name].half().float()) for name, value in loaded.items())


def test_weights_are_exported_during_training(make: Make, tmp_path: Path) -> None:
    """Two exports during training are complete, and the second one is later."""
    protocols: list[str] = []
    weights = tmp_path / "weights" / "tiny.safetensors"

    def read_export() -> None:
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline and not (tmp_path / "weights/manifest.toml").exists():
            time.sleep(0.05)
        protocols.append(str(entry(tmp_path).figures["protocol"]))
        load_generator(weights, "cpu", "float32")
        time.sleep(0.2)

    class Twice(ActingProgress):
        def advance(self, task: str, units: int = 1) -> None:
            super().advance(task, units)
            if task == self.task and self.done == 12:
                read_export()

    stop = Twice("training joint", 6, read_export)
    short = recipe_files.shortened(RECIPE, 20)
    train(make(tmp_path, recipe=short, export_every=0.01), stop)
    assert len(protocols) == 2
    steps = [int(text.split("stopped at step ")[1].split(" ")[0]) for text in protocols]
    assert 1 <= steps[0] <= 6 <= steps[1] <= 12
    assert "stopped" not in str(entry(tmp_path).figures["protocol"])


def test_a_failed_export_during_training_is_noted_and_training_continues(
    make: Make, tmp_path: Path
) -> None:
    (tmp_path / "weights").write_text("a file, not a folder")
    progress = ActingProgress("training joint", 19, (tmp_path / "weights").unlink)
    train(make(tmp_path, recipe=recipe_files.shortened(RECIPE, 20), export_every=0.01), progress)
    assert any(note.startswith("not exported: ") for note in progress.notes)
    assert entry(tmp_path).name == "tiny"


def test_an_interrupted_run_can_be_exported_from_its_checkpoint(make: Make, tmp_path: Path) -> None:
    settings = RunSettings(tmp_path / "run", workers=0, validate_every=4, checkpoint_every=4)
    stop = ActingProgress("training joint", 6, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        train(make(tmp_path / "run", run=settings), stop)
    path = tmp_path / "run" / "joint" / "checkpoint.pt"
    (tmp_path / "run" / "weights" / "tiny.safetensors").unlink()
    assert export_checkpoint(path) == tmp_path / "run" / "weights" / "tiny.safetensors"
    assert load_generator(tmp_path / "run" / "weights" / "tiny.safetensors", "cpu").lr_size == 16
    figures = entry(tmp_path / "run").figures
    assert float(figures["masked_psnr"]) > 5
    assert "step 4" in str(figures["protocol"])
    assert "stopped at step 6" in str(figures["protocol"])
    other = tmp_path / "elsewhere" / "own.safetensors"
    assert export_checkpoint(path, other) == other
    assert load_generator(other, "cpu").lr_size == 16


def test_only_checkpoints_of_a_generator_can_be_exported(make: Make, tmp_path: Path) -> None:
    train(make(tmp_path, recipe=recipe_files.shortened(WITH_IDENTITY, 2), stage="identity"))
    identity = tmp_path / "identity" / "checkpoint.pt"
    with pytest.raises(TrainingError, match="contains no generator"):
        export_checkpoint(identity)
    damaged = tmp_path / "damaged.pt"
    damaged.write_bytes(identity.read_bytes()[:5000])
    with pytest.raises(TrainingError, match="cannot be read"):
        export_checkpoint(damaged)
    with pytest.raises(InputMissingError, match="no such file"):
        export_checkpoint(tmp_path / "absent.pt")


def test_a_resumed_run_continues_the_schedule(make: Make, clock: Clock, tmp_path: Path) -> None:
    stop = ActingProgress("training joint", 8, lambda: signal.raise_signal(signal.SIGTERM), clock)
    with pytest.raises(KeyboardInterrupt):
        train(make(tmp_path, 29.0), stop)
    share = checkpoint(tmp_path)["share"]
    assert share == pytest.approx(8 / 20, abs=0.06)
    train(make(tmp_path, 29.0), ActingProgress(clock=clock))
    assert checkpoint(tmp_path)["share"] == 1.0
    stage = StepTimer(clock.now - 5, clock.now + 5, 0.5)
    assert stage.share_after(0) == pytest.approx(0.75)
    assert stage.share_after(2.5) == pytest.approx(0.875)
    assert stage.share_after(100) == 1.0


def test_stages_share_the_remaining_time() -> None:
    deadline = Deadline.after(105.0)
    now = time.monotonic()
    limit = _limit(deadline, ("identity", "denoise", "joint"))
    assert limit is not None
    assert limit - now == pytest.approx(100 * 12 / 92, abs=0.5)
    last = _limit(deadline, ("joint",))
    assert last is not None
    assert last - now == pytest.approx(100, abs=0.5)
    assert _limit(None, ("joint",)) is None


class SlowLayer(torch.nn.Module):
    """A layer with a slow forward or backward pass."""

    def __init__(self, forward_seconds: float, backward_seconds: float) -> None:
        super().__init__()
        self.forward_seconds, self.backward_seconds = forward_seconds, backward_seconds

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        time.sleep(self.forward_seconds)
        y = x * 1.0
        y.register_hook(lambda _: time.sleep(self.backward_seconds))
        return y


@pytest.mark.parametrize(("forward_seconds", "backward_seconds"), [(0.1, 0.0), (0.0, 0.1)])
def test_a_long_computation_is_interrupted_between_layers(
    forward_seconds: float, backward_seconds: float
) -> None:
    layers = torch.nn.Sequential(
        *(SlowLayer(forward_seconds, backward_seconds) for _ in range(100))
    )
    began = time.monotonic()
    with pytest.raises(TimeLimitReached), interrupt_at(lambda: began + 0.5):
        layers(torch.ones(1, requires_grad=True)).sum().backward()
    assert 0.5 <= time.monotonic() - began < 2
    short = torch.nn.Sequential(*(SlowLayer(0.0, 0.0) for _ in range(3)))
    short(torch.ones(1, requires_grad=True)).sum().backward()  # no hook remains


@pytest.mark.parametrize("done", [1, 3])
def test_a_step_beyond_the_deadline_is_interrupted_and_discarded(
    done: int, make: Make, clock: Clock, tmp_path: Path
) -> None:
    """Some normal steps, then one whose layers take two seconds each."""
    began = clock.now

    def stall() -> None:
        handles.append(
            register_module_forward_pre_hook(lambda *_: setattr(clock, "now", clock.now + 2))
        )

    handles: list[Any] = []
    try:
        train(make(tmp_path, 60.0), ActingProgress("training joint", done, stall, clock))
    finally:
        handles[0].remove()
    state = checkpoint(tmp_path)
    assert state["step"] == done
    assert clock.now - began < 60 + 15  # layers begun in time, and those of the validation
    assert f"stopped at step {done} of" in str(entry(tmp_path).figures["protocol"])


def test_a_shortened_validation_states_its_number_of_faces(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At least the first faces of each kind are measured."""
    monkeypatch.setattr(validation, "CPU_BATCH", 1)
    recipe = dataclasses.replace(RECIPE, data=dataclasses.replace(RECIPE.data, masked=0.5))
    stage = build_stage(
        "joint",
        open_components(make(tmp_path, recipe=recipe), open_fabric("cpu"), ActingProgress()),
    )
    assert isinstance(stage, JointStage)
    assert stage.validation is not None
    network = stage.models[stage.main_model].network.eval()
    (tmp_path / "joint").mkdir()
    whole = stage.validation.metrics(network)
    assert "validation_faces" not in whole
    (tmp_path / "joint" / PANEL).unlink()
    shortened = stage.validation.metrics(network, until=0.0)
    assert shortened["validation_faces"] == 2  # the first of each
    assert {"masked_psnr", "plain_psnr"} <= shortened.keys()
    with Image.open(tmp_path / "joint" / PANEL) as panel:
        assert panel.size == (128, 6 * 128)


def test_time_is_reserved_for_the_last_validation_and_checkpoint() -> None:
    stage = StepTimer(0.0, 1000.0)
    stage.reserve(saving=2.0, face=0.01)
    assert stage.reserved == pytest.approx(3 + 2 * 2.0 + 400 * 0.01)
    assert stage.steps_end == pytest.approx(1000 - 11)
    stage.reserve(saving=100.0, face=1.0)
    assert stage.reserved == 50.0  # a twentieth of the time at most
    short = StepTimer(0.0, 10.0)
    short.reserve(saving=100.0, face=1.0)
    assert short.reserved == 3.0
