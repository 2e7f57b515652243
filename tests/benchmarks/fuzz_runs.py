"""Fuzzing of what interrupted runs keep: damaged files, and runs that are resumed with them.

Run by hand: `python tests/benchmarks/fuzz_runs.py [--count 200] [--seed 0] [--only KIND]`.

A small clip with two faces is processed by several kinds of runs, each once without interruption.
Further runs are killed by SIGKILL at random moments after a random number of finished segments.
For each case the folder of a killed run is copied, one to three of its files are damaged, and the
run is resumed. Everything is compared with the uninterrupted run byte by byte, manifests without
their times and notes. The report counts:

- silent: other results without an error
- crashed: an error that was not foreseen, or a process that hangs
- refused: any other error, where one can go on from the start at least
- excess: more segments done again than were damaged
- untold: segments done again without a word about the file at fault

The exit code is 1 unless all these are 0.
"""

from __future__ import annotations

import argparse
import faulthandler
import hashlib
import json
import multiprocessing
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from repeated_clip import print_line

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "media"))
sys.path.insert(0, str(Path(__file__).parents[1] / "restoration"))

from results_folder import results_in
from run_damage import damage_once
from small_portraits import astronaut_portrait, hopper_portrait
from suite_clips import file_hashes, repeatable_manifest, walk, walk_settings
from tiny_generator import write_tiny_weights

from jdsr_cli.atomic import HIDDEN_FOLDER
from jdsr_cli.errors import JdsrError
from jdsr_cli.execution.runs import open_runner
from jdsr_cli.execution.units import Unit
from jdsr_cli.progress import Silent
from jdsr_cli.restoration import crop_faces, restore
from jdsr_cli.restoration.journal import Journal
from jdsr_cli.settings import (
    CropSettings,
    DetectionSettings,
    ExecutionSettings,
    PrivacySettings,
    RestoreSettings,
)

FRAMES, SEGMENT = 36, 8
"""Of the clip: four segments and a half one."""
MOMENTS = 4
"""Killed runs of each kind; cases take turns."""
LONGEST = 240
"""Seconds after which a case counts as hanging."""
_AGAIN = re.compile(r"(\d+) of its frames are done again")
_RESUMED = re.compile(r"resumed after (\d+) frames")
_TOLD = re.compile(r"is damaged \(\S|journal of the interrupted run is lost")
_CONTEXT = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class Kind:
    """A kind of run."""

    settings: DetectionSettings
    processes: int = 1


def kinds(weights: Path) -> dict[str, Kind]:
    """Return the kinds of runs by name."""
    base = walk_settings(weights, doubt=False, batch=4)
    crops = CropSettings(
        detector=base.detector, detection_scale=base.detection_scale, device="cpu", segment=SEGMENT
    )
    privacy = PrivacySettings(only_track=(1,), blur_others=True)
    return {
        "video": Kind(base),
        "all crops": Kind(replace(base, crops="all", overlay=True)),
        "crop-faces": Kind(crops),
        "window": Kind(replace(base, window=3, mode="paste")),
        "people": Kind(replace(base, privacy=privacy)),
        "best shots": Kind(replace(base, mode="crops", doubt=True, shots=2)),
        "two processes": Kind(replace(base, compare=True), 2),
        "people, two processes": Kind(replace(base, privacy=privacy), 2),
    }


def start(clip: Path, out: Path, kind: Kind) -> None:
    """Run in a new process group, which can be killed as a whole."""
    os.setsid()
    execution = ExecutionSettings(jobs=kind.processes)
    if isinstance(kind.settings, RestoreSettings):
        restore([clip], out, kind.settings, execution=execution)
    else:
        assert isinstance(kind.settings, CropSettings)
        crop_faces([clip], out, kind.settings, execution=execution)


def segments_in(out: Path) -> int:
    """Return the number of segments that the journal of a run lists; -1 without one."""
    for journal in out.glob(f".*.partial/work/{Journal.NAME}"):
        return journal.read_bytes().count(b"\n") - 1
    return -1


