"""The commands `restore`, `crop-faces`, `demo` and `doctor`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from jdsr_cli.cli.options import Inputs, with_options
from jdsr_cli.cli.terminal import write_error, write_line
from jdsr_cli.settings import (
    CropOptions,
    CropSettings,
    DemoOptions,
    DemoSettings,
    ExecutionSettings,
    RestoreOptions,
    RestoreSettings,
)

if TYPE_CHECKING:
    from jdsr_cli.progress import Progress
    from jdsr_cli.restoration import RunPlan, RunSummary


@with_options
def restore(
    inputs: Inputs,
    options: RestoreOptions,
    settings: RestoreSettings,
    execution: ExecutionSettings,
) -> None:
    """Remove masks from faces in videos and images, and enlarge them.

    Writes DIR/<name of the input>/ with restored.mp4 or restored.png,
    faces/*.png (best shots of each person and a fused one, input on the
    left, restored on the right), tracks.jsonl, faces.jsonl, manifest.json,
    report.html, SHA256SUMS and, of videos, hashes of decoded frames
    (*.framemd5). Inputs are never changed.

    Exit codes: 0 all done, 2 usage, 3 no input could be read, 4 some inputs
    failed, 5 weights missing or altered, 6 output cannot be written,
    130 interrupted (--resume continues).
    """
    from jdsr_cli import restoration
    from jdsr_cli.cli.rendering import Bars

    result: RunSummary | RunPlan
    with Bars(quiet=options.quiet) as bars, _named(inputs, options, bars) as given:
        if options.dry_run:
            result = restoration.plan_restore(given, options.out, settings, bars)
        else:
            result = restoration.restore(given, options.out, settings, bars, execution)
    _write(result, "restored")


@with_options
def crop_faces(
    inputs: Inputs, options: CropOptions, settings: CropSettings, execution: ExecutionSettings
) -> None:
    """Export the aligned faces of videos and images.

    Writes DIR/<name of the input>/ with a PNG for each face, faces.csv,
    faces.jsonl, tracks.jsonl, manifest.json and SHA256SUMS: a folder of faces to train on.
    """
    from jdsr_cli import restoration
    from jdsr_cli.cli.rendering import Bars

    result: RunSummary | RunPlan
    with Bars(quiet=options.quiet) as bars, _named(inputs, options, bars) as given:
        if options.dry_run:
            result = restoration.plan_crops(given, options.out, settings, bars)
        else:
            result = restoration.crop_faces(given, options.out, settings, bars, execution)
    _write(result, "exported")


@contextmanager
def _named(
    inputs: list[str], options: RestoreOptions | CropOptions, progress: Progress
) -> Iterator[list[str]]:
    """Yield the inputs, with a file in place of standard input where that is asked for."""
    if not options.stdin:
        yield inputs
        return
    from jdsr_cli.restoration.standard_input import stored_stream

    # Python has no stream where the shell closed it.
    stream = None if sys.stdin is None else sys.stdin.buffer
    with stored_stream(inputs, options.out, stream, progress) as given:
        yield given


def _write(result: RunSummary | RunPlan, verb: str) -> None:
    """Write a summary or a plan, and exit with its code."""
    from jdsr_cli.cli.rendering import write_plan, write_summary
    from jdsr_cli.restoration import RunPlan

    if isinstance(result, RunPlan):
        write_plan(result)
    else:
        write_summary(result, verb)
    raise typer.Exit(result.exit_code)


@with_options
def demo(options: DemoOptions, settings: DemoSettings) -> None:
    """Make a short clip in the manner of a surveillance camera and restore it.

    Two people with masks walk down a corridor. Their faces come from photographs
    that installed packages contain, so nothing is downloaded. Writes DIR/clip.mp4,
    DIR/clip/ (the results of 'jdsr restore') and DIR/contact-sheet.png, which
    shows camera, restored face and true face side by side.
    """
    from jdsr_cli.cli.rendering import Bars
    from jdsr_cli.demo import demo as run

    with Bars(quiet=options.quiet) as bars:
        result = run(options.out, settings.restoration, progress=bars)
    write_line(f"clip          {result.clip}")
    write_line(f"restored      {result.video}")
    write_line(f"side by side  {result.sheet}")
    seconds = result.restored.seconds.get("total", 0.0)
    write_line(
        f"{result.detected} of {result.faces} faces detected; restoring took {seconds:.1f} s"
    )


LABELS = {"ok": "ok    ", "absent": "-     ", "fault": "FAULT "}


def doctor() -> None:
    """Show versions, devices, weights and detectors, and what is missing.

    Exit code 0: `jdsr restore` can run on this machine; 5: it cannot.
    """
    from jdsr_cli.diagnosis import diagnose
    from jdsr_cli.errors import WeightsError

    diagnosis = diagnose()
    group = ""
    for one in diagnosis.findings:
        if one.group != group:
            group = one.group
            write_line(group)
        advice = f"  ->  {one.advice}" if one.advice and one.state != "ok" else ""
        write_line(f"  {LABELS[one.state]}{one.name}: {one.detail}{advice}")
    if diagnosis.ready:
        write_line("ready: `jdsr restore` can run on this machine")
        return
    for one in diagnosis.blocking:
        what = f"{one.group}, {one.name}: {one.detail}"
        write_error(what if one.advice is None else f"{what}. {one.advice}")
    raise typer.Exit(WeightsError.exit_code)
