import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from stored_manifest import write_result

from jdsr_cli.errors import OutputError
from jdsr_cli.evidence import MANIFEST, SUMS, read_manifest
from jdsr_cli.locks import acquire_lock
from jdsr_cli.restoration import workspace as workspace_module
from jdsr_cli.restoration.finished_result import describe_damage
from jdsr_cli.restoration.journal import Journal
from jdsr_cli.restoration.request import Request
from jdsr_cli.restoration.workspace import WRITING, Workspace

SOURCE = Path("somewhere/clip.mp4")
REQUEST = Request({"scale": 4}, {})
OTHER = Request({"scale": 8}, {})


def create_workspace(out: Path, source: Path = SOURCE) -> Workspace:
    return Workspace(out, "clip", source)


def opened(out: Path, *, force: bool = False, resume: bool = False) -> Workspace:
    workspace = create_workspace(out)
    workspace.open(REQUEST, force=force, resume=resume)
    return workspace


def finish_segment(workspace: Workspace, *results: Path) -> None:
    number = len(workspace.journal.segments)
    file, state = workspace.work / f"{number}", workspace.segments.snapshot(number)
    file.write_bytes(b"abc")
    state.write_bytes(b"state %d" % number)
    workspace.journal.add(8 * (number + 1), 8 * (number + 1), [file, *results], state)
    workspace.segments.drop_snapshots(number)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_only_complete_results_are_published(tmp_path: Path) -> None:
    workspace = opened(tmp_path)
    (workspace.results / "a").write_text("a")
    finish_segment(workspace)
    assert not (tmp_path / "clip").exists()
    workspace.publish()
    assert names(tmp_path) == ["clip"]
    assert names(tmp_path / "clip") == ["a"]


def test_a_run_without_a_finished_segment_leaves_no_files(tmp_path: Path) -> None:
    workspace = opened(tmp_path)
    (workspace.results / "a").write_text("a")
    assert workspace.close() == 0
    assert names(tmp_path) == []
    assert workspace.close() == 0


def test_finished_segments_are_kept_for_resume(tmp_path: Path) -> None:
    workspace = opened(tmp_path)
    written, added = workspace.results / "a", workspace.results / "b"
    for path in (written, added):
        path.write_text(path.name)
    finish_segment(workspace, written)
    assert workspace.close() == 8
    again = opened(tmp_path, resume=True)
    assert again.journal.frames == 8
    assert names(again.results) == ["a"]
    again.publish()
    assert names(tmp_path) == ["clip"]


def test_an_interrupted_run_is_replaced_only_with_force(tmp_path: Path) -> None:
    workspace = opened(tmp_path)
    finish_segment(workspace)
    workspace.close()
    with pytest.raises(OutputError, match=r"with 8 frames done.*--resume"):
        opened(tmp_path)
    with pytest.raises(OutputError, match=r"scale was 4 and is 8.*--force"):
        create_workspace(tmp_path).open(OTHER, force=False, resume=True)
    with pytest.raises(OutputError, match=r"scale was 4 and is 8.*--force"):
        create_workspace(tmp_path).open(OTHER, force=False, resume=False)
    again = opened(tmp_path, force=True)
    assert again.journal.frames == 0
    again.close()
    assert names(tmp_path) == []


def test_files_of_a_run_without_a_finished_segment_are_removed(tmp_path: Path) -> None:
    opened(tmp_path).journal.close()
    (tmp_path / ".clip.partial" / "results" / "old").write_text("old")
    workspace = opened(tmp_path)
    assert names(workspace.results) == []
    workspace.close()


def test_two_runs_do_not_share_a_workspace(tmp_path: Path) -> None:
    workspace = opened(tmp_path)
    for resume in (False, True):
        with pytest.raises(OutputError, match="another run"):
            opened(tmp_path, resume=resume)
        with pytest.raises(OutputError, match="another run"):
            create_workspace(tmp_path).open(REQUEST, force=True, resume=resume)
    assert (workspace.work / WRITING).exists()
    workspace.close()
    opened(tmp_path).close()
    assert names(tmp_path) == []


def test_a_run_that_starts_while_another_one_starts_removes_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = []

    class Beginning(Journal):
        """Another run starts while the first one holds the lock and has no journal yet."""

        def __init__(self, folder: Path, request: Request) -> None:
            with pytest.raises(OutputError, match="another run") as fault:
                create_workspace(tmp_path).open(OTHER, force=True, resume=False)
            faults.append(fault)
            super().__init__(folder, request)

    monkeypatch.setattr(workspace_module, "Journal", Beginning)
    workspace = create_workspace(tmp_path)
    workspace.open(REQUEST, force=False, resume=False)
    (workspace.results / "a").write_text("a")
    workspace.publish()
    assert len(faults) == 1
    assert names(tmp_path / "clip") == ["a"]