def kill(clip: Path, out: Path, kind: Kind, rng: np.random.Generator) -> int:
    """Leave a run in `out` that was killed at a random moment; return its finished segments."""
    while True:
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        wanted, delay = int(rng.integers(1, FRAMES // SEGMENT + 1)), float(0.5 * rng.random() ** 2)
        process = _CONTEXT.Process(target=start, args=(clip, out, kind))
        process.start()
        while process.is_alive() and segments_in(out) < wanted:
            time.sleep(0.002)
        time.sleep(delay)
        if process.is_alive():
            assert process.pid is not None
            os.killpg(process.pid, signal.SIGKILL)
        process.join()
        # Workers are not children of this process; they end soon after they are killed.
        time.sleep(0.3)
        if segments_in(out) > 0 and not any(out.glob("*/manifest.json")):
            return segments_in(out)


@dataclass
class Killed:
    """An interrupted run."""

    folder: Path
    segments: int
    files: dict[str, set[int]] = field(default_factory=dict)
    """The segments to which each file below the hidden folder belongs."""
    lines: list[bytes] = field(default_factory=list)
    """Of the journal."""

    def __post_init__(self) -> None:
        journal = next(self.folder.glob(f".*.partial/work/{Journal.NAME}"))
        self.lines = journal.read_bytes().splitlines(keepends=True)[: self.segments + 1]
        for number, line in enumerate(self.lines[1:]):
            value = json.loads(line)
            for name in (*value["files"], value["state_file"]):
                self.files.setdefault(name, set()).add(number)

    def damaged_segments(self, out: Path) -> set[int]:
        """Return the finished segments of which a file or the line of the journal is damaged."""
        hidden = next(out.glob(".*.partial"))
        before = next(self.folder.glob(".*.partial"))
        damaged: set[int] = set()
        for name, segments in self.files.items():
            if _content(hidden / name) != _content(before / name):
                damaged |= segments
        copies = [_content(hidden / "work" / name) or b"" for name in Journal.NAMES]
        lines = b"\n".join(copies).splitlines(keepends=True)
        return damaged | {n for n, line in enumerate(self.lines[1:]) if line not in lines}


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() and not path.is_symlink() else None


@dataclass
class Report:
    """What came out of all cases of a kind."""

    counts: Counter[str] = field(default_factory=Counter)
    segments: list[tuple[int, int]] = field(default_factory=list)
    """Damaged segments, and segments done again, of each case."""

    def __str__(self) -> str:
        damaged = sum(one for one, _ in self.segments)
        again = sum(one for _, one in self.segments)
        counts = ", ".join(f"{name} {self.counts[name]}" for name in ("identical", *FAILURES))
        return f"{counts}; segments damaged {damaged}, done again {again}"


FAILURES = ("silent", "crashed", "refused", "excess", "untold")


class Cases:
    """The cases of one kind of run."""

    def __init__(self, clip: Path, folder: Path, kind: Kind, seed: int) -> None:
        self._clip = clip
        self._folder = folder
        self._kind = kind
        self._whole = folder / "whole" / clip.stem
        self._moments: list[Killed] = []
        rng = np.random.default_rng([seed, 1 << 20])
        execution = ExecutionSettings(jobs=kind.processes)
        self._execution = execution
        (folder / "whole").mkdir(parents=True)
        with self._runner(folder / "whole", resume=False) as run:
            assert run(folder / "whole").error is None
        for moment in range(MOMENTS if kind.processes == 1 else 2):
            out = folder / f"killed {moment}"
            segments = kill(clip, out, kind, rng)
            self._moments.append(Killed(out, segments))

    @property
    def described(self) -> str:
        """The finished segments of the killed runs."""
        return f"killed after {', '.join(str(one.segments) for one in self._moments)} segments"

    @contextmanager
    def _runner(self, out: Path, *, resume: bool) -> Iterator[Any]:
        settings = replace(self._kind.settings, resume=resume)
        with open_runner(settings, self._execution, out, Silent()) as runner:

            def run(folder: Path) -> Any:
                unit = Unit(0, self._clip, folder, self._clip.stem)
                ((_, result),) = runner.run([unit], Silent())
                return result

            yield run

    def run(self, numbers: range, seed: int, report: Report) -> None:
        """Damage and resume; print what fails."""
        with self._runner(self._folder, resume=True) as run:
            for number in numbers:
                rng = np.random.default_rng([seed, number])
                killed = self._moments[number % len(self._moments)]
                out = self._folder / "case" / "out"
                shutil.copytree(killed.folder, out)
                # Faces that another process had prepared are kept as well.
                files = sorted(
                    path
                    for path in out.rglob("*")
                    if path.is_file() and HIDDEN_FOLDER not in path.parts
                )
                done = [damage_once(files, rng) for _ in range(rng.choice([1, 1, 2, 3]))]
                damaged = killed.damaged_segments(out)
                faulthandler.dump_traceback_later(LONGEST, exit=True)
                outcomes, said, again = self._resume(run, out, damaged, killed.segments)
                faulthandler.cancel_dump_traceback_later()
                report.counts.update(outcomes)
                report.segments.append((len(damaged), again))
                if outcomes != ["identical"]:
                    print_line(
                        f"  case {number} ({killed.segments} segments, damaged "
                        f"{sorted(damaged)}): {', '.join(done)}: {', '.join(outcomes)}: {said}"
                    )
                shutil.rmtree(out.parent)

    def _resume(
        self, run: Any, out: Path, damaged: set[int], finished: int
    ) -> tuple[list[str], str, int]:
        """Return the outcomes, what was said, and how many segments were done again."""
        try:
            result = run(out)
        except JdsrError as fault:
            return ["crashed" if type(fault) is JdsrError else "refused"], str(fault), 0
        except Exception as fault:
            return ["crashed"], f"{type(fault).__name__}: {fault}", 0
        if result.error is not None:
            text = str(result.error)
            foreseen = type(result.error) is not JdsrError and "\n" not in text
            return ["refused" if foreseen else "crashed"], text, 0
        said = "; ".join(result.notes)
        frames = sum(int(one) for one in _AGAIN.findall(said))
        again = -(-frames // SEGMENT)
        outcomes = [] if self._is_whole(out) else ["silent"]
        if again > len(damaged):
            outcomes.append("excess")
        resumed = sum(int(one) for one in _RESUMED.findall(said))
        if damaged and resumed < finished * SEGMENT and not _TOLD.search(said):
            outcomes.append("untold")
        return outcomes or ["identical"], said, again

    def _is_whole(self, out: Path) -> bool:
        name = self._clip.stem
        return (
            results_in(out) == [name]
            and not any(path.is_symlink() for path in out.rglob("*"))
            and file_hashes(out / name) == file_hashes(self._whole)
            and _stated(out / name) == _stated(self._whole)
            and _sums_hold(out / name)
        )


def _stated(result: Path) -> dict[str, Any]:
    stated = repeatable_manifest(result)
    # Notes tell how often the run was interrupted.
    del stated["notes"]
    return stated


def _sums_hold(result: Path) -> bool:
    for line in (result / "SHA256SUMS").read_text().splitlines():
        stated, _, name = line.partition("  ")
        if hashlib.sha256((result / name).read_bytes()).hexdigest() != stated:
            return False
    return True


def main() -> int:
    """Run all cases; print a line for each kind of run, and one for all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200, help="cases of all kinds together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="kind of runs")
    given = parser.parse_args()
    total = Report()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        weights = write_tiny_weights(folder / "tiny-64.safetensors", 64)
        clip = walk(folder / "walk.mkv", astronaut_portrait(), hopper_portrait(), FRAMES)
        chosen = {
            name: kind
            for name, kind in kinds(weights).items()
            if given.only is None or name == given.only
        }
        for place, (name, kind) in enumerate(chosen.items()):
            started, report = time.monotonic(), Report()
            cases = Cases(clip, folder / name, kind, given.seed)
            print_line(f"{name}: {cases.described}")
            # Numbers are unique in all kinds, so that each case differs.
            numbers = range(place, given.count, len(chosen))
            cases.run(numbers, given.seed, report)
            shutil.rmtree(folder / name)
            seconds = time.monotonic() - started
            print_line(f"{name}: {len(numbers)} cases in {seconds:.0f} s: {report}")
            total.counts.update(report.counts)
            total.segments += report.segments
    print_line(f"seed {given.seed}, {given.count} cases: {total}")
    return 1 if any(total.counts[name] for name in FAILURES) else 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    _CONTEXT.set_forkserver_preload(["jdsr_cli.restoration", "torch", "cv2"])
    sys.exit(main())
