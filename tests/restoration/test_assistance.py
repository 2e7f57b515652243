"""Segments that other processes prepare: the same bytes, and nothing is done twice."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from suite_clips import WALK, file_hashes, repeatable_manifest, walk, walk_settings

from jdsr_cli.errors import InputError, OutputError
from jdsr_cli.progress import Silent
from jdsr_cli.restoration import InputResult, crop_faces, restore, segment_restoration
from jdsr_cli.restoration.assistance import Assistant
from jdsr_cli.restoration.journal import Journal
from jdsr_cli.restoration.models import Models, open_models
from jdsr_cli.restoration.numbered_frames import NumberedFrames
from jdsr_cli.restoration.request import Request
from jdsr_cli.restoration.scene_search import SceneSearch
from jdsr_cli.restoration.shared_segments import SharedResults
from jdsr_cli.restoration.stages import generation
from jdsr_cli.restoration.stages.generation import FaceGenerator
from jdsr_cli.restoration.stored_detections import read_detections, write_detections
from jdsr_cli.restoration.workspace import WRITING, Workspace
from jdsr_cli.settings import CropSettings, ReadSettings, RestoreSettings

SEGMENT = 8
SECONDS = 60.0


@dataclass(frozen=True)
class Clip:
    """A clip, its settings, and runs of it with these settings."""

    path: Path
    settings: RestoreSettings
    whole: Path
    """Results of an uninterrupted run."""
    prepared: Path
    """Folder of results of an interrupted run, all of whose other segments are prepared."""

    def copy_prepared(self, out: Path) -> Workspace:
        """Copy the run that is prepared."""
        shutil.copytree(self.prepared, out)
        return Workspace(out, self.path.stem, self.path)

    def resume(self, workspace: Workspace) -> None:
        """Resume a run, which must give the whole results."""
        again = replace(self.settings, resume=True)
        assert run(self.path, workspace.final.parent, again).error is None
        assert_same(workspace.final, self.whole)


@pytest.fixture(scope="module")
def clip(
    tmp_path_factory: pytest.TempPathFactory,
    astronaut: np.ndarray,
    hopper: np.ndarray,
    tiny_weights: Callable[[int], Path],
) -> Clip:
    folder, settings = tmp_path_factory.mktemp("assisted"), walk_settings(tiny_weights(64))
    path = walk(folder / "walk.mkv", astronaut, hopper)
    whole = run(path, folder / "whole", settings)
    assert whole.output is not None
    prepare(path, interrupt(path, folder / "prepared", settings), settings)
    return Clip(path, settings, whole.output, folder / "prepared")


class Interrupts(Silent):
    """Interrupts a run after a number of frames."""

    def __init__(self, frames: int) -> None:
        self._left = frames

    def advance(self, task: str, units: int = 1) -> None:
        self._left -= units
        if self._left <= 0:
            raise KeyboardInterrupt


def run(path: Path, out: Path, settings: Any, progress: Silent | None = None) -> InputResult:
    command = restore if isinstance(settings, RestoreSettings) else crop_faces
    (result,) = command([path], out, settings, progress).results
    return result


def interrupt(path: Path, out: Path, settings: Any, frames: int = SEGMENT + 2) -> Workspace:
    """Interrupt a run in its second segment; nothing is prepared for the next ones."""
    with pytest.raises(KeyboardInterrupt):
        run(path, out, settings, Interrupts(frames))
    workspace = Workspace(out, path.stem, path)
    for one in workspace.work.glob("*.facts.npz"):
        if int(one.name[:6]) >= workspace.segments.written():
            one.unlink()
    assert workspace.segments.written() == 1
    return workspace


@contextmanager
def assistant(
    path: Path, workspace: Workspace, settings: Any, models: Models | None = None
) -> Iterator[Assistant]:
    """Assist a run as if a process were working on it."""
    (workspace.work / WRITING).write_text("token")
    opened = models or open_models(settings, Silent())
    with closing(Assistant(path, workspace, settings, opened)) as one:
        yield one


def prepare(path: Path, workspace: Workspace, settings: Any) -> None:
    with assistant(path, workspace, settings) as one:
        while one.prepare_one():
            pass


@pytest.fixture
def only_stored(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Make searching, and restoring the faces of frames, fail from the call on.

    Fused faces are restored by the process that writes.
    """

    def forbid() -> None:
        def fail(*_: Any) -> None:
            raise AssertionError("done again")

        monkeypatch.setattr(SceneSearch, "add", fail)

        def fail_with_faces(faces: Any, generator: FaceGenerator) -> None:
            if faces.count:
                fail()

        monkeypatch.setattr(generation._Faces, "restore", fail_with_faces)

    return forbid


