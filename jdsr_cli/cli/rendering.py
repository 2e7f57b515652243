"""The library's progress as bars on the terminal, and what a run came to as text."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from jdsr_cli.restoration import InputResult, RunSummary


class Bars:
    """A `jdsr_cli.progress.Progress` with a bar, a count and an ETA for each task.

    Everything goes to standard error, so that standard output holds results only. Where that
    is no terminal, notes are written and bars are not.

    Args:
        quiet: Show nothing but results and errors.

    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._console = Console(stderr=True, highlight=False)
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=quiet or not self._console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def begin(self, task: str, total: int | None) -> None:
        """Add a bar."""
        self._tasks[task] = self._bars.add_task(task, total=total)

    def advance(self, task: str, units: int = 1) -> None:
        """Move a bar on."""
        self._bars.advance(self._tasks[task], units)

    def end(self, task: str) -> None:
        """Take a bar away."""
        self._bars.remove_task(self._tasks.pop(task))

    def note(self, message: str) -> None:
        """Write a line above the bars."""
        if not self._quiet:
            self._console.print(message, markup=False, soft_wrap=True)


def write_error(message: str) -> None:
    """Write one line to standard error."""
    sys.stderr.write(f"error: {message}\n")


def write_summary(summary: RunSummary, verb: str) -> None:
    """Write what became of each input: results to standard output, failures to standard error.

    Args:
        summary: Of the run.
        verb: What was done to faces: `restored` or `exported`.

    """
    for result in summary.done:
        sys.stdout.write(_line(result, verb) + "\n")
    for result in summary.failed:
        write_error(str(result.error))
    if len(summary.results) > 1 and summary.failed:
        write_error(f"{len(summary.failed)} of {len(summary.results)} inputs failed")


def _line(result: InputResult, verb: str) -> str:
    counts = result.counts
    if counts is None:
        return f"{result.source} -> {result.output}"
    masked = f" ({counts.faces_masked} masked)" if counts.faces_masked else ""
    refused = "".join(f", {number} {kind}" for kind, number in sorted(counts.refusals.items()))
    refused = f", {counts.faces_refused} refused ({refused[2:]})" if refused else ""
    return (
        f"{result.source} -> {result.output}: {_count(counts.frames_read, 'frame')}, "
        f"{_count(counts.faces_found, 'face')} found, {counts.faces_restored} {verb}"
        f"{masked}{refused}, {result.seconds.get('total', 0.0):.1f} s"
    )


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
