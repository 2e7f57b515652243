"""A run against the clock: it ends in time, keeps what it has, and goes on without what failed."""

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
from tiny import tiny_arguments
from torch.nn.modules.module import register_module_forward_pre_hook

from jdsr_cli.errors import InputMissingError, TrainingError
from jdsr_cli.weights import load_generator, read_manifest
from jdsr_train import recipe_files
from jdsr_train.processes import open_fabric
from jdsr_train.recipe import (
    CriticRecipe,
    DataRecipe,
    GeneratorRecipe,
    IdentityRecipe,
    LossRecipe,
    OptimiserRecipe,
    Recipe,
)
from jdsr_train.request import RunSettings, TrainRequest
from jdsr_train.run import SKIPPED_STAGES, _limit, open_components, train
from jdsr_train.stages import JointStage, build_stage, validation
from jdsr_train.trained_generator import export_checkpoint
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
    """The time that the code under test sees: it goes on by itself only."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "monotonic", made)
    return made


class At:
    """A progress that acts once so many units of a task are done, and keeps the notes.

    On a clock of its own every step of training takes a second.
    """

    def __init__(
        self,
        task: str = "",
        done: int = -1,
        act: Callable[[], object] = lambda: None,
        clock: Clock | None = None,
    ) -> None:
        self.task, self.wanted, self.act = task, done, act
        self.done, self.notes = 0, list[str]()
        self.clock = clock

    def begin(self, task: str, total: int | None) -> None: ...
    def end(self, task: str) -> None: ...

    def note(self, message: str) -> None:
        self.notes.append(message)

    def advance(self, task: str, units: int = 1) -> None:
        if self.clock is not None and task.startswith("training") and units == 1:
            self.clock.now += 1  # what is done already when a run goes on comes as one number
        if task == self.task:
            before, self.done = self.done, self.done + units
            if before < self.wanted <= self.done:
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
    train(make(tmp_path, seconds), At(clock=clock))
    assert seconds - 11 < clock.now - began <= seconds - 5
    kept = checkpoint(tmp_path)
    assert kept["step"] == pytest.approx(seconds - 9, abs=2)
    assert kept["share"] == 1.0
    rate = kept["optimisers"]["generator"]["param_groups"][0]["lr"]
    assert rate < 0.1 * RECIPE.optimiser.rate
    assert rows(tmp_path)[-1]["step"] == kept["step"]
    assert "masked_psnr" in rows(tmp_path)[-1]
    assert f"stopped at step {kept['step']:,} of {ENDLESS:,}" in str(
        entry(tmp_path).figures["protocol"]
    )
    loaded = load_generator(tmp_path / "weights" / "tiny.safetensors", "cpu", "float32")
    for name, value in loaded.network.state_dict().items():
        assert torch.equal(value, kept["average"][name].half().float())


def test_terms_join_in_by_the_clock(make: Make, clock: Clock, tmp_path: Path) -> None:
    loss = dataclasses.replace(RECIPE.loss, adversarial=1e-3, adversarial_from=0.5)
    critic = CriticRecipe(widths=(4, 4, 4, 4, 4, 4), steps_per_update=1)
    train(
        make(tmp_path, 40.0, recipe=dataclasses.replace(RECIPE, loss=loss, critic=critic)),
        At(clock=clock),
    )
    found = {row["step"]: "adversarial" in row for row in rows(tmp_path) if "pixel_hr" in row}
    assert not any(joined for step, joined in found.items() if step <= 15)
    assert all(joined for step, joined in found.items() if step >= 20)


def test_a_deadline_that_is_not_reached_changes_nothing(make: Make, tmp_path: Path) -> None:
    short = recipe_files.shortened(RECIPE, 6)
    train(make(tmp_path / "free", recipe=short))
    train(make(tmp_path / "timed", 1000.0, recipe=short))
    free, timed = (checkpoint(tmp_path / name) for name in ("free", "timed"))
    assert free["step"] == timed["step"] == 6
    for name, value in free["average"].items():
        assert torch.equal(value, timed["average"][name])
    assert "stopped" not in str(entry(tmp_path / "timed").figures["protocol"])


def test_a_stage_that_cannot_do_enough_is_left_out_and_the_next_begins(
    make: Make, clock: Clock, tmp_path: Path
) -> None:
    slow = dataclasses.replace(
        WITH_IDENTITY,
        identity=dataclasses.replace(
            WITH_IDENTITY.identity,
            optimiser=dataclasses.replace(WITH_IDENTITY.identity.optimiser, steps=ENDLESS),
        ),
    )
    results = train(make(tmp_path, 40.0, recipe=slow), At(clock=clock))
    assert [result.stage for result in results] == ["prepare", "joint"]
    told = str(entry(tmp_path).figures["protocol"])
    assert "no identity stage: only " in told
    assert f"of {ENDLESS:,} steps fit into the time of the stage" in told
    assert not (tmp_path / "identity" / "identity.safetensors").exists()
    # The same command goes on without it as well: the joint stage is that of another recipe now.
    step = checkpoint(tmp_path)["step"]
    again = train(make(tmp_path, 20.0, recipe=slow), At(clock=clock))
    assert [result.stage for result in again] == ["prepare", "joint"]
    assert checkpoint(tmp_path)["step"] > step
    (tmp_path / SKIPPED_STAGES).write_text("[", encoding="utf-8")
    with pytest.raises(TrainingError, match=r"left_out\.json: the list of"):
        train(make(tmp_path, 20.0, recipe=slow), At(clock=clock))


def test_a_stage_that_fails_is_left_out_where_time_is_short(
    make: Make, clock: Clock, tmp_path: Path
) -> None:
    optimiser = dataclasses.replace(
        WITH_IDENTITY.identity.optimiser, rate=1e30, clip=0.0, steps=200
    )
    wild = dataclasses.replace(
        WITH_IDENTITY, identity=dataclasses.replace(WITH_IDENTITY.identity, optimiser=optimiser)
    )
    with pytest.raises(TrainingError, match="not finite"):
        train(make(tmp_path / "patient", recipe=wild, stage="identity"))
    results = train(make(tmp_path / "timed", 200.0, recipe=wild), At(clock=clock))
    assert [result.stage for result in results] == ["prepare", "joint"]
    told = str(entry(tmp_path / "timed").figures["protocol"])
    assert "no identity stage: the" in told
    assert "not finite" in told


def test_a_stage_in_time_is_used(make: Make, clock: Clock, tmp_path: Path) -> None:
    results = train(make(tmp_path, 60.0, recipe=WITH_IDENTITY), At(clock=clock))
    assert [result.stage for result in results] == ["prepare", "identity", "joint"]
    assert "no identity stage" not in str(entry(tmp_path).figures["protocol"])
    assert any("identity" in row for row in rows(tmp_path))


def test_a_last_stage_without_time_says_so(make: Make, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="joint: no step fits into the time"):
        train(make(tmp_path, 5.0))
    assert not (tmp_path / "weights").exists()


def test_preparing_ends_at_the_deadline_and_keeps_its_shards(make: Make, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="the deadline passed while the faces were prepared"):
        train(make(tmp_path, -1.0, cache=tmp_path / "cache"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_exports_what_it_has(
    number: signal.Signals, make: Make, tmp_path: Path
) -> None:
    stop = At("training joint", 7, lambda: signal.raise_signal(number))
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        train(make(tmp_path), stop)
    assert signal.getsignal(signal.SIGTERM) is handler
    weights = tmp_path / "weights" / "tiny.safetensors"
    assert f"exported: {weights}" in stop.notes
    assert f"stopped at step 7 of {ENDLESS:,}" in str(entry(tmp_path).figures["protocol"])
    kept = checkpoint(tmp_path)["average"]
    loaded = load_generator(weights, "cpu", "float32").network.state_dict()
    assert all(torch.equal(value, kept[name].half().float()) for name, value in loaded.items())


def test_weights_are_written_beside_training(make: Make, tmp_path: Path) -> None:
    """Two exports while training goes on, each complete, each later than the one before."""
    seen: list[str] = []
    weights = tmp_path / "weights" / "tiny.safetensors"

    def look() -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not (tmp_path / "weights/manifest.toml").exists():
            time.sleep(0.05)
        seen.append(str(entry(tmp_path).figures["protocol"]))
        load_generator(weights, "cpu", "float32")
        time.sleep(0.2)

    class Twice(At):
        def advance(self, task: str, units: int = 1) -> None:
            super().advance(task, units)
            if task == self.task and self.done == 12:
                look()

    stop = Twice("training joint", 6, look)
    short = recipe_files.shortened(RECIPE, 20)
    train(make(tmp_path, recipe=short, export_every=0.01), stop)
    assert len(seen) == 2
    steps = [int(text.split("stopped at step ")[1].split(" ")[0]) for text in seen]
    assert 1 <= steps[0] <= 6 <= steps[1] <= 12
    assert "stopped" not in str(entry(tmp_path).figures["protocol"])


def test_an_export_beside_training_that_fails_is_told_and_training_goes_on(
    make: Make, tmp_path: Path
) -> None:
    (tmp_path / "weights").write_text("a file, not a folder")
    progress = At("training joint", 19, (tmp_path / "weights").unlink)
    train(make(tmp_path, recipe=recipe_files.shortened(RECIPE, 20), export_every=0.01), progress)
    assert any(note.startswith("not exported: ") for note in progress.notes)
    assert entry(tmp_path).name == "tiny"


def test_a_run_that_died_is_exported_from_its_checkpoint(make: Make, tmp_path: Path) -> None:
    settings = RunSettings(tmp_path / "run", workers=0, validate_every=4, checkpoint_every=4)
    stop = At("training joint", 6, lambda: signal.raise_signal(signal.SIGINT))
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


def test_what_is_no_checkpoint_of_a_generator_is_said(make: Make, tmp_path: Path) -> None:
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


def test_a_clock_goes_on_where_an_earlier_one_stopped(
    make: Make, clock: Clock, tmp_path: Path
) -> None:
    stop = At("training joint", 8, lambda: signal.raise_signal(signal.SIGTERM), clock)
    with pytest.raises(KeyboardInterrupt):
        train(make(tmp_path, 29.0), stop)
    share = checkpoint(tmp_path)["share"]
    assert share == pytest.approx(8 / 20, abs=0.06)
    train(make(tmp_path, 29.0), At(clock=clock))
    assert checkpoint(tmp_path)["share"] == 1.0
    stage = StepTimer(clock.now - 5, clock.now + 5, 0.5)
    assert stage.share_after(0) == pytest.approx(0.75)
    assert stage.share_after(2.5) == pytest.approx(0.875)
    assert stage.share_after(100) == 1.0


def test_stages_share_the_time_that_is_left() -> None:
    deadline = Deadline.after(105.0)
    now = time.monotonic()
    limit = _limit(deadline, ("identity", "denoise", "joint"))
    assert limit is not None
    assert limit - now == pytest.approx(100 * 12 / 92, abs=0.5)
    last = _limit(deadline, ("joint",))
    assert last is not None
    assert last - now == pytest.approx(100, abs=0.5)
    assert _limit(None, ("joint",)) is None


class Sleepy(torch.nn.Module):
    """A layer that takes its time, there or back."""

    def __init__(self, there: float, back: float) -> None:
        super().__init__()
        self.there, self.back = there, back

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        time.sleep(self.there)
        y = x * 1.0
        y.register_hook(lambda _: time.sleep(self.back))
        return y


@pytest.mark.parametrize(("there", "back"), [(0.1, 0.0), (0.0, 0.1)])
def test_a_long_computation_is_broken_off_between_layers(there: float, back: float) -> None:
    layers = torch.nn.Sequential(*(Sleepy(there, back) for _ in range(100)))
    began = time.monotonic()
    with pytest.raises(TimeLimitReached), interrupt_at(lambda: began + 0.5):
        layers(torch.ones(1, requires_grad=True)).sum().backward()
    assert 0.5 <= time.monotonic() - began < 2
    short = torch.nn.Sequential(*(Sleepy(0.0, 0.0) for _ in range(3)))
    short(torch.ones(1, requires_grad=True)).sum().backward()  # nothing is left behind


@pytest.mark.parametrize("done", [1, 3])
def test_a_step_longer_than_the_time_is_broken_off_and_the_weights_are_those_before(
    done: int, make: Make, clock: Clock, tmp_path: Path
) -> None:
    """Some steps as they are, then one whose layers take two seconds each."""
    began = clock.now

    def stall() -> None:
        handles.append(
            register_module_forward_pre_hook(lambda *_: setattr(clock, "now", clock.now + 2))
        )

    handles: list[Any] = []
    try:
        train(make(tmp_path, 60.0), At("training joint", done, stall, clock))
    finally:
        handles[0].remove()
    kept = checkpoint(tmp_path)
    assert kept["step"] == done
    assert clock.now - began < 60 + 15  # layers begun in time, and those of the validation
    assert f"stopped at step {done} of" in str(entry(tmp_path).figures["protocol"])


def test_a_validation_that_time_cuts_short_says_of_how_many_faces(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At least the first faces of each kind are measured."""
    monkeypatch.setattr(validation, "CPU_BATCH", 1)
    recipe = dataclasses.replace(RECIPE, data=dataclasses.replace(RECIPE.data, masked=0.5))
    task = build_stage(
        "joint", open_components(make(tmp_path, recipe=recipe), open_fabric("cpu"), At())
    )
    assert isinstance(task, JointStage)
    assert task.validation is not None
    network = task.models[task.main_model].network.eval()
    (tmp_path / "joint").mkdir()
    whole = task.validation.metrics(network)
    assert "validation_faces" not in whole
    (tmp_path / "joint" / PANEL).unlink()
    cut = task.validation.metrics(network, until=0.0)
    assert cut["validation_faces"] == 2  # the first of each
    assert {"masked_psnr", "plain_psnr"} <= cut.keys()
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
