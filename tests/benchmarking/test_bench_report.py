"""Reports: statistics, files, comparison and plots."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from bench_reports import made_report, validated
from PIL import Image

from jdsr_cli.benchmarking.hardware import describe_machine
from jdsr_cli.benchmarking.plotting import plot_reports
from jdsr_cli.benchmarking.report import (
    Figure,
    MeasuredRow,
    compare_reports,
    read_report,
)
from jdsr_cli.errors import InputMissingError, InputUnreadableError, OutputError, UsageError
from jdsr_cli.evidence import package_versions


def test_a_figure_has_median_and_range() -> None:
    assert Figure.of([3.0, 1.0, 2.0]) == Figure(2.0, 1.0, 3.0, (3.0, 1.0, 2.0))


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    report = made_report(weights="lite")
    report.write(tmp_path / "report.json")
    validated(tmp_path / "report.json")
    read = read_report(tmp_path / "report.json")
    assert (read.kind, read.conditions, read.machine) == (
        "generator",
        {"weights": "lite"},
        {"cpu": "test"},
    )
    assert [row.name for row in read.rows] == [row.name for row in report.rows]
    assert read.rows[0].figures["faces_per_second"].median == 10.0
    assert read.rows[1].unavailable == "no device"


def test_a_report_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    made_report().write(path)
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"version": 99}))
    with pytest.raises(InputUnreadableError, match="version 99, not 1"):
        read_report(path)


@pytest.mark.parametrize(
    "text",
    ["not JSON", "[]", "{}", '{"format": "jdsr-bench", "version": 1}',
     '{"format": "jdsr-bench", "version": 1, "kind": "generator", "rows": [{"name": "a"}]}'],
)  # fmt: skip
def test_other_files_are_not_reports(text: str, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(InputUnreadableError, match="is not a report of jdsr bench"):
        read_report(tmp_path / "other.json")


def test_a_missing_report_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputMissingError):
        read_report(tmp_path / "absent.json")


def test_a_report_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        made_report().write(tmp_path / "absent" / "report.json")


def test_ratios_are_those_of_the_medians() -> None:
    compared = compare_reports(made_report(15.0), made_report(10.0))
    assert compared.rows[0].ratios == {"faces_per_second": 1.5, "idle": None}
    assert compared.rows[1].ratios == {}
    assert compared.differences == ()


def test_differing_conditions_and_rows_are_named() -> None:
    here = made_report(batch=8, weights="lite")
    there = replace(
        made_report(batch=4, weights="lite"),
        versions={"jdsr": "0"},
        rows=(made_report().rows[0], MeasuredRow("onnx", {})),
    )
    assert compare_reports(here, there).differences == (
        "jdsr: 0 -> 1",
        "batch: 4 -> 8",
        "only here: torch cuda float32 batch 4",
        "only there: onnx",
    )


def test_conditions_equal_those_read_from_a_file(tmp_path: Path) -> None:
    report = made_report(roi=(1, 2, 3, 4), clip=Path("a.mp4"))
    report.write(tmp_path / "report.json")
    assert compare_reports(report, read_report(tmp_path / "report.json")).differences == ()


def test_reports_of_different_kinds_are_not_compared() -> None:
    with pytest.raises(UsageError, match="report of detector cannot be compared"):
        compare_reports(made_report(), replace(made_report(), kind="detector"))


def stage(name: str, cpu: float) -> MeasuredRow:
    figures = {
        key: Figure.of([cpu]) for key in ("cpu_ms_per_frame", "busy_ms_per_frame", "cpu_share")
    }
    return MeasuredRow(name, {}, figures)


def test_lines_over_the_batch_and_bars_of_stages_are_drawn(tmp_path: Path) -> None:
    lines, bars = tmp_path / "lines.png", tmp_path / "bars.png"
    plot_reports([made_report()], lines)
    rows = (stage("detect", 2.0), stage("generate", 3.0))
    run = replace(made_report(), kind="pipeline", rows=rows)
    plot_reports([run, replace(run, rows=rows[:1])], bars)
    nothing = tmp_path / "nothing.png"
    plot_reports([replace(made_report(), rows=made_report().rows[1:])], nothing)
    for path in (lines, bars, nothing):
        with Image.open(path) as picture:
            assert picture.format == "PNG"
            assert picture.getextrema() != ((255, 255),) * 4


def test_machine_and_versions_are_described() -> None:
    machine, versions = describe_machine(), package_versions()
    assert machine["cores"] >= machine["usable_cores"] >= 1
    assert machine["cpu"]
    assert {"jdsr", "torch", "av", "opencv-python", "openvino", "onnxruntime"} <= set(versions)
