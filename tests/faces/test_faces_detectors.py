from pathlib import Path

import pytest
import torch

from jdsr_cli.errors import DeviceError, UsageError, WeightsCorruptError, WeightsMissingError
from jdsr_cli.faces import DetectorSettings, create_detector, detectors
from jdsr_cli.faces.retinaface import KINDS, RetinaFaceNet


def carry(monkeypatch: pytest.MonkeyPatch, files: dict[str, Path]) -> list[str]:
    """Let the registry hold just `files`; returns the list of names asked for."""
    asked: list[str] = []

    def auxiliary(name: str) -> Path:
        asked.append(name)
        if name not in files:
            raise WeightsMissingError("not on this machine", where=name)
        return files[name]

    monkeypatch.setattr(detectors, "auxiliary", auxiliary)
    return asked


@pytest.fixture(scope="module")
def mobile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mobile") / "mobile.pth"
    torch.save(RetinaFaceNet(KINDS["retinaface-mobile"]).state_dict(), path)
    return path


def test_auto_is_centerface_without_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = carry(monkeypatch, {})
    assert create_detector().name == "centerface"
    assert asked == ["retinaface-r50", "retinaface-mobile"]


def test_auto_is_retinaface_with_its_weights(monkeypatch: pytest.MonkeyPatch, mobile: Path) -> None:
    carry(monkeypatch, {"retinaface-mobile": mobile})
    settings = DetectorSettings(device="cpu")
    assert create_detector("auto", settings).name == "retinaface-mobile"
    assert create_detector("retinaface-mobile", settings).name == "retinaface-mobile"
    assert create_detector("centerface", settings).name == "centerface"


def test_auto_does_not_hide_damaged_weights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.pth"
    damaged.write_bytes(b"\x80")
    carry(monkeypatch, {"retinaface-r50": damaged})
    with pytest.raises(WeightsCorruptError):
        create_detector("auto", DetectorSettings(device="cpu"))


def test_a_detector_that_was_asked_for_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    carry(monkeypatch, {})
    with pytest.raises(WeightsMissingError):
        create_detector("retinaface-r50")


def test_an_unknown_name_and_an_absent_device_are_refused(
    monkeypatch: pytest.MonkeyPatch, mobile: Path
) -> None:
    carry(monkeypatch, {"retinaface-mobile": mobile})
    with pytest.raises(UsageError, match="centerface"):
        create_detector("viola-jones")  # type: ignore[arg-type]
    with pytest.raises(DeviceError):
        create_detector("retinaface-mobile", DetectorSettings(device="cuda:99"))
