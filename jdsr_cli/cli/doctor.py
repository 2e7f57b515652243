"""`jdsr doctor`."""

from __future__ import annotations

import typer

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
            typer.echo(group)
        advice = f"  ->  {one.advice}" if one.advice and one.state != "ok" else ""
        typer.echo(f"  {LABELS[one.state]}{one.name}: {one.detail}{advice}")
    if diagnosis.ready:
        typer.echo("ready: `jdsr restore` can run on this machine")
        return
    for one in diagnosis.blocking:
        what = f"{one.group}, {one.name}: {one.detail}"
        typer.echo(
            f"error: {what}" if one.advice is None else f"error: {what}. {one.advice}", err=True
        )
    raise typer.Exit(WeightsError.exit_code)
