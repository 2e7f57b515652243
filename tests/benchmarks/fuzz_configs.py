"""Fuzzing of configuration files.

Run by hand: `python tests/benchmarks/fuzz_configs.py [--count 2000] [--seed 0]`. A damaged file
fails if it gives anything but options or a one-line error that was foreseen. The exit code is 1 if
something fails.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import tomllib
from collections import Counter
from pathlib import Path

import numpy as np
from repeated_clip import print_line

sys.path.insert(0, str(Path(__file__).parents[1] / "media"))

from mutations import DAMAGE

from jdsr_cli.errors import JdsrError
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
    """Fuzz; print the numbers of outcomes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcomes = fuzz_configs(Path(folder), given.count, given.seed)
    print_line(str(dict(outcomes)))
    return 1 if outcomes["FAILED"] else 0


if __name__ == "__main__":
    sys.exit(main())