def assert_same(folder: Path, whole: Path) -> None:
    assert file_hashes(folder) == file_hashes(whole)
    assert repeatable_manifest(folder) == repeatable_manifest(whole)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mode": "crops"},
        {"reading": ReadSettings(start=Fraction(1, 10))},
        {"reading": ReadSettings(end=Fraction(2 * SEGMENT, 25))},
        {"detect_every": 3},
        {"detect_every": 1, "roi": (0, 0, 140, 140)},
    ],
    ids=["both", "crops", "trimmed start", "whole segments", "every third", "region"],
)
def test_what_is_prepared_is_not_done_again_and_gives_the_same_bytes(
    clip: Clip, tmp_path: Path, changes: dict[str, Any], only_stored: Callable[[], None]
) -> None:
    settings = replace(clip.settings, **changes)
    whole = run(clip.path, tmp_path / "whole", settings)
    assert whole.output is not None
    assert whole.counts is not None
    assert whole.counts.faces_restored > 0
    workspace = interrupt(clip.path, tmp_path / "out", settings)
    prepare(clip.path, workspace, settings)
    only_stored()
    result = run(clip.path, tmp_path / "out", replace(settings, resume=True))
    assert result.error is None
    assert_same(workspace.final, whole.output)


def test_exported_faces_are_the_same(
    clip: Clip, tmp_path: Path, only_stored: Callable[[], None]
) -> None:
    settings = CropSettings(
        detector="centerface", detection_scale=0.5, device="cpu", segment=SEGMENT
    )
    whole = run(clip.path, tmp_path / "whole", settings)
    workspace = interrupt(clip.path, tmp_path / "out", settings)
    prepare(clip.path, workspace, settings)
    only_stored()
    assert run(clip.path, tmp_path / "out", replace(settings, resume=True)).error is None
    assert whole.output is not None
    assert_same(workspace.final, whole.output)


