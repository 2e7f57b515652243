"""The report of `jdsr doctor`, and the conditions under which `restore` can run."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from typer.testing import CliRunner

import jdsr_cli.faces
from jdsr_cli import diagnosis
from jdsr_cli.cli.app import app
from jdsr_cli.diagnosis import DiagnosedItem, Diagnosis, diagnose
from jdsr_cli.errors import WeightsCorruptError, WeightsMissingError
from jdsr_cli.weights import DefaultWeights, WeightEntry, WeightStatus, locations
from jdsr_cli.weights.gates import GATES

DEFAULT_WEIGHTS = "lite-camera"


def entry(name: str) -> WeightEntry:
    return WeightEntry(name, "f", "0" * 64, 1, "lite", 2, 64, "d", "l", "c", "r")


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which everything works."""
    monkeypatch.setattr(locations, "PACKAGE_FOLDER", tmp_path / "site" / "jdsr_cli" / "weights")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("JDSR_WEIGHTS", str(tmp_path))
    (tmp_path / "a.bin").write_bytes(b"0" * 2_000_000)
    verified = WeightStatus(entry(DEFAULT_WEIGHTS), "verified", tmp_path / "f")
    monkeypatch.setattr(diagnosis, "weight_status", lambda *, hashed: (verified,))
    default = DefaultWeights(DEFAULT_WEIGHTS, "the default on a CPU")
    monkeypatch.setattr(diagnosis, "default_weights", lambda _: default)
    monkeypatch.setattr(
        jdsr_cli.faces, "create_detector", lambda name, _: SimpleNamespace(name=name)
    )


def find(report: Diagnosis, group: str, name: str) -> DiagnosedItem:
    (one,) = (one for one in report.findings if (one.group, one.name) == (group, name))
    return one


def test_a_complete_installation_is_ready(tmp_path: Path) -> None:
    report = diagnose()
    assert report.ready
    assert [one for one in report.findings if one.state == "fault"] == []
    assert find(report, "versions", "torch").detail == torch.__version__
    assert find(report, "versions", "ffmpeg").state == "ok"
    assert f"{torch.get_num_threads()} threads" in find(report, "devices", "cpu").detail
    assert find(report, "weights", DEFAULT_WEIGHTS).detail.startswith("verified")
    assert find(report, "weights", "auto").detail == "uses lite-camera (the default on a CPU)"
    assert find(report, "detectors", "retinaface-r50").detail.startswith("works, not measured")
    assert "recall" in find(report, "detectors", "centerface").detail
    assert find(report, "folders", str(tmp_path)).detail == "1 files, 2.0 MB"
    groups = [one.group for one in report.findings]
    assert groups == sorted(groups, key=list(dict.fromkeys(groups)).index)


@pytest.mark.parametrize(
    ("extra", "package"), [("train", "lightning-fabric"), ("provenance", "c2pa-python")]
)
def test_packages_of_extras_may_be_absent(
    monkeypatch: pytest.MonkeyPatch, extra: str, package: str
) -> None:
    finding = find(diagnose(), "versions", package)
    assert (finding.state, finding.needed) == ("ok", False)
    purpose, _ = diagnosis.EXTRAS[extra]
    monkeypatch.setitem(diagnosis.EXTRAS, extra, (purpose, ("jdsr-no-such-package",)))
    report = diagnose()
    absent = find(report, "versions", "jdsr-no-such-package")
    assert (absent.state, absent.needed, report.ready) == ("absent", False, True)
    assert absent.advice == f"{purpose} need it: pip install 'jdsr[{extra}]'"


def test_a_missing_gpu_is_not_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    report = diagnose()
    assert find(report, "devices", "cuda").state == "absent"
    assert find(report, "devices", "cuda").advice
    assert report.ready


def test_a_gpu_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (3 << 30, 8 << 30))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Card")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    detail = find(diagnose(), "devices", "cuda:0").detail
    assert detail.startswith("Card, 8.0 GiB, 3.0 free, native bfloat16")
    assert detail.endswith("--precision auto is bfloat16")


def test_a_package_that_cannot_be_imported_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> ModuleType:
        if name == "cv2":
            raise ImportError("libGL.so.1: cannot open shared object file")
        return import_module(name)

    monkeypatch.setattr(diagnosis, "import_module", broken)
    report = diagnose()
    (one,) = report.blocking
    assert one.name == "opencv-python"
    assert "libgl1" in str(one.advice)
    assert "weights" not in {one.group for one in report.findings}
    assert "folders" in {one.group for one in report.findings}


@pytest.mark.parametrize(
    ("state", "error"),
    [
        ("missing", WeightsMissingError("missing", hint="Copy it.")),
        ("unusable", WeightsCorruptError("altered", hint="Copy it.")),
    ],
)
def test_the_default_weights_must_be_valid(
    monkeypatch: pytest.MonkeyPatch, state: str, error: WeightsMissingError
) -> None:
    faulty = WeightStatus(entry(DEFAULT_WEIGHTS), state, None, error)  # type: ignore[arg-type]
    monkeypatch.setattr(diagnosis, "weight_status", lambda *, hashed: (faulty,))
    report = diagnose()
    (one,) = report.blocking
    assert (one.name, one.detail, one.advice) == (DEFAULT_WEIGHTS, error.what, "Copy it.")


