"""Inference backends: which there are, which are installed, and which one `auto` chooses."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from ctypes.util import find_library
from importlib.util import find_spec
from pathlib import Path

from threadpoolctl import threadpool_limits

from jdsr_cli.errors import UsageError

EXPORTED_BACKENDS = {"openvino": "openvino", "onnx": "onnxruntime"}
"""Backends that run exported networks, best first, and the package of each."""
INSTALL_HINT = "Run `pip install 'jdsr[cpu]'`, or use --backend torch."
_GPU_FILES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd", "/proc/driver/nvidia/version")
"""Files that the drivers of NVIDIA (also under WSL) and AMD create on Linux."""


def is_installed(backend: str) -> bool:
    """Return whether the package of an exported backend is installed; it is not imported."""
    return find_spec(EXPORTED_BACKENDS[backend]) is not None


def resolve_backend(name: str, device: str, supported: Iterable[str] = EXPORTED_BACKENDS) -> str:
    """Return the backend for a network on a device.

    Args:
        name: ``auto``, ``torch``, ``openvino`` or ``onnx``.
        device: Name of the device, such as ``cpu`` or ``cuda:0``.
        supported: Exported backends that have this network. ``auto`` chooses the first of
            `EXPORTED_BACKENDS` among them that is installed, on a CPU; otherwise ``torch``.

    Raises:
        UsageError: The backend is not installed, or does not run on the device.

    """
    if name == "torch":
        return name
    on_cpu = device == "cpu"
    if name == "auto":
        found = (one for one in EXPORTED_BACKENDS if one in supported and is_installed(one))
        return next(found, "torch") if on_cpu else "torch"
    if not on_cpu:
        raise UsageError(
            f"the backend {name} runs on a CPU, not on {device}",
            hint="Use --device cpu, or --backend auto.",
        )
    if not is_installed(name):
        raise UsageError(
            f"the backend {name} needs the package {EXPORTED_BACKENDS[name]}, which is not "
            "installed",
            hint=INSTALL_HINT,
        )
    return name


def resolve_device_name(name: str) -> str:
    """Return the name of a device; torch, whose import takes seconds, is used for GPUs only.

    Raises:
        UsageError, DeviceError: as `jdsr_cli.weights.resolve_device`.

    """
    if name == "cpu" or (name == "auto" and not _may_have_gpu()):
        return "cpu"
    from jdsr_cli.weights import resolve_device

    return str(resolve_device(name))


def _may_have_gpu() -> bool:
    """Return whether a driver of a GPU seems to be present."""
    if sys.platform == "linux":
        return any(map(os.path.exists, _GPU_FILES))
    return sys.platform == "darwin" or find_library("nvcuda") is not None


@contextmanager
def single_threads() -> Iterator[None]:
    """Let torch, where it was imported, and NumPy run each operation in one thread, in the block.

    Convolutions add up in another order with one thread than with several, which changes some
    values by one grey level. With one thread a result is the same on any number of cores, in any
    number of processes. The threads of NumPy's OpenBLAS also stay active after a matrix product, on
    cores that other stages need: with them, a run on two cores takes 1.2 times as long.
    """
    torch = sys.modules.get("torch")
    before = None if torch is None else torch.get_num_threads()
    if torch is not None:
        torch.set_num_threads(1)
    try:
        with threadpool_limits(1, user_api="blas"):
            yield
    finally:
        if torch is not None:
            torch.set_num_threads(before)


def cpu_threads() -> int:
    """Return the number of threads for a network: $OMP_NUM_THREADS, or the usable cores."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    return usable_cores()


def enough_for_cpu() -> int:
    """Return the number of faces from which more in a batch gain nothing on a CPU.

    Passes have fixed sizes there and run side by side in all threads. On two cores the first frame
    of a street clip is written after 1.7 s with 8 faces in a batch, and after 2.2 s with 32.
    """
    return max(8, 4 * cpu_threads())


def usable_cores() -> int:
    """Return the number of cores on which this process may run."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def compiled_directory() -> Path:
    """Return the folder of compiled and exported networks in the cache of jdsr."""
    from jdsr_cli.weights.locations import cache_directory

    return cache_directory().parent / "compiled"
