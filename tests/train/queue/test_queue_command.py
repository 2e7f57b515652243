"""`jdsr train --plan` on the command line, with real trainings of tiny networks."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import one_line, run

from jdsr_cli.weights import entry, load_generator
from jdsr_train import dry_run
from jdsr_train.queue import execution
from jdsr_train.queue.children import ChildResult

SCHEDULE = """
[data]
drawn_masks = 2
[optimiser]
steps = {steps}
batch = 2
warmup = 1
"""
PLAN = """
tables = ["3"]
[[job]]
recipe = "cleaning_x4.toml"
[[job]]
recipe = "doubling_x4.toml"
[[chain]]
denoiser = "cleaning_x4"
super_resolver = "doubling_x4"
"""


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory, write_faces: Callable[..., Path]) -> Path:
    return write_faces(tmp_path_factory.mktemp("faces"), ("train-0.tar", "val-0.tar"))


def write_tiny_plan(folder: Path, steps: int) -> Path:
    schedule = SCHEDULE.format(steps=steps)
    (folder / "cleaning_x4.toml").write_text(
        'base = "cbdnet_x4_small"\n[generator.arguments]\nnoise_width = 16\n'
        f"denoiser_widths = [16, 16, 16]\n{schedule}"
    )
    (folder / "doubling_x4.toml").write_text(
        f'base = "drn_x4_small"\n[generator.arguments]\nblocks = 1\nfeatures = 4\n{schedule}'
    )
    path = folder / "tiny.toml"
    path.write_text(PLAN)
    return path


def command(folder: Path, faces: Path, *more: object) -> list[object]:
    return [
        "train", "--data", faces, "--plan", folder / "tiny.toml", "--out", folder / "out",
        "--device", "cpu", "--workers", 0, *more,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "option",
    [("--recipe", "drn_x4"), ("--model", "drn"), ("--scale", "4"), ("--stage", "joint"),
     ("--init", "lite-x4"), ("--deadline", "60")],
)  # fmt: skip
def test_options_of_a_single_run_are_refused(
    tmp_path: Path, faces: Path, option: tuple[str, str]
) -> None:
    write_tiny_plan(tmp_path, 2)
    line = one_line(run(*command(tmp_path, faces, *option)), 2)
    assert f"--plan: {option[0]} is for a single run" in line


def test_an_unknown_plan_is_a_one_line_error(tmp_path: Path, faces: Path) -> None:
    result = run("train", "--data", faces, "--plan", "reproduc", "--out", tmp_path / "out")
    assert "no plan 'reproduc'. Nearest: reproduce" in one_line(result, 2)
    assert not (tmp_path / "out").exists()


def test_results_are_a_table_with_the_errors_and_the_next_commands(
    tmp_path: Path, faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(words: list[str], *_: Any) -> ChildResult:
        return ChildResult(1, "the loss is not finite")

    monkeypatch.setattr(execution.run_queue, "__defaults__", (None, fail))
    write_tiny_plan(tmp_path, 2)
    result = run(*command(tmp_path, faces, "--quiet"))
    assert result.exit_code == 4
    assert "cleaning_x4: failed, the loss is not finite" in result.stdout
    assert "cbd_doubling_x4: left out, needs cleaning_x4" in result.stdout
    last = result.stdout.splitlines()[-1]
    assert last.startswith(f"jdsr eval --table 3 --checkpoints {tmp_path / 'out'} --data {faces}")


def test_an_interrupted_queue_exits_with_130(
    tmp_path: Path, faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> ChildResult:
        raise KeyboardInterrupt

    monkeypatch.setattr(execution.run_queue, "__defaults__", (None, interrupt))
    write_tiny_plan(tmp_path, 2)
    result = run(*command(tmp_path, faces, "--quiet"))
    assert result.exit_code == 130
    assert "training resumes" in result.stderr


def test_a_dry_run_shows_every_job_and_trains_nothing(
    tmp_path: Path, faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dry_run, "TRIAL_SECONDS", 0.01)
    write_tiny_plan(tmp_path, 70)
    result = run(*command(tmp_path, faces, "--dry-run", "--quiet"))
    assert result.exit_code == 0, result.output
    for text in ("tiny on cpu", "cleaning_x4", "doubling_x4", "70"):
        assert text in result.stdout
    assert "then chained: cbd_doubling_x4" in result.stdout
    assert result.stdout.splitlines()[-1] == "in all 0.0 h"
    assert "cannot start" not in result.stdout
    timed = run(*command(tmp_path, faces, "--dry-run", "--quiet", "--minutes", 2))
    assert "in 2 min" in timed.stdout
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["estimates.json"]


@pytest.mark.nightly
def test_a_queue_is_interrupted_continued_and_chained(
    tmp_path: Path, faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny_plan(tmp_path, 120)
    words = [str(word) for word in command(tmp_path, faces)]
    start = [sys.executable, "-m", "jdsr_cli", *words]
    running = subprocess.Popen(
        start, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )  # fmt: skip
    out = tmp_path / "out"
    log, until = out / "cleaning_x4" / "joint" / "log.jsonl", time.monotonic() + 600
    while not log.exists() and time.monotonic() < until:
        time.sleep(0.05)
    running.send_signal(signal.SIGTERM)
    output, _ = running.communicate(timeout=600)
    assert running.returncode == 130, output
    assert "Traceback" not in output
    weights = out / "cleaning_x4" / "weights" / "cleaning_x4.safetensors"
    assert weights.is_file()
    record = json.loads((out / "queue.json").read_text())["jobs"]
    assert [one["state"] for one in record.values()] == ["interrupted", "waiting", "waiting"]

    done = subprocess.run(start, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "cleaning_x4: joint: resumed at step" in done.stderr
    record = json.loads((out / "queue.json").read_text())["jobs"]
    assert [one["state"] for one in record.values()] == ["finished"] * 3
    assert record["cleaning_x4"]["steps"] == "120"
    assert len(list((out / "cache").glob("faces-*.rgb"))) == 2, "train and val, once"
    chained = out / "cbd_doubling_x4" / "weights"
    monkeypatch.setenv("JDSR_WEIGHTS", str(chained))
    assert entry("cbd-doubling-x4").recipe == "cbd_doubling_x4"
    assert load_generator("cbd-doubling-x4", "cpu", "float32").lr_size == 32
    again = subprocess.run(start, capture_output=True, text=True, check=False, timeout=600)
    assert again.returncode == 0
    assert "job 1" not in again.stderr
