"""The demo from its clip to its contact sheet."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from jdsr_cli.cli.app import app
from jdsr_cli.demo import ClipSettings, DemoResult, demo
from jdsr_cli.demo.clip import WALKS
from jdsr_cli.demo.run import TILE, TIMES, draw_sheet, find_people
from jdsr_cli.errors import OutputError, UsageError, WeightsError
from jdsr_cli.faces import TEMPLATE, crop
from jdsr_cli.media import open_reader, read_image, write_image
from jdsr_cli.settings import RestoreSettings

SHORT = ClipSettings(frames=3)


def settings(weights: Path, *, force: bool = False) -> RestoreSettings:
    # The people of so short a clip leap further than anybody walks.
    return RestoreSettings(
        weights=str(weights), device="cpu", frame_scale=1, force=force, crops="all", min_track=1
    )


@pytest.fixture(scope="module")
def result(
    tmp_path_factory: pytest.TempPathFactory, tiny_weights: Callable[[int], Path]
) -> DemoResult:
    """A finished demo of three frames; not to be written to."""
    out = tmp_path_factory.mktemp("demo") / "jdsr-demo"
    return demo(out, settings(tiny_weights(64)), SHORT)


def test_every_face_is_found_and_restored(result: DemoResult) -> None:
    assert result.faces == 6
    assert result.found == 6
    assert result.restored.counts is not None
    assert result.restored.counts.faces_restored == 6


def test_clip_result_and_sheet_are_where_it_says(result: DemoResult) -> None:
    out = result.sheet.parent
    assert result.clip == out / "clip.mp4"
    assert sorted(path.name for path in out.iterdir()) == ["clip", "clip.mp4", "contact-sheet.png"]
    with open_reader(result.clip) as clip, open_reader(result.video) as video:
        assert [frame.time for frame in clip] == [frame.time for frame in video]


def test_the_sheet_shows_the_truth_below(result: DemoResult) -> None:
    assert result.restored.output is not None
    sheet = read_image(result.sheet)
    first = next(one for one in find_people(result.restored.output, SHORT) if one.walk is WALKS[0])
    truth = crop(WALKS[0].person.load(), first.photograph_alignment(SHORT), TILE)
    bottom = sheet[-TILE - 6 : -6, 104 : 104 + TILE]
    assert np.array_equal(bottom, truth)
    # the face itself lies where the template has it, as well as the detector saw it
    matrix = first.photograph_alignment(SHORT).matrix
    eyes = WALKS[0].person.points[:2] @ matrix[:, :2].T + matrix[:, 2]
    np.testing.assert_allclose(eyes, TEMPLATE[:2], atol=6.0)


def test_a_taken_folder_is_left_alone_without_force(
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
    assert again.found == 2
    assert (tmp_path / "notes.txt").read_text() == "keep"


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises((WeightsError, UsageError)):
        demo(tmp_path / "out", settings(tmp_path / "no.safetensors"), ClipSettings(frames=1))
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="cannot be used"):
        demo(tmp_path / "out", None, SHORT)


def test_frames_alone_are_no_demo(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="mode paste"):
        demo(tmp_path / "out", RestoreSettings(mode="paste"), SHORT)


def test_strangers_and_refused_faces_have_no_column(tmp_path: Path) -> None:
    """A record far from both people is nobody's; a refused one is found but not shown."""
    matrix = SHORT.matrix(WALKS[0], 0)
    points = WALKS[0].person.points @ matrix[:, :2].T + matrix[:, 2]
    records = [
        {"frame": 0, "points": (points + 90.0).tolist(), "file": None},
        {"frame": 0, "points": points.tolist(), "file": None},
    ]
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (tmp_path / "faces.jsonl").write_text(lines, encoding="utf-8")
    people = find_people(tmp_path, SHORT)
    assert [(one.walk, one.frame, one.picture) for one in people] == [(WALKS[0], 0, None)]
    sheet = draw_sheet(people, SHORT)
    assert sheet.shape[1] > len(WALKS) * len(TIMES) * TILE
    assert (sheet[60:, 104:] == 250).all()
    write_image(tmp_path / "sheet.png", sheet)


def test_the_command_refuses_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    answer = CliRunner().invoke(app, ["demo", "--out", str(tmp_path)])
    assert answer.exit_code == 6
    assert answer.stderr.strip().count("\n") == 0
    assert "--force" in answer.stderr
    assert (tmp_path / "mine.txt").read_text() == "keep"
