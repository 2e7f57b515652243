"""Processes of a queue: their output, their errors, and the signals that reach them once."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest

from jdsr_cli.errors import OutputError, TrainingError
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


def test_any_bytes_of_a_path_are_kept_in_the_output(script: Callable[[str], None]) -> None:
    script("import os, sys\nprint(os.fsencode(sys.argv[2]) == b'caf\\xe9')")
    lines: list[str] = []
    assert run(["--data", os.fsdecode(b"caf\xe9")], None, lines.append).code == 0
    assert lines == ["True"]
    assert Path("log/output.txt").read_bytes().startswith(b"$ jdsr --data caf\xe9\n")


def test_an_output_that_cannot_be_opened_is_an_output_error(script: Callable[[str], None]) -> None:
    script("from pathlib import Path\nPath('started').touch()")
    Path("log").touch()
    with pytest.raises(OutputError, match=r"log/output\.txt: cannot be written: .* Remove it"):
        run([])
    Path("log").unlink()
    Path("log/output.txt").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"log/output\.txt: cannot be written: is a folder"):
        run([])
    assert not Path("started").exists()


class FullDisk:
    """A file on a disk that is full after this number of flushed lines."""

    def __init__(self, file: IO[str], lines: int) -> None:
        self.file, self.remaining = file, lines

    def write(self, text: str) -> int:
        return self.file.write(text)

    def flush(self) -> None:
        self.remaining -= 1
        if self.remaining < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.file.flush()

    def close(self) -> None:
        self.file.close()
        if self.remaining < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def fill_disk(monkeypatch: pytest.MonkeyPatch, lines: int) -> None:
    """Let files that are appended to accept this number of lines."""
    opened = Path.open

    def open_file(path: Path, mode: str = "r", *more: Any, **named: Any) -> Any:
        file = opened(path, mode, *more, **named)
        return FullDisk(file, lines) if path.name == "output.txt" else file

    monkeypatch.setattr(Path, "open", open_file)


@pytest.mark.parametrize("lines", [0, 1, 2])
def test_a_process_whose_output_cannot_be_kept_is_ended_once_and_awaited(
    script: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, lines: int
) -> None:
    """It exports its weights after the signal, which a second one would interrupt."""
    script(COUNTER.replace('print("ready"', 'print("one")\nprint("ready"'))
    fill_disk(monkeypatch, lines)
    interruption = Interruption()
    with pytest.raises(OutputError, match=r"log/output\.txt: cannot be written: the disk is full"):
        run([], interruption)
    assert not interruption.requested
    signals = Path("signals").read_text() if Path("signals").exists() else ""
    assert signals == ("x" if lines else "")


def test_a_signal_after_the_output_was_lost_does_not_reach_the_process_again(
    script: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    script(COUNTER)
    fill_disk(monkeypatch, 1)
    interruption = Interruption()

    def signal_later() -> None:
        until = time.monotonic() + 600
        while not Path("signals").exists() and time.monotonic() < until:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    sender = threading.Thread(target=signal_later)
    sender.start()
    with interruption.handled(), pytest.raises(OutputError):
        run([], interruption)
    sender.join()
    assert interruption.requested
    assert Path("signals").read_text() == "x"


def test_a_process_that_cannot_be_started_is_an_error_of_its_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(subprocess, "Popen", fail)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TrainingError, match=r"log: its process cannot be started \(Resource temp"):
        run([])