def test_other_weights_may_be_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    verified = WeightStatus(entry(DEFAULT_WEIGHTS), "verified", tmp_path)
    missing = WeightStatus(entry("other"), "missing", None, WeightsMissingError("missing"))
    monkeypatch.setattr(diagnosis, "weight_status", lambda *, hashed: (verified, missing))
    report = diagnose()
    assert find(report, "weights", "other").state == "fault"
    assert report.ready


def test_the_default_weights_must_be_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    other = WeightStatus(entry("other"), "verified", Path("x"))
    monkeypatch.setattr(diagnosis, "weight_status", lambda *, hashed: (other,))
    (one,) = diagnose().blocking
    assert (one.group, one.name) == ("weights", "auto")
    assert one.detail.startswith("no manifest lists lite-camera")


def test_weights_that_were_not_fetched_are_not_a_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    verified = WeightStatus(entry(DEFAULT_WEIGHTS), "verified", tmp_path)
    large = replace(entry("camera"), carried=False)
    missing = WeightStatus(large, "missing", None, WeightsMissingError("missing"))
    monkeypatch.setattr(diagnosis, "weight_status", lambda *, hashed: (verified, missing))
    report = diagnose()
    assert find(report, "weights", "camera").state == "absent"
    assert find(report, "weights", "camera").advice == "jdsr weights fetch camera"
    assert report.ready


def test_the_default_weights_depend_on_the_device(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    faulty = WeightStatus(entry("camera"), "unusable", tmp_path, WeightsCorruptError("altered"))
    verified = WeightStatus(entry(DEFAULT_WEIGHTS), "verified", tmp_path)
    monkeypatch.setattr(diagnosis, "weight_status", lambda *, hashed: (verified, faulty))
    choice = DefaultWeights("camera", "the default on a GPU")
    monkeypatch.setattr(diagnosis, "default_weights", lambda _: choice)
    report = diagnose()
    assert find(report, "weights", "auto").detail == "uses camera (the default on a GPU)"
    assert [one.name for one in report.blocking] == ["camera"]


def test_gates_of_gpu_candidates_are_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    carried = entry(DEFAULT_WEIGHTS)
    gates: dict[str, object] = {
        "against": DEFAULT_WEIGHTS, "sha256": carried.sha256, "protocol": "p",
        **{gate.name: [0.75, 0.5] if gate.higher else [0.25, 0.5] for gate in GATES},
    }  # fmt: skip
    listed = [
        replace(entry("camera"), gates={**gates, "plain_covered": [0.5, 0.25]}),
        replace(entry("large"), gates=gates),
        entry("other"),
        carried,
    ]
    statuses = tuple(WeightStatus(one, "verified", tmp_path) for one in listed)
    monkeypatch.setattr(diagnosis, "weight_status", lambda *, hashed: statuses)
    report = diagnose()
    failed, passed = (find(report, "weights", f"gates of {name}") for name in ("camera", "large"))
    assert (failed.state, failed.needed) == ("absent", False)
    assert failed.detail == "does not beat lite-camera: plain_covered 0.5 against 0.25"
    assert passed.state == "ok"
    assert passed.detail == (
        "beats lite-camera on every gate; only weights called camera are a default"
    )
    names = [one.name for one in report.findings if one.name.startswith("gates of")]
    assert names == ["gates of camera", "gates of large"]
    assert report.ready


def test_a_missing_manifest_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*, hashed: bool) -> None:
        raise WeightsMissingError("no manifest", hint="Install.")

    monkeypatch.setattr(diagnosis, "weight_status", none)
    report = diagnose()
    assert [one.detail for one in report.blocking] == ["no manifest"]
    assert find(report, "weights", "retinaface-mobile").state == "absent"


def test_one_detector_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    def install_only(*names: str) -> None:
        def create(name: str, _: object) -> SimpleNamespace:
            if name not in names:
                raise WeightsMissingError("not installed", hint="Fetch it.")
            return SimpleNamespace(name="centerface")

        monkeypatch.setattr(jdsr_cli.faces, "create_detector", create)

    install_only("auto", "centerface")
    report = diagnose()
    assert report.ready
    assert find(report, "detectors", "auto").detail.startswith("uses centerface, ")
    assert find(report, "detectors", "retinaface-r50").state == "absent"
    assert find(report, "detectors", "retinaface-r50").advice == "jdsr weights fetch retinaface-r50"
    install_only()
    assert [one.name for one in diagnose().blocking] == ["auto"]


def test_the_command_prints_findings_and_exits_with_5_on_a_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    verified = DiagnosedItem("versions", "jdsr", "ok", "1.0", needed=True)
    optional = DiagnosedItem("devices", "cuda", "absent", "none", "Buy one")
    faulty = DiagnosedItem("weights", "w", "fault", "missing", "Copy it", needed=True)
    monkeypatch.setattr(diagnosis, "diagnose", lambda: Diagnosis((verified, optional)))
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 0
    assert "ready" in result.stdout
    assert "Buy one" in result.stdout
    monkeypatch.setattr(diagnosis, "diagnose", lambda: Diagnosis((verified, optional, faulty)))
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 5
    assert "ready" not in result.stdout
    assert result.stderr == "error: weights, w: missing. Copy it\n"
