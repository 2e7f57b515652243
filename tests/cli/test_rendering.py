from pathlib import Path

import pytest

from jdsr_cli.cli.rendering import Bars, write_summary
from jdsr_cli.errors import MediaError
from jdsr_cli.restoration import Counts, InputResult, RunSummary


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


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Bars(quiet=True) as bars:
        bars.begin("clip.mp4", None)
        bars.note("a note")
        bars.end("clip.mp4")
    assert capsys.readouterr() == ("", "")


def test_a_task_of_the_same_name_can_follow() -> None:
    with Bars(quiet=True) as bars:
        for _ in range(2):
            bars.begin("clip.mp4", 1)
            bars.advance("clip.mp4")
            bars.end("clip.mp4")


def test_summary_has_a_line_for_each_input(capsys: pytest.CaptureFixture[str]) -> None:
    counts = Counts(1, 1, 5, 2, 3, 1, {"too small": 2, "outside": 1})
    summary = RunSummary(
        (
            InputResult(Path("a.png"), Path("out/a"), counts, seconds={"total": 1.25}),
            InputResult(Path("b.png"), error=MediaError("no media", where="b.png")),
        )
    )
    write_summary(summary, "restored")
    captured = capsys.readouterr()
    assert captured.out == (
        "a.png -> out/a: 1 frame, 5 faces found, 2 restored (1 masked), "
        "3 refused (1 outside, 2 too small), 1.2 s\n"
    )
    assert captured.err == "error: b.png: no media\nerror: 1 of 2 inputs failed\n"
