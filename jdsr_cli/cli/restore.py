"""`jdsr restore`."""

from __future__ import annotations

import typer

from jdsr_cli.cli.options import Inputs, with_options
from jdsr_cli.settings import RestoreOptions, RestoreSettings


@with_options
def restore(inputs: Inputs, options: RestoreOptions, settings: RestoreSettings) -> None:
    """Remove masks from faces in videos and images, and enlarge them.

    Writes DIR/<name of the input>/ with restored.mp4 or restored.png,
    faces/*.png (best shots of each person and a fused one, input on the
    left, restored on the right), tracks.jsonl, faces.jsonl and manifest.json.
    Inputs are never changed.

    Exit codes: 0 all done, 2 usage, 3 no input could be read, 4 some inputs
    failed, 5 weights missing or altered, 6 output cannot be written,
    130 interrupted (--resume continues).
    """
    from jdsr_cli.cli.rendering import Bars, write_plan, write_summary
    from jdsr_cli.restoration import plan_restore
    from jdsr_cli.restoration import restore as run

    with Bars(quiet=options.quiet) as bars:
        if options.dry_run:
            plan = plan_restore(inputs, options.out, settings, bars)
        else:
            summary = run(inputs, options.out, settings, bars)
    if options.dry_run:
        write_plan(plan)
        raise typer.Exit(plan.exit_code)
    write_summary(summary, "restored")
    raise typer.Exit(summary.exit_code)
