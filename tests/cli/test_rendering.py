from pathlib import Path

import pytest
from sample_counts import COUNTS

from jdsr_cli.cli.rendering import Bars, write_plan, write_summary
from jdsr_cli.errors import MediaError
from jdsr_cli.restoration import InputResult, PlannedInput, RunPlan, RunSummary


def test_notes_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with Bars() as bars:
        bars.begin("clip.mp4", 3)
        bars.advance("clip.mp4", 2)
        bars.note("a [note] of one line that is far longer than a narrow terminal would be " * 2)
        bars.end("clip.mp4")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert "a [note] of" in captured.err


def test_quiet_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Bars(quiet=True) as bars:
        bars.begin("clip.mp4", None)
        bars.note("a note")
        bars.end("clip.mp4")
    assert capsys.readouterr() == ("", "")


def test_a_task_name_can_be_used_again() -> None:
    with Bars(quiet=True) as bars:
        for _ in range(2):
            bars.begin("clip.mp4", 1)
            bars.advance("clip.mp4")
            bars.end("clip.mp4")


def test_summary_has_a_line_for_each_input(capsys: pytest.CaptureFixture[str]) -> None:
    figures = {"flicker": 0.5}
    summary = RunSummary(
        (
            InputResult(
                Path("a.png"), Path("out/a"), COUNTS, figures=figures, seconds={"total": 1.25}
            ),
            InputResult(Path("b.png"), error=MediaError("no media", where="b.png")),
        )
    )
    write_summary(summary, "restored")
    captured = capsys.readouterr()
    assert captured.out == (
        "a.png -> out/a: 1 frame, 4 tracks, 5 faces found, 1 bridged, 3 restored (1 masked), "
        "3 refused (1 outside, 2 too small), flicker 0.50 of the input's, 1.2 s\n"
    )
    assert captured.err == "error: b.png: no media\nerror: 1 of 2 inputs failed\n"


def test_what_was_not_read_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    unread = "9 bytes after byte 7, which hold another recording, were not read (damaged)"
    result = InputResult(Path("a.mp4"), Path("out/a"), COUNTS, notes=(unread,), unread=(unread,))
    write_summary(RunSummary((result,)), "restored")
    captured = capsys.readouterr()
    assert captured.out.startswith("a.mp4 -> out/a: 1 frame")
    assert captured.err == f"error: a.mp4: {unread}\n"


def test_plan_has_a_line_for_each_input_and_a_sum(capsys: pytest.CaptureFixture[str]) -> None:
    out = Path("out/a")
    plan = RunPlan(
        (
            PlannedInput(Path("a.mp4"), out, "new", 0, 3000, (640, 480), 4000.0, 2_500_000_000),
            PlannedInput(Path("b.mp4"), out, "resume", 240, 480, (64, 48), 24.0, 1_000_000),
            PlannedInput(Path("c.mp4"), out, "done"),
            PlannedInput(Path("d.264"), out, "new", 0, None, (64, 48)),
            PlannedInput(Path("e.mp4"), out, "failed", error=MediaError("no media", where="e.mp4")),
        )
    )
    write_plan(plan)
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        "a.mp4 -> out/a: 3000 frames of 640x480, about 1 h 06 min, 2.5 GB",
        "b.mp4 -> out/a: 480 frames of 64x48, continues after frame 240, about 0 min 24 s, 1.0 MB",
        "c.mp4 -> out/a: already done, skipped",
        "d.264 -> out/a: frames unknown of 64x48",
        "3 inputs to do: about 1 h 07 min, 2.5 GB, and 1 input of unknown length",
    ]
    assert captured.err == "error: e.mp4: no media\n"
    assert plan.exit_code == 4
