"""A queue whose files cannot be written or read: what fails, and what goes on."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from queue_plans import ORDER, FakeProcesses, Notes, recorded, settings, states

from jdsr_cli.errors import OutputError, TrainingError, WeightsError
from jdsr_cli.weights import sha256_of
from jdsr_train.queue import execution
from jdsr_train.queue.children import ChildResult, run_child
from jdsr_train.queue.execution import run_queue


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 2}', '{"format": 1, "jobs": {"a": 5}}',
                                  '{"format": 1, "jobs": {"a": {"status": "x"}}}',
                                  '{"format": 1, "jobs": []}', '{"format": 1, "jobs": null}',
                                  '{"format": 1, "jobs": {"a": null}}',
                                  '{"format": 1, "jobs": {"a": [["state", "waiting"]]}}',
                                  "[" * 100_000])  # fmt: skip
def test_a_damaged_record_is_an_error(folder: Path, text: str) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "queue.json").write_text(text)
    with pytest.raises(TrainingError, match=r"queue\.json: cannot be read"):
        run_queue(settings(folder), Notes(), FakeProcesses())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("state", '"bogus"'), ("state", "null"), ("seconds", "-5"), ("seconds", "NaN"),
        ("seconds", "Infinity"), ("seconds", "1e300"), ("seconds", "9" * 400),
        ("seconds", "true"), ("seconds", '"7"'), ("command", "[1]"), ("command", '"train"'),
        ("options", '{"--data": 1}'), ("options", "[]"), ("taken", '{"init": null}'),
        ("sha256", "0"), ("weights", "{}"), ("steps", "7"),
    ],
)  # fmt: skip
def test_a_record_with_a_value_that_is_never_written_is_an_error(
    folder: Path, key: str, value: str
) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "queue.json").write_text(
        f'{{"format": 1, "jobs": {{"whole": {{"{key}": {value}}}}}}}'
    )
    start = FakeProcesses()
    with pytest.raises(TrainingError, match=r"queue\.json: cannot be read .*Delete it") as fault:
        run_queue(settings(folder), Notes(), start)
    assert "jobs: whole: " in str(fault.value)
    assert key in str(fault.value)
    assert start.started == []


@pytest.mark.parametrize("obstacle", ["file", "folder"])
def test_a_job_whose_output_cannot_be_kept_fails_and_the_others_go_on(
    folder: Path, obstacle: str
) -> None:
    blocked = folder / "out" / "denoiser"
    if obstacle == "file":
        blocked.parent.mkdir()
        blocked.touch()
    else:
        (blocked / "output.txt").mkdir(parents=True)
    start, notes = FakeProcesses(), Notes()

    def started(words: Sequence[str], log: Path, *more: Any) -> ChildResult:
        run_here = run_child if log.parent == blocked else start
        return run_here(words, log, *more)

    outcome = run_queue(settings(folder), notes, started)
    assert outcome.exit_code == 4
    assert states(outcome) == {
        **dict.fromkeys(ORDER, "finished"), "denoiser": "failed", "cbd_resolver_x4": "left out",
    }  # fmt: skip
    assert recorded(folder)["denoiser"]["state"] == "failed"
    error = recorded(folder)["denoiser"]["error"]
    assert error.startswith(f"{blocked / 'output.txt'}: cannot be written: ")
    assert f"denoiser: failed, {error}" in notes.notes
    if obstacle == "file":
        blocked.unlink()
    else:
        (blocked / "output.txt").rmdir()
    again = FakeProcesses()
    assert run_queue(settings(folder), Notes(), again).exit_code == 0
    assert again.started == ["denoiser", "cbd_resolver_x4"]


def test_a_job_with_weights_that_cannot_be_read_fails_and_the_others_go_on(folder: Path) -> None:
    start = FakeProcesses()

    def broken(words: Sequence[str], log: Path, *more: Any) -> ChildResult:
        result = start(words, log, *more)
        if log.parent.name == "denoiser":
            (log.parent / "weights" / "denoiser.safetensors").write_bytes(b"\xff" * 20)
        return result

    outcome = run_queue(settings(folder), Notes(), broken)
    assert states(outcome)["denoiser"] == "failed"
    assert "is not a safetensors file" in recorded(folder)["denoiser"]["error"]
    assert states(outcome)["longer"] == "finished"


def test_a_network_that_cannot_be_read_makes_only_the_jobs_fail_that_take_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(path: Path) -> str:
        if path.name == "identity.safetensors":
            raise WeightsError("cannot be read (Input/output error)", where=path)
        return sha256_of(path)

    monkeypatch.setattr(execution, "sha256_of", unreadable)
    outcome = run_queue(settings(folder), Notes(), FakeProcesses())
    assert states(outcome) == {**dict.fromkeys(ORDER, "finished"), "ablation": "failed"}
    assert "identity.safetensors: cannot be read" in recorded(folder)["ablation"]["error"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOLCK])
def test_a_lock_that_cannot_be_written_is_an_output_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(OutputError, match=r"queue\.lock: cannot be written"):
        run_queue(settings(folder), Notes(), FakeProcesses())
    monkeypatch.undo()
    (folder / "out" / "queue.lock").unlink()
    (folder / "out" / "queue.lock").mkdir()
    with pytest.raises(OutputError, match=r"queue\.lock: cannot be written: is a folder"):
        run_queue(settings(folder), Notes(), FakeProcesses())
