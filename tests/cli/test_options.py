"""The options of the command line are those of the settings, with the values as typed."""

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

Given = dict[str, Any]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Given:
    """What the command passes to the library, which does nothing."""
    found: Given = {}

    def library(name: str, result: object) -> Any:
        def called(inputs: list[str], out: Path, settings: object, _: object) -> object:
            found.update(called=name, inputs=inputs, out=out, settings=settings)
            return result

        return called

    for name, result in (
        ("restore", RunSummary(())), ("crop_faces", RunSummary(())),
        ("plan_restore", RunPlan(())), ("plan_crops", RunPlan(())),
    ):  # fmt: skip
        monkeypatch.setattr(f"jdsr_cli.restoration.{name}", library(name, result))
    return found


def done(result: Result) -> None:
    assert result.exit_code in (0, 3), result.output  # 3: no input was done


def command_of(name: str) -> Any:
    found: Any = typer.main.get_command(app)
    for part in name.split():
        found = found.commands[part]
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_every_declared_option_can_be_given_and_no_other(name: str) -> None:
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


def test_without_options_the_defaults_apply(given: Given) -> None:
    done(run("restore", "a.mp4", "b.mp4"))
    assert given == {
        "called": "restore", "inputs": ["a.mp4", "b.mp4"], "out": Path("jdsr-out"),
        "settings": RestoreSettings(),
    }  # fmt: skip
    done(run("crop-faces", "a.mp4"))
    assert (given["settings"], given["out"]) == (CropSettings(), Path("jdsr-faces"))


def test_options_reach_the_library_in_their_type(given: Given) -> None:
    done(run(
        "restore", "a.mp4", "--fps", "30000/1001", "--start", "1:30", "--end", "2:00",
        "--aspect", "16:9", "--deinterlace", "off", "--roi", "1,2,30,40", "--min-face", "12",
        "--no-label", "--no-stabilise", "--detector", "centerface", "--crf", "20", "-o", "x",
    ))  # fmt: skip
    settings = given["settings"]
    assert settings.reading.frame_rate == Fraction(30000, 1001)
    assert (settings.reading.start, settings.reading.end) == (90, 120)
    assert (settings.reading.aspect, settings.reading.deinterlace) == (Fraction(16, 9), "off")
    assert (settings.roi, settings.min_face, settings.crf) == ((1, 2, 30, 40), 12.0, 20)
    assert (settings.label, settings.stabilise) == (False, False)
    assert type(settings.detector) is str
    assert given["out"] == Path("x")


@pytest.mark.parametrize(
    ("option", "value"),
    [("--fps", "fast"), ("--start", "1:x"), ("--aspect", "16:0"), ("--roi", "1,2,3"),
     ("--scale", "5"), ("--segment", "100"), ("--threshold", "0")],
)  # fmt: skip
def test_values_that_typer_does_not_check_are_one_line(
    given: Given, option: str, value: str
) -> None:
    assert option in one_line(run("restore", "a.mp4", option, value), 2)
    assert given == {}


def test_a_dry_run_only_plans(given: Given) -> None:
    done(run("restore", "a.mp4", "--dry-run"))
    assert given["called"] == "plan_restore"
    done(run("crop-faces", "a.mp4", "--dry-run"))
    assert given["called"] == "plan_crops"


def test_the_command_line_wins_over_the_file_and_the_file_over_the_defaults(
    given: Given, tmp_path: Path
) -> None:
    path = tmp_path / "run.toml"
    path.write_text(
        'min_face = 16\nscale = 8\nfps = 12.5\nlabel = false\nout = "there"\nquiet = true\n'
        'codec = "ffv1"\n',
        encoding="utf-8",
    )
    done(run("restore", "a.mp4", "--config", path, "--scale", "4", "--codec", "h264", "--label"))
    settings = given["settings"]
    assert (settings.min_face, settings.reading.frame_rate) == (16.0, Fraction(25, 2))
    assert (settings.scale, settings.codec, settings.label) == (4, "h264", True)
    assert given["out"] == Path("there")
    assert settings.shots == RestoreSettings().shots
    path.write_text("size = 64\ndry-run = true\n", encoding="utf-8")
    done(run("crop-faces", "a.mp4", "--config", path))
    assert (given["settings"].size, given["called"]) == (64, "plan_crops")


def test_an_error_in_the_file_is_one_line(given: Given, tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text("min_face = -1\n", encoding="utf-8")
    line = one_line(run("restore", "a.mp4", "--config", path), 2)
    assert f"{path}, key min_face: -1" in line
    assert "at least 0" in line
    path.write_text("end = 1\n", encoding="utf-8")
    both = one_line(run("restore", "a.mp4", "--config", path, "--start", "2"), 2)
    assert "--end" in both
    assert given == {}
