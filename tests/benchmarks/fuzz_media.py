"""Fuzzing of the media reader: damaged files of all kinds, each read in a worker process.

Run by hand: `python tests/benchmarks/fuzz_media.py --count 2000 [--seed 0] [--out FOLDER]`.
A failure is an exception other than `JdsrError`, a violated invariant (times that do not increase,
images of another size), a crash, or more than 20 s for one file. Failing files are stored in the
folder under their number and listed; the exit code is 1 if there is one.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "media"))

from mutations import SEEDS, mutate, read_all

from jdsr_cli.errors import JdsrError

LIMIT_S = 20.0
"""Seconds after which a file counts as a hang."""

MEMORY = 6 << 30
"""Limit of the address space of a worker in bytes, so that a file cannot exhaust the machine."""

OUTCOMES = ("clean", "warned", "refused", "FAILED", "CRASHED", "HUNG")


@dataclass(frozen=True)
class Outcome:
    """Result of reading a damaged file."""

    kind: str
    detail: str
    seconds: float


def work(link: Connection) -> None:
    """Read the files whose paths are received through `link`, until None is received."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("error")
    while (path := link.recv()) is not None:
        start = time.monotonic()
        try:
            kind, detail = read_all(path), ""
        except JdsrError as exc:
            kind, detail = "refused", str(exc)
            if "\n" in detail or str(path) not in detail:
                kind = "FAILED"
        except BaseException as exc:
            kind, detail = "FAILED", f"{type(exc).__name__}: {exc}"
        link.send(Outcome(kind, detail, time.monotonic() - start))


class Worker:
    """A process that reads files and is restarted when it ends."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._start()

    def _start(self) -> None:
        self._link, worker_link = self._context.Pipe()
        self._process = self._context.Process(target=work, args=(worker_link,), daemon=True)
        self._process.start()
        worker_link.close()

    def read(self, path: Path) -> Outcome:
        """Return the outcome of reading one file."""
        self._link.send(path)
        start = time.monotonic()
        try:
            if self._link.poll(LIMIT_S):
                outcome = self._link.recv()
                assert isinstance(outcome, Outcome)
                return outcome
        except EOFError:
            self._process.join()
            code = self._process.exitcode or 0
            name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            self._start()
            return Outcome("CRASHED", name, time.monotonic() - start)
        self._process.kill()
        self._process.join()
        self._start()
        return Outcome("HUNG", f"more than {LIMIT_S:.0f} s", LIMIT_S)

    def stop(self) -> None:
        """Stop the process."""
        self._link.send(None)
        self._process.join()


def main() -> int:
    """Create, damage and read the files; print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("fuzz-failures"))
    options = parser.parse_args()
    table: dict[str, Counter[str]] = {name: Counter() for name in SEEDS}
    failures: list[str] = []
    slowest = Outcome("", "", 0.0)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        paths = []
        for number, create in enumerate(SEEDS.values()):
            (folder / str(number)).mkdir()
            paths.append(create(folder / str(number)))
        seeds = [path.read_bytes() for path in paths]
        worker = Worker()
        for number in range(options.first, options.first + options.count):
            seed_index, data = mutate(seeds, number, options.seed)
            path = folder / f"{number}-{paths[seed_index].name}"
            path.write_bytes(data)
            outcome = worker.read(path)
            table[list(SEEDS)[seed_index]][outcome.kind] += 1
            slowest = max(slowest, outcome, key=lambda item: item.seconds)
            if outcome.kind.isupper():
                options.out.mkdir(parents=True, exist_ok=True)
                (options.out / path.name).write_bytes(data)
                failures.append(f"{path.name}: {outcome.kind}: {outcome.detail}")
            path.unlink()
        worker.stop()
    lines = [f"{'seed':16}" + "".join(f"{kind:>9}" for kind in OUTCOMES)]
    for name, counts in table.items():
        lines.append(f"{name:16}" + "".join(f"{counts[kind]:9}" for kind in OUTCOMES))
    total = sum(table.values(), Counter[str]())
    lines.append(f"{'all':16}" + "".join(f"{total[kind]:9}" for kind in OUTCOMES))
    lines.append(f"slowest file: {slowest.seconds:.2f} s")
    sys.stdout.write("\n".join([*lines, *failures]) + "\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
