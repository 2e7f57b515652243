"""Processes of a queue: their output, their errors, and the signals that reach them once."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from jdsr_cli.errors import OutputError
from jdsr_train.queue import children
from jdsr_train.queue.children import ChildResult, Interruption, run_child
from jdsr_train.queue.records import hold_folder

COUNTER = """
import signal, sys, time
from pathlib import Path
count = Path("signals")
def receive(number, frame):
    with count.open("a") as file:
        file.write("x")
signal.signal(signal.SIGTERM, receive)
signal.signal(signal.SIGINT, receive)
print("ready", flush=True)
until = time.monotonic() + 600
while not count.exists() and time.monotonic() < until:
    time.sleep(0.01)
time.sleep(0.8)
print("exported", flush=True)
sys.exit(130)
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that makes `python -m jdsr_cli` run this code instead."""

    def write(code: str) -> None:
        package = tmp_path / "fake" / "jdsr_cli"
        package.mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").touch()
        (package / "__main__.py").write_text(code, encoding="utf-8")

    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "fake"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(children, "TICK", 0.05)
    return write


def run(
    words: list[str],
    interruption: Interruption | None = None,
    on_line: Callable[[str], None] = lambda line: None,
    on_tick: Callable[[], None] = lambda: None,
    lock: int | None = None,
) -> ChildResult:
    log = Path("log", "output.txt")
    return run_child(words, log, interruption or Interruption(), on_line, on_tick, lock)


def test_output_is_passed_on_and_kept(script: Callable[[str], None]) -> None:
    script("import sys, time\nprint(sys.argv[1:])\ntime.sleep(0.3)\nsys.stderr.write('two\\n')")
    lines: list[str] = []
    ticks: list[float] = []
    result = run(["train", "--steps", "3"], None, lines.append, lambda: ticks.append(0))
    assert result == ChildResult(0, "")
    assert sorted(lines) == ["['train', '--steps', '3']", "two"]
    assert ticks
    kept = Path("log/output.txt").read_text()
    assert kept.startswith("$ jdsr train --steps 3\n")
    assert "two\n" in kept
    run(["again"])
    assert Path("log/output.txt").read_text().startswith(kept)


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("print('error: no faces')\nprint('epilogue')\nraise SystemExit(3)", (3, "no faces")),
        ("print('error: one')\nprint('error: two')\nraise SystemExit(1)", (1, "two")),
        ("print('step 3', flush=True)\nimport os\nos.kill(os.getpid(), 9)", (-9, "step 3")),
        ("raise RuntimeError('odd')", (1, "RuntimeError: odd")),
    ],
)
def test_a_failure_has_its_last_error_line(
    script: Callable[[str], None], code: str, result: tuple[int, str]
) -> None:
    script(code)
    assert run([]) == ChildResult(*result)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_reaches_the_process_once_and_its_end_is_awaited(
    script: Callable[[str], None], number: signal.Signals, request: pytest.FixtureRequest
) -> None:
    before = signal.signal(number, signal.default_int_handler)  # `nohup` makes it ignored
    request.addfinalizer(lambda: signal.signal(number, before))
    script(COUNTER)
    interruption = Interruption()
    lines: list[str] = []

    def send(line: str) -> None:
        lines.append(line)
        if line == "ready":
            for _ in range(2):
                os.kill(os.getpid(), number)
                time.sleep(0.4)  # so that the process has counted it

    with interruption.handled(), pytest.raises(KeyboardInterrupt):
        run([], interruption, send)
    assert Path("signals").read_text() == "x"
    assert lines == ["ready", "exported"]


def test_ctrl_c_of_a_terminal_does_not_reach_the_process(script: Callable[[str], None]) -> None:
    script("import os\nprint(os.getsid(0) == os.getpid())")
    lines: list[str] = []
    run([], None, lines.append)
    assert lines == ["True"]


def test_a_signal_that_came_before_ends_the_process(script: Callable[[str], None]) -> None:
    script("import time\ntime.sleep(600)")
    interruption = Interruption()
    with interruption.handled():
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            run([], interruption)
        with pytest.raises(KeyboardInterrupt):
            interruption.check()


def test_a_process_that_was_interrupted_by_itself_ends_the_queue(
    script: Callable[[str], None],
) -> None:
    script("raise SystemExit(130)")
    with pytest.raises(KeyboardInterrupt):
        run([])


def test_a_process_that_ends_well_although_a_signal_came_is_done(
    script: Callable[[str], None],
) -> None:
    script("import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('on', flush=True)\n"
           "import time\ntime.sleep(0.3)")  # fmt: skip
    interruption = Interruption()
    with interruption.handled():
        result = run([], interruption, lambda line: os.kill(os.getpid(), signal.SIGTERM))
    assert result.code == 0
    assert interruption.requested


def test_signals_are_handled_as_before_afterwards_and_ignored_ones_stay_so() -> None:
    before = signal.getsignal(signal.SIGTERM)
    ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interruption().handled():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) != before
        assert signal.getsignal(signal.SIGTERM) == before
    finally:
        signal.signal(signal.SIGHUP, ignored)


def test_other_threads_leave_signals_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    found: list[object] = []

    def look() -> None:
        with Interruption().handled():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [before]


def test_a_process_holds_the_lock_of_its_queue(
    script: Callable[[str], None], tmp_path: Path
) -> None:
    """So that no second queue trains in the folder of one that was killed."""
    script("import time\nprint('on', flush=True)\ntime.sleep(1)")
    folder, running = tmp_path / "out", threading.Event()
    with hold_folder(folder) as lock:
        child = threading.Thread(target=run, args=([], None, lambda _: running.set()),
                                 kwargs={"lock": lock})  # fmt: skip
        child.start()
        assert running.wait(600)
    with pytest.raises(OutputError, match="another process runs the queue"), hold_folder(folder):
        pass
    child.join()
    with hold_folder(folder):
        pass
