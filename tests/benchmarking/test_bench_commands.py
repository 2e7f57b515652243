"""`jdsr bench`: reports of small measurements, rows that cannot be measured, and bad inputs."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from bench_reports import made_report, validated
from PIL import Image
from typer.testing import CliRunner, Result

from jdsr_cli.benchmarking.detector import draw_frame
from jdsr_cli.benchmarking.memory import PeakMemory, resident_mib
from jdsr_cli.benchmarking.network_cost import count_cost
from jdsr_cli.cli.app import app
from jdsr_cli.errors import UsageError
from jdsr_cli.settings import (
    GENERATOR_BACKENDS,
    BackendName,
    CropSettings,
    DetectorBenchSettings,
    GeneratorBenchSettings,
    RestoreSettings,
    measured_settings,
)
from jdsr_cli.weights import load_generator

Weights = Callable[[int], Path]
STAGES = ["decode", "detect", "track", "align", "generate", "composite", "write"]
CENTERFACE = ("--detector", "centerface", "--device", "cpu")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["bench", *(str(argument) for argument in arguments)])


def test_a_run_is_reported_by_stage(clip: Path, tiny_weights: Weights, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    plot = tmp_path / "plot.png"
    result = run(
        "pipeline", clip, *CENTERFACE, "--weights", tiny_weights(64), "--repeat", "2", "--json",
        report, "--plot", plot, "--detect-every", "2", "--frame-scale", "1",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    content = validated(report)
    rows = {row["name"]: row["figures"] for row in content["rows"]}
    assert list(rows) == ["run", *STAGES, "not attributed"]
    conditions = content["conditions"]
    assert (conditions["frames"], conditions["faces"], conditions["repeat"]) == (6, 12, 2)
    assert conditions["detect_every"] == 2
    whole = rows["run"]
    for index in range(2):
        parts = sum(
            one["cpu_ms_per_frame"]["values"][index] for name, one in rows.items() if name != "run"
        )
        assert parts == pytest.approx(whole["cpu_ms_per_frame"]["values"][index], rel=0.01)
        frame, second = (
            whole[name]["values"][index] for name in ("wall_ms_per_frame", "frames_per_second")
        )
        assert frame * second == pytest.approx(1000, rel=1e-3)
        assert 0 < whole["first_frame_s"]["values"][index] <= 6 * frame / 1000
    assert whole["faces_per_second"]["median"] == pytest.approx(
        2 * whole["frames_per_second"]["median"], rel=1e-3
    )
    assert plot.stat().st_size > 0
    assert "ms_per_frame" in result.stdout


def test_a_run_with_windows_has_a_row_for_them(
    clip: Path, tiny_weights: Weights, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    result = run(
        "pipeline", clip, *CENTERFACE, "--weights", tiny_weights(64), "--repeat", "1", "--json",
        report, "--frame-scale", "1", "--window", "3",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    content = validated(report)
    names = [row["name"] for row in content["rows"]]
    assert names[names.index("align") + 1 : names.index("composite")] == ["window", "generate"]
    assert content["conditions"]["window"] == 3


def test_a_run_of_crop_faces_has_no_generator(clip: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    shared = ("--command", "crop-faces", *CENTERFACE, "--repeat", "1", "--frames", "4")
    assert run("pipeline", clip, *shared, "--json", report).exit_code == 0
    content = validated(report)
    assert [row["name"] for row in content["rows"]] == [
        "run", "decode", "detect", "track", "align", "write", "not attributed"
    ]  # fmt: skip
    assert content["conditions"]["frames"] == 4
    again = run("pipeline", clip, *shared, "--baseline", report, "--min-face", "20")
    assert "ratio to the earlier report" in again.stdout
    assert "differs: min_face: None -> 20.0" in again.stdout


def test_crop_faces_refuses_options_of_restore() -> None:
    assert measured_settings("crop-faces", RestoreSettings(min_face=20)) == CropSettings(
        min_face=20
    )
    with pytest.raises(UsageError, match="--crf: crop-faces has no such option"):
        measured_settings("crop-faces", RestoreSettings(crf=20))


@pytest.mark.parametrize("option", ["--force", "--resume", "--verify"])
def test_options_about_earlier_results_are_refused(option: str) -> None:
    result = run("pipeline", "clip.mp4", option)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert f"error: {option}: a measurement begins in an empty folder" in result.stderr


def test_bad_clips_are_one_line_errors(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    for name in ("absent.mp4", "text.mp4"):
        result = run("pipeline", tmp_path / name, "--command", "crop-faces", *CENTERFACE, "-q")
        assert (result.exit_code, result.stdout) == (3, "")
        assert result.stderr.startswith("error: ")
        assert name in result.stderr


def test_a_bad_report_is_an_error_before_anything_is_measured(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("{}")
    for command in (("pipeline", "absent.mp4"), ("generator",), ("detector",)):
        result = run(*command, "--baseline", tmp_path / "report.json")
        assert (result.exit_code, result.stdout) == (3, "")
        assert "is not a report of jdsr bench" in result.stderr


@pytest.mark.parametrize("option", ["--json", "--plot"])
def test_files_that_cannot_be_written_are_errors_before_anything_is_measured(
    option: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    result = run("pipeline", "absent.mp4", option, tmp_path / "file" / "report")
    assert (result.exit_code, result.stdout) == (6, "")
    assert str(tmp_path / "file") in result.stderr


def test_a_report_of_another_command_is_an_error(tmp_path: Path) -> None:
    made_report().write(tmp_path / "report.json")
    result = run(
        "detector", *CENTERFACE, "--size", "64x64", "--seconds", "0", "--repeat", "1",
        "--baseline", tmp_path / "report.json",
    )  # fmt: skip
    assert result.exit_code == 2
    assert "a report of generator cannot be compared with one of detector" in result.stderr


@pytest.fixture
def small_peaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure the limits of the device with small operands."""
    monkeypatch.setattr("jdsr_cli.benchmarking.peaks.MATRIX_SIDE", {"cpu": 32})
    monkeypatch.setattr("jdsr_cli.benchmarking.peaks.COPY_BYTES", {"cpu": 1 << 16})
    monkeypatch.setattr("jdsr_cli.benchmarking.peaks.SECONDS", 0.0)


