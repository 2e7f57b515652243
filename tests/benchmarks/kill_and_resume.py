"""`kill -9` at random moments, then `--resume`: is the result that of an uninterrupted run?

Run by hand: `python tests/benchmarks/kill_and_resume.py CLIP [--runs 20] [--seed 0] [-- OPTIONS]`.
The clip is repeated to 60 s and restored once without interruption; then again and again by
`python -m jdsr_cli restore`, killed by SIGKILL at moments drawn by the seed, one to three times,
and gone on with until it ends. The frames of the video are compared by ffmpeg's framemd5, all
other files but the manifest (which tells times) byte by byte, and nothing may be left beside
them. What follows `--` is given to `restore`. The exit code is 1 where a run differs.
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

from repeated_clip import add_clip_options, frame_hashes, repeat_clip, say

MAX_KILLS = 3
"""Kills of one run at most."""

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Result:
    """What a run left in its folder."""

    frames: str
    """Times and hashes of the frames of the restored video."""
    files: dict[str, str]
    """Hashes of all files but the manifest, hidden ones too, by name."""
    beside: list[str]
    """Names in the folder above."""


def look(out: Path) -> Result:
    """Read the results in `out`."""
    (folder,) = [path for path in out.iterdir() if not path.name.startswith(".")]
    files = {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }
    video = next(folder.glob("restored.*"))
    return Result(frame_hashes(video), files, sorted(path.name for path in out.iterdir()))


def start(clip: Path, out: Path, options: list[str]) -> subprocess.Popen[str]:
    """Start a run that goes on where another stopped, if one did."""
    command = [sys.executable, "-m", "jdsr_cli", "restore", str(clip), "--out", str(out)]
    return subprocess.Popen(
        [*command, "--resume", "--quiet", *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(clip: Path, out: Path, options: list[str]) -> float:
    """Do a run to its end; return its seconds."""
    begin = time.monotonic()
    process = start(clip, out, options)
    _, said = process.communicate()
    if process.returncode:
        raise SystemExit(f"the run ended with {process.returncode}: {said}")
    return time.monotonic() - begin


def kill_after(clip: Path, out: Path, options: list[str], seconds: float) -> float | None:
    """Start a run and kill it; return its seconds where it ended before, None otherwise."""
    begin = time.monotonic()
    process = start(clip, out, options)
    try:
        _, said = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return None
    if process.returncode:
        raise SystemExit(f"the run ended with {process.returncode}: {said}")
    return time.monotonic() - begin


def kept(out: Path) -> str:
    """Return in words what is safe of an interrupted run."""
    if any(not path.name.startswith(".") for path in out.glob("*")):
        return "results in place"
    frames = 0
    for journal in out.glob(".*.partial/work/journal.jsonl"):
        for line in journal.read_text().splitlines()[1:]:
            try:
                frames = json.loads(line)["frames"]
            except ValueError:
                break
    return f"{frames} frames kept"


def differences(found: Result, whole: Result) -> list[str]:
    """Return what is not as it was in the uninterrupted run, in words."""
    said = []
    if found.frames != whole.frames:
        said.append("frames differ")
    names = found.files.keys() | whole.files.keys()
    said += [
        f"{name} {'differs' if name in found.files and name in whole.files else 'alone'}"
        for name in sorted(names)
        if found.files.get(name) != whole.files.get(name)
    ]
    if found.beside != whole.beside:
        said.append(f"beside it: {', '.join(sorted({*found.beside} ^ {*whole.beside}))}")
    return said


def main() -> int:
    """Do all runs; print a line for each, and how many are identical."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_clip_options(parser)
    parser.add_argument("--seconds", type=int, default=60, help="length of the clip")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = sys.argv[1:]
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    given, options = parser.parse_args(arguments[:cut]), arguments[cut + 1 :]
    draw = random.Random(given.seed)
    identical = 0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        clip = repeat_clip(
            given.clip, folder / "clip.mkv",
            seconds=given.seconds, height=given.height, rate=given.rate,
        )  # fmt: skip
        usual = finish(clip, folder / "whole", options)
        whole = look(folder / "whole")
        frames = sum(line[:1].isdigit() for line in whole.frames.splitlines())
        say(f"{frames} frames, {len(whole.files)} files, uninterrupted in {usual:.1f} s")
        for number in range(1, given.runs + 1):
            out, begin = folder / "killed", time.monotonic()
            moments: list[str] = []
            while not moments:
                shutil.rmtree(out, ignore_errors=True)
                for kill in range(draw.randint(1, MAX_KILLS)):
                    seconds = draw.uniform(0.0, usual)
                    ended = kill_after(clip, out, options, seconds)
                    if ended is None:
                        moments.append(f"{seconds:.1f} s ({kept(out)})")
                    elif not kill:
                        usual = min(usual, ended)
            finish(clip, out, options)
            faults = differences(look(out), whole)
            identical += not faults
            say(
                f"run {number:2}: killed at {', '.join(moments)}; "
                f"{time.monotonic() - begin:.0f} s in all: {'; '.join(faults) or 'identical'}"
            )
            shutil.rmtree(out)
    say(f"{identical} of {given.runs} identical")
    return 0 if identical == given.runs else 1


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
