"""How long a queue takes: from measurements and from --minutes, and never invented."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from queue_plans import FakeProcesses, Notes, settings

from jdsr_cli.errors import TrainingError
from jdsr_cli.settings import TrainSettings
from jdsr_train import dry_run
from jdsr_train.dry_run import StagePlan, TrainingPlan
from jdsr_train.queue import forecast
from jdsr_train.queue.estimates import Estimates, Remaining, describe_remaining
from jdsr_train.queue.execution import open_queue, run_queue
from jdsr_train.queue.forecast import JobForecast, plan_queue
from jdsr_train.queue.records import QueueRecords
from jdsr_train.request import TrainRequest
from jdsr_train.timing import Speed

JOBS = ("whole", "ablation", "denoiser", "resolver", "longer")
SMALL = {"whole": 20_450, "ablation": 20_000, "denoiser": 20_000, "resolver": 20_000}
"""Steps of the jobs over all stages; parser and identity network are trained once."""


def estimates_of(given: TrainSettings) -> Estimates:
    queue, options = open_queue(given)
    return Estimates(options, queue)


def measured(given: TrainSettings, seconds: float = 0.5) -> Estimates:
    """Return estimates in which every step of every stage takes these seconds."""
    found = estimates_of(given)
    for job in found.jobs.values():
        found.store(job, dict.fromkeys(("parser", "identity", "joint"), seconds))
    return found


def times(found: Estimates) -> dict[str, float | None]:
    return {name: found.seconds(job) for name, job in found.jobs.items()}


def test_measured_steps_give_the_time_of_the_stages_that_run(folder: Path) -> None:
    measured(settings(folder))
    found = times(estimates_of(settings(folder)))
    assert found == {**{name: steps / 2 for name, steps in SMALL.items()}, "longer": 10_000}
    fewer = times(estimates_of(settings(folder, steps=10)))
    assert fewer == {"whole": 15, "ablation": 5, "denoiser": 5, "resolver": 5, "longer": 5}


def test_without_a_measurement_there_is_no_estimate(folder: Path) -> None:
    assert set(times(estimates_of(settings(folder))).values()) == {None}
    measured(settings(folder))
    assert set(times(estimates_of(settings(folder, workers=3))).values()) == {None}
    recipe = folder / "denoiser.toml"
    recipe.write_text("seed = 5\n" + recipe.read_text())
    found = times(estimates_of(settings(folder)))
    assert found["denoiser"] is None
    assert found["resolver"] is not None


def test_another_device_has_its_own_measurements(folder: Path) -> None:
    measured(settings(folder))
    path = folder / "out" / "estimates.json"
    values = json.loads(path.read_text())
    (device,) = values["devices"]
    values["devices"] = {f"not {device}": values["devices"][device]}
    path.write_text(json.dumps(values))
    assert set(times(estimates_of(settings(folder))).values()) == {None}
    measured(settings(folder))
    assert len(json.loads(path.read_text())["devices"]) == 2


def test_minutes_are_those_of_the_joint_stage(folder: Path) -> None:
    given = settings(folder, minutes=10)
    assert times(estimates_of(given)) == {
        "whole": None, "ablation": 600, "denoiser": 300, "resolver": 300, "longer": 600,
    }  # fmt: skip
    assert times(measured(given))["whole"] == 600 + 450 / 2


@pytest.mark.parametrize(
    "text",
    [
        "{", "[]", "{}", '{"format": 2, "devices": {}}', '{"format": 1, "devices": []}',
        '{"format": 1, "devices": null}', '{"format": 1, "devices": {"cpu": []}}',
        '{"format": 1, "devices": {"cpu": {"whole": 5}}}',
        '{"format": 1, "devices": {"cpu": {"whole": {"conditions": {}}}}}',
        '{"format": 1, "devices": {"cpu": {"whole": {"step_seconds": {}}}}}',
        '{"format": 1, "devices": {"cpu": {"whole": {"conditions": [], "step_seconds": {}}}}}',
        '{"format": 1, "devices": {"cpu": {"whole": {"conditions": {}, "step_seconds": [1]}}}}',
        '{"a":' * 100_000,
    ],
)  # fmt: skip
def test_damaged_estimates_are_an_error(folder: Path, text: str) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "estimates.json").write_text(text)
    with pytest.raises(TrainingError, match=r"estimates\.json: cannot be read .*Delete it"):
        estimates_of(settings(folder))


@pytest.mark.parametrize(
    "seconds", ["null", "0", "-0.5", "NaN", "Infinity", "1e300", "9" * 400, '"1"', "true", "[1]"]
)
@pytest.mark.parametrize("own", [True, False])
def test_a_step_without_a_possible_time_is_an_error(folder: Path, seconds: str, own: bool) -> None:
    """Also of another device, since it is written again with those of this one."""
    measured(settings(folder))
    path = folder / "out" / "estimates.json"
    values = json.loads(path.read_text())
    (device,) = values["devices"]
    jobs = values["devices"][device]
    if not own:
        values["devices"]["another"] = jobs = json.loads(json.dumps(jobs))
    jobs["denoiser"]["step_seconds"]["joint"] = "SECONDS"
    path.write_text(json.dumps(values).replace('"SECONDS"', seconds))
    with pytest.raises(TrainingError, match=r"estimates\.json: cannot be read .*denoiser: step"):
        estimates_of(settings(folder))


def test_other_devices_keep_their_measurements(folder: Path) -> None:
    measured(settings(folder))
    path = folder / "out" / "estimates.json"
    values = json.loads(path.read_text())
    (device,) = values["devices"]
    values["devices"]["another"] = {"gone": {"conditions": {"a": 1}, "step_seconds": {"x": 2}}}
    path.write_text(json.dumps(values))
    measured(settings(folder), 0.25)
    found = json.loads(path.read_text())["devices"]
    assert found["another"] == values["devices"]["another"]
    assert found[device]["denoiser"]["step_seconds"]["joint"] == 0.25


def records_of(folder: Path, **seconds: float) -> QueueRecords:
    """Return records in which these jobs are finished after these seconds."""
    found = QueueRecords(folder / "out", JOBS)
    for name, value in seconds.items():
        found[name].state, found[name].seconds = "finished", value
    return found


def test_the_remaining_time_follows_what_finished_jobs_took(folder: Path) -> None:
    estimates = measured(settings(folder))
    assert estimates.remaining(records_of(folder)) == Remaining(50_225, 0)
    found = records_of(folder, whole=2 * 10_225, ablation=30_000, denoiser=30_000)
    assert estimates.remaining(found) == Remaining(3 * 20_000, 0)
    found["resolver"].state, found["resolver"].seconds = "interrupted", 25_000
    assert estimates.remaining(found) == Remaining(35_000, 0)
    found["resolver"].seconds = 90_000
    assert estimates.remaining(found) == Remaining(30_000, 0)


def test_jobs_without_an_estimate_are_counted(folder: Path) -> None:
    estimates = estimates_of(settings(folder, minutes=60))
    left = estimates.remaining(records_of(folder))
    assert left == Remaining(3 * 3600, 1)
    assert describe_remaining(left) == ", about 3.0 h left without 1 job that was not measured"
    assert describe_remaining(Remaining(7200, 0)) == ", about 2.0 h left"
    assert describe_remaining(Remaining(0, 5)) == ""


def test_a_running_queue_shows_the_remaining_time(folder: Path) -> None:
    notes = Notes()
    run_queue(settings(folder), notes, FakeProcesses())
    assert "job 1 of 6 (whole)" in notes.notes
    assert set(notes.tasks.values()) == {None}
    given = settings(folder, out=folder / "measured")
    measured(given)
    notes = Notes()
    run_queue(given, notes, FakeProcesses())
    assert "job 1 of 6 (whole), about 14.0 h left" in notes.notes
    assert notes.tasks["job 1 of 6 (whole)"] == 10_225
    assert notes.tasks["job 5 of 6 (cbd_resolver_x4)"] is None


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[TrainRequest]:
    """Replace the measurement of steps by 0.5 s each, and keep the requests."""
    seen: list[TrainRequest] = []

    def plan(
        request: TrainRequest, progress: object = None, *, promised: bool = False
    ) -> TrainingPlan:
        seen.append(request)
        stages = tuple(
            StagePlan(name, options.steps, options.batch, {}, Speed(0.5, 0.1), 1, 0.0)
            for name in forecast_stages(request)
            for options in [request.recipe.steps(name)]
        )
        missing = "vgg.pth: no such file" if request.features else None
        return TrainingPlan(stages, "cpu", 1, missing, ())

    monkeypatch.setattr(forecast, "plan_training", plan)
    return seen


def forecast_stages(request: TrainRequest) -> list[str]:
    return [name for name in dry_run.stages_of(request) if name != "prepare"]


def by_name(jobs: tuple[JobForecast, ...]) -> dict[str, JobForecast]:
    return {one.name: one for one in jobs}


def test_a_forecast_has_every_job_and_keeps_its_measurements(
    folder: Path, requests: list[TrainRequest]
) -> None:
    made = plan_queue(settings(folder))
    assert (made.name, made.device, made.gpus) == ("plan", "cpu", 0)
    assert made.chains == ("cbd_resolver_x4",)
    jobs = by_name(made.jobs)
    assert tuple(jobs) == JOBS
    assert [(one.stage, one.steps, one.batch, one.precision) for one in jobs["whole"].stages] == [
        ("parser", 150, 16, "float32"), ("identity", 300, 32, "float32"),
        ("joint", 20_000, 8, "float32"),
    ]  # fmt: skip
    assert [one.stage for one in jobs["ablation"].stages] == ["joint"]
    assert {name: one.seconds for name, one in jobs.items()} == times(
        estimates_of(settings(folder))
    )
    assert made.seconds == 50_225
    assert made.unknown == ()
    assert jobs["whole"].missing == "vgg.pth: no such file"
    assert jobs["denoiser"].missing is None
    assert made.missing == {"vgg.pth: no such file": ["whole", "ablation"]}
    assert requests[1].identity is not None
    assert not (folder / "out" / "queue.json").exists()


def test_finished_jobs_are_not_part_of_the_time(folder: Path, requests: list[TrainRequest]) -> None:
    run_queue(settings(folder), Notes(), FakeProcesses(failing={"denoiser": "no memory"}))
    made = plan_queue(settings(folder))
    assert by_name(made.jobs)["whole"].state == "finished"
    assert by_name(made.jobs)["denoiser"].state == "failed"
    assert made.seconds == 10_000


def test_minutes_replace_the_steps_of_the_joint_stage(
    folder: Path, requests: list[TrainRequest]
) -> None:
    made = plan_queue(settings(folder, minutes=10))
    jobs = by_name(made.jobs)
    assert (jobs["denoiser"].stages[0].steps, jobs["denoiser"].stages[0].minutes) == (None, 5)
    assert jobs["denoiser"].seconds == 300
    assert jobs["whole"].stages[0].steps == 150


def test_a_job_of_several_processes_is_timed_with_its_part_of_a_batch(
    folder: Path, requests: list[TrainRequest]
) -> None:
    made = plan_queue(settings(folder, processes=4))
    assert by_name(made.jobs)["whole"].processes == 4
    assert by_name(made.jobs)["whole"].stages[-1].batch == 8
    assert requests[0].recipe.optimiser.batch == 2
    assert requests[0].recipe.identity.optimiser.batch == 8


def test_a_job_that_cannot_be_measured_does_not_stop_the_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch, requests: list[TrainRequest]
) -> None:
    plan = forecast.plan_training

    def fail(request: TrainRequest, **options: Any) -> TrainingPlan:
        if request.recipe.name == "denoiser":
            raise TrainingError("no memory")
        return plan(request, **options)

    monkeypatch.setattr(forecast, "plan_training", fail)
    made = plan_queue(settings(folder))
    job = by_name(made.jobs)["denoiser"]
    assert (job.stages, job.seconds, job.missing) == ((), None, "no memory")
    assert made.unknown == ("denoiser",)
    assert by_name(made.jobs)["longer"].seconds == 10_000


def test_a_measurement_that_fails_keeps_an_earlier_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(settings(folder))
    before = (folder / "out" / "estimates.json").read_text()

    def fail(request: TrainRequest, **options: Any) -> TrainingPlan:
        raise TrainingError("no memory")

    monkeypatch.setattr(forecast, "plan_training", fail)
    made = plan_queue(settings(folder))
    assert made.seconds == 50_225
    assert made.missing == {"no memory": list(JOBS)}
    assert (folder / "out" / "estimates.json").read_text() == before


def test_what_earlier_jobs_write_is_not_missing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what the user has to give is: here the faces."""

    def plan(name: str, components: Any, workers: int) -> StagePlan:
        options = components.recipe.steps(name)
        return StagePlan(name, options.steps, options.batch, {}, Speed(0.5, 0.1), 1, 0.0)

    monkeypatch.setattr(dry_run, "_plan_stage", plan)
    for name in ("whole", "ablation"):
        recipe = folder / f"{name}.toml"
        terms = "style_lr = 0.0\nperceptual_lr = 0.0\nperceptual_hr = 0.0\n"
        text = recipe.read_text().partition("[loss]")[0]
        recipe.write_text(f"{text}[loss]\n{terms}")
    given = settings(folder, features=None)
    assert {one.missing for one in plan_queue(given).jobs} == {
        f"{folder / 'faces'}: no such file or folder"
    }
    (folder / "faces").mkdir()
    (folder / "parsing.tar").touch()
    assert {one.missing for one in plan_queue(given).jobs} == {None}