def test_all_segments_are_prepared_once(clip: Clip, tmp_path: Path) -> None:
    workspace = clip.copy_prepared(tmp_path / "out")
    last = -(-WALK // SEGMENT)
    names = {path.name for path in workspace.work.iterdir()}
    assert {f"{number:06d}.faces" for number in range(1, last)} <= names
    assert {f"{number:06d}.facts.npz" for number in range(last)} <= names
    before = {path.name: path.stat().st_mtime_ns for path in workspace.work.glob("*.f*[sz]")}
    prepare(clip.path, workspace, clip.settings)
    after = {path.name: path.stat().st_mtime_ns for path in workspace.work.glob("*.f*[sz]")}
    # The second one finds out for itself where the input ends.
    assert {name: after[name] for name in before} == before


def test_what_another_process_makes_is_left_to_it(clip: Clip, tmp_path: Path) -> None:
    workspace = interrupt(clip.path, tmp_path, clip.settings)
    other = SharedResults(workspace, ".facts.npz")
    assert other.claim(1) == "ours"
    with assistant(clip.path, workspace, clip.settings) as one:
        while not other.path(2).exists():
            assert one.search_one()
            assert not one.restore_one()
        assert not other.path(1).exists()
        other.release_all()
        while not other.path(1).exists():
            assert one.search_one()


def test_a_claim_is_not_held_while_frames_are_skipped(
    clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = clip.copy_prepared(tmp_path / "out")
    workspace.segments.file(3, ".facts.npz").unlink()
    workspace.segments.file(3, ".faces").unlink()
    others = [SharedResults(workspace, suffix) for suffix in (".facts.npz", ".faces")]
    skipped: list[int] = []
    original = NumberedFrames.approach

    def approach(self: NumberedFrames, number: int, most: int) -> None:
        for other in others:
            assert other.claim(3) in ("ours", "there")
            other.release(3)
        skipped.append(number)
        original(self, number, most)

    monkeypatch.setattr(NumberedFrames, "approach", approach)
    prepare(clip.path, workspace, clip.settings)
    assert set(skipped) == {3 * SEGMENT - 1, 3 * SEGMENT}
    assert all(other.path(3).exists() for other in others)


def test_an_assistant_goes_back_to_a_segment_that_another_gave_up(
    clip: Clip, tmp_path: Path
) -> None:
    workspace = interrupt(clip.path, tmp_path / "out", clip.settings)
    other = SharedResults(workspace, ".facts.npz")
    with assistant(clip.path, workspace, clip.settings) as one:
        assert other.claim(1) == "ours"
        while one.search_one():
            pass
        other.release_all()
        while one.prepare_one():
            pass
    assert workspace.segments.file(1, ".faces").exists()
    clip.resume(workspace)


def test_an_assistant_of_an_earlier_run_writes_nothing(clip: Clip, tmp_path: Path) -> None:
    workspace = interrupt(clip.path, tmp_path, clip.settings)
    with assistant(clip.path, workspace, clip.settings) as one:
        (workspace.work / WRITING).write_text("another run")
        assert not one.is_needed
        assert not one.work(SECONDS)
    assert not workspace.segments.file(1, ".facts.npz").exists()


def test_what_an_assistant_is_writing_survives_a_resumed_run(clip: Clip, tmp_path: Path) -> None:
    workspace = interrupt(clip.path, tmp_path, clip.settings)
    request = Request(*(Journal.stored_request(workspace.work)[key] for key in ("asked", "tools")))
    (workspace.work / WRITING).write_text("token")
    partial = workspace.work / ".000002.aa.partial.faces"
    partial.write_bytes(b"x")
    (workspace.results / ".faces.aa.partial.jsonl").write_bytes(b"x")
    workspace.open(request, force=False, resume=True)
    assert partial.exists()
    assert list(workspace.results.glob(".*.partial*")) == []
    assert workspace.writing_token() == "token"
    assert workspace.segments.size_of(".faces") == 0
    workspace.close()
    assert workspace.writing_token() is None


def test_faces_of_finished_segments_are_removed(clip: Clip, tmp_path: Path) -> None:
    workspace = interrupt(clip.path, tmp_path, clip.settings)
    for number in range(3):
        workspace.segments.file(number, ".faces").write_bytes(b"x")
    workspace.segments.clear(".faces", 2)
    assert [path.name for path in workspace.work.glob("*.faces")] == ["000002.faces"]


def test_an_assistant_ends_with_the_run(clip: Clip, tmp_path: Path) -> None:
    workspace = interrupt(clip.path, tmp_path, clip.settings)
    with assistant(clip.path, workspace, clip.settings) as one:
        (workspace.work / WRITING).unlink()
        assert not one.work(SECONDS)
    assert not workspace.segments.file(1, ".facts.npz").exists()


def test_an_assistant_works_for_the_time_given(clip: Clip, tmp_path: Path) -> None:
    workspace = interrupt(clip.path, tmp_path, clip.settings)
    with assistant(clip.path, workspace, clip.settings) as one:
        assert one.work(0.0)
        assert not workspace.segments.file(1, ".facts.npz").exists()
        assert not one.work(SECONDS)
    assert workspace.segments.file(3, ".faces").exists()


def test_no_more_faces_are_prepared_than_the_disk_is_to_hold(
    clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_restoration, "MAX_BYTES", 1)
    workspace = interrupt(clip.path, tmp_path, clip.settings)
    prepare(clip.path, workspace, clip.settings)
    assert len(list(workspace.work.glob("*.faces"))) == 1


def test_other_settings_cannot_take_part(clip: Clip, tmp_path: Path) -> None:
    workspace = interrupt(clip.path, tmp_path, clip.settings)
    others = replace(clip.settings, min_face=30.0)
    with (
        pytest.raises(OutputError, match=r"min_face was 10\.0 and is 30\.0"),
        assistant(clip.path, workspace, others),
    ):
        pass


def test_another_file_of_the_name_cannot_be_prepared(clip: Clip, tmp_path: Path) -> None:
    """Another machine may have one."""
    workspace = interrupt(clip.path, tmp_path, clip.settings)
    other = tmp_path / "elsewhere" / clip.path.name
    other.parent.mkdir()
    other.write_bytes(clip.path.read_bytes()[:-1] + b"x")
    with (
        pytest.raises(InputError, match="other bytes here"),
        assistant(other, workspace, clip.settings),
    ):
        pass


def test_an_input_that_changed_is_an_error(clip: Clip, tmp_path: Path) -> None:
    path = tmp_path / "walk.mkv"
    path.write_bytes(clip.path.read_bytes())
    workspace = interrupt(path, tmp_path / "out", clip.settings)
    with assistant(path, workspace, clip.settings) as one:
        while one.search_one():
            pass
        stored = SharedResults(workspace, ".facts.npz").path(1)
        identifier = Request(**Journal.stored_request(workspace.work)).run
        first, *others = read_detections(stored, identifier)
        later = [replace(frame, time=frame.time + 0.001) for frame in others]
        write_detections(stored, [first, *later], identifier)
        with pytest.raises(InputError, match="not the one"):
            one.work(SECONDS)
    result = run(path, tmp_path / "out", replace(clip.settings, resume=True))
    assert isinstance(result.error, InputError)
    assert "not the one that was searched" in str(result.error)


def test_exchanged_detections_are_made_again(clip: Clip, tmp_path: Path) -> None:
    workspace = clip.copy_prepared(tmp_path / "out")
    first, second = (workspace.segments.file(number, ".facts.npz") for number in (1, 2))
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    clip.resume(workspace)


def test_damaged_detections_are_made_again(clip: Clip, tmp_path: Path) -> None:
    workspace = clip.copy_prepared(tmp_path / "out")
    workspace.segments.file(2, ".facts.npz").write_bytes(b"damaged")
    clip.resume(workspace)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: b"\xff" * len(data),
        lambda data: data[:1000] + bytes([data[1000] ^ 1]) + data[1001:],
        lambda data: data + b"x",
    ],
)
def test_damaged_faces_are_restored_again(
    clip: Clip, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    workspace = clip.copy_prepared(tmp_path / "out")
    faces = workspace.segments.file(2, ".faces")
    faces.write_bytes(damage(faces.read_bytes()))
    clip.resume(workspace)
