"""`jdsr bench`: speed of the generator, of the detectors and of the whole pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jdsr_cli.cli.options import with_options
from jdsr_cli.settings import (
    BenchOptions,
    DetectorBenchSettings,
    GeneratorBenchSettings,
    PipelineBenchOptions,
    RestoreSettings,
    measured_settings,
)

if TYPE_CHECKING:
    from jdsr_cli.benchmarking.report import BenchReport

app = typer.Typer(no_args_is_help=True, help="Measure the speed of jdsr on this machine.")


@app.command()
@with_options
def generator(options: BenchOptions, settings: GeneratorBenchSettings) -> None:
    """Time the generator by backend, device, precision and batch.

    Reported are faces a second, operations a second, and their share of
    what the device was measured to do: a product of large matrices in the
    same precision, and a copy of memory.
    """
    from jdsr_cli.benchmarking.generator import bench_generator
    from jdsr_cli.cli.rendering import Bars

    earlier = _prepare(options)
    with Bars(quiet=options.quiet) as bars:
        report = bench_generator(settings, bars, repeat=options.repeat)
    _conclude(report, earlier, options)


@app.command()
@with_options
def detector(options: BenchOptions, settings: DetectorBenchSettings) -> None:
    """Time detectors by frame size, and measure their recall on labelled pictures.

    Recall is the share of faces of 10 px and wider that are found with an
    overlap of at least 0.4, at the score that gives 0.1 false boxes a picture.
    """
    from jdsr_cli.benchmarking.detector import bench_detector
    from jdsr_cli.cli.rendering import Bars

    earlier = _prepare(options)
    with Bars(quiet=options.quiet) as bars:
        report = bench_detector(settings, bars, repeat=options.repeat)
    _conclude(report, earlier, options)


@app.command()
@with_options
def pipeline(
    clip: Annotated[Path, typer.Argument(metavar="CLIP", help="Video or image.")],
    options: PipelineBenchOptions,
    settings: RestoreSettings,
) -> None:
    """Run restore or crop-faces on a clip and report the time of each stage.

    Results go to a temporary folder. Reported are processor and wall time
    of each stage, its waits for the queues before and after it, frames and
    faces a second, the time until the first frame, and peak memory.
    """
    from jdsr_cli.benchmarking.pipeline import bench_pipeline
    from jdsr_cli.cli.rendering import Bars

    chosen = measured_settings(options.command, settings)
    earlier = _prepare(options)
    with Bars(quiet=options.quiet) as bars:
        report = bench_pipeline(clip, chosen, bars, repeat=options.repeat, frames=options.frames)
    _conclude(report, earlier, options)


def _prepare(options: BenchOptions) -> BenchReport | None:
    """Check before anything is measured that files can be written; return the earlier report."""
    from jdsr_cli.atomic import prepare_folder
    from jdsr_cli.benchmarking.report import read_report

    for path in (options.json_file, options.plot):
        if path is not None:
            prepare_folder(path.parent)
    return None if options.baseline is None else read_report(options.baseline)


def _conclude(report: BenchReport, earlier: BenchReport | None, options: BenchOptions) -> None:
    """Print a report and its comparison, and write what is asked for."""
    from jdsr_cli.benchmarking.report import compare_reports
    from jdsr_cli.cli.bench_tables import write_comparison, write_report

    write_report(report)
    if earlier is not None:
        write_comparison(compare_reports(report, earlier))
    if options.json_file is not None:
        report.write(options.json_file)
    if options.plot is not None:
        from jdsr_cli.benchmarking.plotting import plot_reports

        plot_reports([report] if earlier is None else [report, earlier], options.plot)
