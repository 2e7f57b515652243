"""Interrupted runs whose kept files are damaged: nothing damaged is published, nothing is refused.

Each run is killed, one of its files is damaged, and it is resumed; the results must be those of an
uninterrupted run, and a note says what was damaged.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from interrupted_runs import DAMAGES, DONE, SEGMENT, Interrupted, flip, journals, process
from nightly_cases import mostly_nightly
from suite_clips import WALK, walk, walk_settings

from jdsr_cli.restoration import sinks
from jdsr_cli.restoration.journal import Journal
from jdsr_cli.restoration.segment_files import KEPT_SNAPSHOTS
from jdsr_cli.restoration.workspace import LOCK


@pytest.fixture(scope="module")
def interrupted(
    tmp_path_factory: pytest.TempPathFactory,
    astronaut: np.ndarray,
    hopper: np.ndarray,
    tiny_weights: Callable[[int], Path],
) -> Interrupted:
    folder = tmp_path_factory.mktemp("damaged")
    clip = walk(folder / "walk.mkv", astronaut, hopper)
    return Interrupted(clip, folder, walk_settings(tiny_weights(64)))


@pytest.fixture
def frames_written(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the frames that runs of this test write."""
    written: list[int] = []
    write = sinks.VideoSink.write

    def count(self: sinks.VideoSink, item: Any) -> None:
        written.append(item.number)
        write(self, item)

    monkeypatch.setattr(sinks.VideoSink, "write", count)
    return written


FILES = {
    "work/000001.restored.nut": 1,
    "work/000000.faces.jsonl": 0,
    "work/000001.tracks.jsonl": 1,
    "work/000001.facts.npz": 1,
    "work/000002.restored.nut": 2,
    "work/000002.state.npz": 2,
    "results/faces/track0002_best1.png": 1,
}
"""A kept file, and its segment: the second track ends in frame 10."""


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("damage", mostly_nightly(["a bit in the middle", "zeros"], ["zeros"]))
def test_a_damaged_file_costs_only_its_segment(
    interrupted: Interrupted, tmp_path: Path, file: str, damage: str, frames_written: list[int]
) -> None:
    hidden, segment = interrupted.copy(tmp_path), FILES[file]
    path = hidden / file
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    notes = interrupted.resume(tmp_path)
    assert f"is damaged ({file}): " in notes
    assert f"{SEGMENT} of its frames are done again" in notes
    assert f"resumed after {16 if segment == 2 else DONE} frames" in notes
    again = range(segment * SEGMENT, (segment + 1) * SEGMENT)
    assert sorted(frames_written) == [*again, *range(DONE, WALK)]


def test_damaged_segments_are_done_again_one_by_one(
    interrupted: Interrupted, tmp_path: Path, frames_written: list[int]
) -> None:
    hidden = interrupted.copy(tmp_path)
    for file in ("work/000000.restored.nut", "work/000002.facts.npz"):
        (hidden / file).write_bytes(b"damaged")
    notes = interrupted.resume(tmp_path)
    assert "(work/000000.restored.nut): 8 of its frames are done again" in notes
    assert "(work/000002.facts.npz): it continues after 16 frames" in notes
    assert sorted(frames_written) == [*range(SEGMENT), *range(16, WALK)]


def test_neighbouring_damaged_segments_are_done_again_together(
    interrupted: Interrupted, tmp_path: Path, frames_written: list[int]
) -> None:
    hidden = interrupted.copy(tmp_path)
    for file in ("work/000000.restored.nut", "work/000001.facts.npz", "work/000000.state.npz"):
        (hidden / file).write_bytes(b"damaged")
    notes = interrupted.resume(tmp_path)
    assert "(work/000000.restored.nut and 1 more): 16 of its frames are done again" in notes
    assert sorted(frames_written) == [*range(16), *range(DONE, WALK)]


