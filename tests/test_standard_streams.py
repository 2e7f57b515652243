"""Standard streams: control characters, readers that are gone, full disks, closed streams."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

START = """
import os, sys, warnings, logging
from jdsr_cli.standard_streams import guarded_streams
"""
FORGED = "a\x1b]0;x\x07\rb\x9b\u202ec"
QUOTED = "a%1B]0;x%07%0Db%C2%9B%E2%80%AEc"


def run(code: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.run([sys.executable, "-c", START + code], check=False, **given)  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize(
    "print_it",
    [
        "print(text)",
        "print(text, file=sys.stderr)",
        "sys.stdout.writelines([text])",
        "warnings.warn(text, stacklevel=1)",
        "logging.getLogger('x').warning(text)",
        "raise ValueError(text)",
    ],
)
def test_what_libraries_print_is_quoted(print_it: str) -> None:
    body = "\n".join(("import traceback", "try:", f"    {print_it}", "except ValueError:",
                      "    traceback.print_exc()"))  # fmt: skip
    indented = body.replace("\n", "\n    ")
    done = run(f"text = {FORGED!r}\nwith guarded_streams():\n    {indented}")
    printed = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, printed
    assert QUOTED in printed
    assert FORGED not in printed


def test_lines_and_tabs_of_a_text_stay() -> None:
    done = run("with guarded_streams():\n    print('a\\tb\\nc')")
    assert done.stdout == b"a\tb\nc\n"


def test_names_that_the_encoding_lacks_are_written(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = run("with guarded_streams():\n    print('gr\xfcn', '\\udcff')", env=environment)
    assert (done.returncode, done.stdout) == (0, b"gr\\xfcn %FF\n")


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_reader_that_is_gone_ends_nothing(stream: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    code = (
        "with guarded_streams():\n"
        "    for _ in range(3):\n"
        f"        print('x' * 100_000, file=sys.{stream})\n"
        f"        sys.{stream}.flush()\n"
        f"os.write({1 if stream == 'stderr' else 2}, b'went on')"
    )
    done = run(code, **{stream: writing})
    os.close(writing)
    other = done.stdout if stream == "stderr" else done.stderr
    assert (done.returncode, other) == (0, b"went on")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_output_that_cannot_be_stored_is_an_error() -> None:
    with Path("/dev/full").open("wb") as full:
        code = (
            "from jdsr_cli.errors import OutputError\n"
            "try:\n    with guarded_streams():\n        print('x')\n"
            "except OutputError as fault:\n    print(fault, file=sys.stderr)"
        )
        done = run(code, stdout=full)
        assert done.stderr == (
            b"standard output: cannot be written: the disk is full. Choose another place for it.\n"
        )
        quiet = run("with guarded_streams():\n    print('x', file=sys.stderr)", stderr=full)
        assert (quiet.returncode, quiet.stdout) == (0, b"")


@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "1>&- 2>&-", "0<&- 1>&- 2>&-"])
def test_no_file_takes_the_place_of_a_closed_stream(closed: str, tmp_path: Path) -> None:
    code = START + (
        "with guarded_streams():\n"
        "    with open('file', 'w') as file:\n"
        "        print('x')\n"
        "        print('x', file=sys.stderr)\n"
        "        assert file.fileno() > 2, file.fileno()\n"
        "        file.write('content')\n"
    )
    command = f'exec "{sys.executable}" -c "$CODE" {closed}'
    environment = {**os.environ, "CODE": code, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(["sh", "-c", command], env=environment, cwd=tmp_path, check=False)
    assert done.returncode == 0
    assert (tmp_path / "file").read_text() == "content"