@pytest.mark.usefixtures("small_peaks")
def test_the_generator_is_timed_and_what_is_missing_is_a_row(
    tiny_weights: Weights, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    result = run(
        "generator", "--weights", tiny_weights(64), "--batch", "1,2", "--batch", "2", "--backend",
        "torch", "--precision", "float32,float16", "--device", "cpu", "--device", "cuda:99",
        "--seconds", "0", "--repeat", "2", "--json", report, "--plot", tmp_path / "plot.png",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    rows = {row["name"]: row for row in validated(report)["rows"]}
    assert len(rows) == 8
    for batch in (1, 2):
        figures = rows[f"torch cpu float32 batch {batch}"]["figures"]
        assert len(figures["faces_per_second"]["values"]) == 2
        share = figures["gmac_per_second"]["median"] / figures["peak_gmac_per_second"]["median"]
        assert figures["matrix_share"]["median"] == pytest.approx(share, rel=1e-3)
        reason = rows[f"torch cpu float16 batch {batch}"]["unavailable"]
        assert reason == "float16 needs a GPU"
        reason = rows[f"torch cuda:99 float32 batch {batch}"]["unavailable"]
        assert reason == "the device cuda:99 is not on this machine"
    assert "not measured, float16 needs a GPU" in result.stdout


@pytest.mark.usefixtures("small_peaks")
def test_names_that_mean_the_same_give_one_row(tiny_weights: Weights, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    result = run(
        "generator", "--weights", tiny_weights(64), "--batch", "1", "--backend", "torch",
        "--precision", "auto,float32,bfloat16", "--device", "cpu", "--seconds", "0",
        "--repeat", "1", "--json", report,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    names = [row["name"] for row in validated(report)["rows"]]
    expected = {f"torch cpu {precision} batch 1" for precision in ("float32", "bfloat16")}
    assert sorted(names) == sorted(expected)


def test_operations_are_counted(tiny_weights: Weights) -> None:
    loaded = load_generator(tiny_weights(64), "cpu", "float32")
    cost = count_cost(loaded)
    first = next(one for one in loaded.network.modules() if hasattr(one, "kernel_size"))
    pixels = loaded.lr_size**2
    assert cost.gmacs * 1e9 >= first.weight.numel() * pixels / first.stride[0] ** 2
    assert cost.parameters == sum(one.numel() for one in loaded.network.parameters())
    assert cost.gbytes(4, 1) > cost.gbytes(4, 8) > cost.gbytes(2, 8)
    assert not any(one._forward_hooks for one in loaded.network.modules())


def test_the_backends_are_those_of_restore() -> None:
    assert {"auto", *GENERATOR_BACKENDS} == set(get_args(BackendName))


def test_detectors_are_timed_and_their_recall_is_measured(tmp_path: Path) -> None:
    Image.fromarray(draw_frame(96, 64)).save(tmp_path / "a.png")
    table = "file,label,xmin,ymin,xmax,ymax\na.png,bare,10,10,40,40\n"
    (tmp_path / "boxes.csv").write_text(table)
    report = tmp_path / "report.json"
    result = run(
        "detector", "--detector", "centerface", "--backend", "opencv,torch", "--size", "64x48",
        "--seconds", "0", "--repeat", "1", "--device", "cpu", "--boxes", tmp_path / "boxes.csv",
        "--json", report, "--plot", tmp_path / "plot.png",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    content = validated(report)
    rows = {row["name"]: row for row in content["rows"]}
    assert rows["centerface opencv 64x48"]["figures"]["ms_per_frame"]["median"] > 0
    assert rows["centerface opencv recall"]["figures"]["recall"]["median"] == 0.0
    assert rows["centerface torch 64x48"]["unavailable"] == "centerface does not run on torch"
    assert (content["conditions"]["pictures"], content["conditions"]["faces"]) == (1, 1)


@pytest.mark.parametrize(
    ("command", "option", "value"),
    [("generator", "--backend", "none"), ("generator", "--batch", "0"),
     ("generator", "--precision", "float8"), ("detector", "--detector", "cascade"),
     ("detector", "--size", "640"), ("detector", "--size", "8x8"),
     ("generator", "--device", "abacus")],
)  # fmt: skip
def test_values_that_are_not_known_are_usage_errors(command: str, option: str, value: str) -> None:
    result = run(command, option, value)
    assert (result.exit_code, result.stdout) == (2, "")
    assert value in result.stderr


def test_options_are_lists_without_repetitions() -> None:
    settings = GeneratorBenchSettings(batches=((4, 1), (4,)))
    assert settings.chosen_batches == (4, 1)
    assert GeneratorBenchSettings().chosen_precisions == ("auto",)
    pairs = DetectorBenchSettings(detectors=(("centerface",),)).chosen_pairs
    assert pairs == (("centerface", "opencv"), ("centerface", "openvino"))


def test_the_peak_covers_memory_that_was_freed() -> None:
    before = resident_mib(os.getpid())
    assert before > 0
    with PeakMemory() as memory:
        block = bytearray(64 << 20)
        block[::4096] = b"x" * len(block[::4096])
        deadline = time.monotonic() + 60
        while memory.mib < before + 50 and time.monotonic() < deadline:
            time.sleep(0.01)
        del block
    assert memory.mib >= before + 50
