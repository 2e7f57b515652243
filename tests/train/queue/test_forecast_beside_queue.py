"""A dry run beside a queue that runs: it measures nothing, and shows what runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from queue_plans import FakeProcesses, Notes, settings

from jdsr_cli.cli import training
from jdsr_cli.errors import OutputError
from jdsr_train.dry_run import StagePlan, TrainingPlan
from jdsr_train.queue import forecast
from jdsr_train.queue.children import ChildResult
from jdsr_train.queue.execution import run_queue
from jdsr_train.queue.forecast import QueueForecast, plan_queue
from jdsr_train.queue.records import hold_folder, is_held
from jdsr_train.request import TrainRequest
from jdsr_train.run import stages_of
from jdsr_train.timing import Speed


class Timing:
    """Stands for the measurement of steps."""

    def __init__(self) -> None:
        self.seconds = 0.5
        self.measured: list[str] = []

    def __call__(self, request: TrainRequest, **_: Any) -> TrainingPlan:
        self.measured.append(request.recipe.name)
        stages = tuple(
            StagePlan(name, 1, 1, {}, Speed(self.seconds, 0.0), 1, 0.0)
            for name in stages_of(request)
            if name != "prepare"
        )
        return TrainingPlan(stages, "cpu", 1, None, ())


@pytest.fixture
def timing(monkeypatch: pytest.MonkeyPatch) -> Timing:
    found = Timing()
    monkeypatch.setattr(forecast, "plan_training", found)
    return found


def forecast_during(folder: Path, job: str, **options: Any) -> QueueForecast:
    """Return the forecast that a dry run makes while a job runs."""
    processes, found = FakeProcesses(), []

    def start(words: Sequence[str], log: Path, *more: Any) -> ChildResult:
        if log.parent.name == job:
            found.append(plan_queue(settings(folder, **options)))
        return processes(words, log, *more)

    run_queue(settings(folder, **options), Notes(), start)
    (made,) = found
    return made


def test_a_running_job_is_shown_as_running_and_nothing_is_measured(
    folder: Path, timing: Timing, capsys: pytest.CaptureFixture[str]
) -> None:
    made = forecast_during(folder, "ablation")
    assert made.running
    assert timing.measured == []
    states = {one.name: one.state for one in made.jobs}
    assert states == {
        "whole": "finished", "ablation": "running", "denoiser": "waiting", "resolver": "waiting",
        "longer": "waiting",
    }  # fmt: skip
    assert {one.seconds for one in made.jobs} == {None}
    assert {one.stages for one in made.jobs} == {()}
    assert not (folder / "out" / "estimates.json").exists()
    training._write_forecast(made)
    shown = capsys.readouterr().out
    assert "The queue is running: nothing was measured beside it" in shown
    assert "running" in shown.partition("nothing")[0]


def test_earlier_measurements_are_used_and_kept_as_they_were(folder: Path, timing: Timing) -> None:
    before = plan_queue(settings(folder, steps=10))
    assert not before.running
    stored = (folder / "out" / "estimates.json").read_bytes()
    timing.measured.clear()
    timing.seconds = 9.0
    made = forecast_during(folder, "denoiser", steps=10)
    assert timing.measured == []
    assert [one.stages for one in made.jobs] == [one.stages for one in before.jobs]
    assert [one.seconds for one in made.jobs] == [one.seconds for one in before.jobs]
    assert made.jobs[0].stages[0].steps == 10
    assert (folder / "out" / "estimates.json").read_bytes() == stored


def test_measurements_end_when_the_queue_starts_meanwhile(
    folder: Path, timing: Timing, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[Any] = []

    def measure(request: TrainRequest, **options: Any) -> TrainingPlan:
        if request.recipe.name == "denoiser":
            held.append(hold_folder(folder / "out"))
            held[0].__enter__()
        return timing(request, **options)

    monkeypatch.setattr(forecast, "plan_training", measure)
    made = plan_queue(settings(folder))
    held[0].__exit__(None, None, None)
    assert made.running
    assert timing.measured == ["whole", "ablation", "denoiser"]
    (stored,) = json.loads((folder / "out" / "estimates.json").read_text())["devices"].values()
    assert list(stored) == ["whole", "ablation"]
    assert [len(one.stages) for one in made.jobs] == [3, 1, 0, 0, 0]


def test_after_a_queue_was_killed_its_job_is_interrupted(folder: Path, timing: Timing) -> None:
    def kill(*_: Any) -> ChildResult:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        run_queue(settings(folder), Notes(), kill)
    made = plan_queue(settings(folder))
    assert not made.running
    assert made.jobs[0].state == "interrupted"
    assert len(timing.measured) == 5


def test_looking_whether_a_queue_runs_makes_and_holds_nothing(tmp_path: Path) -> None:
    assert not is_held(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with hold_folder(tmp_path / "out"):
        assert is_held(tmp_path / "out")
        assert is_held(tmp_path / "out")
    assert not is_held(tmp_path / "out")
    with hold_folder(tmp_path / "out"):
        pass
    (tmp_path / "file").touch()
    assert not is_held(tmp_path / "file")
    (tmp_path / "odd" / "queue.lock").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"queue\.lock: "):
        is_held(tmp_path / "odd")
