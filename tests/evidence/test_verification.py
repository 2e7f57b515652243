"""Every alteration of a result is named; whatever is in its folder, nothing else is read."""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import run

from jdsr_cli import Silent, VerifiedResult, verify
from jdsr_cli.evidence import SUMS, sha256_file, write_sums
from jdsr_cli.evidence.verification import run as verification
from jdsr_cli.evidence.verification.records import MOST
from jdsr_cli.restoration.result_names import ResultNames

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from flip_bytes import deletions, flips, is_named

NESTED = b'{"a": ' * 500 + b"1" + b"}" * 500
DEEP = b'{"a": ' * 100_000 + b"1" + b"}" * 100_000


def check(folder: Path, **options: Any) -> VerifiedResult:
    (verified,) = verify([folder], **options).results
    return verified


def problems(folder: Path) -> str:
    return "\n".join(map(str, check(folder).problems))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def write_lines(path: Path, records: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records), "utf-8")


def edit_manifest(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    edit(manifest)
    path.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", "utf-8")


def forge(folder: Path) -> None:
    """Make all hashes right again, as somebody who hides an alteration would."""

    def update(manifest: dict[str, Any]) -> None:
        for output in manifest["outputs"]:
            if (folder / output["file"]).exists():
                output["sha256"] = sha256_file(folder / output["file"])
                output["bytes"] = (folder / output["file"]).stat().st_size

    edit_manifest(folder, update)
    write_sums(folder)


def test_results_are_as_recorded(result: Path, cropped: Path) -> None:
    for folder in (result, cropped):
        verified = check(folder)
        assert verified.as_recorded, verified.findings
        assert verified.files == sum(path.is_file() for path in folder.rglob("*"))
        assert "input" in str(verified.notes[0])


def state(name: str, value: object, *path: str | int) -> Callable[[dict[str, Any]], None]:
    """Return what sets a value in a record, at a path of names and numbers."""

    def edit(record: dict[str, Any]) -> None:
        part: Any = record
        for one in path:
            part = part[one]
        part[name] = value

    return edit


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (state("frame", 77, "filmed"), "filmed is of frame 77, in which faces.jsonl has no face"),
        (state("seconds", 9.5, "filmed"), "filmed states seconds 9.5 of frame"),
        (state("mask", "masked", "filmed"), "filmed states mask masked of frame"),
        (state("reason", "too small", "filmed"), "filmed states reason too small of frame"),
        (state("frames", [0, 99], "timeline"), "timeline is of frame 99, in which"),
        (state("frames", [0], "timeline"), "timeline has another number of frames than of sec"),
        (state("states", ["masked", "bare"], "timeline"), "timeline states state masked of fr"),
        (state("states", ["bare"], "timeline"), "timeline has another number of states"),
        (state("seconds", [4.0], "best", 0), "best 1 states seconds 4.0 of frame"),
        (state("frames", [55], "best", 0), "best 1 is of frame 55, in which"),
        (state("mask", "masked", "best", 0), "best 1 states mask masked of frame"),
        (state("seconds", [0.0, 0.0], "fused"), "fused states seconds 0.0 of frame"),
        (state("frames", [0, 1, 2], "fused"), "fused has another number of frames"),
        (state("jointly", True, "fused"), "fused was restored jointly, and the manifest names no"),
    ],
)
def test_what_a_track_states_about_a_frame_is_compared_with_the_face(
    result: Path, edit: Callable[[dict[str, Any]], None], words: str
) -> None:
    records = lines(result / "tracks.jsonl")
    edit(records[0])
    write_lines(result / "tracks.jsonl", records)
    forge(result)
    assert f"tracks.jsonl, line 1: track 1: {words}" in problems(result)


@pytest.mark.parametrize("jointly", [True, False])
def test_a_fused_face_may_be_restored_by_weights_that_were_available(
    result: Path, jointly: bool
) -> None:
    records = lines(result / "tracks.jsonl")
    records[0]["fused"]["jointly"] = jointly
    write_lines(result / "tracks.jsonl", records)
    burst = {"name": "lite-several", "file": "several.safetensors", "sha256": "9" * 64}
    edit_manifest(result, lambda manifest: manifest["weights"].update(burst=burst))
    forge(result)
    verified = check(result)
    assert verified.as_recorded, verified.findings
    words = "the weights for fused faces lite-several are not listed by this installation"
    assert words in "\n".join(map(str, verified.notes))


