"""Fuzzing of what runs keep: files of interrupted runs, the record of names, configuration files.

Run by hand: `python tests/benchmarks/fuzz_runs.py CLIP [--count 200] [--configs 2000] [--seed 0]`.
CLIP shows faces; its first seconds are used, in segments of 8 frames. One run is not interrupted;
another is killed by SIGKILL, and its folder is copied for each number, damaged in one to three
places and resumed. A resumed run fails if its results differ from the uninterrupted one in any file
but the manifest, or with anything but a one-line error that was foreseen. A configuration file
fails if it gives anything but options or such an error. The exit code is 1 if something fails.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.random import Generator
from repeated_clip import print_line, repeat_clip

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "media"))
sys.path.insert(0, str(Path(__file__).parents[1] / "restoration"))

from killed_run import run_until_killed
from mutations import DAMAGE
from suite_clips import file_hashes

from jdsr_cli.errors import JdsrError
from jdsr_cli.restoration import restore
from jdsr_cli.settings import COMMANDS, RestoreSettings, build, read_config

CONFIG = """
scale = 4
mode = "both"
shots = 3
detector = "centerface"
threshold = 0.25
min-face = 16
roi = [0, 0, 64, 48]
smoothing = 0.1
stabilise = false
start = "0:00:01"
end = 100
aspect = "16:9"
codec = "ffv1"
segment = 80
device = "cpu"
jobs = 2
"""


def _swap(path: Path, other: Path) -> None:
    ours, theirs = path.read_bytes(), other.read_bytes()
    path.write_bytes(theirs)
    other.write_bytes(ours)


def _replace_by_folder(path: Path, _: Path) -> None:
    path.unlink()
    path.mkdir()


WHOLE: tuple[Callable[[Path, Path], object], ...] = (
    lambda path, _: path.unlink(),
    lambda path, _: path.write_bytes(b""),
    lambda path, _: path.write_bytes(bytes(path.stat().st_size)),
    lambda path, _: path.write_bytes(path.read_bytes() * 2),
    lambda path, other: path.write_bytes(other.read_bytes()),
    _swap,
    _replace_by_folder,
)
"""Damage to whole files; the second one is another file of the run."""


def damage(files: list[Path], rng: Generator) -> str:
    """Damage one file; return which and how."""
    path, other = (files[index] for index in rng.integers(len(files), size=2))
    if not path.is_file():
        return f"{path.name}: nothing"
    if rng.random() < 0.25 and other.is_file() and other != path:
        number = int(rng.integers(len(WHOLE)))
        WHOLE[number](path, other)
        return f"{path.name}: whole {number}"
    data = np.frombuffer(path.read_bytes(), np.uint8).copy()
    number = int(rng.integers(len(DAMAGE)))
    if len(data):
        path.write_bytes(DAMAGE[number](data, rng).tobytes())
    return f"{path.name}: part {number}"


def resume(clip: Path, out: Path, whole: Path, settings: RestoreSettings) -> str:
    """Resume a damaged run; return "identical", "refused: ..." or "FAILED: ..."."""
    try:
        (result,) = restore([clip], out, replace(settings, resume=True)).results
        error = result.error
    except JdsrError as fault:
        # Nothing can be written into the folder of all results.
        error = fault
    if error is not None:
        text = str(error)
        foreseen = type(error) is not JdsrError and "\n" not in text
        return f"refused: {text}" if foreseen else f"FAILED: {text}"
    assert result.output is not None
    if file_hashes(result.output) != file_hashes(whole):
        return "FAILED: other results"
    return "identical"


def fuzz_runs(clip: Path, folder: Path, count: int, seed: int) -> Counter[str]:
    """Damage and resume copies of an interrupted run; print what fails."""
    settings = RestoreSettings(device="cpu", detector="centerface", frame_scale=1, segment=8)
    whole = restore([clip], folder / "whole", settings).results[0].output
    assert whole is not None
    run_until_killed("after the last whole segment", clip, folder / "killed", settings)
    outcomes: Counter[str] = Counter()
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        out = folder / f"{number}"
        shutil.copytree(folder / "killed", out)
        files = sorted(path for path in out.rglob("*") if path.is_file())
        done = [damage(files, rng) for _ in range(rng.integers(1, 4))]
        outcome = resume(clip, out, whole, settings)
        outcomes[outcome.partition(":")[0]] += 1
        if outcome != "identical":
            print_line(f"{number}: {', '.join(done)}: {outcome}")
        shutil.rmtree(out)
    return outcomes


def fuzz_configs(folder: Path, count: int, seed: int) -> Counter[str]:
    """Read damaged configuration files; print what fails."""
    outcomes: Counter[str] = Counter()
    path = folder / "run.toml"
    tomllib.loads(CONFIG)
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        data = np.frombuffer(CONFIG.encode(), np.uint8).copy()
        for _ in range(rng.integers(1, 4)):
            if len(data):
                data = DAMAGE[rng.integers(len(DAMAGE))](data, rng)
        path.write_bytes(data.tobytes())
        try:
            build(RestoreSettings, read_config(path, *COMMANDS["restore"]))
            outcomes["options"] += 1
        except JdsrError as fault:
            outcomes["refused" if "\n" not in str(fault) else "FAILED"] += 1
        except BaseException as fault:
            outcomes["FAILED"] += 1
            print_line(f"configuration {number}: {type(fault).__name__}: {fault}")
    return outcomes


def main() -> int:
    """Fuzz both; print the numbers of outcomes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("--seconds", type=int, default=3, help="length of the clip")
    parser.add_argument("--height", type=int, default=180, help="of its frames in pixels")
    parser.add_argument("--rate", type=int, default=10, help="frames per second")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--configs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        length = {"seconds": given.seconds, "height": given.height, "rate": given.rate}
        clip = repeat_clip(given.clip, folder / "clip.mkv", **length)
        runs = fuzz_runs(clip, folder, given.count, given.seed)
        configs = fuzz_configs(folder, given.configs, given.seed)
    print_line(f"runs: {dict(runs)}")
    print_line(f"configurations: {dict(configs)}")
    return 1 if runs["FAILED"] or configs["FAILED"] else 0


if __name__ == "__main__":
    sys.exit(main())
