"""Runs under the limits of small machines."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.nightly
@pytest.mark.parametrize("descriptors", [20, 32, 64])
def test_a_run_needs_few_file_descriptors(tmp_path: Path, clip: Path, descriptors: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "jdsr_cli", "restore", str(clip), "--out", str(tmp_path / "out")],
        capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors,) * 2),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / clip.stem / "manifest.json").is_file()
