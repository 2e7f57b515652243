"""`jdsr weights`: what is printed and the exit codes."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from jdsr_cli.cli.app import app
from jdsr_cli.weights import places

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
[weights.figures]
psnr_db = 28.25
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(places, "ROOM", tmp_path / "site" / "jdsr_cli" / "weights")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("JDSR_WEIGHTS", str(tmp_path))
    digest = hashlib.sha256(CONTENT).hexdigest()
    text = "".join(ENTRY.format(name=name, digest=digest) for name in ("here", "gone"))
    (tmp_path / "manifest.toml").write_text(text)
    (tmp_path / "here.safetensors").write_bytes(CONTENT)
    return tmp_path


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["weights", *arguments])


def test_list(home: Path) -> None:
    result = run("list")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == f"here: {home / 'here.safetensors'}"
    assert "    network lite, 32 px to 128 px (x4), 0.0 MB" in lines
    assert "    licence: research only" in lines
    assert "    measured: psnr_db 28.25" in lines
    assert "gone: MISSING" in lines
    assert "retinaface-r50: not fetched" in lines


def test_list_does_without_torch(home: Path) -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from jdsr_cli.cli.app import app;"
        "result = CliRunner().invoke(app, ['weights', 'list']);"
        "print(result.exit_code, 'torch' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "0 False"


def test_list_without_a_manifest(home: Path) -> None:
    (home / "manifest.toml").unlink()
    result = run("list")
    assert result.exit_code == 5
    assert "manifest.toml" in result.stderr
    assert "Traceback" not in result.output


def test_verify(home: Path) -> None:
    result = run("verify")
    assert result.exit_code == 5
    assert f"here: verified, {home / 'here.safetensors'}" in result.stdout
    assert "gone: MISSING" in result.stdout
    assert "retinaface-r50: not fetched" in result.stdout
    assert result.stderr.count("error:") == 1
    assert str(home / "gone.safetensors") in result.stderr


def test_verify_by_name(home: Path) -> None:
    assert run("verify", "here").exit_code == 0
    assert run("verify", "retinaface-r50").exit_code == 5
    result = run("verify", "heer")
    assert result.exit_code == 2
    assert "Did you mean here?" in result.stderr
    (home / "here.safetensors").write_bytes(CONTENT[::-1])
    result = run("verify", "here")
    assert result.exit_code == 5
    assert "here: UNUSABLE" in result.stdout
    assert "SHA-256 is" in result.stderr


def test_fetch_goes_on_after_a_failure(home: Path) -> None:
    result = run("fetch", "gone", "nothing", "here")
    assert result.exit_code == 5
    assert result.stderr.count("error:") == 2
    assert f"here: verified, {home / 'here.safetensors'}" in result.stdout
    assert run("fetch", "here").exit_code == 0
    assert run("fetch").exit_code == 2
