"""Files that get a final name are on the disk, with their names, before anything is removed."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from disk_steps import recorded_steps, unsafe_names
from stored_manifest import write_result

from jdsr_cli import renames
from jdsr_cli.atomic import (
    atomic_file,
    flush_folder,
    flush_tree,
    make_folders,
    prepare_folder,
    publish_folder,
)
from jdsr_cli.benchmarking.report import BenchReport
from jdsr_cli.datasets.face_set import write_array, write_json
from jdsr_cli.errors import OutputError
from jdsr_cli.evidence.sums import update_sum
from jdsr_cli.media import write_image
from jdsr_cli.reporting.index import update_index
from jdsr_cli.restoration.hashed_files import write_hashed
from jdsr_cli.watching.log import WatchLog
from jdsr_cli.watching.recordings import RecordedFile
from jdsr_train.lease.files import write_json as write_lease_json
from jdsr_train.training import checkpoint

IMAGE = np.zeros((16, 16, 3), np.uint8)


def folder_of_results(out: Path) -> None:
    for name in "ab":
        write_result(out / name)
    update_index(out)


def altered_sums(out: Path) -> None:
    update_sum(write_result(out / "a", restored__mp4=b"video"), "restored.mp4")


def renamed_folder(out: Path) -> None:
    (out / "new" / "inner").mkdir(parents=True)
    (out / "new" / "inner" / "a").write_text("a")
    publish_folder(out / "new", out / "final")


WRITERS: dict[str, Callable[[Path], object]] = {
    "picture": lambda out: write_image(out / "a.png", IMAGE),
    "photograph": lambda out: write_image(out / "a.jpg", IMAGE),
    "result": lambda out: write_result(out / "a", restored__mp4=b"video"),
    "sums": altered_sums,
    "index": folder_of_results,
    "measurement": lambda out: BenchReport("generator", {}, ()).write(out / "a.json"),
    "array": lambda out: write_array(out / "a.npy", IMAGE),
    "table": lambda out: write_json(out / "a.json", {}),
    "hashed": lambda out: write_hashed(out / "a.npz", [b"a"], "run"),
    "checkpoint": lambda out: checkpoint.save(out / "a.pt", {"a": torch.zeros(1)}),
    "lease": lambda out: write_lease_json(out / "new" / "a.json", {}),
    "folder": renamed_folder,
}


@pytest.mark.parametrize("kind", WRITERS)
def test_what_gets_a_name_is_on_the_disk(tmp_path: Path, kind: str) -> None:
    with recorded_steps() as steps:
        WRITERS[kind](tmp_path)
    assert any(step.what == "name" for step in steps)
    assert unsafe_names(steps, tmp_path) == []


def test_the_content_is_flushed_before_the_file_is_named_and_its_folder_afterwards(
    tmp_path: Path,
) -> None:
    with recorded_steps() as steps, atomic_file(tmp_path / "a.bin") as temporary:
        temporary.write_text("x")
    kinds = [(step.what, step.path) for step in steps[:3]]
    assert kinds == [
        ("flush", temporary), ("name", tmp_path / "a.bin"), ("flush", tmp_path)
    ]  # fmt: skip


@pytest.mark.parametrize("make", [make_folders, prepare_folder])
def test_new_folders_are_on_the_disk(tmp_path: Path, make: Callable[[Path], object]) -> None:
    with recorded_steps() as steps:
        make(tmp_path / "a" / "b")
    flushed = {step.path for step in steps if step.what == "flush"}
    assert {tmp_path, tmp_path / "a"} <= flushed


def test_the_name_of_a_new_log_is_on_the_disk(tmp_path: Path) -> None:
    with recorded_steps() as steps:
        WatchLog(tmp_path).begin(RecordedFile("a.mp4", 1, 1))
    assert [step.path for step in steps] == [tmp_path / "watch.jsonl", tmp_path]


@pytest.mark.parametrize("error", [errno.EINVAL, errno.ENOTSUP, errno.EBADF])
def test_a_file_system_that_flushes_no_folders_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    def refuse(_: int) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "fsync", refuse)
    flush_folder(tmp_path)
    flush_tree(tmp_path)


def test_a_system_that_opens_no_folders_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    flush_folder(tmp_path)


def test_a_disk_that_fails_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output"):
        flush_folder(tmp_path)


@pytest.mark.parametrize("knows", ["flags", "links", "neither"])
@pytest.mark.parametrize("other", ["file", "folder", "empty folder", "link"])
@pytest.mark.parametrize("moved", ["file", "folder"])
def test_a_new_name_replaces_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, knows: str, other: str, moved: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    if knows != "flags":
        monkeypatch.setattr(renames, "_renamed", lambda *_: False)
    if knows == "neither":
        monkeypatch.setattr(os, "link", refuse)
    source, target = tmp_path / "source", tmp_path / "target"
    if moved == "folder":
        source.mkdir()
        (source / "a").write_text("new")
    else:
        source.write_text("new")
    if other == "file":
        target.write_text("old")
    elif other == "link":
        target.symlink_to("nowhere")
    else:
        target.mkdir()
        if other == "folder":
            (target / "a").write_text("old")
    with pytest.raises(FileExistsError):
        renames.rename_new(source, target)
    kept = target if other == "file" else target / "a"
    assert other not in ("file", "folder") or kept.read_text() == "old"
    assert source.exists()
    renames.rename_new(source, tmp_path / "free")
    new = tmp_path / "free" / "a" if moved == "folder" else tmp_path / "free"
    assert new.read_text() == "new"
    assert not source.exists()


def test_a_file_that_appears_while_a_new_one_is_written_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "case.zip"

    def write() -> None:
        with atomic_file(path, replace=False) as partial:
            partial.write_text("new")
            path.write_text("mine")

    with pytest.raises(OutputError, match="a file has this name"):
        write()
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]
