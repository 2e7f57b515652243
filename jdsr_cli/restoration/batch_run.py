"""Many inputs, one after another: a failure of one never stops the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from jdsr_cli.errors import JdsrError
from jdsr_cli.media import expand_inputs
from jdsr_cli.progress import Progress
from jdsr_cli.restoration.places import name_outputs, prepare_folder, whole_folder
from jdsr_cli.restoration.summary import InputResult, RunSummary

Work = Callable[[Path, Path], InputResult]
"""Does one input (first path) into an empty folder (second path)."""


def run_inputs(
    inputs: Sequence[str | Path],
    out: Path,
    prepare: Callable[[], Work],
    progress: Progress,
    *,
    force: bool,
) -> RunSummary:
    """Do all inputs, each into a folder of its own in `out`.

    Args:
        inputs: Files, folders and globs.
        out: Folder for the results, made where it is missing.
        prepare: Opens what the work needs; called once, and only where there is an input.
        progress: Told of what is done.
        force: Replace earlier results.

    Returns:
        What became of each input; those that could not be found come first.

    Raises:
        OutputError: Nothing can be written in `out`.
        WeightsError, DeviceError: From `prepare`.

    """
    paths, faults = expand_inputs([str(item) for item in inputs])
    results = [InputResult(Path(fault.where or ""), error=fault) for fault in faults]
    if paths:
        prepare_folder(out)
        work = prepare()
        for path, name in zip(paths, name_outputs(paths), strict=True):
            results.append(_do(path, out, name, work, progress, force=force))
    return RunSummary(tuple(results))


def _do(
    path: Path, out: Path, name: str, work: Work, progress: Progress, *, force: bool
) -> InputResult:
    try:
        with whole_folder(out, name, path, force=force) as folder:
            result = work(path, folder)
    except JdsrError as fault:
        error = fault
    except Exception as fault:
        error = JdsrError(
            f"failed unexpectedly ({type(fault).__name__}: {fault})",
            where=path,
            hint="Please report this with the file.",
        )
        error.__cause__ = fault
    else:
        for note in result.notes:
            progress.note(f"{path}: {note}")
        return replace(result, output=out / name)
    return InputResult(path, error=error)
