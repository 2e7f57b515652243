"""The workspace of a leased machine: its paths, the state of the plan, and its processes."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from jdsr_cli.errors import InputMissingError, InputUnreadableError
from jdsr_train.lease.files import PartsTable, read_json, read_parts_table, write_json
from jdsr_train.lease.plan import Plan, PlannedModel, read_plan

ROOT_VARIABLE = "JDSR_LEASE_ROOT"
DEFAULT_ROOT = "/tmp/jdsr-lease"
PLAN = "plan.toml"
COMMIT = "COMMIT"


@dataclass(frozen=True)
class Workspace:
    """Folders below one root, which outlives the calls."""

    root: Path

    @classmethod
    def here(cls) -> Workspace:
        """Return the places of this machine: below $JDSR_LEASE_ROOT, or /tmp/jdsr-lease."""
        return cls(Path(os.environ.get(ROOT_VARIABLE) or DEFAULT_ROOT).absolute())

    @property
    def data(self) -> Path:
        """What was brought to be trained on."""
        return self.root / "data"

    @property
    def code(self) -> Path:
        """A copy of the packages, since the copy of the checkout may change between calls."""
        return self.root / "code"

    @property
    def common(self) -> Path:
        """The plan, its recipe files and the table of parts."""
        return self.root / "common"

    @property
    def out(self) -> Path:
        """The runs, the state and the logs."""
        return self.root / "out"

    @property
    def log(self) -> Path:
        """What the runner and the processes that train print."""
        return self.out / "log"

    @property
    def end(self) -> Path:
        """When the machine goes back."""
        return self.out / "end.json"

    def plan(self) -> Plan:
        """Read the plan that was brought.

        Raises:
            InputMissingError: None was brought yet.

        """
        if not (self.common / PLAN).is_file():
            raise InputMissingError(
                "nothing was taken in yet", where=self.common, hint="Run `take 1` first"
            )
        return read_plan(self.common / PLAN)

    def table(self) -> PartsTable:
        """Read the table of parts that was brought."""
        return read_parts_table(self.common)

    def run_folder(self, model: PlannedModel | str) -> Path:
        """Return the folder of a model's run."""
        return self.out / (model if isinstance(model, str) else model.name)

    def has(self, table: PartsTable, kind: str) -> bool:
        """Whether every file of a kind is there; files appear only when they are whole."""
        return all(
            (self.data / file.path).is_file()
            and (self.data / file.path).stat().st_size == file.bytes
            for file in table.of_kind(kind)
        )


STATE = "state.json"
WAITING, RUNNING, READY, FAILED = "waiting", "running", "ready", "failed"


@dataclass
class ModelState:
    """How far a model is."""

    state: str = WAITING
    note: str = ""
    """Why it failed, or how it ended."""
    first: list[str] = field(default_factory=list)
    """Stages before it that were run, whether they succeeded or not."""


@dataclass
class State:
    """How far the plan is."""

    models: dict[str, ModelState] = field(default_factory=dict)
    job: str = ""
    """What runs now, in words; empty between jobs."""
    process: int = 0
    """Its process group."""
    runner: int = 0
    """The process group of the runner."""
    done: bool = False

    def save(self, places: Workspace) -> None:
        """Write it for others to read."""
        write_json(places.out / STATE, asdict(self))

    def told(self) -> str:
        """Return it as lines."""
        lines = [
            f"{name}: {one.state}{f' ({one.note})' if one.note else ''}"
            for name, one in self.models.items()
        ]
        return "\n".join([*lines, f"now: {self.job or ('done' if self.done else 'nothing')}"])


def read_state(places: Workspace) -> State:
    """Read the state; that of a plan which was not begun where there is none.

    Raises:
        InputUnreadableError: It is damaged.

    """
    values: dict[str, Any] = read_json(places.out / STATE) or {}
    try:
        models = {name: ModelState(**one) for name, one in values.pop("models", {}).items()}
        return State(models=models, **values)
    except (TypeError, AttributeError) as error:
        raise InputUnreadableError(
            f"is no state of a plan ({error})", where=places.out / STATE, hint="Delete it"
        ) from error


def set_end(places: Workspace, seconds: float) -> None:
    """Say that the machine goes back in so many seconds."""
    write_json(places.end, time.time() + seconds)


def seconds_left(places: Workspace) -> float:
    """Return the seconds until the machine goes back; 0 where nobody has said."""
    end = read_json(places.end)
    return 0.0 if end is None else float(end) - time.time()


INTERRUPT_AFTER = 40.0
"""Seconds after its deadline at which a process is interrupted."""
KILL_AFTER = 20.0
"""Seconds after that at which it is killed."""
TRIED = 1.0
"""Seconds for which a lock is tried."""


def process_environment(places: Workspace) -> dict[str, str]:
    """Return the environment of processes that run the laid down code."""
    return {
        "OMP_NUM_THREADS": "4",
        **os.environ,
        "PYTHONPATH": f"{places.code}{os.pathsep}{places.code / 'train'}",
        "PYTHONUNBUFFERED": "1",
        "MPLBACKEND": "Agg",
        ROOT_VARIABLE: str(places.root),
        "JDSR_WEIGHTS": str(places.data / "weights"),
    }


@contextmanager
def hold_lock(path: Path) -> Iterator[bool]:
    """Hold a lock that goes with the process; gives whether it was free.

    Whoever only asks for it holds it for a moment, so it is tried for a while.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + TRIED
    with path.open("a") as file:
        while not (free := _lock(file)) and time.monotonic() < until:
            time.sleep(0.05)
        yield free


def is_locked(path: Path) -> bool:
    """Whether some process holds a lock."""
    if not path.exists():
        return False
    with path.open("a") as file:
        return not _lock(file)


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def run_process(
    words: Sequence[str], places: Workspace, log: Path, seconds: float, began: Callable[[int], None]
) -> int:
    """Run a process that should end within a time, and end it where it does not.

    Args:
        words: Its command line.
        places: It runs in the laid down code.
        log: What it prints is added to it.
        seconds: It has `GRACE` more, then it is interrupted, `MERCY` later killed with all that
            it started.
        began: Told its number, which is that of its process group, too.

    Returns:
        Its exit code, negative where a signal ended it.

    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as printed:
        running = subprocess.Popen(
            list(words), cwd=places.code, env=process_environment(places), stdin=subprocess.DEVNULL,
            stdout=printed, stderr=printed, start_new_session=True,
        )  # fmt: skip
    began(running.pid)
    try:
        with suppress(subprocess.TimeoutExpired):
            return running.wait(max(1.0, seconds + INTERRUPT_AFTER))
        running.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            return running.wait(KILL_AFTER)
        end_group(running.pid)
        return running.wait()
    except BaseException:
        end_group(running.pid)
        raise


def end_group(number: int) -> None:
    """Kill what is left of a process group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(number, signal.SIGKILL)


def end_orphan(number: int, places: Workspace) -> None:
    """Kill a process group that a runner began before it was killed itself.

    Only where the command line of its first process names the machine's root: numbers are given
    again.
    """
    with suppress(OSError):
        if str(places.root).encode() in Path(f"/proc/{number}/cmdline").read_bytes():
            end_group(number)
