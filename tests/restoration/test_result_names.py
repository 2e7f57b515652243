"""A result belongs to its input, whatever is beside it and in whichever order inputs come."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

import pytest

from jdsr_cli.atomic import HIDDEN_FOLDER
from jdsr_cli.errors import OutputError
from jdsr_cli.evidence import sha256_file
from jdsr_cli.file_names import LONGEST, as_text, shortened
from jdsr_cli.restoration.result_names import (
    RECORD,
    ROOM,
    ResultNames,
    candidate_names,
)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def put(path: Path, content: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content or path.name)
    return path


def finish(out: Path, paths: Sequence[Path]) -> list[str]:
    """Name inputs as a run does, and leave finished results of them."""
    names = ResultNames(out).choose(paths)
    for name, path in zip(names, paths, strict=True):
        (out / name).mkdir(exist_ok=True)
        source = {"file": str(path), "bytes": path.stat().st_size, "sha256": sha256_file(path)}
        (out / name / "manifest.json").write_text(json.dumps({"input": source}))
    return names


def test_a_result_has_the_stem_of_its_input(tmp_path: Path, out: Path) -> None:
    paths = [put(tmp_path / name) for name in ("x.mp4", "y.tar.mp4", ".hidden", "z")]
    paths.append(tmp_path / "shot_%05d.png")
    put(tmp_path / "shot_00001.png")
    assert ResultNames(out).choose(paths) == ["x", "y.tar", "hidden", "z", "shot"]


def test_a_name_does_not_depend_on_the_order_of_inputs(tmp_path: Path, out: Path) -> None:
    names = ("a/x.mp4", "b/x.mp4", "b/X.gif", "b/x-2.png", "c/x.gif")
    paths = [put(tmp_path / name, name) for name in names]
    expected = dict(zip(paths, ResultNames(out).look_up(paths), strict=True))
    assert len({name.casefold() for name in expected.values()}) == len(paths)
    assert expected[paths[0]] == "a-x.mp4"
    assert expected[paths[3]] == "x-2"
    for order in permutations(paths):
        assert ResultNames(out).look_up(order) == [expected[path] for path in order]


@pytest.mark.parametrize("arrives", ["cam1.jpg", "CAM1.avi", "sub/cam1.mp4", "cam1.mp4.mkv"])
def test_an_input_that_arrives_changes_no_other_result(
    tmp_path: Path, out: Path, arrives: str
) -> None:
    first = put(tmp_path / "cam1.mp4")
    assert finish(out, [first]) == ["cam1"]
    second = put(tmp_path / arrives, "another")
    for paths in ([second, first], [first, second], [first], [second]):
        names = dict(zip(paths, ResultNames(out).choose(paths), strict=True))
        assert names.get(first, "cam1") == "cam1"
        assert names.get(second) != "cam1"
    assert finish(out, [second]) == finish(out, [second])


def test_names_stay_when_inputs_are_removed(tmp_path: Path, out: Path) -> None:
    paths = [put(tmp_path / name) for name in ("cam1.mp4", "cam1.jpg", "cam1.avi")]
    names = finish(out, paths)
    assert names == ["cam1.mp4", "cam1.jpg", "cam1.avi"]
    paths[1].unlink()
    assert ResultNames(out).choose([paths[2], paths[0]]) == ["cam1.avi", "cam1.mp4"]
    assert ResultNames(out).choose([paths[0]]) == ["cam1.mp4"]


def test_a_renamed_input_keeps_its_result(tmp_path: Path, out: Path) -> None:
    path = put(tmp_path / "cam1.mp4", "footage")
    finish(out, [path])
    moved = put(tmp_path / "archive" / "gate.mp4", "footage")
    # A copy has a result of its own, since both are there.
    assert ResultNames(out).look_up([moved]) == ["gate"]
    path.unlink()
    assert ResultNames(out).choose([moved]) == ["cam1"]
    # What takes the old name is another input.
    new = put(path, "another")
    assert ResultNames(out).choose([new, moved]) == ["cam1.mp4", "cam1"]


def test_exchanged_names_are_recognised_by_content(tmp_path: Path, out: Path) -> None:
    a, b = put(tmp_path / "a.mp4", "1111"), put(tmp_path / "b.mp4", "2222")
    finish(out, [a, b])
    put(a, "2222")
    put(b, "1111")
    for path in (a, b):
        os.utime(path, ns=(1, 1))
    assert ResultNames(out).choose([a, b]) == ["b", "a"]
    assert ResultNames(out).choose([b, a]) == ["a", "b"]


def test_rotated_recordings_keep_their_results(tmp_path: Path, out: Path) -> None:
    newest, older = tmp_path / "cam.mp4", tmp_path / "cam.1.mp4"
    put(newest, "first")
    assert finish(out, [newest]) == ["cam"]
    newest.rename(older)
    put(newest, "the second")
    names = finish(out, [newest, older])
    assert names == ["cam.mp4", "cam"]
    assert ResultNames(out).choose([older, newest]) == ["cam", "cam.mp4"]


def test_an_input_whose_content_changed_keeps_its_name(tmp_path: Path, out: Path) -> None:
    path = put(tmp_path / "cam.mp4", "first")
    finish(out, [path])
    put(path, "the second")
    assert ResultNames(out).choose([path]) == ["cam"]


@pytest.mark.parametrize("damage", ["removed", "cut off", "a bit", "garbage"])
def test_a_damaged_record_loses_no_finished_result(tmp_path: Path, out: Path, damage: str) -> None:
    path = put(tmp_path / "cam1.mp4")
    finish(out, [path])
    (record,) = out.glob(".*/*.jsonl")
    content = record.read_bytes()
    if damage == "removed":
        record.unlink()
    elif damage == "cut off":
        record.write_bytes(content[: len(content) // 2])
    elif damage == "a bit":
        record.write_bytes(content[:20] + bytes([content[20] ^ 1]) + content[21:])
    else:
        record.write_bytes(b"\xff\x00 garbage\n" * 3)
    other = put(tmp_path / "cam1.jpg")
    assert finish(out, [other]) == ["cam1.jpg"]
    assert ResultNames(out).choose([path, other]) == ["cam1", "cam1.jpg"]


MANIFESTS = {
    "a list": b"[]",
    "input a text": b'{"input": "cam1.mp4"}',
    "no input": b'{"input": null}',
    "hash a number": b'{"input": {"sha256": 5}}',
    "not UTF-8": b"\xff",
    "deeply nested": b"[" * 200_000,
}


@pytest.mark.parametrize("kind", MANIFESTS)
def test_a_result_with_a_damaged_manifest_keeps_its_name(
    tmp_path: Path, out: Path, kind: str
) -> None:
    path = put(tmp_path / "cam1.mp4")
    finish(out, [path])
    (out / "cam1" / "manifest.json").write_bytes(MANIFESTS[kind])
    assert ResultNames(out).choose([put(tmp_path / "cam1.jpg"), path]) == ["cam1.jpg", "cam1"]


@pytest.mark.parametrize("name", ["names.jsonl", "names.lock"])
def test_a_folder_in_the_place_of_the_record_is_named(tmp_path: Path, out: Path, name: str) -> None:
    (out / ".jdsr" / name).mkdir(parents=True)
    with pytest.raises(OutputError, match=f"{name}: .*is (a folder|not a file). Remove it"):
        ResultNames(out).choose([put(tmp_path / "a.mp4")])


def test_a_file_in_the_place_of_the_hidden_folder_is_named(tmp_path: Path, out: Path) -> None:
    (out / ".jdsr").write_bytes(b"")
    with pytest.raises(OutputError, match=r"\.jdsr: .*Remove it"):
        ResultNames(out).choose([put(tmp_path / "a.mp4")])


def test_looking_up_writes_nothing(tmp_path: Path, out: Path) -> None:
    assert ResultNames(out).look_up([put(tmp_path / "a.mp4")]) == ["a"]
    assert list(out.iterdir()) == []


def _choose(out: Path, path: Path) -> str:
    return ResultNames(out).choose([path])[0]


def test_runs_at_the_same_time_choose_different_names(tmp_path: Path, out: Path) -> None:
    paths = [put(tmp_path / f"cam1.{suffix}") for suffix in ("mp4", "jpg", "avi", "mkv")]
    with multiprocessing.get_context("forkserver").Pool(4) as pool:
        names = pool.starmap(_choose, [(out, path) for path in paths])
    assert len(set(names)) == 4
    assert "cam1" in names
    assert ResultNames(out).choose(paths) == names


@pytest.mark.parametrize("letter", ["a", "ü", "語", "😀"])
@pytest.mark.parametrize("length", [1, 200, 245, 246, 247, 251])
def test_long_names_are_shortened_by_a_hash(letter: str, length: int) -> None:
    stem = letter * (length // len(letter.encode()) or 1)
    for name in candidate_names(Path(f"folder/{stem}.mp4")):
        assert len(f".{name}.partial".encode()) <= LONGEST
    first = next(candidate_names(Path(f"folder/{stem}.mp4")))
    if len(stem.encode()) <= ROOM:
        assert first == stem
    else:
        assert first != next(candidate_names(Path(f"folder/{stem[:-1]}x.mp4")))
        assert stem.startswith(first.partition("~")[0])


@pytest.mark.parametrize("character", list("\n\x1b\x85\u2028\u2029\u202e\u2067"))
def test_names_are_one_line_in_one_direction(character: str) -> None:
    expected = "".join(f"%{byte:02X}" for byte in character.encode())
    assert as_text(f"a{character}b") == f"a{expected}b"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gate.mp4", "gate.mp4"),
        ("a\nb\x1b[2J", "a%0Ab%1B[2J"),
        (os.fsdecode(b"\xff\xfe"), "%FF%FE"),
        ("\ud800\udfff", "%ED%A0%80%ED%BF%BF"),
        ("left\u202eright", "left%E2%80%AEright"),
        ("ü語😀", "ü語😀"),
    ],
)
def test_what_is_no_text_is_escaped(name: str, expected: str) -> None:
    assert as_text(name) == expected


def test_shortening_keeps_bytes_that_are_no_text() -> None:
    name = os.fsdecode(b"\xff\xfe" * 200)
    assert len(os.fsencode(shortened(name, 100))) <= 100
    assert shortened("short", 100) == "short"


def test_a_name_that_is_no_text_is_recorded(tmp_path: Path, out: Path) -> None:
    path = tmp_path / os.fsdecode(b"cam\xff.mp4")
    path.write_bytes(b"x")
    assert ResultNames(out).choose([path]) == ResultNames(out).choose([path])
    assert ResultNames(out).choose([path]) == ["cam%FF"]


@pytest.mark.parametrize("target", ["/dev/zero", "pipe"])
def test_a_record_that_is_no_file_is_not_read(tmp_path: Path, out: Path, target: str) -> None:
    path = put(tmp_path / "a.mp4")
    (out / HIDDEN_FOLDER).mkdir()
    record = out / HIDDEN_FOLDER / RECORD
    if target == "pipe":
        os.mkfifo(record)
    else:
        record.symlink_to(target)
    with pytest.raises(OutputError, match="is not a file"):
        ResultNames(out).choose([path])
    assert ResultNames(out).look_up([path]) == ["a"]
