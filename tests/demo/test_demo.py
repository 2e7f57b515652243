"""The demo from its clip to its contact sheet."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from results_folder import results_in
from typer.testing import CliRunner

from jdsr_cli.cli.app import app
from jdsr_cli.demo import ClipSettings, DemoResult, demo
from jdsr_cli.demo.clip import WALKS
from jdsr_cli.demo.run import TILE, TIMES, draw_sheet, match_people
from jdsr_cli.errors import OutputError, UsageError, WeightsError
from jdsr_cli.faces import TEMPLATE, crop
from jdsr_cli.media import open_reader, read_image, write_image
from jdsr_cli.settings import RestoreSettings

SHORT = ClipSettings(frames=3)


def settings(weights: Path, *, force: bool = False) -> RestoreSettings:
    # In a clip of three frames people move too far between frames to be tracked.
    return RestoreSettings(
        weights=str(weights), device="cpu", frame_scale=1, force=force, crops="all", min_track=0.0
    )


@pytest.fixture(scope="module")
def result(
    tmp_path_factory: pytest.TempPathFactory, tiny_weights: Callable[[int], Path]
) -> DemoResult:
    """Results of a demo of three frames; tests must not change them."""
    out = tmp_path_factory.mktemp("demo") / "jdsr-demo"
    return demo(out, settings(tiny_weights(64)), SHORT)


def test_every_face_is_detected_and_restored(result: DemoResult) -> None:
    assert result.faces == 6
    assert result.detected == 6
    assert result.restored.counts is not None
    assert result.restored.counts.faces_restored == 6


def test_clip_results_and_sheet_are_written_to_the_reported_paths(result: DemoResult) -> None:
    out = result.sheet.parent
    assert result.clip == out / "clip.mp4"
    assert results_in(out) == ["clip", "clip.mp4", "contact-sheet.png"]
    with open_reader(result.clip) as clip, open_reader(result.video) as video:
        assert [frame.time for frame in clip] == [frame.time for frame in video]


def test_the_last_row_of_the_sheet_is_the_photograph(result: DemoResult) -> None:
    assert result.restored.output is not None
    sheet = read_image(result.sheet)
    first = next(one for one in match_people(result.restored.output, SHORT) if one.walk is WALKS[0])
    truth = crop(WALKS[0].person.load(), first.photograph_alignment(SHORT), TILE)
    bottom = sheet[-TILE - 6 : -6, 104 : 104 + TILE]
    assert np.array_equal(bottom, truth)
    # the face is aligned to the template within the accuracy of the detector
    matrix = first.photograph_alignment(SHORT).matrix
    eyes = WALKS[0].person.points[:2] @ matrix[:, :2].T + matrix[:, 2]
    np.testing.assert_allclose(eyes, TEMPLATE[:2], atol=6.0)


def test_a_non_empty_folder_is_rejected_without_force(
    result: DemoResult, tiny_weights: Callable[[int], Path]
) -> None:
    before = result.clip.stat().st_mtime_ns
    with pytest.raises(OutputError, match="not empty"):
        demo(result.sheet.parent, settings(tiny_weights(64)), SHORT)
    assert result.clip.stat().st_mtime_ns == before


def test_force_replaces_an_earlier_demo(
    tmp_path: Path, tiny_weights: Callable[[int], Path]
) -> None:
    (tmp_path / "notes.txt").write_text("keep")
    chosen = settings(tiny_weights(64), force=True)
    one = ClipSettings(frames=1)
    demo(tmp_path, chosen, one)
    again = demo(tmp_path, chosen, one)
    assert again.detected == 2
    assert (tmp_path / "notes.txt").read_text() == "keep"


@pytest.mark.parametrize("name", ["clip.mp4", "contact-sheet.png"])
def test_force_keeps_files_that_are_not_of_a_demo(
    tmp_path: Path, tiny_weights: Callable[[int], Path], name: str
) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(OutputError, match="not of an earlier demo"):
        demo(tmp_path, settings(tiny_weights(64), force=True), SHORT)
    assert (tmp_path / name).read_text() == "mine"
    assert list(tmp_path.iterdir()) == [tmp_path / name]


def test_a_failed_demo_keeps_what_is_not_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"

    def fail(*_: object) -> None:
        (out / "clip.mp4").write_text("half")
        (out / "clip").mkdir()
        (out / "clip" / "mine.txt").write_text("mine")
        (out / "mine.txt").write_text("mine")
        raise OutputError("the disk is full")

    monkeypatch.setattr("jdsr_cli.demo.run.build_clip", fail)
    with pytest.raises(OutputError, match="the disk is full"):
        demo(out, settings(tmp_path / "no.safetensors"), SHORT)
    kept = [path for path in sorted(out.rglob("*")) if path.is_file()]
    assert kept == [out / "clip" / "mine.txt", out / "mine.txt"]


def test_a_failed_demo_removes_its_folder(tmp_path: Path) -> None:
    with pytest.raises((WeightsError, UsageError)):
        demo(tmp_path / "out", settings(tmp_path / "no.safetensors"), ClipSettings(frames=1))
    assert list(tmp_path.iterdir()) == []


def test_a_file_at_the_output_path_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="cannot be used"):
        demo(tmp_path / "out", None, SHORT)


def test_mode_paste_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="mode paste"):
        demo(tmp_path / "out", RestoreSettings(mode="paste"), SHORT)


def test_unmatched_and_refused_faces_are_not_on_the_sheet(tmp_path: Path) -> None:
    """A record far from both people is ignored; a refused face is matched but not drawn."""
    matrix = SHORT.matrix(WALKS[0], 0)
    points = WALKS[0].person.points @ matrix[:, :2].T + matrix[:, 2]
    records = [
        {"frame": 0, "points": (points + 90.0).tolist(), "file": None},
        {"frame": 0, "points": points.tolist(), "file": None},
    ]
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (tmp_path / "faces.jsonl").write_text(lines, encoding="utf-8")
    people = match_people(tmp_path, SHORT)
    assert [(one.walk, one.frame, one.picture) for one in people] == [(WALKS[0], 0, None)]
    sheet = draw_sheet(people, SHORT)
    assert sheet.shape[1] > len(WALKS) * len(TIMES) * TILE
    assert (sheet[60:, 104:] == 250).all()
    write_image(tmp_path / "sheet.png", sheet)


def test_the_command_reports_a_non_empty_folder_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    answer = CliRunner().invoke(app, ["demo", "--out", str(tmp_path)])
    assert answer.exit_code == 6
    assert answer.stderr.strip().count("\n") == 0
    assert "--force" in answer.stderr
    assert (tmp_path / "mine.txt").read_text() == "keep"
