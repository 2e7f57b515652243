"""`jdsr weights`: output and exit codes."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from jdsr_cli.cli.app import app
from jdsr_cli.weights import locations

CONTENT = b"weights"
ENTRY = """[[weights]]
name = "{name}"
file = "{name}.safetensors"
sha256 = "{digest}"
bytes = 7
network = "lite"
scale = 4
lr_size = 32
data = "faces"
licence = "research only"
commit = "abc"
recipe = "lite_x4"
carried = {carried}
[weights.figures]
psnr_db = 28.25
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(locations, "PACKAGE_FOLDER", tmp_path / "site" / "jdsr_cli" / "weights")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("JDSR_WEIGHTS", str(tmp_path))
    monkeypatch.delenv("JDSR_WEIGHTS_SOURCE", raising=False)
    digest = hashlib.sha256(CONTENT).hexdigest()
    listed = {"stored": "true", "missing": "true", "large": "false"}
    text = "".join(
        ENTRY.format(name=name, digest=digest, carried=carried) for name, carried in listed.items()
    )
    (tmp_path / "manifest.toml").write_text(text)
    (tmp_path / "stored.safetensors").write_bytes(CONTENT)
    return tmp_path


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["weights", *arguments])


def test_list_prints_every_entry(folder: Path) -> None:
    result = run("list")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == f"stored: {folder / 'stored.safetensors'}"
    assert "    network lite, 32 px to 128 px (x4), 0.0 MB, carried" in lines
    assert "    licence: research only" in lines
    assert "    measured: psnr_db 28.25" in lines
    assert "missing: MISSING" in lines
    assert "large: not fetched" in lines
    assert "    network lite, 32 px to 128 px (x4), 0.0 MB, fetched by name" in lines
    assert "retinaface-r50: not fetched" in lines


def test_list_shows_gates_and_their_verdict(folder: Path) -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()
    table = f"""
[weights.gates]
against = "lite-camera"
sha256 = "{digest}"
protocol = "six faces"
plain_psnr = [28, 28.25]
masked_iou = [0.9, 0.8]
"""
    text = "".join(
        ENTRY.format(name=name, digest=digest, carried="true") for name in ("lite-camera", "camera")
    )
    (folder / "manifest.toml").write_text(text + table)
    lines = run("list").stdout.splitlines()
    shown = "    gates: plain_psnr 28 against 28.25 dB, masked_iou 0.9 against 0.8 (six faces)"
    index = lines.index(shown)
    assert lines[index + 1].startswith(
        "    does not beat lite-camera: plain_psnr 28 against 28.25 dB, plain_ssim was not measured"
    )
    assert "masked_iou" not in lines[index + 1]


def test_list_does_not_import_torch(folder: Path) -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from jdsr_cli.cli.app import app;"
        "result = CliRunner().invoke(app, ['weights', 'list']);"
        "print(result.exit_code, 'torch' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "0 False"


def test_list_without_a_manifest_exits_with_5(folder: Path) -> None:
    (folder / "manifest.toml").unlink()
    result = run("list")
    assert result.exit_code == 5
    assert "manifest.toml" in result.stderr
    assert "Traceback" not in result.output


def test_verify_reports_every_file_and_exits_with_5_if_one_is_missing(folder: Path) -> None:
    result = run("verify")
    assert result.exit_code == 5
    assert f"stored: verified, {folder / 'stored.safetensors'}" in result.stdout
    assert "missing: MISSING" in result.stdout
    assert "retinaface-r50: not fetched" in result.stdout
    assert "large: not fetched" in result.stdout
    assert result.stderr.count("error:") == 1
    assert str(folder / "missing.safetensors") in result.stderr


def test_verify_checks_the_named_files(folder: Path) -> None:
    assert run("verify", "stored").exit_code == 0
    assert run("verify", "retinaface-r50").exit_code == 5
    assert run("verify", "large").exit_code == 5
    result = run("verify", "stord")
    assert result.exit_code == 2
    assert "Did you mean stored?" in result.stderr
    (folder / "stored.safetensors").write_bytes(CONTENT[::-1])
    result = run("verify", "stored")
    assert result.exit_code == 5
    assert "stored: UNUSABLE" in result.stdout
    assert "SHA-256 is" in result.stderr


def test_fetch_continues_after_a_failure(folder: Path) -> None:
    result = run("fetch", "missing", "unknown", "stored")
    assert result.exit_code == 5
    assert result.stderr.count("error:") == 2
    assert f"stored: verified, {folder / 'stored.safetensors'}" in result.stdout
    assert run("fetch", "stored").exit_code == 0
    assert run("fetch").exit_code == 2


@pytest.fixture
def source(folder: Path) -> Path:
    source = folder / "source"
    source.mkdir()
    (source / "large.safetensors").write_bytes(CONTENT)
    return source


def test_fetch_copies_from_a_folder_into_the_cache(folder: Path, source: Path) -> None:
    result = run("fetch", "large", "--from", str(source))
    path = folder / "cache" / "jdsr" / "weights" / "large.safetensors"
    assert result.exit_code == 0
    assert result.stdout == f"large: verified, {path}\n"
    assert path.read_bytes() == CONTENT
    assert f"large: {path}" in run("list").stdout.splitlines()
    assert run("verify", "large").exit_code == 0


def test_fetch_reads_the_source_from_the_environment(
    folder: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JDSR_WEIGHTS_SOURCE", str(folder / "absent"))
    result = run("fetch", "large")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: --from {folder / 'absent'}: there is no such folder")
    assert len(result.stderr.splitlines()) == 1
    assert run("fetch", "large", "--from", str(source)).exit_code == 0


def test_fetch_without_a_source_names_file_and_folder(folder: Path) -> None:
    result = run("fetch", "large")
    assert result.exit_code == 5
    assert len(result.stderr.splitlines()) == 1
    assert "7 bytes" in result.stderr
    assert hashlib.sha256(CONTENT).hexdigest() in result.stderr
    assert str(folder / "cache" / "jdsr" / "weights" / "large.safetensors") in result.stderr
