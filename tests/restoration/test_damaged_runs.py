"""Interrupted runs whose kept files are damaged: nothing damaged is published, nothing is refused.

Each run is killed, one of its files is damaged, and it is resumed; the results must be those of an
uninterrupted run, and a note says what was damaged.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from killed_run import run_until_killed
from nightly_cases import mostly_nightly
from suite_clips import WALK, file_hashes, walk, walk_settings

from jdsr_cli.restoration import restore
from jdsr_cli.restoration.journal import Journal
from jdsr_cli.restoration.segment_files import KEPT_SNAPSHOTS
from jdsr_cli.restoration.workspace import LOCK
from jdsr_cli.settings import RestoreSettings

DONE = 24
"""Frames in the three finished segments of the killed run."""


def flip(data: bytes, at: int = -1) -> bytes:
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "a bit in the middle": lambda data: flip(data, len(data) // 2),
    "the first byte": lambda data: flip(data, 0),
    "the last byte": flip,
    "zeros": lambda data: bytes(len(data)),
    "a zeroed part": lambda data: data[: len(data) // 3] + bytes(40) + data[len(data) // 3 + 40 :],
    "cut off": lambda data: data[:-1],
    "longer": lambda data: data + b"\0",
    "empty": lambda data: b"",
}


class Interrupted:
    """A run that was killed after its third segment, and what it would have given."""

    def __init__(self, clip: Path, out: Path, whole: Path, settings: RestoreSettings) -> None:
        self.clip, self.out, self.whole, self.settings = clip, out, whole, settings

    def copy(self, out: Path) -> Path:
        """Copy the interrupted run; return the hidden folder."""
        shutil.copytree(self.out, out, dirs_exist_ok=True)
        return out / ".walk.partial"

    def resume(self, out: Path) -> str:
        """Resume a copy, which must give the whole results; return the notes."""
        (result,) = restore([self.clip], out, replace(self.settings, resume=True)).results
        assert result.error is None
        assert result.output is not None
        assert file_hashes(result.output) == file_hashes(self.whole)
        assert result.counts is not None
        assert result.counts.frames_read == WALK
        return "\n".join(result.notes)


@pytest.fixture(scope="module")
def interrupted(
    tmp_path_factory: pytest.TempPathFactory,
    astronaut: np.ndarray,
    hopper: np.ndarray,
    tiny_weights: Callable[[int], Path],
) -> Interrupted:
    folder = tmp_path_factory.mktemp("damaged")
    settings = walk_settings(tiny_weights(64))
    clip = walk(folder / "walk.mkv", astronaut, hopper)
    assert restore([clip], folder / "whole", settings).exit_code == 0
    run_until_killed("after the last whole segment", clip, folder / "out", settings)
    return Interrupted(clip, folder / "out", folder / "whole" / "walk", settings)


FILES = {
    "work/000001.restored.nut": 8,
    "work/000000.faces.jsonl": 0,
    "work/000001.tracks.jsonl": 8,
    "work/000001.facts.npz": 8,
    "work/000002.state.npz": 16,
    "results/faces/track0002_best1.png": 8,
}
"""A kept file, and the frames that are whole without it: the second track ends in frame 10."""


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("damage", mostly_nightly(["a bit in the middle", "zeros"], ["zeros"]))
def test_a_damaged_file_costs_only_its_segment_and_those_after_it(
    interrupted: Interrupted, tmp_path: Path, file: str, damage: str
) -> None:
    hidden, kept = interrupted.copy(tmp_path), FILES[file]
    path = hidden / file
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    notes = interrupted.resume(tmp_path)
    assert file in notes
    assert f"continues after {kept} frames, {DONE - kept} of its frames are done again" in notes


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
def test_a_damaged_line_of_the_journal_costs_what_it_names(
    interrupted: Interrupted, tmp_path: Path, line: int, damage: str
) -> None:
    path = interrupted.copy(tmp_path) / "work" / Journal.NAME
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


def test_a_journal_that_is_damaged_as_a_whole_starts_anew(
    interrupted: Interrupted, tmp_path: Path
) -> None:
    path = interrupted.copy(tmp_path) / "work" / Journal.NAME
    path.write_bytes(b"".join(flip(one, 9) + b"\n" for one in path.read_bytes().splitlines()))
    notes = interrupted.resume(tmp_path)
    assert "damaged (its journal): it continues after 0 frames" in notes


@pytest.mark.parametrize("content", [None, b"", b"\n"])
def test_a_lost_journal_is_said(
    interrupted: Interrupted, tmp_path: Path, content: bytes | None
) -> None:
    path = interrupted.copy(tmp_path) / "work" / Journal.NAME
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert "the journal of the interrupted run is lost" in interrupted.resume(tmp_path)


def test_several_damaged_files_cost_the_earliest(interrupted: Interrupted, tmp_path: Path) -> None:
    hidden = interrupted.copy(tmp_path)
    for file in ("work/000002.state.npz", "work/000001.facts.npz", "work/000001.state.npz"):
        (hidden / file).write_bytes(b"damaged")
    assert "continues after 8 frames" in interrupted.resume(tmp_path)


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
        (result,) = restore([interrupted.clip], tmp_path, interrupted.settings).results
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
        (result,) = restore([interrupted.clip], tmp_path, interrupted.settings).results
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
