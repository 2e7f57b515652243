"""Whatever a name, a setting or another program says is one line without control characters."""

from __future__ import annotations

import ast
import io
import os
import sys
from pathlib import Path

import pytest
from command_line import one_line, run
from rich.table import Table

import jdsr_cli.cli
from jdsr_cli.cli.rendering import Bars
from jdsr_cli.cli.terminal import cell, open_console, write_error, write_line, write_notice
from jdsr_cli.errors import WeightsError
from jdsr_cli.file_names import as_text
from jdsr_cli.media.ffmpeg_program import last_message

HOSTILE = (
    "a\nerror: forged",
    "a\r\x1b[2Kerror: forged",
    "\x1b]0;title\x07\x1b[31m",
    "c1\x9b31m\x85",
    "\u202egp4.\u2066a\u2069",
    os.fsdecode(b"caf\xe9"),
)
MARKED = "[red]a[/red][/]:skull:[link=x]"
COMMANDS = {
    "bundle": ["bundle", "{}", "--out", "x.zip"],
    "watch": ["watch", "{}"],
    "config": ["restore", "x.mp4", "--config", "{}"],
    "eval": ["eval", "--data", "{}"],
    "report": ["report", "{}"],
    "verify": ["verify", "{}"],
    "weights export": ["weights", "export", "{}"],
    "weights fetch": ["weights", "fetch", "{}"],
    "train": ["train", "--data", "{}", "--out", "x"],
    "plan": ["train", "--plan", "{}", "--out", "x"],
    "restore": ["restore", "{}"],
    "crop-faces": ["crop-faces", "{}"],
}
WRITERS = {"print", "echo", "secho", "write", "writelines", "Console"}
"""Functions with which only `terminal` writes."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def clean(text: str) -> bool:
    return text.replace("\n", "") == as_text(text.replace("\n", ""))


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_says_a_name_on_one_line(command: str, name: str) -> None:
    result = run(*(word.format(name) for word in COMMANDS[command]))
    assert result.exit_code > 0
    assert not isinstance(result.exception, UnicodeError | ValueError)
    assert clean(result.stderr)
    assert [line for line in result.stderr.splitlines() if line.startswith("error: forged")] == []


@pytest.mark.parametrize(
    "content",
    [
        '"\\u001b[31m\\nerror: forged" = 1', 'mode = "\\u001b[31m\\nerror: forged"',
        'weights = "\\u009b31m\\nerror: forged"', "mode = \x1b[31m", 'device = "\\u202e\\r"',
    ],
)  # fmt: skip
def test_a_configuration_forges_no_line(folder: Path, content: str) -> None:
    (folder / "c.toml").write_text(content)
    (folder / "x.png").write_bytes(b"x")
    result = run("restore", "x.png", "--config", "c.toml")
    assert clean(one_line(result, result.exit_code))


@pytest.mark.parametrize("phrase", HOSTILE)
def test_a_phrase_of_a_server_is_quoted(monkeypatch: pytest.MonkeyPatch, phrase: str) -> None:
    def fail(*_: object) -> None:
        raise WeightsError(f"HTTP status 404 ({phrase})", where="http://x/y")

    monkeypatch.setattr("jdsr_cli.weights.fetch", fail)
    assert clean(one_line(run("weights", "fetch", "lite-x8"), 5))


@pytest.mark.parametrize("text", HOSTILE)
def test_messages_of_ffmpeg_are_quoted(text: str) -> None:
    assert clean(last_message(f"[mov @ 0x1234] bad tag '{text}'"))


@pytest.mark.parametrize("text", [*HOSTILE, MARKED])
def test_lines_and_notes_are_quoted(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_line(text)
    write_notice(text)
    write_error(text)
    with Bars() as bars:
        bars.begin(text, 1)
        bars.note(text)
        bars.end(text)
    printed = capsys.readouterr()
    shown = as_text(text)
    assert printed.out == f"{shown}\n"
    assert printed.err == f"{shown}\nerror: {shown}\n{shown}\n"


@pytest.mark.parametrize("text", [*HOSTILE, MARKED])
def test_bars_on_a_terminal_are_quoted(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = Terminal()
    monkeypatch.setattr(sys, "stderr", written)
    monkeypatch.setenv("COLUMNS", "200")
    with Bars() as bars:
        bars.begin(text, 1)
        bars.note(text)
        bars.end(text)
    printed = written.getvalue()
    assert printed.count(as_text(text)) >= 2
    assert text == as_text(text) or text not in printed
    assert not set("\x07\x9b\x85\u202e\u2066") & set(printed)


def test_cells_have_no_markup_and_no_control_characters() -> None:
    table = Table(title=cell(MARKED), caption=cell("first", MARKED))
    table.add_column("", no_wrap=True)
    for text in (*HOSTILE, MARKED):
        table.add_row(cell(text))
    console = open_console(width=200)
    console.file = io.StringIO()
    console.print(table)
    printed = console.file.getvalue()
    assert clean(printed)
    assert printed.count(MARKED) == 3
    assert len(printed.splitlines()) == len(HOSTILE) + 8


def test_only_one_module_writes_to_the_terminal() -> None:
    faults = []
    for path in sorted(Path(jdsr_cli.cli.__file__).parent.glob("*.py")):
        if path.stem == "terminal":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in ("stdout", "stderr"):
                faults.append(f"{path.name}:{node.lineno}")
            if not isinstance(node, ast.Call):
                continue
            called = node.func
            name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
            on_console = name == "print" and "console" in ast.unparse(called)
            on_file = name == "write" and ast.unparse(called) == "report.write"
            if name in WRITERS and not on_console and not on_file:
                faults.append(f"{path.name}:{node.lineno}")
    assert faults == []
