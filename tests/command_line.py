"""Run commands in this process, or in others."""

import signal

from typer.testing import CliRunner, Result

from jdsr_cli.cli.app import app
from jdsr_cli.signals import ENDING


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def one_line(result: Result, code: int) -> str:
    """Return the error: one line on standard error, and no other output."""
    assert result.exit_code == code
    assert result.stdout == ""
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("error: ")
    return line


def default_signals() -> None:
    """Undo what a shell in the background, or `nohup`, has ignored for the tests."""
    for one in ENDING:
        signal.signal(one, signal.SIG_DFL)
