"""No command uses the network unless it is asked to; each runs in a process that may not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

WATCH = """
import os, sys

def _watch(event, arguments):
    if event in ("socket.connect", "socket.sendto") and isinstance(arguments[1], (str, bytes)):
        return  # a local socket of a file
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname",
                 "urllib.Request"):
        with open(os.environ["CONTACTS"], "a") as log:
            log.write(f"{event} {arguments[1:]}\\n")
        raise OSError("this process may not use the network")

sys.addaudithook(_watch)
"""
"""A module that Python imports at the start of this process and of those that it starts."""
COMMAND = "from jdsr_cli.cli.app import main; main()"


@dataclass
class OfflineProcess:
    """Runs Python code whose use of the network fails and is noted."""

    folder: Path

    def __call__(self, code: str, *arguments: object) -> tuple[int, str, str]:
        """Return the exit code, standard error, and the contacts that were tried."""
        log = self.folder / "contacts"
        log.write_text("")
        paths = os.pathsep.join([str(self.folder), *(one for one in sys.path if one)])
        environment = {
            **os.environ, "PYTHONPATH": paths, "CONTACTS": str(log), "CI": "",
            "XDG_CACHE_HOME": str(self.folder / "cache"), "TORCH_HOME": str(self.folder / "torch"),
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            env=environment, capture_output=True, text=True, check=False, cwd=self.folder,
        )  # fmt: skip
        return done.returncode, done.stderr, log.read_text()


@pytest.fixture
def offline(tmp_path: Path) -> OfflineProcess:
    folder = tmp_path / "process"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(WATCH)
    return OfflineProcess(folder)


def test_a_contact_is_noticed_in_a_process_and_in_those_that_it_starts(
    offline: OfflineProcess,
) -> None:
    contact = "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9')"
    for code in (
        contact,
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {contact!r}], check=True)",
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "import socket; socket.getaddrinfo('localhost', 80)",
    ):
        code_of_exit, _, contacts = offline(code)
        assert code_of_exit == 1
        assert contacts


def test_openvino_is_opened_without_its_telemetry(offline: OfflineProcess) -> None:
    pytest.importorskip("openvino")
    code = (
        "from jdsr_cli.inference.offline_imports import import_offline;"
        "import_offline('openvino').Core(); import sys;"
        "assert sys.modules['openvino_telemetry'] is None"
    )
    assert offline(code) == (0, "", "")


OPTIONS: dict[str, Callable[[Path, Path, Path], tuple[object, ...]]] = {
    "restore": lambda clip, out, _: ("restore", clip, "--out", out),
    "crop-faces": lambda clip, out, _: ("crop-faces", clip, "--out", out),
    "other detector": lambda clip, out, _: (
        "crop-faces", clip, "--out", out, "--detector", "retinaface-mobile",
    ),
    "watch": lambda clip, out, _: ("watch", clip.parent, "--out", out, "--once"),
    "weights list": lambda *_: ("weights", "list"),
    "weights verify": lambda *_: ("weights", "verify"),
    "weights fetch": lambda *_: ("weights", "fetch", "lite-camera"),
    "doctor": lambda *_: ("doctor",),
    "eval": lambda _, out, faces: ("eval", "--data", faces, "--limit", 1, "--out", out),
    "train": lambda _, out, faces: ("train", "--data", faces, "--recipe", "lite_x4", "--out", out),
    "train with facexlib": lambda _, out, faces: (
        "train", "--data", faces, "--recipe", "paper_x4", "--labels", "facexlib", "--out", out,
    ),
    "bench": lambda *_: ("bench", "detector", "--runs", 1),
}  # fmt: skip


@pytest.mark.nightly
@pytest.mark.parametrize("command", OPTIONS)
def test_a_command_does_not_use_the_network(
    command: str,
    offline: OfflineProcess,
    clip: Path,
    tmp_path: Path,
    write_faces: Callable[..., Path],
) -> None:
    faces = write_faces(tmp_path / "faces", ("train-0.tar", "val-0.tar", "test-0.tar"))
    words = OPTIONS[command](clip, tmp_path / "out", faces)
    _, errors, contacts = offline(COMMAND, *words)
    assert contacts == ""
    assert "Traceback" not in errors
    assert "No such option" not in errors


@pytest.mark.nightly
def test_results_are_checked_and_told_without_the_network(
    offline: OfflineProcess, clip: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for words in (
        ("restore", clip, "--out", out),
        ("verify", out / clip.stem),
        ("report", out / clip.stem),
        ("bundle", out / clip.stem, "--out", tmp_path / "case.zip"),
    ):
        code, errors, contacts = offline(COMMAND, *words)
        assert (code, contacts) == (0, ""), errors
