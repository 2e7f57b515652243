"""Commands that a signal ends: exit code, and nothing that stays behind.

A program that never ends takes the place of ffmpeg, so that the moment of the signal is certain.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from command_line import default_signals
from media.clips import noise, raw_h264

Weights = Callable[[int], Path]
PATIENCE = 600
RUN = "from jdsr_cli.cli.app import main; main()"
ALWAYS = (("salvage", signal.SIGTERM, "1"),)
"""What is tested in every run; the other combinations take as long again."""
CASES = (
    *ALWAYS,
    *(("salvage", number, "1") for number in (signal.SIGINT, signal.SIGHUP)),
    *(("hashes", number, "1") for number in (signal.SIGTERM, signal.SIGHUP)),
    *(("salvage", number, "2") for number in (signal.SIGTERM, signal.SIGHUP)),
)


class EndedRun:
    """A run whose ffmpeg never ends."""

    def __init__(self, folder: Path, weights: Path) -> None:
        self.pids, self.temporary, self.out = folder / "pids", folder / "temporary", folder / "out"
        self.temporary.mkdir()
        program = folder / "ffmpeg"
        program.write_text(f"#!/bin/sh\necho $$ >> '{self.pids}'\nexec sleep {PATIENCE}\n")
        program.chmod(0o755)
        self.fixed = ["--weights", str(weights), "--detector", "centerface", "--device", "cpu"]
        self.environment = {
            **os.environ, "TMPDIR": str(self.temporary), "IMAGEIO_FFMPEG_EXE": str(program),
            "OMP_NUM_THREADS": "1",
        }  # fmt: skip

    def start(self, *inputs: Path, jobs: str) -> subprocess.Popen[str]:
        words = ["restore", *map(str, inputs), "--out", str(self.out), "--jobs", jobs, *self.fixed]
        return subprocess.Popen(
            [sys.executable, "-c", RUN, *words], env=self.environment, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=default_signals,
        )  # fmt: skip

    def await_programs(self, count: int) -> list[int]:
        """Wait until ffmpeg was started so often; return the processes."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            found = self.pids.read_text().split() if self.pids.exists() else []
            if len(found) >= count:
                return [int(one) for one in found]
            time.sleep(0.05)
        raise AssertionError("ffmpeg was not started")


@pytest.fixture
def ended(tmp_path: Path, tiny_weights: Weights) -> Iterator[EndedRun]:
    run = EndedRun(tmp_path, tiny_weights(32))
    yield run
    for pid in run.pids.read_text().split() if run.pids.exists() else ():
        if is_running(int(pid)):
            os.kill(int(pid), signal.SIGKILL)


@contextmanager
def killed_at_the_end(process: subprocess.Popen[str]) -> Iterator[None]:
    """Kill a process that did not end, so that nothing waits for it."""
    try:
        yield
    finally:
        process.kill()


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("kind", "number", "jobs"),
    [pytest.param(*one, marks=() if one in ALWAYS else pytest.mark.nightly) for one in CASES],
)
def test_a_signal_leaves_no_child_and_no_copy(
    ended: EndedRun, clip: Path, tmp_path: Path, kind: str, number: int, jobs: str
) -> None:
    inputs = [clip]
    if kind == "salvage":
        inputs = [tmp_path / f"export{index}.dav" for index in range(int(jobs))]
        data = noise(1 << 20) + b"\0" + raw_h264(tmp_path).read_bytes()
        for path in inputs:
            path.write_bytes(data)
    with ended.start(*inputs, jobs=jobs) as process, killed_at_the_end(process):
        programs = ended.await_programs(int(jobs))
        if kind == "salvage":
            assert len(list(ended.temporary.glob("jdsr-work-*"))) == int(jobs)
        if number == signal.SIGTERM:
            process.send_signal(number)
        else:  # as a terminal does
            os.killpg(process.pid, number)
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, errors
    assert "interrupted: finished work is kept" in errors
    assert "Traceback" not in errors
    assert not any(map(is_running, programs))
    assert list(ended.temporary.glob("jdsr-*")) == []
    assert [path for path in ended.out.glob(".*.partial/**/*.partial*") if path.is_file()] == []


def test_a_reader_that_has_read_enough_gets_no_traceback() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", RUN, "weights", "list"], stdout=writing, stderr=subprocess.PIPE,
        check=False,
    )  # fmt: skip
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_output_that_cannot_be_stored_exits_with_6() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", RUN, "--version"], stdout=full, stderr=subprocess.PIPE,
            check=False,
        )  # fmt: skip
    assert done.returncode == 6
    assert done.stderr.startswith(b"error: standard output: cannot be written: the disk is full")
