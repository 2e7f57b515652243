"""The benchmarks of single functions still run."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.nightly
def test_every_benchmark_runs_once() -> None:
    pytest.importorskip("pytest_benchmark", reason="needs the extra bench")
    file = ROOT / "tests" / "benchmarks" / "bench_hot_functions.py"
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "--benchmark-disable", str(file)],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
