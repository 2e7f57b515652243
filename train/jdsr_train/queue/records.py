"""The state of a queue: `queue.json` in its folder, written whenever a job starts or ends."""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, TypeVar

from jdsr_cli.atomic import atomic_file, output_error, prepare_folder
from jdsr_cli.errors import OutputError, TrainingError, UsageError, one_of, within
from jdsr_cli.weights import sha256_of
from jdsr_train.recipe_files import build_table

RECORD = "queue.json"
LOCK = "queue.lock"
FORMAT = 1

WAITING, RUNNING, INTERRUPTED = "waiting", "running", "interrupted"
FINISHED, FAILED, LEFT_OUT = "finished", "failed", "left out"
STATES = (WAITING, RUNNING, INTERRUPTED, FINISHED, FAILED, LEFT_OUT)
MAX_SECONDS = 1e10
"""Time of a job that can be recorded: 300 years."""

PATIENCE = 0.5
"""Seconds for which the lock is waited for: `is_held` holds it while it looks at it."""
PAUSE = 0.01
"""Seconds between two attempts."""

T = TypeVar("T")


@dataclass
class JobRecord:
    """What is known about a job."""

    state: str = WAITING
    command: list[str] = field(default_factory=list)
    """Arguments of `jdsr` of its last start."""
    options: dict[str, str] = field(default_factory=dict)
    """On what its weights depend, by option; see `job_options.result_options`."""
    taken: dict[str, str] = field(default_factory=dict)
    """SHA-256 of the files that it took from other jobs, by option."""
    seconds: float = 0.0
    """Time of all of its starts."""
    steps: str = ""
    """Steps that its weights were trained, as their file states them."""
    weights: str = ""
    """Its weight file, relative to the folder of the queue; empty before it has one."""
    sha256: str = ""
    """Of the weight file."""
    error: str = ""
    """Why it failed or was left out."""

    def __post_init__(self) -> None:
        one_of(self.state, STATES, "state")
        within(self, 0, MAX_SECONDS, "seconds")
        texts = (*self.command, *self.options.values(), *self.taken.values())
        if not all(isinstance(one, str) for one in texts):
            raise UsageError("a value is not a text", where="command, options or taken")

    def is_intact(self, folder: Path) -> bool:
        """Return whether it is finished and its weights are as it wrote them.

        Args:
            folder: Folder of the queue.

        """
        path = folder / self.weights
        return self.state == FINISHED and path.is_file() and sha256_of(path) == self.sha256


class QueueRecords:
    """The records of the jobs of a queue.

    Args:
        folder: Folder of the queue.
        names: Names of the jobs in order; those that never started get a record.
        running: Whether a queue runs there now; otherwise a job that is recorded as running was
            interrupted when its queue was killed.

    Raises:
        TrainingError: `queue.json` is damaged or of another version.

    """

    def __init__(self, folder: Path, names: Iterable[str], *, running: bool = False) -> None:
        self.folder = folder
        stored = _read_jobs(folder / RECORD)
        for record in stored.values():
            if record.state == RUNNING and not running:
                record.state = INTERRUPTED
        ordered = {name: stored.pop(name, JobRecord()) for name in names}
        self._jobs = ordered | stored

    def __getitem__(self, name: str) -> JobRecord:
        """Return the record of a job."""
        return self._jobs[name]

    def save(self) -> None:
        """Write `queue.json`.

        Raises:
            OutputError: It cannot be written.

        """
        jobs = {name: asdict(record) for name, record in self._jobs.items()}
        write_json(self.folder / RECORD, {"format": FORMAT, "jobs": jobs})


def _read_jobs(path: Path) -> dict[str, JobRecord]:
    return build_tables(JobRecord, read_json(path).get("jobs", {}), path, "jobs")


def build_tables(kind: type[T], values: Any, path: Path, where: str) -> dict[str, T]:
    """Build a dataclass from each value of a table that was read from a file of the queue.

    Args:
        kind: The dataclass.
        values: The table, whatever the file contains in its place.
        path: The file, for errors.
        where: Name of the table, for errors.

    Raises:
        TrainingError: The values are not as this version writes them.

    """
    found = {}
    for name, value in table_in(values, path, where).items():
        try:
            found[name] = build_table(kind, table_in(value, path, name), f"{where}: {name}")
        except UsageError as error:
            raise _damaged(path, error) from error
    return found


def table_in(value: Any, path: Path, where: str) -> dict[str, Any]:
    """Return a value of a file of the queue that has to be a table.

    Raises:
        TrainingError: It is something else.

    """
    if not isinstance(value, dict):
        raise _damaged(path, UsageError("a table is needed", where=where))
    return value


def read_json(path: Path) -> dict[str, Any]:
    """Return the content of a file of the queue; empty if there is none.

    Raises:
        TrainingError: It is damaged, or was written by another version.

    """
    try:
        if not path.exists():
            return {}
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
            raise ValueError("another format")
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path, error) from error
    return values


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a file of the queue atomically.

    Raises:
        OutputError: It cannot be written.

    """
    with atomic_file(path, make_folder=True) as temporary:
        temporary.write_text(json.dumps(values, indent=1), encoding="utf-8")


def _damaged(path: Path, error: Exception) -> TrainingError:
    return TrainingError(
        f"cannot be read ({error})",
        where=path,
        hint="Delete it: jobs then continue from their checkpoints, and --dry-run measures again",
    )


def is_held(folder: Path) -> bool:
    """Return whether a queue, or a job of a killed one, runs in a folder now.

    Raises:
        OutputError: That cannot be found out.

    """
    path = folder / LOCK
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except BlockingIOError:
        return True
    except OSError as error:
        raise output_error(error, path) from error
    return False


def _lock(file: IO[str], until: float) -> None:
    """Lock a file for this process alone, waiting until a time of `time.monotonic`.

    Raises:
        BlockingIOError: Another process holds it.

    """
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= until:
                raise
            time.sleep(PAUSE)


@contextmanager
def hold_folder(folder: Path) -> Iterator[int]:
    """Lock the folder of a queue, and yield the file descriptor that holds the lock.

    A child process that inherits the descriptor holds the lock as well: after the queue was killed,
    no other can start while a job of it is still training.

    Raises:
        OutputError: Another process holds the lock, or nothing can be written in the folder.

    """
    path = prepare_folder(folder) / LOCK
    with ExitStack() as stack:
        try:
            file = stack.enter_context(path.open("a"))
            _lock(file, time.monotonic() + PATIENCE)
        except BlockingIOError as error:
            raise OutputError(
                "another process runs the queue in this folder, or a job of it",
                where=folder,
                hint="Wait for it, end it, or choose another folder with --out",
            ) from error
        except OSError as error:
            raise output_error(error, path) from error
        yield file.fileno()
