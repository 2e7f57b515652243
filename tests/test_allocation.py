"""Freed memory goes back to the system."""

import ctypes
import platform
import subprocess
import sys

import pytest

from jdsr_cli import allocation

CODE = """
import sys
import numpy as np
from threading import Thread
from jdsr_cli.allocation import return_freed_memory

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 >> 20

if sys.argv[1] == "returned":
    assert return_freed_memory()
np.ones(30 << 20, np.uint8)  # Its end raises the size of blocks that glibc keeps.
before, rest = resident(), []

def work():
    for _ in range(8):
        frame = np.ones(20 << 20, np.uint8)
        rest.append(np.ones(100_000, np.uint8))
        del frame

threads = [Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_threads_do_not_keep_the_frames_that_they_freed() -> None:
    left = {
        how: int(subprocess.check_output([sys.executable, "-c", CODE, how], text=True))
        for how in ("returned", "kept")
    }
    assert left["returned"] < 12
    assert left["kept"] > left["returned"] + 15


@pytest.mark.parametrize("system", ["darwin", "win32", "cygwin"])
def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch, system: str) -> None:
    monkeypatch.setattr(sys, "platform", system)
    assert not allocation.return_freed_memory()


def test_a_library_without_the_function_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert not allocation.return_freed_memory()