def test_a_bare_face_that_is_not_believed_may_be_unsure_in_its_track(result: Path) -> None:
    records = lines(result / "tracks.jsonl")
    for one in (records[0]["filmed"], *records[0]["best"]):
        one["mask"] = "unsure"
    records[0]["timeline"]["states"] = ["unsure"] * len(records[0]["timeline"]["states"])
    write_lines(result / "tracks.jsonl", records)
    forge(result)
    assert problems(result) == ""


@pytest.mark.parametrize(
    ("line", "field", "value", "words"),
    [
        (2, "masked", True, "states masked True of a face whose mask is bare"),
        (0, "masked", None, "states masked None of a face"),
        (-1, "mask", "unsure", "states masked False of a face whose mask is unsure"),
        (4, "seconds", 0.0, "states an earlier time than the line before, which is of frame 1"),
        (3, "seconds", 0.11, "states another time of frame 1 than the line before"),
    ],
)
def test_a_face_that_contradicts_itself_or_its_neighbours_is_named(
    result: Path, line: int, field: str, value: object, words: str
) -> None:
    records = lines(result / "faces.jsonl")
    assert records[line][field] != value
    records[line][field] = value
    write_lines(result / "faces.jsonl", records)
    forge(result)
    assert f"faces.jsonl, line {line % len(records) + 1}: {words}" in problems(result)


@pytest.mark.parametrize("name", [SUMS, "faces.jsonl"])
def test_converted_line_ends_are_one_finding(result: Path, name: str) -> None:
    path = result / name
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    (problem,) = check(result).problems
    assert problem.file == name
    assert ("line ends of Windows (CR LF)" in problem.what) is (name == SUMS)


