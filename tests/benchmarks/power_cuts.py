"""Power cuts: copies of a file system's image, taken while and after a run finishes.

Run by hand, as root, on Linux:
`python tests/benchmarks/power_cuts.py CLIP [--moments 20] [--seed 0] [-- OPTIONS]`.
`restore` writes into an ext4 file system in an image (loop device). At each moment the image is
copied: what has reached it is what a power cut would leave, since what waits in memory is not in
it. The writers stand still meanwhile, and a copy counts once two in a row are equal. A third of the
moments are in mid-run (after some segment), a third while the results are published (at random
delays after the manifest appears), and a third after the exit code 0.

A copy fails if it has a result that `jdsr verify` does not find whole, if a file in it is empty
that was not, if after the exit code 0 there is no result, or if `restore --resume` on it does not
give the files of an uninterrupted run. Arguments after `--` are passed to `restore`. The exit code
is 1 if a copy fails.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kill_and_resume import Result, differences, finish, read_result, start
from repeated_clip import add_clip_options, make_clip, parse_options, print_line

IMAGE_BYTES = 96 << 20
COMMIT_S = 30
"""Seconds between the journal commits that ext4 does unasked; long, so that they hide nothing."""
PUBLISHING_S = 0.4
"""Longest delay of a cut after the manifest is there."""
AFTER_S = 8.0
"""Longest delay of a cut after the end of the run."""
POLL_S = 0.002
EMPTY = hashlib.sha256().hexdigest()


@dataclass(frozen=True)
class Cut:
    """A copy of the image."""

    image: Path
    moment: str
    is_finished: bool
    """Whether the run had ended with exit code 0."""


@contextmanager
def mounted(image: Path, folder: Path) -> Iterator[Path]:
    """Mount an image on a folder for the length of the block."""
    folder.mkdir(exist_ok=True)
    options = f"loop,commit={COMMIT_S}"
    subprocess.run(["mount", "-o", options, str(image), str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def make_image(path: Path) -> Path:
    """Create an empty ext4 file system in a sparse file."""
    with path.open("wb") as file:
        file.truncate(IMAGE_BYTES)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(path)], check=True)
    return path


def copy_image(image: Path, target: Path) -> None:
    """Copy the image as it is at one moment: until two copies in a row are equal."""
    twin = target.with_suffix(".twin")
    while True:
        for copy in (target, twin):
            subprocess.run(["cp", "--sparse=always", str(image), str(copy)], check=True)
        if not subprocess.run(["cmp", "-s", str(target), str(twin)]).returncode:
            twin.unlink()
            return


def journal_lines(out: Path) -> int:
    """Return the number of lines in the journal of a run."""
    return sum(path.read_bytes().count(b"\n") for path in out.glob(".*.partial/work/journal.jsonl"))


def has_manifest(out: Path) -> bool:
    """Return whether the results are complete, under their name or before."""
    return any(out.glob(".*.partial/results/manifest.json")) or any(out.glob("*/manifest.json"))


def wait_for(process: subprocess.Popen[str], reached: Callable[[], bool]) -> bool:
    """Wait until something is reached; return False if the run ends before."""
    while process.poll() is None:
        try:
            if reached():
                return True
        except OSError:
            # A file went away between its listing and its reading.
            pass
        time.sleep(POLL_S)
    return False


def cut_one(
    clip: Path, folder: Path, options: list[str], kind: str, rng: random.Random, number: int
) -> Cut | None:
    """Run once and copy the image at one moment; None if the run ended before it."""
    image, target = make_image(folder / "disk.img"), folder / f"cut{number}.img"
    with mounted(image, folder / "disk") as disk:
        out = disk / "out"
        out.mkdir()
        os.sync()
        process = start(clip, out, options)
        try:
            if kind == "after":
                _, messages = process.communicate()
                if process.returncode:
                    raise SystemExit(f"the run ended with {process.returncode}: {messages}")
                delay = rng.choice((0.0, rng.uniform(0.0, 1.0), rng.uniform(0.0, AFTER_S)))
                time.sleep(delay)
                copy_image(image, target)
                return Cut(target, f"{delay:.2f} s after exit code 0", True)
            if kind == "publishing":
                reached = wait_for(process, lambda: has_manifest(out))
                delay = rng.uniform(0.0, PUBLISHING_S) * rng.random()
                moment = f"{delay * 1000:.0f} ms after the manifest"
            else:
                lines = rng.randint(1, 4)
                reached = wait_for(process, lambda: journal_lines(out) > lines)
                delay = rng.uniform(0.0, 1.0)
                moment = f"{delay:.2f} s after segment {lines}"
            if not reached:
                return None
            time.sleep(delay)
            process.send_signal(signal.SIGSTOP)
            is_finished = process.poll() == 0
            copy_image(image, target)
            return Cut(target, moment, is_finished)
        finally:
            process.kill()
            process.wait()


def check(cut: Cut, clip: Path, folder: Path, options: list[str], whole: Result) -> list[str]:
    """Return what is wrong with a copy, after it is resumed."""
    with mounted(cut.image, folder / "after") as disk:
        out = disk / "out"
        if not out.exists():
            return ["the output folder is gone"]
        found = [path for path in out.iterdir() if not path.name.startswith(".")]
        if cut.is_finished and not found:
            return ["there is no result after exit code 0"]
        faults = []
        for result in found:
            faults += [
                f"{path.name} is empty"
                for path in sorted(result.rglob("*"))
                if path.is_file()
                and not path.stat().st_size
                and whole.files.get(str(path.relative_to(result))) != EMPTY
            ]
            command = [sys.executable, "-m", "jdsr_cli", "verify", str(result)]
            ended = subprocess.run(command, capture_output=True, text=True)
            if ended.returncode:
                faults.append(f"verify: {(ended.stderr or ended.stdout).strip().splitlines()[-1:]}")
        try:
            finish(clip, out, options)
        except SystemExit as ended:
            return [*faults, str(ended)]
        return faults + differences(read_result(out), whole)


def main() -> int:
    """Cut the power at all moments; print a line for each, and the number of whole ones."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_clip_options(parser)
    parser.add_argument("--seconds", type=int, default=6, help="length of the clip")
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parsed, options = parse_options(parser)
    rng = random.Random(parsed.seed)
    whole_count = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        clip = make_clip(parsed, folder)
        finish(clip, folder / "whole", options)
        whole = read_result(folder / "whole")
        number = 0
        while number < parsed.moments:
            kind = ("running", "publishing", "after")[number % 3]
            cut = cut_one(clip, folder, options, kind, rng, number)
            if cut is None:
                continue
            faults = check(cut, clip, folder, options, whole)
            whole_count += not faults
            print_line(f"cut {number + 1:2}: {cut.moment}: {'; '.join(faults) or 'whole'}")
            cut.image.unlink()
            number += 1
    print_line(f"{whole_count} of {parsed.moments} whole")
    return 0 if whole_count == parsed.moments else 1


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
