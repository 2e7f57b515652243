"""Memory does not grow with the number of pictures in a folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

FEW, MANY = 20, 220
BYTES_PER_PICTURE = 40_000
"""For what is remembered of each; the pixels of a picture have 360,000 bytes."""
SLACK = 25_000_000


def peak_bytes(folder: Path, count: int) -> int:
    """Return the peak of the resident memory of a process that restores a folder."""
    pictures = folder / f"{count}"
    pictures.mkdir()
    rng = np.random.default_rng(count)
    for number in range(count):
        pixels = rng.integers(0, 256, (300, 400, 3), np.uint8)
        Image.fromarray(pixels).save(pictures / f"{number}_view.png", compress_level=0)
    command = [sys.executable, "-m", "jdsr_cli", "restore", str(pictures), "--quiet"]
    process = subprocess.Popen([*command, "--out", str(folder / f"out{count}")])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss * 1024


@pytest.mark.nightly
@pytest.mark.skipif(sys.platform != "linux", reason="the unit of ru_maxrss is that of Linux")
def test_many_pictures_need_no_more_memory_than_few(tmp_path: Path) -> None:
    few, many = peak_bytes(tmp_path, FEW), peak_bytes(tmp_path, MANY)
    assert many - few < SLACK + (MANY - FEW) * BYTES_PER_PICTURE
