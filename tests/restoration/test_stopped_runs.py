"""Runs that other signals end, or stop for a while, in mid-run."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from killed_run import run_until_killed, start_run
from nightly_cases import mostly_nightly
from suite_clips import Undisturbed, file_hashes

from jdsr_cli.restoration import restore

POINT = "before a line of the journal"
SIGNALS = [signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGXCPU]
"""What ends a process that does not handle it."""


@pytest.mark.parametrize("by", mostly_nightly(SIGNALS, [signal.SIGUSR1]), ids=lambda one: one.name)
def test_a_run_ended_by_any_signal_resumes_to_the_same_bytes(
    undisturbed: Undisturbed, tmp_path: Path, by: signal.Signals
) -> None:
    run_until_killed(POINT, undisturbed.clip, tmp_path, undisturbed.settings, by)
    assert not (tmp_path / "walk").exists()
    again = replace(undisturbed.settings, resume=True)
    assert restore([undisturbed.clip], tmp_path, again).exit_code == 0
    assert file_hashes(tmp_path / "walk") == file_hashes(undisturbed.result)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the state of a process from /proc")
def test_a_run_that_was_stopped_and_continued_is_the_same(
    undisturbed: Undisturbed, tmp_path: Path
) -> None:
    run = start_run(POINT, undisturbed.clip, tmp_path, undisturbed.settings, signal.SIGSTOP)
    status = Path(f"/proc/{run.pid}/stat")
    deadline = time.monotonic() + 600
    while status.read_text().rpartition(")")[2].split()[0] != "T":
        assert run.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert not (tmp_path / "walk").exists()
    assert run.pid is not None
    os.kill(run.pid, signal.SIGCONT)
    run.join()
    assert run.exitcode == 0
    assert file_hashes(tmp_path / "walk") == file_hashes(undisturbed.result)
