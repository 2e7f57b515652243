import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jdsr_cli.errors import OutputError
from jdsr_cli.restoration.finished_segments import FinishedSegment
from jdsr_cli.restoration.journal import Journal
from jdsr_cli.restoration.request import Request

REQUEST = Request({"command": "restore", "settings": {"scale": 4, "crf": None}}, {"av": "18"})


def add(folder: Path, journal: Journal, frames: int = 8) -> FinishedSegment:
    number = len(journal.segments)
    file, state = folder / f"{number}.bin", folder / f"{number}.state"
    file.write_bytes(b"x" * (10 + number))
    state.write_bytes(b"state %d" % number)
    journal.add(journal.frames + frames, journal.frames + frames, [file], state)
    return journal.segments[-1]


def filled(folder: Path, count: int) -> list[FinishedSegment]:
    journal = Journal(folder, REQUEST)
    written = [add(folder, journal) for _ in range(count)]
    journal.close()
    return written


def test_a_new_journal_is_empty(tmp_path: Path) -> None:
    journal = Journal(tmp_path, REQUEST)
    assert journal.segments == []
    assert journal.frames == 0
    journal.close()


def test_added_segments_are_read_again(tmp_path: Path) -> None:
    written = filled(tmp_path, 3)
    journal = Journal(tmp_path, REQUEST)
    assert journal.segments == written
    assert journal.frames == 24
    journal.close()


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(1, 400))
def test_a_truncated_journal_keeps_its_complete_lines(
    cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    written = filled(folder, 3)
    paths = [folder / name for name in Journal.NAMES]
    whole = paths[0].read_bytes()
    for path in paths:
        path.write_bytes(whole[: max(0, len(whole) - cut)])
    # The end of a line may be missing, but nothing of what it says.
    lines = (paths[0].read_bytes() + b"\n"[: cut == 1]).count(b"\n")
    journal = Journal(folder, REQUEST)
    assert journal.segments == written[: max(0, lines - 1)]
    for _ in range(2):
        add(folder, journal)
    expected = journal.segments
    journal.close()
    again = Journal(folder, REQUEST)
    assert again.segments == expected
    again.close()


@pytest.mark.parametrize("copy", range(2))
@pytest.mark.parametrize("cut", [1, 2, 300, 10_000])
def test_one_truncated_journal_of_two_loses_nothing(tmp_path: Path, copy: int, cut: int) -> None:
    written = filled(tmp_path, 3)
    path = tmp_path / Journal.NAMES[copy]
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    journal = Journal(tmp_path, REQUEST)
    journal.close()
    assert journal.segments == written
    assert journal.recovered.fault is None
    assert path.read_bytes() == whole


@pytest.mark.parametrize("lost", range(4))
def test_each_journal_may_lack_other_lines(tmp_path: Path, lost: int) -> None:
    written = filled(tmp_path, 3)
    for number, name in enumerate(Journal.NAMES):
        path = tmp_path / name
        lines = path.read_bytes().splitlines(keepends=True)
        del lines[(lost + number) % len(lines)]
        path.write_bytes(b"".join(reversed(lines)))
    journal = Journal(tmp_path, REQUEST)
    journal.close()
    assert journal.segments == written


@pytest.mark.parametrize("damage", ["missing", "short"])
def test_a_segment_with_an_incomplete_file_is_discarded(tmp_path: Path, damage: str) -> None:
    written = filled(tmp_path, 3)
    if damage == "missing":
        (tmp_path / "1.bin").unlink()
    else:
        (tmp_path / "1.bin").write_bytes(b"x")
    journal = Journal(tmp_path, REQUEST)
    assert journal.segments == written[:1]
    journal.close()


def test_another_request_is_refused_with_its_differences(tmp_path: Path) -> None:
    filled(tmp_path, 1)
    requested = {"command": "restore", "settings": {"scale": 8, "crf": None}}
    with pytest.raises(OutputError, match=r"settings.scale was 4 and is 8.*--force"):
        Journal(tmp_path, Request(requested, {"av": "18"}))
    with pytest.raises(OutputError, match=r'av was "18" and is "19"'):
        Journal(tmp_path, Request(REQUEST.asked, {"av": "19"}))


@pytest.mark.parametrize("content", [b"\n", b"null\n", b"[]\n", b"{}\n", b'{"asked": 3}\n'])
def test_a_file_that_is_not_a_journal_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / Journal.NAME).write_bytes(content)
    if content == b"\n":
        Journal(tmp_path, REQUEST).close()
        return
    with pytest.raises(OutputError, match="--force"):
        Journal(tmp_path, REQUEST)