def test_a_run_that_waits_for_one_that_publishes_finds_its_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened(tmp_path)
    first.results.rmdir()
    write_result(first.results)

    def publish_and_acquire(path: Path, where: Path, what: str) -> FileLock:
        first.publish()
        return acquire_lock(path, where, what)

    monkeypatch.setattr(workspace_module, "acquire_lock", publish_and_acquire)
    with pytest.raises(OutputError, match="an earlier result is here already"):
        opened(tmp_path)
    assert names(tmp_path) == ["clip"]
    assert names(tmp_path / "clip") == [SUMS, MANIFEST]


def test_runs_that_replace_one_result_again_and_again_never_mix(tmp_path: Path) -> None:
    published, faults = [], []

    def run(name: str) -> None:
        for number in range(9):
            try:
                workspace = create_workspace(tmp_path)
                workspace.open(REQUEST, force=True, resume=False)
                workspace.results.rmdir()
                write_result(workspace.results, one=f"{name} {number}".encode())
                if number % 3:
                    finish_segment(workspace)
                    workspace.publish()
                    published.append(f"{name} {number}")
                else:
                    workspace.close()
            except OutputError as fault:
                if "another run is writing" not in str(fault):
                    faults.append(fault)

    threads = [threading.Thread(target=run, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert published
    assert names(tmp_path) == ["clip"]
    assert names(tmp_path / "clip") == [SUMS, MANIFEST, "one"]
    manifest = read_manifest(tmp_path / "clip")
    assert describe_damage(tmp_path / "clip", manifest, hashes=True) is None


def earlier(out: Path, request: Request = REQUEST) -> Path:
    return write_result(out / "clip", request.digest, restored__mp4=b"video")


def test_a_result_is_identified_by_its_request(tmp_path: Path) -> None:
    assert not create_workspace(tmp_path).is_finished(REQUEST)
    earlier(tmp_path)
    assert create_workspace(tmp_path).is_finished(REQUEST)
    assert not create_workspace(tmp_path).is_finished(OTHER)
    (tmp_path / "clip" / MANIFEST).write_text("[1]")
    assert not create_workspace(tmp_path).is_finished(REQUEST)


@pytest.mark.parametrize("resume", [False, True])
def test_an_earlier_result_is_kept_without_force(tmp_path: Path, resume: bool) -> None:
    earlier(tmp_path, OTHER)
    with pytest.raises(OutputError, match="--force"):
        opened(tmp_path, resume=resume)
    assert (tmp_path / "clip" / MANIFEST).exists()
    assert names(tmp_path) == ["clip"]


def test_an_earlier_result_is_replaced_with_force_and_only_at_the_end(tmp_path: Path) -> None:
    earlier(tmp_path)
    workspace = opened(tmp_path, force=True)
    (workspace.results / "new").write_text("new")
    assert (tmp_path / "clip" / "restored.mp4").exists()
    workspace.publish()
    assert names(tmp_path / "clip") == ["new"]
    assert names(tmp_path) == ["clip"]


def test_an_earlier_result_survives_an_abandoned_replacement(tmp_path: Path) -> None:
    earlier(tmp_path)
    opened(tmp_path, force=True).close()
    assert names(tmp_path) == ["clip"]
    assert (tmp_path / "clip" / MANIFEST).exists()


def test_a_folder_that_is_not_a_result_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "clip").mkdir()
    (tmp_path / "clip" / "holiday.jpg").write_text("mine")
    with pytest.raises(OutputError, match="not a result"):
        opened(tmp_path, force=True)
    assert (tmp_path / "clip" / "holiday.jpg").read_text() == "mine"


def test_an_input_inside_the_result_is_never_replaced(tmp_path: Path) -> None:
    source = earlier(tmp_path) / "restored.mp4"
    with pytest.raises(OutputError, match="the input lies in"):
        create_workspace(tmp_path, source).open(REQUEST, force=True, resume=False)
    assert source.read_bytes() == b"video"


def no_segment(workspace: Workspace) -> None:
    workspace.close()


def one_segment(workspace: Workspace) -> None:
    finish_segment(workspace)
    workspace.close()


@pytest.mark.parametrize(("work", "frames"), [(no_segment, 0), (one_segment, 8)])
def test_inspection_reports_finished_frames_and_changes_nothing(
    tmp_path: Path, work: Callable[[Workspace], None], frames: int
) -> None:
    work(opened(tmp_path))
    before = names(tmp_path)
    assert create_workspace(tmp_path).inspect(REQUEST, force=False, resume=True) == frames
    if frames:
        with pytest.raises(OutputError, match="--resume"):
            create_workspace(tmp_path).inspect(REQUEST, force=False, resume=False)
    assert names(tmp_path) == before


def test_inspection_of_a_finished_result_reports_that_it_is_done(tmp_path: Path) -> None:
    earlier(tmp_path)
    assert create_workspace(tmp_path).inspect(REQUEST, force=False, resume=True) is None
    with pytest.raises(OutputError, match="--force"):
        create_workspace(tmp_path).inspect(REQUEST, force=False, resume=False)
