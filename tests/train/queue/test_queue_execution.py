"""A queue: order, resuming, failures, altered weights and changed options."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from queue_plans import ORDER, FakeProcesses, Notes, recorded, settings, states
from typer.main import get_command

from jdsr_cli.cli.app import app
from jdsr_cli.errors import OutputError, UsageError
from jdsr_cli.weights import sha256_of
from jdsr_train.queue.children import ChildResult
from jdsr_train.queue.execution import run_queue
from jdsr_train.queue.records import hold_folder


def test_jobs_run_in_order_with_what_they_take(folder: Path) -> None:
    start, notes = FakeProcesses(), Notes()
    outcome = run_queue(settings(folder), notes, start)
    assert start.started == ORDER
    assert outcome.exit_code == 0
    assert set(states(outcome).values()) == {"finished"}
    out = folder / "out"
    words = start.words["ablation"]
    assert words[words.index("--labels") + 1] == str(out / "whole/parser/parser.safetensors")
    assert words[words.index("--identity") + 1] == str(out / "whole/identity/identity.safetensors")
    weights = {name: out / name / "weights" / f"{name}.safetensors" for name in ORDER}
    words = start.words["longer"]
    assert words[words.index("--init") + 1] == str(weights["resolver"])
    assert start.words["cbd_resolver_x4"] == [
        "weights", "chain", str(weights["denoiser"]), str(weights["resolver"]), "--out",
        str(weights["cbd_resolver_x4"]),
    ]  # fmt: skip
    assert "job 2 of 6 (ablation)" in notes.notes
    assert "denoiser: done" in notes.notes


def test_the_record_has_command_options_and_weights(folder: Path) -> None:
    start = FakeProcesses()
    run_queue(settings(folder, steps=5), Notes(), start)
    jobs = recorded(folder)
    assert list(jobs) == ORDER
    record = jobs["longer"]
    path = folder / "out" / "longer" / "weights" / "longer.safetensors"
    assert record["command"] == start.words["longer"]
    assert record["weights"] == "longer/weights/longer.safetensors"
    assert (record["state"], record["steps"]) == ("finished", "7")
    assert record["sha256"] == sha256_of(path)
    assert record["options"]["--steps"] == "5"
    assert record["options"]["--init"] == "resolver"
    assert record["taken"] == {"init": jobs["resolver"]["sha256"]}
    assert record["seconds"] > 0


def test_a_second_start_runs_nothing_again(folder: Path) -> None:
    run_queue(settings(folder), Notes(), FakeProcesses())
    again = FakeProcesses()
    outcome = run_queue(settings(folder), Notes(), again)
    assert again.started == []
    assert outcome.exit_code == 0


def test_an_interrupted_queue_continues_with_the_same_job(folder: Path) -> None:
    start = FakeProcesses(interrupted="denoiser")
    with pytest.raises(KeyboardInterrupt):
        run_queue(settings(folder), Notes(), start)
    assert start.started == ["whole", "ablation", "denoiser"]
    assert recorded(folder)["denoiser"]["state"] == "interrupted"
    before = recorded(folder)["denoiser"]["seconds"]
    again = FakeProcesses()
    outcome = run_queue(settings(folder), Notes(), again)
    assert again.started == ["denoiser", "resolver", "cbd_resolver_x4", "longer"]
    assert again.words["denoiser"] == start.words["denoiser"]
    assert recorded(folder)["denoiser"]["seconds"] > before
    assert outcome.exit_code == 0


def test_a_job_whose_queue_was_killed_is_continued(folder: Path) -> None:
    class Killed(Exception):  # noqa: N818
        pass

    def kill(*_: object) -> ChildResult:
        raise Killed

    with pytest.raises(Killed):
        run_queue(settings(folder), Notes(), kill)
    assert recorded(folder)["whole"]["state"] == "running"
    again = FakeProcesses()
    run_queue(settings(folder), Notes(), again)
    assert again.started == ORDER


def test_a_signal_between_two_jobs_starts_no_further_one(folder: Path) -> None:
    start = FakeProcesses()

    def signalled(words: Sequence[str], *more: Any) -> ChildResult:
        result = start(words, *more)
        if start.started[-1] == "ablation":
            signal.raise_signal(signal.SIGTERM)
        return result

    with pytest.raises(KeyboardInterrupt):
        run_queue(settings(folder), Notes(), signalled)
    assert start.started == ["whole", "ablation"]
    assert recorded(folder)["ablation"]["state"] == "finished"


def test_a_failing_job_stops_only_those_that_need_it(folder: Path) -> None:
    start, notes = FakeProcesses(failing={"resolver": "the loss is not finite"}), Notes()
    outcome = run_queue(settings(folder), notes, start)
    assert start.started == ["whole", "ablation", "denoiser", "resolver"]
    assert outcome.exit_code == 4
    found = states(outcome)
    assert found["resolver"] == "failed"
    assert found["cbd_resolver_x4"] == found["longer"] == "left out"
    errors = {one.name: one.record.error for one in outcome.jobs if one.record.error}
    assert errors == {
        "resolver": "the loss is not finite", "cbd_resolver_x4": "needs resolver",
        "longer": "needs resolver",
    }  # fmt: skip
    assert "job 6 of 6 (longer): left out, needs resolver" in notes.notes
    again = FakeProcesses()
    assert run_queue(settings(folder), Notes(), again).exit_code == 0
    assert again.started == ["resolver", "cbd_resolver_x4", "longer"]


def test_a_parser_of_a_failed_job_can_be_used(folder: Path) -> None:
    """It was complete before the stage that failed."""
    start = FakeProcesses(failing={"whole": "the loss is not finite"})
    for stage in ("parser", "identity"):
        start.write(folder / "out" / "whole" / stage / f"{stage}.safetensors")
    assert states(run_queue(settings(folder), Notes(), start))["ablation"] == "finished"


def test_a_job_without_the_networks_of_a_failed_one_is_left_out(folder: Path) -> None:
    start = FakeProcesses(failing={"whole": "no memory"})
    outcome = run_queue(settings(folder), Notes(), start)
    assert states(outcome)["ablation"] == "left out"
    assert "ablation" not in start.started


def test_a_job_that_leaves_no_weights_has_failed(folder: Path) -> None:
    outcome = run_queue(settings(folder), Notes(), lambda *_: ChildResult(0, ""))
    assert outcome.jobs[0].record.error == "ended without weights"
    killed = run_queue(settings(folder), Notes(), lambda *_: ChildResult(-9, ""))
    assert killed.jobs[0].record.error == "ended with -9"


@pytest.mark.parametrize("change", ["altered", "missing"])
def test_weights_that_are_not_as_written_are_made_again(folder: Path, change: str) -> None:
    run_queue(settings(folder), Notes(), FakeProcesses())
    path = folder / "out" / "denoiser" / "weights" / "denoiser.safetensors"
    if change == "altered":
        path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    else:
        path.unlink()
    again, notes = FakeProcesses(), Notes()
    assert run_queue(settings(folder), notes, again).exit_code == 0
    assert again.started == ["denoiser"]
    assert any("missing or altered" in note for note in notes.notes)


def test_a_chain_is_made_again_of_other_weights(folder: Path) -> None:
    run_queue(settings(folder), Notes(), FakeProcesses())
    (folder / "out" / "denoiser" / "weights" / "denoiser.safetensors").unlink()
    again = FakeProcesses(version=2)
    run_queue(settings(folder), Notes(), again)
    assert again.started == ["denoiser", "cbd_resolver_x4"]


def test_a_job_does_not_continue_with_another_network_of_an_earlier_job(folder: Path) -> None:
    run_queue(settings(folder), Notes(), FakeProcesses())
    FakeProcesses(version=2).write(folder / "out" / "whole" / "identity" / "identity.safetensors")
    for _ in range(2):  # the second start knows it as well
        again = FakeProcesses()
        outcome = run_queue(settings(folder), Notes(), again)
        assert again.started == []
        assert outcome.exit_code == 4
        error = outcome.jobs[1].record.error
        assert error.startswith("its --identity of whole has changed since it began: delete")
    (folder / "out" / "ablation" / "joint" / "checkpoint.pt").unlink()
    assert run_queue(settings(folder), Notes(), again).exit_code == 0
    assert again.started == ["ablation"]


def test_a_finished_job_with_other_options_is_an_error(folder: Path) -> None:
    run_queue(settings(folder), Notes(), FakeProcesses())
    again = FakeProcesses()
    with pytest.raises(UsageError, match="whole was finished with no --steps, not 5"):
        run_queue(settings(folder, steps=5), Notes(), again)
    recipe = folder / "denoiser.toml"
    recipe.write_text("seed = 5\n" + recipe.read_text())
    with pytest.raises(UsageError, match="denoiser was finished with another content of its rec"):
        run_queue(settings(folder), Notes(), again)
    assert again.started == []


def test_other_workers_or_processes_continue(folder: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_queue(settings(folder), Notes(), FakeProcesses(interrupted="denoiser"))
    again = FakeProcesses()
    run_queue(settings(folder, workers=5, processes=2), Notes(), again)
    assert again.started[0] == "denoiser"
    assert "--workers" in again.words["denoiser"]


def test_only_one_queue_runs_in_a_folder(folder: Path) -> None:
    with hold_folder(folder / "out"), pytest.raises(OutputError, match="another process"):
        run_queue(settings(folder), Notes(), FakeProcesses())


def test_the_commands_that_fill_the_tables_are_named(folder: Path, template_folder: Path) -> None:
    outcome = run_queue(settings(folder, masks=template_folder), Notes(), FakeProcesses())
    out, masks = folder / "out", f"--masks {template_folder}"
    assert outcome.evaluations == (
        f"jdsr eval --table 2 --checkpoints {out} --data {folder / 'faces'} {masks} "
        f"--out {out / 'table-2'}",
        f"jdsr eval --table generality --checkpoints {out} --data helen/ {masks} "
        f"--out {out / 'table-generality'}",
    )
    command = get_command(app).commands["eval"]
    for line in outcome.evaluations:
        command.make_context("eval", shlex.split(line)[2:])  # an unknown option raises


def test_a_queue_is_not_started_by_torchrun(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="--plan: a queue starts the processes"):
        run_queue(settings(folder), Notes(), FakeProcesses())


def test_a_share_of_the_time_that_is_too_short_is_refused_before_anything_runs(
    folder: Path,
) -> None:
    start = FakeProcesses()
    with pytest.raises(UsageError, match="--minutes"):
        run_queue(settings(folder, minutes=0.15), Notes(), start)
    assert start.started == []


def test_the_folder_of_a_plan_is_named_after_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    run_queue(settings(folder, out=None), Notes(), FakeProcesses())
    assert (folder / "runs" / "plan" / "queue.json").is_file()


def test_a_finished_job_is_accepted_with_another_spelling_of_a_file_only(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that an earlier version recorded by a relative path."""
    monkeypatch.chdir(folder)
    run_queue(settings(folder, features="vgg.pth"), Notes(), FakeProcesses())
    path = folder / "out" / "queue.json"
    absolute = recorded(folder)["whole"]["options"]["--features"]
    assert absolute == str(folder / "vgg.pth")
    path.write_text(path.read_text().replace(f'features": "{absolute}"', 'features": "vgg.pth"'))
    assert recorded(folder)["whole"]["options"]["--features"] == "vgg.pth"
    again = FakeProcesses()
    assert run_queue(settings(folder, features="./vgg.pth"), Notes(), again).exit_code == 0
    assert recorded(folder)["whole"]["options"]["--features"] == absolute
    (folder / "sub").mkdir()
    monkeypatch.chdir(folder / "sub")
    assert run_queue(settings(folder, features="../vgg.pth"), Notes(), again).exit_code == 0
    with pytest.raises(UsageError, match="whole was finished with --features"):
        run_queue(settings(folder, features="vgg.pth"), Notes(), again)
    assert again.started == []
