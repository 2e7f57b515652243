"""Complete results get their name, and nothing is removed for it that is not of jdsr."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from disk_steps import recorded_steps, unsafe_names
from stored_manifest import write_result

from jdsr_cli import renames
from jdsr_cli.errors import OutputError
from jdsr_cli.evidence import MANIFEST, SUMS
from jdsr_cli.restoration.publication import Publication
from jdsr_cli.restoration.request import Request
from jdsr_cli.restoration.workspace import Workspace

REQUEST = Request({"scale": 4}, {})
OTHER = Request({"scale": 8}, {})


def begun(out: Path, *, force: bool = False, resume: bool = False) -> Workspace:
    workspace = Workspace(out, "clip", Path("somewhere/clip.mp4"))
    workspace.open(REQUEST, force=force, resume=resume)
    return workspace


def complete(workspace: Workspace, content: bytes = b"new") -> Workspace:
    workspace.results.rmdir()
    write_result(workspace.results, REQUEST.digest, restored__mp4=content)
    return workspace


def earlier(out: Path, request: Request = OTHER) -> Path:
    return write_result(out / "clip", request.digest, restored__mp4=b"old")


def snapshot(folder: Path) -> dict[str, bytes | str]:
    return {
        str(path.relative_to(folder)): str(path.readlink()) if path.is_symlink()
        else path.read_bytes() if path.is_file() else "folder"
        for path in sorted(folder.rglob("*"))
    }  # fmt: skip


def web_extension(out: Path) -> None:
    (out / "clip").mkdir()
    (out / "clip" / MANIFEST).write_text('{"manifest_version": 3, "name": "clip"}')
    (out / "clip" / "code.js").write_text("mine")


def part_of_a_manifest(out: Path) -> None:
    (out / "clip").mkdir()
    (out / "clip" / MANIFEST).write_text(json.dumps({"request": REQUEST.digest}))


def empty_manifest(out: Path) -> None:
    (earlier(out) / MANIFEST).write_bytes(b"")


def further_key(out: Path) -> None:
    path = earlier(out) / MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), "short_name": "clip"}))


def linked_result(out: Path) -> None:
    earlier(out).rename(out / "elsewhere")
    (out / "clip").symlink_to("elsewhere")


def dangling_link(out: Path) -> None:
    (out / "clip").symlink_to("nowhere")


def file(out: Path) -> None:
    (out / "clip").write_text("mine")


def empty_folder(out: Path) -> None:
    (out / "clip").mkdir()


FOREIGN = [
    web_extension, part_of_a_manifest, empty_manifest, further_key, linked_result, dangling_link,
    file, empty_folder,
]  # fmt: skip


def own_file(result: Path) -> str:
    (result / "notes.txt").write_text("mine")
    return "notes.txt"


def own_picture_of_a_face(result: Path) -> str:
    (result / "faces").mkdir()
    (result / "faces" / "mine.png").write_text("mine")
    return "faces/mine.png"


def own_link(result: Path) -> str:
    (result / "link").symlink_to("/")
    return "link"


def own_empty_folder(result: Path) -> str:
    (result / "evidence").mkdir()
    return "evidence"


def renamed_output(result: Path) -> str:
    (result / "restored.mp4").rename(result / "kept.mp4")
    return "kept.mp4"


OWN = [own_file, own_picture_of_a_face, own_link, own_empty_folder, renamed_output]


@pytest.mark.parametrize("make", FOREIGN)
def test_what_is_no_result_is_not_replaced_with_force(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path)
    before = snapshot(tmp_path)
    workspace = Workspace(tmp_path, "clip", Path("clip.mp4"))
    with pytest.raises(OutputError, match="not a result of jdsr"):
        workspace.inspect(REQUEST, force=True, resume=False)
    with pytest.raises(OutputError, match="not a result of jdsr"):
        begun(tmp_path, force=True)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("add", OWN)
def test_a_result_with_further_entries_is_not_replaced(
    tmp_path: Path, add: Callable[[Path], str]
) -> None:
    name = add(earlier(tmp_path))
    before = snapshot(tmp_path)
    with pytest.raises(OutputError, match=f"jdsr did not write: {name}.*Move it out"):
        begun(tmp_path, force=True)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("make", [*FOREIGN, earlier])
def test_what_appears_during_a_run_is_kept_and_so_are_the_results(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    workspace = complete(begun(tmp_path))
    make(tmp_path)
    before = snapshot(tmp_path / "clip")
    with pytest.raises(OutputError, match=r"results are kept\. Move it away, then .*--resume"):
        workspace.publish()
    workspace.close()
    assert snapshot(tmp_path / "clip") == before
    with pytest.raises(OutputError):
        begun(tmp_path)
    (tmp_path / "clip").rename(tmp_path / "moved")
    with pytest.raises(OutputError, match="complete results of an interrupted run"):
        begun(tmp_path)
    again = Workspace(tmp_path, "clip", Path("clip.mp4"))
    assert not again.publish_waiting(OTHER, force=False)
    assert again.inspect(REQUEST, force=False, resume=True) is None
    assert again.publish_waiting(REQUEST, force=False)
    assert (tmp_path / "clip" / "restored.mp4").read_bytes() == b"new"
    assert not (tmp_path / ".clip.partial").exists()


@pytest.mark.parametrize("add", OWN)
def test_what_appears_in_a_replaced_result_during_a_run_is_kept(
    tmp_path: Path, add: Callable[[Path], str]
) -> None:
    folder = earlier(tmp_path)
    workspace = complete(begun(tmp_path, force=True))
    name = add(folder)
    before = snapshot(folder)
    with pytest.raises(OutputError, match=f"{name}; .*--resume and --force"):
        workspace.publish()
    workspace.close()
    assert snapshot(folder) == before
    assert workspace.waits_for_name
    shutil.move(folder / name, tmp_path / "mine")
    assert Workspace(tmp_path, "clip", Path("clip.mp4")).publish_waiting(REQUEST, force=True)
    assert (folder / "restored.mp4").read_bytes() == b"new"
    assert not (tmp_path / ".clip.partial").exists()


@pytest.mark.parametrize("add", [own_file, own_link])
def test_what_appears_in_the_last_moment_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, add: Callable[[Path], str]
) -> None:
    folder = earlier(tmp_path)
    workspace = complete(begun(tmp_path, force=True))
    exchange = renames.exchange

    def late(first: Path, second: Path, aside: Path) -> None:
        if not any(path.name in ("notes.txt", "link") for path in folder.iterdir()):
            add(folder)
        exchange(first, second, aside)

    monkeypatch.setattr("jdsr_cli.restoration.publication.exchange", late)
    with pytest.raises(OutputError, match="jdsr did not write"):
        workspace.publish()
    assert (folder / "restored.mp4").read_bytes() == b"old"
    assert len(list(folder.iterdir())) == 4
    workspace.close()


def test_a_name_taken_in_the_last_moment_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = complete(begun(tmp_path))
    renamed = renames._renamed

    def late(source: Path, target: Path, flag: int) -> bool:
        if target == tmp_path / "clip" and not target.exists():
            empty_folder(tmp_path)
        return renamed(source, target, flag)

    monkeypatch.setattr(renames, "_renamed", late)
    with pytest.raises(OutputError, match="results are kept"):
        workspace.publish()
    workspace.close()
    assert list((tmp_path / "clip").iterdir()) == []
    assert workspace.waits_for_name


@pytest.mark.parametrize("exchanges", [True, False])
def test_an_earlier_result_is_there_until_the_new_one_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchanges: bool
) -> None:
    if not exchanges:
        monkeypatch.setattr(renames, "_renamed", lambda *_: False)
    earlier(tmp_path)
    workspace = complete(begun(tmp_path, force=True))
    assert (tmp_path / "clip" / "restored.mp4").read_bytes() == b"old"
    workspace.publish()
    assert (tmp_path / "clip" / "restored.mp4").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["clip"]


def test_a_result_that_was_moved_aside_when_the_run_was_killed_gets_its_name_again(
    tmp_path: Path,
) -> None:
    earlier(tmp_path)
    workspace = complete(begun(tmp_path, force=True))
    (tmp_path / "clip").rename(tmp_path / ".clip.partial" / "old")
    workspace.close()
    begun(tmp_path, force=True).close()
    assert (tmp_path / "clip" / "restored.mp4").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["clip"]


@pytest.mark.parametrize("replaces", [True, False])
def test_a_run_killed_after_it_has_published_leaves_nothing_after_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replaces: bool
) -> None:
    if replaces:
        earlier(tmp_path)
    workspace = complete(begun(tmp_path, force=replaces))
    monkeypatch.setattr(workspace, "_discard", workspace._end)
    workspace.publish()
    assert (tmp_path / ".clip.partial" / "work" / "journal.jsonl").exists()
    again = Workspace(tmp_path, "clip", Path("clip.mp4"))
    assert again.is_finished(REQUEST)
    again.clear()
    assert [path.name for path in tmp_path.iterdir()] == ["clip"]


@pytest.mark.parametrize("replaces", [True, False])
@pytest.mark.parametrize("exchanges", [True, False])
def test_results_are_on_the_disk_before_their_work_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replaces: bool, exchanges: bool
) -> None:
    if not exchanges:
        monkeypatch.setattr(renames, "_renamed", lambda *_: False)
    if replaces:
        earlier(tmp_path)
    with recorded_steps() as steps:
        workspace = complete(begun(tmp_path, force=replaces))
        (workspace.results / "faces").mkdir()
        (workspace.results / "faces" / "a.png").write_bytes(b"written without a flush")
        workspace.publish()
    moved = {tmp_path / ".clip.partial" / name for name in ("old", "results")}
    assert set(unsafe_names(steps, tmp_path)) <= moved
    named = max(n for n, step in enumerate(steps) if step.path == tmp_path / "clip")
    flushed = {step.path for step in steps[:named] if step.what == "flush"}
    results = tmp_path / ".clip.partial" / "results"
    assert {results, results / "faces", results / "faces" / "a.png"} <= flushed
    removed = [step.path for step in steps[:named] if step.what == "remove"]
    assert {path.name for path in removed if ".partial" not in path.name} <= {"writing"}
    last = [step.path for step in steps[named:] if step.what == "remove"]
    assert tmp_path / ".clip.partial" / "work" / "journal.jsonl" in last


@pytest.mark.parametrize("error", [22, 95, 9])
def test_a_file_system_that_flushes_no_folders_gets_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    import os
    import stat

    fsync = os.fsync

    def refuse(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(error, os.strerror(error))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)
    complete(begun(tmp_path)).publish()
    assert (tmp_path / "clip" / SUMS).exists()


def test_a_disk_that_fails_while_it_is_flushed_keeps_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = complete(begun(tmp_path))

    def fail(_: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("jdsr_cli.restoration.publication.flush_tree", fail)
    with pytest.raises(OutputError, match="Input/output error"):
        workspace.publish()
    assert not (tmp_path / "clip").exists()
    assert (workspace.work / "journal.jsonl").exists()
    workspace.close()


@pytest.mark.parametrize("kind", ["file", "link", "own file in it"])
def test_a_hidden_folder_that_is_not_of_jdsr_stays(tmp_path: Path, kind: str) -> None:
    hidden = tmp_path / ".clip.partial"
    if kind == "file":
        hidden.write_text("mine")
    elif kind == "link":
        (tmp_path / "elsewhere").mkdir()
        hidden.symlink_to("elsewhere")
    else:
        hidden.mkdir()
        (hidden / "mine.txt").write_text("mine")
    before = snapshot(tmp_path)
    for force in (False, True):
        with pytest.raises(OutputError, match="Move it away"):
            begun(tmp_path, force=force)
    assert snapshot(tmp_path) == before


def test_damaged_complete_results_are_not_published(tmp_path: Path) -> None:
    workspace = complete(begun(tmp_path))
    file(tmp_path)
    with pytest.raises(OutputError):
        workspace.publish()
    workspace.close()
    (tmp_path / "clip").unlink()
    (workspace.results / "restored.mp4").write_bytes(b"NEW")
    again = Workspace(tmp_path, "clip", Path("clip.mp4"))
    assert not again.publish_waiting(REQUEST, force=False)
    assert not (tmp_path / "clip").exists()


def test_frames_of_a_folder_that_was_removed_are_not_kept(tmp_path: Path) -> None:
    for remove in (
        lambda: shutil.rmtree(tmp_path / "out"),
        lambda: shutil.rmtree(tmp_path / "out" / ".clip.partial"),
        lambda: shutil.rmtree(tmp_path / "out" / ".clip.partial" / "work"),
        lambda: (tmp_path / "out" / ".clip.partial" / "work" / "0").unlink(),
    ):
        (tmp_path / "out").mkdir(exist_ok=True)
        workspace = begun(tmp_path / "out", force=True)
        first = workspace.work / "0"
        first.write_bytes(b"abc")
        state = workspace.segments.snapshot(0)
        state.write_bytes(b"state")
        workspace.journal.add(8, 8, [first], state)
        remove()
        assert workspace.close() == 0


def test_a_publication_without_results_waits_for_no_name(tmp_path: Path) -> None:
    publication = Publication(tmp_path / "clip", tmp_path / ".clip.partial", Path("clip.mp4"))
    assert not publication.is_complete
    assert not publication.is_done
    assert publication.frames == 0
    publication.check_hidden()
    publication.check_name(replaces=False)
