"""Which device and which precision a generator runs in."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import torch

from jdsr_cli.errors import DeviceError, UsageError
from jdsr_cli.settings import AUTO, Precision

PRECISIONS: dict[str, torch.dtype] = {
    name: getattr(torch, name) for name in get_args(Precision) if name != AUTO
}


def resolve_device(name: str | torch.device = "auto") -> torch.device:
    """Return the device called `name`; ``auto`` takes the first of CUDA, Apple MPS and CPU.

    Raises:
        UsageError: torch knows no device of that name.
        DeviceError: it is not on this machine.

    """
    if name == AUTO:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(
            f"no device is called {str(name)!r}", hint="Use auto, cpu, cuda, cuda:N or mps."
        ) from error
    present = {
        "cpu": 1,
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }.get(device.type, 0)
    if (device.index or 0) >= present:
        raise DeviceError(
            f"the device {device} is not on this machine",
            hint="Use --device auto or cpu; `jdsr doctor` lists what there is.",
        )
    return device


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """Return the arithmetic of the convolutions on `device`.

    ``auto`` is bfloat16 where the device computes in it natively, float16 on older CUDA cards
    and float32 elsewhere.

    Raises:
        UsageError: the precision is unknown, or is float16 on a CPU.

    """
    if name == AUTO:
        if has_native_bfloat16(device):
            return torch.bfloat16
        return torch.float16 if device.type == "cuda" else torch.float32
    if name not in PRECISIONS:
        raise UsageError(
            f"no precision is called {name!r}", hint=f"Use auto, {', '.join(PRECISIONS)}."
        )
    if name == "float16" and device.type == "cpu":
        raise UsageError(
            "float16 needs a GPU", hint="Use --precision float32 or bfloat16 on a CPU."
        )
    return PRECISIONS[name]


def has_native_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies in bfloat16 itself; emulated it is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
