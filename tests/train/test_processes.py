"""The training command as a process: signals, several processes, compiled networks."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from tiny_recipe import tiny_recipe

from jdsr_cli.weights import load_state, read_manifest
from jdsr_train.processes import STARTED_VARIABLE, single_threaded, start_time

Command = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory, write_faces: Callable[..., Path]) -> Path:
    return write_faces(tmp_path_factory.mktemp("faces"), ("train-0.tar", "val-0.tar"))


@pytest.fixture
def command(faces: Path, tmp_path: Path) -> Iterator[Command]:
    started: list[subprocess.Popen[str]] = []

    def start(out: Path, steps: int, *more: object) -> subprocess.Popen[str]:
        recipe = tmp_path / "tiny.toml"
        recipe.write_text(tiny_recipe(steps, batch=4), encoding="utf-8")
        words = ["--data", faces, "--recipe", recipe, "--out", out, "--cache", tmp_path / "cache"]
        process = subprocess.Popen(
            [sys.executable, "-m", "jdsr_cli", "train", *map(str, [*words, "--device", "cpu"])]
            + [str(word) for word in more],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:  # a test failed
            process.kill()
            process.communicate()


def test_sigterm_ends_a_command_with_its_weights_written(command: Command, tmp_path: Path) -> None:
    running = command(tmp_path / "run", 10_000_000, "--workers", 1)
    log = tmp_path / "run" / "joint" / "log.jsonl"
    until = time.monotonic() + 600
    while time.monotonic() < until and not log.exists():
        time.sleep(0.1)
    running.send_signal(signal.SIGTERM)
    output, _ = running.communicate(timeout=600)
    assert running.returncode == 130, output
    assert "Traceback" not in output
    (entry,) = read_manifest(tmp_path / "run" / "weights" / "manifest.toml")
    assert re.search(r"stopped at step \d+ of 10,000,000", str(entry.figures["protocol"]))


SHARING = """
import socket, sys, time
from multiprocessing import connection, resource_sharer
from jdsr_train.processes import without_lost_peers

if {quiet}:
    without_lost_peers(0)
address, _ = resource_sharer.DupFd(0)._id
{contact}
time.sleep(0.5)
sys.excepthook(ValueError, ValueError("of another kind"), None)
"""
"""A process that shares a file descriptor with another one, which is lost."""
CONTACTS = {
    "before its answer": "socket.socket(socket.AF_UNIX).connect(address)",
    "in a message": """
peer = socket.socket(socket.AF_UNIX)
peer.connect(address)
peer.sendall(b"abc")
peer.close()
""",
    "before its request": """
from multiprocessing import process
connection.Client(address, authkey=process.current_process().authkey).close()
""",
}


@pytest.mark.parametrize("contact", CONTACTS.values(), ids=CONTACTS)
def test_a_worker_is_silent_about_a_peer_that_is_lost(contact: str) -> None:
    errors = [
        subprocess.run(
            [sys.executable, "-c", SHARING.format(quiet=quiet, contact=contact)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=True, capture_output=True, text=True,
        ).stderr
        for quiet in (False, True)
    ]  # fmt: skip
    assert "resource_sharer" in errors[0]
    assert errors[1] == "ValueError: of another kind\n"


def test_two_processes_share_a_step_and_its_gradients(command: Command, tmp_path: Path) -> None:
    """The result is that of one process with the same faces, to rounding."""
    for name, more in (("one", ()), ("two", ("--processes", "2"))):
        output, _ = command(tmp_path / name, 6, "--workers", 0, *more).communicate(timeout=600)
        assert f"joint -> {tmp_path / name}/weights/tiny.safetensors\n" in output
        assert output.count("joint ->") == 1
    one, two = (
        torch.load(tmp_path / name / "joint" / "checkpoint.pt", weights_only=True)
        for name in ("one", "two")
    )
    assert one["step"] == two["step"] == 6
    differs = False
    for name, value in one["average"].items():
        torch.testing.assert_close(two["average"][name], value, rtol=1e-3, atol=1e-4)
        differs |= not torch.equal(two["average"][name], value)
    assert differs  # two processes sum gradients in another order


@pytest.mark.nightly
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_a_compiled_network_trains_the_same_weights(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "kernels"))
    for name, more in (("uncompiled", ()), ("compiled", ("--compile",))):
        output, _ = command(tmp_path / name, 4, "--workers", 0, *more).communicate(timeout=600)
        assert "joint ->" in output, output
    uncompiled, compiled = (
        load_state(tmp_path / name / "weights" / "tiny.safetensors")
        for name in ("uncompiled", "compiled")
    )
    assert uncompiled.keys() == compiled.keys()
    assert list((tmp_path / "kernels").rglob("*.so"))
    for name, value in uncompiled.items():
        torch.testing.assert_close(compiled[name], value, rtol=1e-2, atol=1e-3)


def test_a_training_process_uses_one_thread_of_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with single_threaded("cpu"):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        with single_threaded("cuda"):
            assert torch.get_num_threads() == 2
        monkeypatch.setenv("OMP_NUM_THREADS", "2")
        with single_threaded("cpu"):
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_processes_of_a_run_share_the_start_time_of_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(STARTED_VARIABLE, "12.5")
    assert start_time() == 12.5
    monkeypatch.delenv(STARTED_VARIABLE)
    assert abs(start_time() - time.monotonic()) < 1
