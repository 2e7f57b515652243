"""The machine on which something is measured, and the versions of what is measured."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from jdsr_cli.inference.backends import cpu_threads, usable_cores

CPU_FLAGS = {
    "avx2": "avx2",
    "avx512": "avx512f",
    "vnni": "avx512_vnni",
    "avx_vnni": "avx_vnni",
    "bf16": "avx512_bf16",
    "amx_bf16": "amx_bf16",
    "amx_int8": "amx_int8",
}
"""Extensions that decide about the speed of networks, and their names in /proc/cpuinfo."""
MIB = 1 << 20


def describe_machine() -> dict[str, Any]:
    """Return processor, extensions, threads, memory and GPU; None where it is not known.

    It imports torch, whose memory would count if it were called before a measurement.
    """
    import cv2
    import torch

    cpu = _cpu_fields()
    flags = cpu.get("flags", "").split()
    gpu = None
    if torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory
        gpu = f"{torch.cuda.get_device_name(0)}, {memory // MIB} MiB"
    return {
        "cpu": cpu.get("model name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "usable_cores": usable_cores(),
        "cpu_flags": [name for name, flag in CPU_FLAGS.items() if flag in flags],
        "memory_mib": _memory_mib(),
        "gpu": gpu,
        "system": f"{platform.system()} {platform.release()}",
        "network_threads": cpu_threads(),
        "torch_threads": torch.get_num_threads(),
        "opencv_threads": cv2.getNumThreads(),
    }


def _cpu_fields() -> dict[str, str]:
    """Return the fields of the first processor in /proc/cpuinfo; empty where there is none."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    lines = (line.partition(":") for line in text.split("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


def _memory_mib() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // MIB
    except (AttributeError, OSError, ValueError):
        return None
