"""The command line: help, version, exit codes and one-line errors."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from results_folder import results_in
from typer.testing import CliRunner

import jdsr_cli
from jdsr_cli.cli import app as app_module
from jdsr_cli.cli.app import app

HEAVY = {"torch", "torchvision", "cv2", "av", "numpy", "scipy", "PIL", "matplotlib", "skimage"}
MAX_MODULES = 450
"""Of help and version, the standard library's among them. Imports take most of their time, which
`tests/benchmarks/start_up.py` measures; torch alone would be more than a thousand."""
COMMANDS = (
    *("restore", "crop-faces", "watch", "demo", "weights", "doctor", "train", "eval", "export"),
    *("bench", "report"),
)  # fmt: skip
Weights = Callable[[int], Path]
RUN = "import sys; from jdsr_cli.cli.app import main; main()"


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", RUN, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )


def restore(weights: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    fixed = ("--weights", weights, "--detector", "centerface", "--device", "cpu")
    return run("restore", *fixed, *arguments)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["restore", "--help"]])
def test_help_and_version_import_few_modules_and_no_heavy_ones(arguments: list[str]) -> None:
    code = (
        "import atexit, sys; sys.argv[0] = 'jdsr';"
        "atexit.register(lambda: print('MODULES', *sys.modules));" + RUN
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    loaded = done.stdout.split("MODULES")[1].split()
    assert "jdsr_cli.cli.app" in loaded
    assert not HEAVY & set(loaded)
    assert len(loaded) < MAX_MODULES


def test_version_is_the_package_version() -> None:
    assert CliRunner().invoke(app, ["--version"]).output == f"jdsr {jdsr_cli.__version__}\n"


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "jdsr_cli", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"jdsr {jdsr_cli.__version__}\n"


def test_help_names_every_command() -> None:
    output = CliRunner().invoke(app, ["--help"]).output
    for command in COMMANDS:
        assert f"  {command} " in output


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_restore_writes_a_summary_line(clip: Path, tiny_weights: Weights, tmp_path: Path) -> None:
    done = restore(tiny_weights(64), clip, "--out", tmp_path / "out")
    assert done.returncode == 0
    (line,) = done.stdout.splitlines()
    assert str(tmp_path / "out" / "street") in line
    assert "6 frames, 2 tracks, 12 faces found, 12 restored" in line
    assert "detector: centerface" in done.stderr
    assert (tmp_path / "out" / "street" / "restored.mp4").exists()


def test_unreadable_inputs_exit_with_4_and_one_line_each(
    clip: Path, tiny_weights: Weights, tmp_path: Path
) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no media")
    done = restore(
        tiny_weights(32), tmp_path / "broken.mp4", clip, "-o", tmp_path / "out", "--quiet"
    )
    assert done.returncode == 4
    assert len(done.stdout.splitlines()) == 1
    errors = done.stderr.splitlines()
    assert len(errors) == 2
    assert errors[0].startswith(f"error: {tmp_path / 'broken.mp4'}: ")
    assert errors[1] == "error: 1 of 2 inputs failed"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["absent.mp4"], 3, "absent.mp4"),
        (["clip", "--scale", "3"], 2, "--scale"),
        (["clip", "--mode", "paint"], 2, "paint"),
        (["clip", "--batch", "0"], 2, "--batch"),
        (["clip", "--device", "abacus"], 2, "abacus"),
        (["clip", "--out", "file/out"], 6, "--out"),
        (["clip", "--weights", "no.safetensors"], 5, "no.safetensors"),
        ([], 2, "INPUT"),
    ],
)
def test_errors_exit_with_their_code_and_one_line(
    clip: Path, tiny_weights: Weights, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    (tmp_path / "file").write_text("x")
    given = [str(clip) if word == "clip" else word for word in arguments]
    given = [str(tmp_path / word) if word == "file/out" else word for word in given]
    if "--out" not in given:
        given += ["--out", str(tmp_path / "out")]
    done = restore(tiny_weights(32), *given)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    if code != 2 or "--scale" in arguments:
        assert len([line for line in done.stderr.splitlines() if "error" in line.lower()]) == 1
    assert not (tmp_path / "out" / clip.stem).exists()


def test_ctrl_c_exits_with_130_and_leaves_no_files(
    clip: Path, tiny_weights: Weights, tmp_path: Path
) -> None:
    code = (
        "import os, signal\n"
        "from jdsr_cli.restoration.stages import compositing\n"
        "old, calls = compositing.enlarge, []\n"
        "def enlarge(image, factor):\n"
        "    calls.append(0)\n"
        "    if len(calls) == 3: os.kill(os.getpid(), signal.SIGINT)\n"
        "    return old(image, factor)\n"
        "compositing.enlarge = enlarge\n" + RUN
    )
    arguments = ["restore", str(clip), "--out", str(tmp_path / "out"), "--device", "cpu"]
    arguments += ["--weights", str(tiny_weights(32)), "--detector", "centerface"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 130
    assert "interrupted" in done.stderr
    assert "Traceback" not in done.stderr
    assert results_in(tmp_path / "out") == []


def test_crop_faces_writes_a_training_folder(clip: Path, tmp_path: Path) -> None:
    done = run(
        "crop-faces", clip, "--out", tmp_path, "--detector", "centerface", "--detect-every", "3"
    )
    assert done.returncode == 0
    assert "4 exported" in done.stdout
    assert len(list((tmp_path / "street").glob("*.png"))) == 4
    lines = (tmp_path / "street" / "faces.jsonl").read_text().splitlines()
    assert {json.loads(line)["frame"] for line in lines} == {0, 3}


def test_an_unexpected_error_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("jdsr_cli.restoration.restore", broken)
    result = CliRunner().invoke(app, ["restore", "x.mp4"])
    assert isinstance(result.exception, ZeroDivisionError)


@pytest.mark.parametrize("write", [typer.echo, print])
def test_whatever_is_printed_is_quoted(
    monkeypatch: pytest.MonkeyPatch, write: Callable[[str], None]
) -> None:
    printed = io.BytesIO()
    output = io.TextIOWrapper(printed, encoding="utf-8", errors="strict")
    monkeypatch.setattr(sys, "stdout", output)
    monkeypatch.setattr(app_module, "app", lambda: write(os.fsdecode(b"caf\xe9\x07\x1b]0;x")))
    app_module.main()
    output.flush()
    assert printed.getvalue() == b"caf%E9%07%1B]0;x\n"
