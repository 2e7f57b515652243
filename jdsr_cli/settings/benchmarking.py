"""Options of `jdsr bench`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

from jdsr_cli.errors import UsageError
from jdsr_cli.settings.detection import DetectionSettings
from jdsr_cli.settings.options import Option, declared
from jdsr_cli.settings.restoration import (
    Config,
    CropSettings,
    RestoreSettings,
    TerminalOptions,
)


@dataclass(frozen=True)
class BenchOptions(TerminalOptions):
    """What every measurement does with its figures."""

    repeat: Annotated[
        int, Option("Measurements; median, lowest and highest are reported.", low=1, high=1000)
    ] = 3
    json_file: Annotated[
        Path | None, Option("Write the report as JSON.", name="json", metavar="FILE")
    ] = None
    compare: Annotated[
        Path | None,
        Option("Report the ratio of each figure to that of an earlier report.", metavar="FILE"),
    ] = None
    plot: Annotated[Path | None, Option("Draw the figures.", metavar="FILE.png")] = None


@dataclass(frozen=True)
class PipelineBenchOptions(BenchOptions):
    """Options of `jdsr bench pipeline` beside those of the run."""

    command: Annotated[
        Literal["restore", "crop-faces"], Option("Command whose run is measured.")
    ] = "restore"
    frames: Annotated[
        int | None,
        Option("Measure this many frames.", metavar="N", low=1, unset="the whole clip"),
    ] = None
    config: Config = None


def measured_settings(command: str, given: RestoreSettings) -> DetectionSettings:
    """Return the settings of a measured run, made of the options of `restore`.

    Raises:
        UsageError: An option belongs to `restore` only, or continues an earlier run.

    """
    for name in ("force", "resume"):
        if getattr(given, name):
            raise UsageError(
                "a measurement begins in an empty folder", where=f"--{name}", hint="Leave it out."
            )
    if command == "restore":
        return given
    shared = {one.name for one in fields(CropSettings)}
    values = {}
    for one in declared(RestoreSettings):
        name, value = one.path[0], getattr(given, one.path[0])
        if value == getattr(RestoreSettings(), name):
            continue
        if name not in shared:
            raise UsageError("crop-faces has no such option", where=one.flag, hint="Leave it out.")
        values[name] = value
    return CropSettings(**values)
