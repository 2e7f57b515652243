"""Progress bars, and summaries and plans of runs as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

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

from jdsr_cli.cli.terminal import open_console, write_error, write_line
from jdsr_cli.file_names import as_text

if TYPE_CHECKING:
    from jdsr_cli.evidence.verification import Verification
    from jdsr_cli.restoration import InputResult, PlannedInput, RunPlan, RunSummary


class Bars:
    """A `jdsr_cli.progress.Progress` with a bar, a count and an ETA for each task.

    Everything is written to standard error; standard output is for results. Bars are shown only
    where standard error is a terminal.

    Args:
        quiet: Show neither bars nor notes.

    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._console = open_console(errors=True)
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

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def begin(self, task: str, total: int | None) -> None:
        """Add a bar."""
        self._tasks[task] = self._bars.add_task(as_text(task), total=total)

    def advance(self, task: str, units: int = 1) -> None:
        """Advance a bar."""
        self._bars.advance(self._tasks[task], units)

    def end(self, task: str) -> None:
        """Remove a bar."""
        self._bars.remove_task(self._tasks.pop(task))

    def note(self, message: str) -> None:
        """Write a line above the bars."""
        if not self._quiet:
            self._console.print(as_text(message), markup=False, soft_wrap=True)


def write_summary(summary: RunSummary, verb: str) -> None:
    """Write a line for each input: results to standard output, failures to standard error.

    Args:
        summary: Result of the run.
        verb: What was done with faces: `restored` or `exported`.

    """
    for result in summary.done:
        write_line(_line(result, verb))
    for result in summary.done:
        for text in result.unread:
            write_error(f"{result.source}: {text}")
    for result in summary.failed:
        write_error(result.error)
    if len(summary.results) > 1 and summary.failed:
        write_error(f"{len(summary.failed)} of {len(summary.results)} inputs failed")


def write_plan(plan: RunPlan) -> None:
    """Write what a run would do: a line for each input, and the total."""
    for one in plan.inputs:
        if one.error is None:
            write_line(_planned_line(one))
            for note in one.notes:
                write_line(f"    {note}")
        else:
            write_error(one.error)
    todo = [one for one in plan.inputs if one.state in ("new", "resume")]
    seconds = sum(one.seconds or 0.0 for one in todo)
    size = sum(one.bytes or 0 for one in todo)
    unknown = sum(one.seconds is None for one in todo)
    more = f", and {_count(unknown, 'input')} of unknown length" if unknown else ""
    write_line(
        f"{_count(len(todo), 'input')} to do: about {_duration(seconds)}, {_size(size)}{more}"
    )


def write_verification(verification: Verification, *, notes: bool) -> None:
    """Write a line for each result to standard output, with its notes; problems to standard error.

    Args:
        verification: What was found.
        notes: Whether notes are written.

    """
    for one in verification.results:
        if one.error is not None:
            write_error(one.error)
            continue
        problems, files = len(one.problems), _count(one.files, "file")
        state = _count(problems, "problem") if problems else "as recorded"
        if one.is_collection:
            line = f"{one.folder}: {_count(len(one.findings), 'remark')} on this folder of results"
        else:
            left_out = f", {_count(one.left_out, 'video')} left out" if one.left_out else ""
            line = f"{one.folder}: {state} ({files}{left_out})"
        write_line(line)
        for note in one.notes if notes else ():
            write_line(f"    {note}")
        for problem in one.problems:
            write_error(f"{one.folder}: {problem}")


def _planned_line(one: PlannedInput) -> str:
    if one.state == "done":
        return f"{one.source} -> {one.output}: already done, skipped"
    frames = "frames unknown" if one.frames is None else _count(one.frames, "frame")
    size = "" if one.size is None else f" of {one.size[0]}x{one.size[1]}"
    resumed = f", continues after frame {one.frames_done}" if one.frames_done else ""
    cost = ""
    if one.seconds is not None and one.bytes is not None:
        cost = f", about {_duration(one.seconds)}, {_size(one.bytes)}"
    return f"{one.source} -> {one.output}: {frames}{size}{resumed}{cost}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _size(number: int) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"


def _line(result: InputResult, verb: str) -> str:
    counts = result.counts
    if counts is None:
        return f"{result.source} -> {result.output}: {'; '.join(result.notes)}"
    masked = f" ({counts.faces_masked} masked)" if counts.faces_masked else ""
    refused = "".join(f", {number} {kind}" for kind, number in sorted(counts.refusals.items()))
    refused = f", {counts.faces_refused} refused ({refused[2:]})" if refused else ""
    unreliable = ""
    if counts.unreliable:
        unreliable = (
            f", {_count(counts.unreliable, 'best shot')} not written: nothing reliable; "
            "--no-doubt writes them"
        )
    bridged = f", {counts.faces_bridged} bridged" if counts.faces_bridged else ""
    flicker = result.figures.get("flicker")
    flicker_text = "" if flicker is None else f", flicker {flicker:.2f} of the input's"
    return (
        f"{result.source} -> {result.output}: {_count(counts.frames_read, 'frame')}, "
        f"{_count(counts.tracks, 'track')}, {_count(counts.faces_found, 'face')} found{bridged}, "
        f"{counts.faces_restored} {verb}{masked}{refused}{flicker_text}{unreliable}, "
        f"{result.seconds.get('total', 0.0):.1f} s"
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
