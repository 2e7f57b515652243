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
from jdsr_cli.weights.locations import OVERRIDE_VARIABLE
from jdsr_train.lease.files import PartsTable, read_json, read_parts_table, write_json
from jdsr_train.lease.plan import Plan, PlannedModel, read_plan

ROOT_VARIABLE = "JDSR_LEASE_ROOT"
DEFAULT_ROOT = "/tmp/jdsr-lease"
PLAN = "plan.toml"
COMMIT = "COMMIT"
SITE = "site"
"""Folder of carried Python packages, in the folder that every call carries."""


@dataclass(frozen=True)
class LeaseWorkspace:
    """The folders of a lease below one root, which persists between calls."""

    root: Path

    @classmethod
    def from_environment(cls) -> LeaseWorkspace:
        """Return the workspace of this machine, in $JDSR_LEASE_ROOT or /tmp/jdsr-lease."""
        return cls(Path(os.environ.get(ROOT_VARIABLE) or DEFAULT_ROOT).absolute())

    @property
    def data(self) -> Path:
        """The training data and weights."""
        return self.root / "data"

    @property
    def code(self) -> Path:
        """A copy of the code; the copy of the checkout can change between calls."""
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
        """Output of the runner and the training processes."""
        return self.out / "log"

    @property
    def end(self) -> Path:
        """File with the time at which the lease ends."""
        return self.out / "end.json"

    def plan(self) -> Plan:
        """Read the plan.

        Raises:
            InputMissingError: No part is installed yet.

        """
        if not (self.common / PLAN).is_file():
            raise InputMissingError(
                "no part is installed yet", where=self.common, hint="Run `take 1` first"
            )
        return read_plan(self.common / PLAN)

    def table(self) -> PartsTable:
        """Read the table of parts."""
        return read_parts_table(self.common)

    def run_folder(self, model: PlannedModel | str) -> Path:
        """Return the folder of a model's run."""
        return self.out / (model if isinstance(model, str) else model.name)

    def has_all(self, table: PartsTable, kind: str) -> bool:
        """Return whether every file of a kind is complete."""
        return all(
            (self.data / file.path).is_file()
            and (self.data / file.path).stat().st_size == file.bytes
            for file in table.of_kind(kind)
        )


STATE = "state.json"
WAITING, RUNNING, READY, FAILED = "waiting", "running", "ready", "failed"


@dataclass
class ModelState:
    """Progress of a model."""

    state: str = WAITING
    note: str = ""
    """Reason of a failure, or how the training ended."""
    first: list[str] = field(default_factory=list)
    """Preliminary stages that were run, whether they succeeded or not."""


@dataclass
class State:
    """Progress of the plan."""

    models: dict[str, ModelState] = field(default_factory=dict)
    job: str = ""
    """Description of the current job; empty between jobs."""
    process: int = 0
    """Process group of the current job."""
    runner: int = 0
    """Process group of the runner."""
    done: bool = False

    def save(self, workspace: LeaseWorkspace) -> None:
        """Write the state to the workspace."""
        write_json(workspace.out / STATE, asdict(self))

    def summary(self) -> str:
        """Return the state as text, one line for each model."""
        lines = [
            f"{name}: {one.state}{f' ({one.note})' if one.note else ''}"
            for name, one in self.models.items()
        ]
        return "\n".join([*lines, f"now: {self.job or ('done' if self.done else 'nothing')}"])


def read_state(workspace: LeaseWorkspace) -> State:
    """Read the state; without a file, that of a plan that was not started.

    Raises:
        InputUnreadableError: The file is damaged.

    """
    values: dict[str, Any] = read_json(workspace.out / STATE) or {}
    try:
        models = {name: ModelState(**one) for name, one in values.pop("models", {}).items()}
        return State(models=models, **values)
    except (TypeError, AttributeError) as error:
        raise InputUnreadableError(
            f"not the state of a plan ({error})", where=workspace.out / STATE, hint="Delete it"
        ) from error


def set_end(workspace: LeaseWorkspace, seconds: float) -> None:
    """Record that the lease ends in this many seconds."""
    write_json(workspace.end, time.time() + seconds)


def seconds_left(workspace: LeaseWorkspace) -> float:
    """Return the seconds until the lease ends; 0 if the end was not recorded."""
    end = read_json(workspace.end)
    return 0.0 if end is None else float(end) - time.time()


INTERRUPT_AFTER = 40.0
"""Seconds after its deadline at which a process is interrupted."""
KILL_AFTER = 20.0
"""Seconds after that at which it is killed."""
LOCK_TIMEOUT = 1.0
"""Seconds for which acquiring a lock is retried."""


def process_environment(workspace: LeaseWorkspace) -> dict[str, str]:
    """Return the environment of processes that run the code of the workspace."""
    environment = {
        "OMP_NUM_THREADS": "4",
        **os.environ,
        "PYTHONPATH": f"{workspace.code}{os.pathsep}{workspace.code / 'train'}",
        "PYTHONUNBUFFERED": "1",
        "MPLBACKEND": "Agg",
        ROOT_VARIABLE: str(workspace.root),
    }
    weights = workspace.data / "weights"
    environment.pop(OVERRIDE_VARIABLE, None)
    if weights.is_dir():
        environment[OVERRIDE_VARIABLE] = str(weights)
    return environment


@contextmanager
def hold_lock(path: Path) -> Iterator[bool]:
    """Hold a file lock that ends with the process; yield whether it was acquired.

    Acquiring is retried for a short time, since `is_locked` holds the lock briefly. This uses
    `flock` and not `filelock`, so that leased machines need no further package.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + LOCK_TIMEOUT
    with path.open("a") as file:
        while not (free := _lock(file)) and time.monotonic() < until:
            time.sleep(0.05)
        yield free


def is_locked(path: Path) -> bool:
    """Return whether a process holds a lock."""
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
    command: Sequence[str],
    workspace: LeaseWorkspace,
    log: Path,
    seconds: float,
    on_start: Callable[[int], None],
) -> int:
    """Run a process, and end it if it exceeds its time.

    Args:
        command: The command line.
        workspace: The workspace, whose code it runs.
        log: File to which its output is appended.
        seconds: Its time. It is interrupted after `INTERRUPT_AFTER` more seconds, and killed with
            its child processes after `KILL_AFTER` more.
        on_start: Called with its process ID, which is also that of its process group.

    Returns:
        The exit code; negative if a signal ended the process.

    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            list(command), cwd=workspace.code, env=process_environment(workspace),
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    on_start(process.pid)
    try:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(max(1.0, seconds + INTERRUPT_AFTER))
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            return process.wait(KILL_AFTER)
        end_group(process.pid)
        return process.wait()
    except BaseException:
        end_group(process.pid)
        raise


def end_group(group: int) -> None:
    """Kill the remaining processes of a group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def end_orphan(group: int, workspace: LeaseWorkspace) -> None:
    """Kill the process group of a runner that was itself killed.

    The command line of its first process must name the workspace, since process IDs are reused.
    """
    with suppress(OSError):
        if str(workspace.root).encode() in Path(f"/proc/{group}/cmdline").read_bytes():
            end_group(group)