def test_the_digest_depends_only_on_the_request() -> None:
    assert REQUEST.digest == Request(REQUEST.asked, {"av": "19"}).digest
    assert REQUEST.digest != Request({"command": "crop-faces"}, {"av": "18"}).digest
    assert json.loads(json.dumps(REQUEST.to_json())) == REQUEST.to_json()


@pytest.mark.parametrize("lost", [0, 1])
def test_segments_after_a_missing_line_are_discarded(tmp_path: Path, lost: int) -> None:
    written = filled(tmp_path, 3)
    for name in Journal.NAMES:
        lines = (tmp_path / name).read_bytes().splitlines(keepends=True)
        (tmp_path / name).write_bytes(b"".join(lines[: 1 + lost] + lines[2 + lost :]))
    journal = Journal(tmp_path, REQUEST)
    assert journal.segments == written[:lost]
    journal.close()


def burst_request(burst: object, sha256: str = "1" * 64, name: str = "weights") -> Request:
    return Request({name: {"file": "one.safetensors", "sha256": sha256, "burst": burst}}, {})


SEVERAL = {"name": "lite-several", "file": "several.safetensors", "sha256": "2" * 64}
MORE = {"name": "more", "file": "more.safetensors", "sha256": "3" * 64}


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        (SEVERAL, None, r"several.safetensors, is missing.*jdsr weights verify lite-several"),
        (SEVERAL, MORE, r"several.safetensors, is another file now.*verify lite-several"),
        (SEVERAL, {**SEVERAL, "sha256": "4" * 64}, r"several.safetensors, is another file now"),
        (None, MORE, r"had no weights for fused faces; move more.safetensors out"),
    ],
)
def test_other_weights_for_fused_faces_are_named(
    tmp_path: Path, before: object, now: object, words: str
) -> None:
    Journal(tmp_path, burst_request(before)).close()
    with pytest.raises(OutputError, match=rf"{words}.*--resume, or start again") as raised:
        Journal(tmp_path, burst_request(now))
    assert "--weights of that run" not in str(raised.value)
    Journal(tmp_path, burst_request(before)).close()


@pytest.mark.parametrize("before", [SEVERAL, None, "text", 3])
@pytest.mark.parametrize("now", [burst_request(None, "5" * 64), burst_request(MORE, name="other")])
def test_other_weights_of_the_generator_are_chosen_by_their_option(
    tmp_path: Path, before: object, now: Request
) -> None:
    Journal(tmp_path, burst_request(before)).close()
    with pytest.raises(OutputError, match="with the --weights of that run"):
        Journal(tmp_path, now)


def test_names_of_files_are_on_the_disk_before_a_line_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, faces = tmp_path / "work", tmp_path / "results" / "faces"
    for folder in (work, faces):
        folder.mkdir(parents=True)
    journal = Journal(work, REQUEST)
    before = (work / Journal.NAME).read_bytes()
    flushed: list[Path] = []

    def flush(folder: Path) -> None:
        assert (work / Journal.NAME).read_bytes() == before
        flushed.append(folder)

    monkeypatch.setattr("jdsr_cli.restoration.journal.flush_folder", flush)
    pictures = [faces / "one.png", faces / "two.png", work / "0.faces.jsonl"]
    for path in (*pictures, work / "0.state"):
        path.write_bytes(b"content")
    journal.add(8, 8, pictures, work / "0.state")
    journal.close()
    assert flushed == [faces, work]
    assert (work / Journal.NAME).read_bytes() != before
