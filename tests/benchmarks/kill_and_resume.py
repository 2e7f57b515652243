"""Comparison of runs killed by SIGKILL and resumed with an uninterrupted run.

Run by hand: `python tests/benchmarks/kill_and_resume.py CLIP [--runs 20] [--seed 0] [-- OPTIONS]`.
The clip is repeated to 60 s and restored once without interruption. Each further run of
`python -m jdsr_cli restore` is killed by SIGKILL one to three times, at random times drawn with the
seed, and resumed until it finishes. The frames of the video are compared by ffmpeg's framemd5, all
other files except the manifest (which contains times) byte by byte, and there may be no other
files. Arguments after `--` are passed to `restore`. The exit code is 1 if a run differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from repeated_clip import add_clip_options, frame_hashes, make_clip, parse_options, print_line

MAX_KILLS = 3
"""Maximum number of kills of one run."""

VARYING = ("manifest.json", "report.html", "index.html", "SHA256SUMS")
"""Files that state times, or the hash of a file that does."""


@dataclass(frozen=True)
class Result:
    """The files that a run wrote."""

    frames: str
    """Times and hashes of the frames of the restored video."""
    files: dict[str, str]
    """Hashes of all files but those in `VARYING`, including hidden ones, by name."""
    names: list[str]
    """Names in the output folder."""


def read_result(out: Path) -> Result:
    """Read the results in `out`."""
    (folder,) = [path for path in out.iterdir() if not path.name.startswith(".")]
    files = {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in VARYING
    }
    video = next(path for path in folder.glob("restored.*") if path.suffix != ".framemd5")
    return Result(frame_hashes(video), files, sorted(path.name for path in out.iterdir()))


def start(clip: Path, out: Path, options: list[str]) -> subprocess.Popen[str]:
    """Start a run, which resumes an interrupted one if there is one."""
    command = [sys.executable, "-m", "jdsr_cli", "restore", str(clip), "--out", str(out)]
    return subprocess.Popen(
        [*command, "--resume", "--quiet", *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(clip: Path, out: Path, options: list[str]) -> float:
    """Run until the end; return the duration in seconds."""
    started = time.monotonic()
    process = start(clip, out, options)
    _, messages = process.communicate()
    if process.returncode:
        raise SystemExit(f"the run ended with {process.returncode}: {messages}")
    return time.monotonic() - started


def kill_after(clip: Path, out: Path, options: list[str], seconds: float) -> float | None:
    """Start a run and kill it; return its duration if it finished before, otherwise None."""
    started = time.monotonic()
    process = start(clip, out, options)
    try:
        _, messages = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return None
    if process.returncode:
        raise SystemExit(f"the run ended with {process.returncode}: {messages}")
    return time.monotonic() - started


def describe_progress(out: Path) -> str:
    """Describe the stored progress of an interrupted run."""
    if any(not path.name.startswith(".") for path in out.glob("*")):
        return "results written"
    frames = 0
    for journal in out.glob(".*.partial/work/journal.jsonl"):
        for line in journal.read_text().splitlines()[1:]:
            try:
                frames = json.loads(line)["frames"]
            except ValueError:
                break
    return f"{frames} frames stored"


def differences(result: Result, reference: Result) -> list[str]:
    """Describe the differences from the uninterrupted run."""
    messages = []
    if result.frames != reference.frames:
        messages.append("frames differ")
    names = result.files.keys() | reference.files.keys()
    messages += [
        f"{name} differs"
        if name in result.files and name in reference.files
        else f"{name} is in one run only"
        for name in sorted(names)
        if result.files.get(name) != reference.files.get(name)
    ]
    if result.names != reference.names:
        messages.append(f"other files: {', '.join(sorted({*result.names} ^ {*reference.names}))}")
    return messages


def main() -> int:
    """Execute all runs; print a line for each, and the number of identical ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_clip_options(parser)
    parser.add_argument("--seconds", type=int, default=60, help="length of the clip")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parsed, options = parse_options(parser)
    rng = random.Random(parsed.seed)
    identical = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        clip = make_clip(parsed, folder)
        duration = finish(clip, folder / "whole", options)
        reference = read_result(folder / "whole")
        frames = sum(line[:1].isdigit() for line in reference.frames.splitlines())
        print_line(
            f"{frames} frames, {len(reference.files)} files, uninterrupted in {duration:.1f} s"
        )
        for number in range(1, parsed.runs + 1):
            out, started = folder / "killed", time.monotonic()
            kills: list[str] = []
            while not kills:
                shutil.rmtree(out, ignore_errors=True)
                for kill in range(rng.randint(1, MAX_KILLS)):
                    seconds = rng.uniform(0.0, duration)
                    finished_after = kill_after(clip, out, options, seconds)
                    if finished_after is None:
                        kills.append(f"{seconds:.1f} s ({describe_progress(out)})")
                    elif not kill:
                        duration = min(duration, finished_after)
            finish(clip, out, options)
            mismatches = differences(read_result(out), reference)
            identical += not mismatches
            seconds = time.monotonic() - started
            print_line(
                f"run {number:2}: killed at {', '.join(kills)}; {seconds:.0f} s in total: "
                f"{'; '.join(mismatches) or 'identical'}"
            )
            shutil.rmtree(out)
    print_line(f"{identical} of {parsed.runs} identical")
    return 0 if identical == parsed.runs else 1


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