def test_a_segment_that_comes_out_otherwise_is_not_taken(
    interrupted: Interrupted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = interrupted.copy(tmp_path) / "work/000001.restored.nut"
    path.write_bytes(b"damaged")
    from jdsr_cli.restoration.stages import segments

    class Altered(segments.SegmentedSinks):
        """Ends segments with other records than before."""

        def add(self, item: Any) -> None:
            for face in item.faces if "mending" in str(self._input.workspace.work) else ():
                face.covered += 0.25
            super().add(item)

    from jdsr_cli.restoration import mending

    monkeypatch.setattr(mending, "SegmentedSinks", Altered)
    notes = interrupted.resume(tmp_path)
    assert "(work/000001.restored.nut): it continues after 8 frames, 16 of its frames" in notes


def test_an_older_state_serves_where_the_one_before_is_missing(
    interrupted: Interrupted, tmp_path: Path
) -> None:
    hidden = interrupted.copy(tmp_path)
    (hidden / "work/000000.state.npz").unlink()
    (hidden / "work/000001.tracks.jsonl").write_bytes(b"damaged")
    notes = interrupted.resume(tmp_path)
    assert "(work/000001.tracks.jsonl): 16 of its frames are done again" in notes
    assert f"resumed after {DONE} frames" in notes


@pytest.mark.parametrize("damage", DAMAGES)
def test_no_damage_to_the_video_goes_unnoticed(
    interrupted: Interrupted, tmp_path: Path, damage: str
) -> None:
    path = interrupted.copy(tmp_path) / "work/000001.restored.nut"
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    assert "000001.restored.nut" in interrupted.resume(tmp_path)


def test_a_missing_file_counts_as_damaged(interrupted: Interrupted, tmp_path: Path) -> None:
    (interrupted.copy(tmp_path) / "work/000002.restored.nut").unlink()
    assert "continues after 16 frames" in interrupted.resume(tmp_path)


@pytest.mark.parametrize("line", range(4))
@pytest.mark.parametrize(
    "damage", mostly_nightly(["a bit in the middle", "the last byte"], ["the last byte"])
)
def test_a_damaged_line_of_both_journals_costs_what_it_names(
    interrupted: Interrupted, tmp_path: Path, line: int, damage: str
) -> None:
    for path in journals(interrupted.copy(tmp_path)):
        lines = path.read_bytes().splitlines()
        lines[line] = DAMAGES[damage](lines[line])
        path.write_bytes(b"\n".join(lines) + b"\n")
    notes = interrupted.resume(tmp_path)
    if line == 0:
        # The other lines name the run as well.
        assert "damaged" not in notes
        assert f"resumed after {DONE} frames" in notes
    else:
        assert "damaged (its journal)" in notes
        assert f"continues after {8 * (line - 1)} frames" in notes


def exchange_lines(data: bytes) -> bytes:
    first, second, *others = data.splitlines(keepends=True)
    return b"".join([second, first, *reversed(others)])


JOURNALS: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "a blank line": lambda path: path.write_bytes(b"\n"),
    "damaged": lambda path: path.write_bytes(flip(path.read_bytes(), 9)),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:900]),
    "records": lambda path: path.write_bytes((path.parent / "000000.faces.jsonl").read_bytes()),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "exchanged lines": lambda path: path.write_bytes(exchange_lines(path.read_bytes())),
    "repeated lines": lambda path: path.write_bytes(2 * path.read_bytes()),
}


@pytest.mark.parametrize("damage", mostly_nightly(JOURNALS, ["missing", "records"]))
@pytest.mark.parametrize("copy", mostly_nightly(range(2), [0]))
def test_one_of_both_journals_is_enough(
    interrupted: Interrupted, tmp_path: Path, damage: str, copy: int
) -> None:
    JOURNALS[damage](journals(interrupted.copy(tmp_path))[copy])
    notes = interrupted.resume(tmp_path)
    assert "damaged" not in notes
    assert f"resumed after {DONE} frames" in notes


@pytest.mark.parametrize(
    "damage", mostly_nightly(["exchanged lines", "repeated lines"], ["exchanged lines"])
)
def test_lines_of_a_journal_are_read_in_any_order(
    interrupted: Interrupted, tmp_path: Path, damage: str
) -> None:
    for path in journals(interrupted.copy(tmp_path)):
        JOURNALS[damage](path)
    assert f"resumed after {DONE} frames" in interrupted.resume(tmp_path)


def test_journals_that_are_damaged_as_a_whole_start_anew(
    interrupted: Interrupted, tmp_path: Path
) -> None:
    for path in journals(interrupted.copy(tmp_path)):
        path.write_bytes(b"".join(flip(one, 9) + b"\n" for one in path.read_bytes().splitlines()))
    notes = interrupted.resume(tmp_path)
    assert "damaged (its journal): it continues after 0 frames" in notes