def test_the_record_of_names_is_read_once_for_all_results(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Path(shutil.copytree(finished / "restored", tmp_path / "out"))
    for number in range(3):
        shutil.copytree(out / "street", out / f"street {number}")
    read: list[Path] = []
    known = ResultNames.known
    monkeypatch.setattr(ResultNames, "known", lambda self: read.append(self._out) or known(self))
    verify([out])
    assert read == [out]
    verify(sorted(out.glob("street*")))
    assert read == [out, out]


def test_every_changed_byte_is_named(result: Path) -> None:
    unnamed = [case for case, path in flips(result, masks=(0x20,)) if not is_named(result, path)]
    assert unnamed == []


def test_every_changed_byte_of_exported_faces_is_named(cropped: Path) -> None:
    unnamed = [case for case, path in flips(cropped, masks=(1,)) if not is_named(cropped, path)]
    assert unnamed == []


@pytest.mark.parametrize("forged", [False, True])
def test_every_deleted_record_is_named(result: Path, forged: bool) -> None:
    cases = deletions(result, lambda count: sorted({0, count // 2, count - 1}), forge=forged)
    assert [case for case, path in cases if not is_named(result, path)] == []


@pytest.mark.parametrize("line", [0, 3, -1])
def test_counts_tell_of_a_deleted_face_where_all_hashes_were_forged(
    result: Path, line: int
) -> None:
    records = lines(result / "faces.jsonl")
    del records[line]
    write_lines(result / "faces.jsonl", records)
    forge(result)
    found = problems(result)
    assert "faces_found is" in found
    assert "by faces.jsonl" in found
    assert "tracks.jsonl, line " in found


def test_counts_tell_of_a_deleted_track_where_all_hashes_were_forged(result: Path) -> None:
    records = lines(result / "tracks.jsonl")
    write_lines(result / "tracks.jsonl", records[:-1])
    forge(result)
    assert "has no line for track 2" in problems(result)
    assert "by tracks.jsonl" in problems(result)


@pytest.mark.parametrize(
    ("field", "value"),
    [("mask", "masked"), ("bridged", True), ("status", "refused"), ("track", 77), ("face", 9),
     ("frame", 3)],
)  # fmt: skip
def test_counts_tell_of_an_altered_face_where_all_hashes_were_forged(
    result: Path, field: str, value: object
) -> None:
    records = lines(result / "faces.jsonl")
    records[0][field] = value
    write_lines(result / "faces.jsonl", records)
    forge(result)
    assert not check(result).as_recorded


@pytest.mark.parametrize(
    ("field", "value"),
    [("first_frame", 1), ("last_frame", 99), ("seen", 1), ("bridged", 4), ("restored", 0),
     ("refused", {"too small": 3}), ("masked", 9), ("unsure", 9), ("last_seconds", 5.0)],
)  # fmt: skip
def test_counts_tell_of_an_altered_track_where_all_hashes_were_forged(
    result: Path, field: str, value: object
) -> None:
    records = lines(result / "tracks.jsonl")
    records[0][field] = value
    write_lines(result / "tracks.jsonl", records)
    forge(result)
    assert f"tracks.jsonl, line 1: track 1: {field} is" in problems(result)


@pytest.mark.parametrize(
    "field", ["frames_read", "tracks", "faces_found", "faces_bridged", "faces_restored",
              "faces_refused", "faces_masked", "faces_unsure", "unreliable"]
)  # fmt: skip
def test_an_altered_count_of_the_manifest_is_named(result: Path, field: str) -> None:
    def edit(manifest: dict[str, Any]) -> None:
        manifest["counts"][field] += 1

    edit_manifest(result, edit)
    forge(result)
    assert "manifest.json: " in problems(result)


@pytest.mark.parametrize("name", ["note.txt", "faces/track0009_best1.png", ".hidden", "sub/a\nb"])
def test_an_added_file_is_named_also_where_it_is_listed(result: Path, name: str) -> None:
    (result / name).parent.mkdir(exist_ok=True)
    (result / name).write_text("added")
    shown = name.replace("\n", "%0A")
    assert f"{shown}: was added" in problems(result)
    forge(result)
    assert f"{shown}: was added: neither the manifest nor a record" in problems(result)


@pytest.mark.parametrize(
    "name", ["manifest.json", SUMS, "faces.jsonl", "tracks.jsonl", "restored.mp4",
             "input.framemd5", "faces/track0001_best1.png"]
)  # fmt: skip
def test_a_missing_file_is_named(result: Path, name: str) -> None:
    (result / name).unlink()
    assert f"{name}: is missing" in problems(result)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "faces/../../x", "a//b", "."])
def test_a_name_outside_of_the_folder_is_refused(result: Path, name: str) -> None:
    outside = result.parent / "x"
    outside.write_text("outside")
    records = lines(result / "tracks.jsonl")
    records[0]["best"][0] |= {"file": name, "sha256": sha256_file(outside)}
    write_lines(result / "tracks.jsonl", records)
    forge(result)
    assert f"tracks.jsonl, line 1: names {name}, which is not in the folder" in problems(result)


def test_nothing_outside_of_the_folder_is_opened(
    result: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = result.parent / "secret"
    secret.mkdir()
    (secret / "file").write_text("secret")
    (result / "faces.jsonl").unlink()
    (result / "faces.jsonl").symlink_to(secret / "file")
    (result / "linked").symlink_to(secret)
    (result / "loop").symlink_to(result)
    opened: list[str] = []
    real = os.open

    def watch(path: Any, *arguments: Any, **named: Any) -> int:
        opened.append(os.path.realpath(path))
        return real(path, *arguments, **named)

    monkeypatch.setattr(os, "open", watch)
    found = problems(result)
    for name in ("faces.jsonl", "linked", "loop"):
        assert f"{name}: is a link, which was not followed" in found
    assert opened
    assert not [path for path in opened if path.startswith(str(secret))]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("name", ["pipe", "manifest.json", SUMS, "tracks.jsonl"])
def test_a_pipe_is_named_and_not_waited_for(result: Path, name: str) -> None:
    (result / name).unlink(missing_ok=True)
    os.mkfifo(result / name)
    assert f"{name}: is a named pipe, not a file" in problems(result)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not JSON"),
        (b"\xff\xfe\x00binary", "is not text in UTF-8"),
        (b"[1, 2]", "is not a JSON object"),
        (b'{"a": 1, "a": 2}', "has the key 'a' twice"),
        (b'{"a": {"b": 1, "b": 1}}', "has the key 'b' twice"),
        (b'{"a": NaN}', "has the number NaN"),
        (b'{"a": ' + b"1" * 5000 + b"}", "is not JSON that can be read"),
        (DEEP, "is not JSON that can be read"),
        (NESTED, "is nested more than 64 levels deep"),
        (b'{"schema_version": 1, "outputs": [[{"file": "a", "sha256": "b"}]]}', "outputs[0]"),
        (b'{"schema_version": "1"}', "schema_version: "),
        (b'{"schema_version": 1}', "'command' is a required property"),
        (b'{"schema_version": 1, "outputs": 3, "counts": [], "input": 7}', "outputs: "),
    ],
)
@pytest.mark.parametrize("forged", [False, True])
def test_a_manifest_that_is_none_is_a_clear_line(
    result: Path, content: bytes, words: str, forged: bool
) -> None:
    (result / "manifest.json").write_bytes(content)
    if forged:
        write_sums(result)
    found = problems(result)
    assert words in found
    assert "manifest.json" in found
    assert all(len(line) < 400 for line in found.splitlines())


def test_a_manifest_of_2_gb_is_not_read(result: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.truncate(result / "manifest.json", 2 << 30)
    # Hashing the hole would take seconds.
    monkeypatch.setattr(verification, "CHECKS", (verification.check_manifest,))
    monkeypatch.setattr(verification.StoredResult, "digests", {})
    assert "manifest.json: has 2,147,483,648 bytes and was not read" in problems(result)


@pytest.mark.parametrize(
    "line", [b"", b"null", b"{}", b'{"frame": 1', b"\xff", b'{"track": {}}', DEEP, NESTED]
)
@pytest.mark.parametrize("name", ["faces.jsonl", "tracks.jsonl"])
def test_a_line_that_is_no_record_is_named_by_its_number(
    result: Path, name: str, line: bytes
) -> None:
    whole = (result / name).read_bytes().splitlines(keepends=True)
    (result / name).write_bytes(whole[0] + line + b"\n" + b"".join(whole[1:]))
    forge(result)
    assert f"{name}, line 2: " in problems(result)


def test_many_faulty_lines_are_counted(result: Path) -> None:
    (result / "faces.jsonl").write_bytes(b"{}\n" * 500)
    forge(result)
    found = [str(one) for one in check(result).problems if one.file == "faces.jsonl"]
    assert f"faces.jsonl: {500 - MOST} more lines are not as they are written" in found
    assert len(found) == MOST + 1


@pytest.mark.parametrize("seed", range(12))
def test_no_content_of_records_and_manifest_raises(result: Path, seed: int) -> None:
    """Values of any type in any place give findings, never an exception."""
    rng = random.Random(seed)
    values = (None, True, -1, 1e300, "x", "..", [], {}, [{"file": "a", "sha256": 1}], 10**4299)

    def spoil(value: Any, chance: float) -> Any:
        if rng.random() < chance:
            return rng.choice(values)
        if isinstance(value, dict):
            return {name: spoil(item, chance) for name, item in value.items()}
        return [spoil(item, chance) for item in value] if isinstance(value, list) else value

    for name in ("faces.jsonl", "tracks.jsonl"):
        write_lines(result / name, [spoil(one, 0.05) for one in lines(result / name)])
    manifest = spoil(json.loads((result / "manifest.json").read_text("utf-8")), 0.03)
    if isinstance(manifest, dict):
        manifest["schema_version"] = 1
    (result / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    assert check(result, frames=seed < 2).problems


def test_many_misplaced_lines_are_counted(result: Path) -> None:
    path = result / "faces.jsonl"
    write_lines(path, lines(path)[:1] * 100)
    forge(result)
    found = [str(one) for one in check(result).problems if one.file == "faces.jsonl"]
    assert found[-1] == f"faces.jsonl: {99 - MOST} more lines are not in their order"


def test_a_line_that_is_cut_off_is_named(result: Path) -> None:
    path = result / "tracks.jsonl"
    path.write_bytes(path.read_bytes()[:-1])
    forge(result)
    assert "tracks.jsonl, line 2: the line is cut off" in problems(result)


@pytest.mark.parametrize("version", [2, 99])
def test_a_newer_version_is_one_line(result: Path, version: int) -> None:
    edit_manifest(result, lambda manifest: manifest.update(schema_version=version))
    write_sums(result)
    verified = check(result)
    assert verified.findings == ()
    assert f"a newer jdsr (schema_version {version}; this one reads up to 1)" in str(verified.error)
    assert verify([result]).exit_code == 3


def test_a_result_of_an_earlier_version_is_checked_by_hashes_and_counts(result: Path) -> None:
    (result / SUMS).unlink()
    edit_manifest(result, lambda manifest: manifest.pop("schema_version"))
    verified = check(result)
    assert verified.as_recorded, verified.problems
    assert "earlier version" in str(verified.notes[0])
    (result / "restored.mp4").write_bytes(b"other")
    records = lines(result / "faces.jsonl")
    write_lines(result / "faces.jsonl", records[1:])
    found = problems(result)
    assert "restored.mp4: was changed: its SHA-256 is not that in manifest.json" in found
    assert "faces_found is" in found


def test_the_input_is_compared_where_it_is(result: Path, tmp_path: Path) -> None:
    source = tmp_path / "in put.mp4"
    shutil.copy(json.loads((result / "manifest.json").read_text())["input"]["file"], source)
    edit_manifest(result, lambda manifest: manifest["input"].update(file=str(source)))
    write_sums(result)
    assert "is as recorded" in str(check(result).notes[0])
    data = bytearray(source.read_bytes())
    data[50] ^= 1
    source.write_bytes(data)
    assert "in put.mp4 was changed: its SHA-256" in problems(result)
    source.write_bytes(data[:-1])
    assert "in put.mp4 was changed: it has" in problems(result)
    source.unlink()
    verified = check(result)
    assert verified.as_recorded
    assert "is not at its place" in str(verified.notes[0])


def test_the_record_of_names_says_where_the_input_is(finished: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(finished / "restored", tmp_path / "out"))
    edit_manifest(out / "street", lambda manifest: manifest["input"].update(file="street.mp4"))
    write_sums(out / "street")
    assert "street.mp4 is as recorded" in str(check(out).notes[0])


def test_a_folder_of_results_is_verified_whole(finished: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(finished / "restored", tmp_path / "out"))
    shutil.copytree(out / "street", out / "Straße 2")
    (out / ".gate.partial").mkdir()
    (out / "photos").mkdir()
    (out / "outside").symlink_to(finished)
    (out / "Straße 2" / "manifest.json").unlink()
    whole = verify([out])
    assert [one.folder.name for one in whole.results] == ["out", "Straße 2", "street"]
    found = [str(one) for one in whole.results[0].findings]
    assert found == [
        "gate: is unfinished; continue with --resume",
        "outside: is a link, which was not followed",
        "photos: is a folder without any file of a result",
    ]
    assert str(whole.results[1].problems[0]) == "manifest.json: is missing"
    assert whole.results[2].as_recorded
    shutil.rmtree(out / "street")
    assert "street: has no result here" in str(verify([out]).results[0].findings[-1])


def test_what_is_no_result_is_a_clear_line(
    tmp_path: Path, result: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("text")
    for name, words in (
        ("empty", "is not a result of jdsr"),
        ("file", "cannot be listed"),
        ("absent", "no such folder"),
        ("a\0b", "cannot be listed"),
    ):
        verification_ = verify([tmp_path / name])
        assert words in str(verification_.results[0].error)
        assert verification_.exit_code == 3
    assert verify([tmp_path / "empty", result]).exit_code == 4
    (result / "faces.jsonl").unlink()
    assert verify([tmp_path / "empty", result]).exit_code == 7

    def refuse(path: object) -> list[str]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "listdir", refuse)
    assert "cannot be listed (Permission denied)" in str(check(result).error)


def test_frames_are_decoded_again(result: Path) -> None:
    verified = check(result, frames=True)
    assert verified.as_recorded
    assert sum("all frames of" in str(one) for one in verified.notes) == 2
    path = result / "restored.framemd5"
    text = path.read_text().splitlines(keepends=True)
    text[-2] = text[-2][:-5] + "0000\n"
    path.write_text("".join(text))
    forge(result)
    (problem,) = check(result, frames=True).problems
    assert str(problem).startswith(f"restored.framemd5, line {len(text) - 1}: frame 4 of")
    path.write_text("".join(text[:-1]))
    forge(result)
    assert "has more frames, from frame 4 on" in str(check(result, frames=True).problems[-1]) or (
        "frame 4 of" in str(check(result, frames=True).problems[-1])
    )


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("#tb 0: ", "#tb 0: 9", "the header of the frames of restored.mp4 is now: #tb 0:"),
        ("#dimensions 0: ", "#dimensions 0: 1", "is now: #dimensions 0:"),
        ("#hash: MD5", "#hash: SHA256", "is now: #hash: MD5"),
        ("#software", "#Software", ""),
    ],
)
def test_headers_of_frame_hashes_are_compared(result: Path, old: str, new: str, words: str) -> None:
    path = result / "restored.framemd5"
    text = path.read_text()
    path.write_text(text.replace(old, new))
    forge(result)
    found = "\n".join(map(str, check(result, frames=True).problems))
    assert words in found
    assert bool(found) is (old in text)


@pytest.mark.parametrize("name", ["restored.framemd5", "input.framemd5"])
def test_a_video_without_hashes_of_its_frames_needs_a_reason(result: Path, name: str) -> None:
    (result / name).unlink()

    def remove(manifest: dict[str, Any]) -> None:
        manifest["outputs"] = [one for one in manifest["outputs"] if one["file"] != name]

    edit_manifest(result, remove)
    forge(result)
    assert check(result).as_recorded
    (problem,) = check(result, frames=True).problems
    assert str(problem).startswith(f"{name}: is missing: no frames are hashed")
    note = f"{name} was not written: ffmpeg could not decode the video (why)"
    edit_manifest(result, lambda manifest: manifest["notes"].append(note))
    forge(result)
    verified = check(result, frames=True)
    assert verified.as_recorded
    assert f"{name}: no frames are hashed: {note}" in map(str, verified.notes)


def test_progress_begins_and_ends_every_task(result: Path) -> None:
    class Tasks(Silent):
        def __init__(self) -> None:
            self.open: set[str] = set()
            self.seen: dict[str, int] = {}

        def begin(self, task: str, total: int | None) -> None:
            self.open.add(task)

        def advance(self, task: str, units: int = 1) -> None:
            self.seen[task] = self.seen.get(task, 0) + units

        def end(self, task: str) -> None:
            self.open.remove(task)

    tasks = Tasks()
    verify([result], progress=tasks)
    assert tasks.open == set()
    assert tasks.seen["results"] == 1
    assert tasks.seen["street (MiB)"] == sum(path.is_file() for path in result.rglob("*"))


def test_the_command_names_problems_on_standard_error(result: Path, tmp_path: Path) -> None:
    done = run("verify", result)
    assert done.exit_code == 0
    assert done.stdout.startswith(f"{result}: as recorded (")
    (result / "restored.mp4").write_bytes(b"x")
    done = run("verify", "--quiet", result)
    assert done.exit_code == 7
    files = sum(path.is_file() for path in result.rglob("*"))
    assert done.stdout == f"{result}: 1 problem ({files} files)\n"
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith(f"error: {result}: restored.mp4: was changed")
    assert run("verify", tmp_path / "absent").exit_code == 3
    assert run("verify").exit_code == 2
