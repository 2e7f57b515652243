"""The models that a run opens, and the notes about them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from jdsr_cli.errors import DeviceError
from jdsr_cli.progress import Silent
from jdsr_cli.restoration import models
from jdsr_cli.settings import RestoreSettings
from jdsr_cli.weights import DefaultWeights

Weights = Callable[[int], Path]


class Notes(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, message: str) -> None:
        self.lines.append(message)


@pytest.fixture
def requested(monkeypatch: pytest.MonkeyPatch, tiny_weights: Weights) -> list[str]:
    """Record the devices whose default weights are requested: a generator of 128 px."""
    devices: list[str] = []

    def default(device: str) -> DefaultWeights:
        devices.append(device)
        return DefaultWeights(str(tiny_weights(128)), "for a reason")

    monkeypatch.setattr(models, "default_weights", default)
    return devices


def test_the_default_depends_on_the_device_and_its_reason_is_reported(
    requested: list[str], tiny_weights: Weights
) -> None:
    progress = Notes()
    settings = RestoreSettings(detector="centerface", device="cpu", precision="float32")
    opened = models.open_models(settings, progress)
    assert requested == ["cpu"]
    assert progress.lines[0] == f"weights: {tiny_weights(128)} (for a reason), float32 on cpu"
    assert opened.generator is not None
    assert opened.generator.side == 128


def test_given_weights_need_no_default(requested: list[str], tiny_weights: Weights) -> None:
    progress = Notes()
    given = str(tiny_weights(32))
    settings = RestoreSettings(
        weights=given, detector="centerface", device="cpu", precision="float32"
    )
    opened = models.open_models(settings, progress)
    assert requested == []
    assert progress.lines[0] == f"weights: {given}, float32 on cpu"
    assert opened.identity()["weights"]["file"] == "tiny-32.safetensors"


def test_a_missing_device_is_reported_before_its_default(requested: list[str]) -> None:
    with pytest.raises(DeviceError):
        models.open_models(RestoreSettings(device="cuda:99"), Silent())
    assert requested == []