@pytest.mark.parametrize("damage", mostly_nightly(["missing", "empty", "a blank line"], ["empty"]))
def test_a_lost_journal_is_said(interrupted: Interrupted, tmp_path: Path, damage: str) -> None:
    for path in journals(interrupted.copy(tmp_path)):
        JOURNALS[damage](path)
    assert "the journal of the interrupted run is lost" in interrupted.resume(tmp_path)


@pytest.mark.parametrize("seed", mostly_nightly(range(6), range(2)))
def test_random_damage_is_found_or_without_effect(
    interrupted: Interrupted, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    hidden = interrupted.copy(tmp_path)
    files = sorted(path for path in hidden.rglob("*") if path.is_file() and path.stat().st_size)
    path = chance.choice(files)
    path.write_bytes(flip(path.read_bytes(), chance.randrange(path.stat().st_size)))
    interrupted.resume(tmp_path)


@pytest.mark.parametrize(
    "file",
    mostly_nightly(
        [*FILES, "work/000003.facts.npz", "results/faces/track0001_best1.png"],
        ["work/000001.restored.nut", "work/000003.facts.npz", "results/faces/track0002_best1.png"],
    ),
)
def test_a_folder_in_the_place_of_a_file_is_no_obstacle(
    interrupted: Interrupted, tmp_path: Path, file: str
) -> None:
    path = interrupted.copy(tmp_path) / file
    path.unlink(missing_ok=True)
    path.mkdir()
    (path / "content").write_bytes(b"1")
    interrupted.resume(tmp_path)


@pytest.mark.parametrize(
    "numbers", mostly_nightly([(0, 1), (1, 2), (2, 3), (0, 3)], [(1, 2), (0, 3)])
)
def test_exchanged_detections_are_searched_again(
    interrupted: Interrupted, tmp_path: Path, numbers: tuple[int, int]
) -> None:
    work = interrupted.copy(tmp_path) / "work"
    first, second = (work / f"{number:06d}.facts.npz" for number in numbers)
    contents = first.read_bytes(), second.read_bytes()
    second.write_bytes(contents[0])
    first.write_bytes(contents[1])
    interrupted.resume(tmp_path)


def test_a_damaged_token_is_no_obstacle(interrupted: Interrupted, tmp_path: Path) -> None:
    (interrupted.copy(tmp_path) / "work" / "writing").write_bytes(b"\xff\xfe")
    interrupted.resume(tmp_path)


def test_a_run_beside_another_one_is_not_told_to_replace_it(
    interrupted: Interrupted, tmp_path: Path
) -> None:
    hidden = interrupted.copy(tmp_path)
    with FileLock(hidden / "work" / LOCK):
        result = process(interrupted.clip, tmp_path, interrupted.settings)
    assert "another run is writing this result. Wait for it" in str(result.error)
    assert "--force" not in str(result.error)


def test_damage_while_a_run_goes_on_is_found_before_anything_is_published(
    interrupted: Interrupted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = Journal.add

    def add_and_damage(self: Journal, *given: object) -> None:
        add(self, *given)  # type: ignore[arg-type]
        if len(self.segments) == 2:
            path = tmp_path / ".walk.partial" / "work" / "000000.restored.nut"
            path.write_bytes(flip(path.read_bytes(), 300))

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "add", add_and_damage)
        result = process(interrupted.clip, tmp_path, interrupted.settings)
    assert "000000.restored.nut: is not as it was written" in str(result.error)
    assert "--resume" in str(result.error)
    assert not (tmp_path / "walk").exists()
    assert "000000.restored.nut" in interrupted.resume(tmp_path)


def test_snapshots_are_kept_ever_more_sparsely(tmp_path: Path) -> None:
    from jdsr_cli.restoration.workspace import Workspace

    workspace = Workspace(tmp_path, "clip", Path("clip.mp4"))
    workspace.work.mkdir(parents=True)
    for number in range(1000):
        workspace.segments.snapshot(number).write_bytes(b"state")
        workspace.segments.drop_snapshots(number)
        kept = sorted(int(path.name[:6]) for path in workspace.work.iterdir())
        assert kept[-1] == number
        assert set(range(max(0, number - KEPT_SNAPSHOTS + 1), number + 1)) <= set(kept)
        for earlier in range(0, number, 37):
            # A run that falls back from a segment repeats at most as much again.
            before = max((one for one in kept if one <= earlier), default=-1)
            assert earlier - before <= max(1, (number - earlier) // 2)
    assert len(kept) < 80
