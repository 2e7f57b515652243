"""Signals that end a command, in real processes; what is waited for is their output."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import pytest
from command_line import default_signals

from jdsr_cli.signals import ENDING, interrupting_signals

PATIENCE = 600
"""Seconds after which a process that should have ended makes a test fail."""
START = """
import os, select, signal, sys, threading, time
from jdsr_cli.signals import interrupting_signals

def say(text):
    print(text, flush=True)

def wait_for_answer():
    # A signal that comes just before a read is handled after it, therefore none waits for long.
    while not select.select([sys.stdin], [], [], 0.05)[0]:
        pass
    sys.stdin.readline()
"""
CLOSING = """
try:
    with interrupting_signals(ends_process=True):
        try:
            say("ready")
            time.sleep(600)
        finally:
            say("closing")
            wait_for_answer()
            say("closed")
except KeyboardInterrupt:
    say("interrupted")
    wait_for_answer()
"""
IGNORED = """
with interrupting_signals():
    say("ready")
    wait_for_answer()
    say("alive")
"""
LOST = """
class Loud:
    def __del__(self):
        say("ready")
        time.sleep(600)

try:
    with interrupting_signals():
        Loud()
        say("lost")
        time.sleep(600)
except KeyboardInterrupt:
    say("interrupted")
"""
FORKED = """
with interrupting_signals():
    child = os.fork()
    if not child:
        try:
            say(os.getpid())
            time.sleep(600)
        except KeyboardInterrupt:
            os._exit(7)
    _, status = os.waitpid(child, 0)
    say(os.waitstatus_to_exitcode(status))
"""


@contextmanager
def started(code: str, *, ignoring: int | None = None) -> Iterator[subprocess.Popen[str]]:
    """Run code in another process, which may ignore a signal from its start."""
    if ignoring is not None:
        code = f"import os, signal, sys\nsignal.signal({int(ignoring)}, signal.SIG_IGN)\n" + (
            f"os.execv(sys.executable, [sys.executable, '-c', {START + code!r}])"
        )
    else:
        code = START + code
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=-1, stdout=-1, stderr=-1, text=True,
        preexec_fn=default_signals,
    )  # fmt: skip
    guard = threading.Timer(PATIENCE, process.kill)
    guard.start()
    try:
        yield process
    finally:
        guard.cancel()
        process.kill()
        process.communicate()


def line(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.readline().strip()


def answer(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.parametrize("number", ENDING)
def test_later_signals_do_not_disturb_what_the_first_one_ends(number: signal.Signals) -> None:
    with started(CLOSING) as process:
        assert line(process.stdout) == "ready"
        process.send_signal(number)
        assert line(process.stdout) == "closing"
        for again in (*ENDING, *ENDING):
            process.send_signal(again)
        assert "finished work is being kept" in line(process.stderr)
        answer(process)
        assert line(process.stdout) == "closed"
        assert line(process.stdout) == "interrupted"
        for again in ENDING:  # while the interpreter would be closed
            process.send_signal(again)
        answer(process)
        assert process.wait(PATIENCE) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_that_is_ignored_at_the_start_stays_ignored(number: signal.Signals) -> None:
    """As `nohup` asks for."""
    with started(IGNORED, ignoring=number) as process:
        assert line(process.stdout) == "ready"
        process.send_signal(number)
        answer(process)
        assert line(process.stdout) == "alive"
        assert process.wait(PATIENCE) == 0


def test_a_signal_whose_exception_is_lost_comes_again() -> None:
    with started(LOST) as process:
        assert line(process.stdout) == "ready"
        process.send_signal(signal.SIGTERM)
        assert line(process.stdout) == "lost"
        assert line(process.stdout) == "interrupted"
        assert process.wait(PATIENCE) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 7)]
)
def test_forked_processes_end_without_closing_anything(number: int, code: int) -> None:
    with started(FORKED) as process:
        os.kill(int(line(process.stdout)), number)
        assert line(process.stdout) == str(code)


def test_handlers_are_restored_and_nested_blocks_add_nothing() -> None:
    before = [signal.getsignal(number) for number in ENDING]
    with interrupting_signals():
        inside = [signal.getsignal(number) for number in ENDING]
        with interrupting_signals():
            assert [signal.getsignal(number) for number in ENDING] == inside
        assert [signal.getsignal(number) for number in ENDING] == inside
    assert inside != before
    assert [signal.getsignal(number) for number in ENDING] == before


def test_another_thread_handles_no_signals() -> None:
    found = []

    def look() -> None:
        with interrupting_signals():
            found.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [before]
