"""Lack of memory is told in one line, whichever library notices it."""

from __future__ import annotations

import errno
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jdsr_cli.errors import InsufficientMemoryError, MediaError, WeightsCorruptError
from jdsr_cli.memory_faults import memory_fault
from jdsr_cli.restoration.failures import failure_of

LACKS = [
    MemoryError(),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
    ImportError("cv2.abi3.so: failed to map segment from shared object"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
    RuntimeError("can't start new thread"),
    RuntimeError("std::bad_alloc"),
]


def damaged_file() -> MediaError:
    """Return the error of a file that made a library ask for too much."""
    error = MediaError("states an absurd size", where="a.mkv")
    error.__cause__ = MemoryError()
    return error


@pytest.mark.parametrize("lack", LACKS, ids=str)
def test_a_lack_of_memory_is_known_by_any_library(lack: Exception) -> None:
    found = failure_of(lack, Path("a.mp4"), Path("out/a"))
    assert isinstance(found, InsufficientMemoryError)
    assert str(found).startswith("a.mp4: this process has too little memory")
    assert "\n" not in str(found)


@pytest.mark.parametrize("lack", LACKS, ids=str)
def test_a_lack_of_memory_is_known_behind_another_error(lack: Exception) -> None:
    error = WeightsCorruptError("is not a network", where="a.onnx")
    error.__cause__ = lack
    assert isinstance(memory_fault(error), InsufficientMemoryError)


@pytest.mark.parametrize(
    "fault",
    [
        MediaError("is damaged", where="out of memory.mp4"),
        damaged_file(),
        FileNotFoundError(errno.ENOENT, "No such file", "bad_alloc.png"),
        ValueError("zip() argument 2 is shorter than argument 1"),
    ],
    ids=str,
)
def test_other_errors_are_not_taken_for_it(fault: Exception) -> None:
    assert memory_fault(fault) is None


def test_numpy_says_it_with_its_own_error() -> None:
    with pytest.raises(MemoryError) as caught:
        np.empty(1 << 60, np.uint8)
    assert isinstance(memory_fault(caught.value), InsufficientMemoryError)


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is that of Linux")
@pytest.mark.parametrize("command", ["verify", "restore"])
def test_a_command_under_a_limit_tells_it_in_one_line(tmp_path: Path, command: str) -> None:
    limit = 260 << 20
    done = subprocess.run(
        [sys.executable, "-m", "jdsr_cli", command, str(tmp_path)],
        capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )  # fmt: skip
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("error: this process has too little memory")
