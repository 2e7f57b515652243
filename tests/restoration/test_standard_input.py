"""A stream from standard input is stored, restored and removed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import run
from media.clips import encode
from results_folder import results_in

from jdsr_cli.evidence import sha256_file
from jdsr_cli.restoration.standard_input import input_name, stored_stream


def command(out: Path, *more: str, weights: Path | None = None) -> list[str]:
    options = ["--out", str(out), "--detector", "centerface", "--device", "cpu"]
    options += [] if weights is None else ["--weights", str(weights)]
    return [sys.executable, "-m", "jdsr_cli", "restore", "-", "--stdin", *options, *more]


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts"])
def test_a_stream_is_restored_like_its_file(
    tmp_path: Path, tiny_weights: Callable[[int], Path], container: str
) -> None:
    clip, out = encode(tmp_path / f"clip.{container}"), tmp_path / "out"
    with subprocess.Popen(
        command(out, weights=tiny_weights(64)), stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        _, errors = process.communicate(clip.read_bytes())
    assert process.returncode == 0, errors
    assert results_in(out) == ["stdin"]
    assert not list(out.glob(".jdsr/stdin"))
    manifest = json.loads((out / "stdin" / "manifest.json").read_text())
    assert manifest["input"]["file"] == "-"
    assert manifest["input"]["sha256"] == sha256_file(clip)
    assert manifest["counts"]["frames_read"] == 12


def test_an_empty_stream_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        command(tmp_path / "out"), stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert done.returncode == 3
    assert "no bytes came from standard input" in done.stderr
    assert "Traceback" not in done.stderr
    assert results_in(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("restore", "-"), "Add --stdin"),
        (("restore", "a.mp4", "--stdin"), "Give - as an input"),
        (("restore", "-", "--stdin", "--dry-run"), "cannot be planned"),
        (("crop-faces", "-", "--stdin", "--dry-run"), "cannot be planned"),
    ],
)
def test_what_cannot_work_is_refused(tmp_path: Path, words: tuple[str, ...], expected: str) -> None:
    result = run(*words, "--out", str(tmp_path / "out"))
    assert result.exit_code in (2, 3)
    assert expected in result.stderr


def test_a_closed_stream_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from jdsr_cli.cli.app import main

    monkeypatch.setattr("sys.stdin", None)
    monkeypatch.setattr("sys.argv", ["jdsr", "restore", "-", "--stdin", "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "standard input is closed" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


class Terminal:
    def isatty(self) -> bool:
        return True


def test_a_terminal_is_not_read(tmp_path: Path) -> None:
    from jdsr_cli.errors import UsageError
    from jdsr_cli.progress import Silent

    terminal: object = Terminal()
    with (
        pytest.raises(UsageError, match="is a terminal"),
        stored_stream(["-"], tmp_path, terminal, Silent()),  # type: ignore[arg-type]
    ):
        pass


def test_two_runs_do_not_store_their_streams_in_one_file(tmp_path: Path) -> None:
    from io import BytesIO

    from jdsr_cli.errors import OutputError
    from jdsr_cli.progress import Silent

    with stored_stream(["a.mp4", "-"], tmp_path, BytesIO(b"first"), Silent()) as names:
        assert names[0] == "a.mp4"
        assert Path(names[1]).read_bytes() == b"first"
        assert input_name(Path(names[1])) == "-"
        with (
            pytest.raises(OutputError, match="another run reads its standard input"),
            stored_stream(["-"], tmp_path, BytesIO(b"second"), Silent()),
        ):
            pass
        assert Path(names[1]).read_bytes() == b"first"
    assert not os.path.lexists(names[1])
    with stored_stream(["-"], tmp_path, BytesIO(b"third"), Silent()) as names:
        assert Path(names[0]).read_bytes() == b"third"
