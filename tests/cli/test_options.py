"""The command line has the options of the settings and passes their values on."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import typer.main
from command_line import one_line, run
from typer.testing import Result

from jdsr_cli.cli.app import app
from jdsr_cli.restoration import RunPlan, RunSummary
from jdsr_cli.settings import COMMANDS, CropSettings, RestoreSettings, in_order

Call = dict[str, Any]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Call:
    """Record the arguments that the command passes to a library that does nothing."""
    recorded: Call = {}

    def library(name: str, result: object) -> Any:
        def called(inputs: list[str], out: Path, settings: object, *_: object) -> object:
            recorded.update(called=name, inputs=inputs, out=out, settings=settings)
            return result

        return called

    for name, result in (
        ("restore", RunSummary(())), ("crop_faces", RunSummary(())),
        ("plan_restore", RunPlan(())), ("plan_crops", RunPlan(())),
    ):  # fmt: skip
        monkeypatch.setattr(f"jdsr_cli.restoration.{name}", library(name, result))
    return recorded


def assert_accepted(result: Result) -> None:
    assert result.exit_code in (0, 3), result.output  # 3: every input failed


def command_of(name: str) -> Any:
    command: Any = typer.main.get_command(app)
    for part in name.split():
        command = command.commands[part]
    return command


@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_accepts_exactly_the_declared_options(name: str) -> None:
    shown = [one for one in command_of(name).params if one.param_type_name == "option"]
    flags = {flag for one in shown for flag in (*one.opts, *one.secondary_opts)}
    stated: set[str] = set()
    for one in in_order(*COMMANDS[name]):
        stated |= {one.flag, *([one.option.short] if one.option.short else [])}
        stated |= {f"--no-{one.key}"} if one.option.negatable else set()
    assert flags - {"--help", "-h"} == stated


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_in_the_help(name: str) -> None:
    output = run(*name.split(), "--help").output
    for one in in_order(*COMMANDS[name]):
        assert f" {one.flag}" in output


def test_without_options_the_defaults_apply(call: Call) -> None:
    assert_accepted(run("restore", "a.mp4", "b.mp4"))
    assert call == {
        "called": "restore", "inputs": ["a.mp4", "b.mp4"], "out": Path("jdsr-out"),
        "settings": RestoreSettings(),
    }  # fmt: skip
    assert_accepted(run("crop-faces", "a.mp4"))
    assert (call["settings"], call["out"]) == (CropSettings(), Path("jdsr-faces"))


def test_an_option_of_two_values_needs_both(call: Call) -> None:
    assert_accepted(run("restore", "a.mp4", "--sign", "chain.pem", "key.pem"))
    assert call["settings"] == RestoreSettings(sign=(Path("chain.pem"), Path("key.pem")))
    assert call["inputs"] == ["a.mp4"]
    alone = run("restore", "a.mp4", "--sign", "chain.pem")
    assert alone.exit_code == 2
    assert "'--sign' requires 2 arguments" in alone.output


def test_options_reach_the_library_with_their_types(call: Call) -> None:
    assert_accepted(run(
        "restore", "a.mp4", "--fps", "30000/1001", "--start", "1:30", "--end", "2:00",
        "--aspect", "16:9", "--deinterlace", "off", "--roi", "1,2,30,40", "--min-face", "12",
        "--no-label", "--no-stabilise", "--detector", "centerface", "--crf", "20", "-o", "x",
    ))  # fmt: skip
    settings = call["settings"]
    assert settings.reading.frame_rate == Fraction(30000, 1001)
    assert (settings.reading.start, settings.reading.end) == (90, 120)
    assert (settings.reading.aspect, settings.reading.deinterlace) == (Fraction(16, 9), "off")
    assert (settings.roi, settings.min_face, settings.crf) == ((1, 2, 30, 40), 12.0, 20)
    assert (settings.label, settings.stabilise) == (False, False)
    assert type(settings.detector) is str
    assert call["out"] == Path("x")


@pytest.mark.parametrize(
    ("option", "value"),
    [("--fps", "fast"), ("--start", "1:x"), ("--aspect", "16:0"), ("--roi", "1,2,3"),
     ("--scale", "5"), ("--segment", "100"), ("--threshold", "0")],
)  # fmt: skip
def test_values_that_typer_does_not_check_are_one_line_errors(
    call: Call, option: str, value: str
) -> None:
    assert option in one_line(run("restore", "a.mp4", option, value), 2)
    assert call == {}


def test_a_dry_run_calls_the_planning_function(call: Call) -> None:
    assert_accepted(run("restore", "a.mp4", "--dry-run"))
    assert call["called"] == "plan_restore"
    assert_accepted(run("crop-faces", "a.mp4", "--dry-run"))
    assert call["called"] == "plan_crops"


def test_the_command_line_overrides_the_file_and_the_file_the_defaults(
    call: Call, tmp_path: Path
) -> None:
    path = tmp_path / "run.toml"
    path.write_text(
        'min_face = 16\nscale = 8\nfps = 12.5\nlabel = false\nout = "there"\nquiet = true\n'
        'codec = "ffv1"\n',
        encoding="utf-8",
    )
    assert_accepted(
        run("restore", "a.mp4", "--config", path, "--scale", "4", "--codec", "h264", "--label")
    )
    settings = call["settings"]
    assert (settings.min_face, settings.reading.frame_rate) == (16.0, Fraction(25, 2))
    assert (settings.scale, settings.codec, settings.label) == (4, "h264", True)
    assert call["out"] == Path("there")
    assert settings.shots == RestoreSettings().shots
    path.write_text("size = 64\ndry-run = true\n", encoding="utf-8")
    assert_accepted(run("crop-faces", "a.mp4", "--config", path))
    assert (call["settings"].size, call["called"]) == (64, "plan_crops")


def test_an_error_in_the_file_is_a_one_line_error(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text("min_face = -1\n", encoding="utf-8")
    line = one_line(run("restore", "a.mp4", "--config", path), 2)
    assert f"{path}, key min_face: -1" in line
    assert "at least 0" in line
    path.write_text("end = 1\n", encoding="utf-8")
    both = one_line(run("restore", "a.mp4", "--config", path, "--start", "2"), 2)
    assert "--end" in both
    assert call == {}
