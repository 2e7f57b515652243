"""Names of devices and precisions."""

from __future__ import annotations

import pytest
import torch

from jdsr_cli.errors import DeviceError, UsageError
from jdsr_cli.weights import loading, resolve_device, resolve_precision

CPU = torch.device("cpu")


def test_the_cpu_is_always_available() -> None:
    assert resolve_device("cpu") == CPU
    assert resolve_device(CPU) == CPU
    assert resolve_device("auto").type in ("cuda", "mps", "cpu")


def test_auto_selects_an_available_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto") == torch.device("cuda")


@pytest.mark.parametrize("name", ["cuda:99", "xpu", "meta"])
def test_an_unavailable_device_is_an_error(name: str) -> None:
    with pytest.raises(DeviceError, match=f"{name} is not on this machine"):
        resolve_device(name)


def test_an_unknown_device_is_an_error() -> None:
    with pytest.raises(UsageError, match="'gpu'"):
        resolve_device("gpu")


@pytest.mark.parametrize(
    ("device", "native", "expected"),
    [
        ("cpu", True, torch.bfloat16),
        ("cpu", False, torch.float32),
        ("cuda", True, torch.bfloat16),
        ("cuda", False, torch.float16),
        ("mps", False, torch.float32),
    ],
)
def test_auto_precision_depends_on_the_device(
    monkeypatch: pytest.MonkeyPatch, device: str, native: bool, expected: torch.dtype
) -> None:
    monkeypatch.setattr(loading, "has_native_bfloat16", lambda _: native)
    assert resolve_precision("auto", torch.device(device)) == expected


def test_a_precision_can_be_given_by_name() -> None:
    assert resolve_precision("float32", CPU) == torch.float32
    assert resolve_precision("bfloat16", CPU) == torch.bfloat16
    assert resolve_precision("float16", torch.device("cuda")) == torch.float16
    with pytest.raises(UsageError, match="float16 needs a GPU"):
        resolve_precision("float16", CPU)
    with pytest.raises(UsageError, match=r"'half'.*bfloat16"):
        resolve_precision("half", CPU)


def test_native_bfloat16_is_detected_for_every_device() -> None:
    assert isinstance(loading.has_native_bfloat16(CPU), bool)
    assert loading.has_native_bfloat16(torch.device("mps")) is False
