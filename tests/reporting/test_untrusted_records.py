"""Names and records that were made to do harm, or are damaged, do none."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from fake_results import FakeResult, MakeResult, drawn_face
from pages import assert_self_contained, read_page
from PIL import Image

from jdsr_cli.errors import InputError, InputMissingError, InputUnreadableError
from jdsr_cli.reporting import write_report
from jdsr_cli.reporting.folder import ResultFolder

NAMES = {
    "markup": "/v/<script>alert(1)</script><img src=x onerror=alert(1)>.mp4",
    "quotes": "/v/\" onmouseover='alert(1)' x=\".mp4",
    "closing": "/v/</title></style><svg onload=alert(1)>&amp;{{ 7*7 }}{% raw %}.mp4",
    "direction": "/v/gpj\u202e4pm.mp4",
    "control": "/v/a\x1b[31m\n\x00b\u2028c.mp4",
    "bytes": "/v/caf\udce9.mp4",
    "escaped": "/v/caf%E9 %00.mp4",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_texts_stay_texts_everywhere(make_result: MakeResult, name: str) -> None:
    result = make_result(source=name)
    result.person(1)
    track = result.tracks[0]
    track["refused"] = {name: 3}
    track["best"][0]["identity"]["warning"] = name
    track["best"][1]["file"] = name
    track["filmed"]["reason"] = name
    result.face(1, 60, None, reason=name)
    result.write(
        notes=[name], unread=[name], created=name, versions={"jdsr": name, name: name},
        settings={name: name}, device={"kind": name}, counts={"refusals": {name: 1}},
    )  # fmt: skip
    page = read_page(write_report(result.folder))
    assert_self_contained(page)
    assert len(page.all("script")) == 1
    assert not {"\u202e", "\u2028", "\x1b", "\x00"} & set(page.source)
    (title,) = page.all("title")
    assert title.text.startswith("Report: ")
    if name.isprintable():
        assert name in page.text


def entry(folder: Path, name: str, content: bytes | None = None) -> dict[str, str]:
    if content is not None:
        (folder / name).write_bytes(content)
    return {"file": name, "sha256": hashlib.sha256(content or b"").hexdigest()}


def shown_filmed(result: FakeResult, filmed: dict[str, str]) -> str:
    """Return the text of a report whose filmed picture is this one; it must not be shown."""
    result.refused_person(1)
    result.tracks[0]["filmed"] |= filmed
    page = read_page(write_report(result.write()))
    assert_self_contained(page)
    assert page.pictures == []
    return page.text


@pytest.mark.parametrize(
    "name",
    [
        *("../secret.png", "faces/../../secret.png", "/etc/passwd", "..\\secret.png", "C:/a.png"),
        *("", ".", "a\x00b.png", "faces", "faces/" * 40 + "a.png", "x" * 3000),
    ],
)
def test_names_that_lead_elsewhere_are_not_read(make_result: MakeResult, name: str) -> None:
    result = make_result()
    secret = result.folder.parent / "secret.png"
    Image.fromarray(drawn_face(32, 1)).save(secret)
    digest = hashlib.sha256(secret.read_bytes()).hexdigest()
    assert "Not shown: " in shown_filmed(result, {"file": name, "sha256": digest})


@pytest.mark.parametrize("linked", ["file", "folder"])
def test_links_are_not_followed(make_result: MakeResult, tmp_path: Path, linked: str) -> None:
    result = make_result()
    (tmp_path / "elsewhere").mkdir()
    Image.fromarray(drawn_face(32, 1)).save(tmp_path / "elsewhere" / "a.png")
    digest = hashlib.sha256((tmp_path / "elsewhere" / "a.png").read_bytes()).hexdigest()
    if linked == "file":
        (result.folder / "a.png").symlink_to(tmp_path / "elsewhere" / "a.png")
        name = "a.png"
    else:
        (result.folder / "other").symlink_to(tmp_path / "elsewhere")
        name = "other/a.png"
    text = shown_filmed(result, {"file": name, "sha256": digest})
    assert "Not shown: it is a link" in text


def test_a_pipe_does_not_block(make_result: MakeResult) -> None:
    result = make_result()
    os.mkfifo(result.folder / "pipe.png")
    assert "not a regular file" in shown_filmed(result, {"file": "pipe.png", "sha256": "0" * 64})


def large_png() -> bytes:
    """Return a PNG that states 100 megapixels and holds few bytes."""
    import struct
    import zlib

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 10_000, 10_000, 1, 0, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(1251) * 10_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (large_png(), "it has too many pixels (10000 x 10000)"),
        (b"", "it is no PNG, or damaged"),
        (b"<svg onload=alert(1)>", "it is no PNG, or damaged"),
        (b"\x89PNG\r\n\x1a\n" + bytes(200), "it is no PNG, or damaged"),
    ],
)
def test_broken_and_huge_pictures_are_replaced_by_the_reason(
    make_result: MakeResult, content: bytes, reason: str
) -> None:
    result = make_result()
    assert reason in shown_filmed(result, entry(result.folder, "a.png", content))


def test_an_altered_picture_is_not_shown(make_result: MakeResult) -> None:
    result = make_result()
    result.person(1)
    result.write()
    path = result.folder / "faces" / "track0001_best1.png"
    Image.fromarray(np.zeros((64, 128, 3), np.uint8)).save(path)
    page = read_page(write_report(result.folder))
    assert "its content differs from the hash in the record" in page.text
    assert "faces/track0001_best1.png" in page.text


def test_maps_of_another_size_and_odd_pairs_are_not_shown(make_result: MakeResult) -> None:
    result = make_result()
    result.person(1)
    best, second = result.tracks[0]["best"][:2]
    best["occlusion"] = result.picture("small.png", drawn_face(16, 1))
    second |= result.picture("odd.png", drawn_face(33, 1))
    page = read_page(write_report(result.write()))
    assert "the occlusion map is not shown: its size differs from that of the face" in page.text
    assert "it is not a pair of pictures of the same width" in page.text


def test_altered_and_broken_records_are_stated_at_the_top(make_result: MakeResult) -> None:
    result = make_result()
    result.person(1)
    result.write()
    with (result.folder / "tracks.jsonl").open("ab") as file:
        file.write(b'{"track": \n' + b"[" * 5000 + b'\n{"track": true}\n"text"\n{"track": 2}')
    page = read_page(write_report(result.folder))
    assert "tracks.jsonl differs from the hash in manifest.json" in page.text
    assert "4 lines of tracks.jsonl could not be read" in page.text
    assert "Person 2" in page.text
    (result.folder / "faces.jsonl").unlink()
    assert "faces.jsonl differs" in read_page(write_report(result.folder)).text


def test_a_line_that_never_ends_is_one_broken_line(
    make_result: MakeResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jdsr_cli.reporting.folder.MAX_LINE", 64)
    result = make_result()
    result.write()
    (result.folder / "x.jsonl").write_bytes(b'{"a":1}\n' + b"x" * 1000 + b'\n{"a":2}\n')
    assert list(ResultFolder(result.folder).lines("x.jsonl")) == [{"a": 1}, None, {"a": 2}]


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (None, InputMissingError, "is not a result of jdsr"),
        (b"{", InputUnreadableError, "is damaged"),
        (b"[]", InputUnreadableError, "is damaged"),
        (b"[" * 9000, InputUnreadableError, "is damaged"),
        (b'{"schema_version": "1"}', InputUnreadableError, "is damaged"),
        (b'{"schema_version": 2}', InputError, "newer version of jdsr (schema_version 2"),
        (b'{"command": "crop-faces"}', InputError, "is not a result of `jdsr restore`"),
    ],
)
def test_folders_that_cannot_be_reported(
    tmp_path: Path, content: bytes | None, kind: type[InputError], words: str
) -> None:
    if content is not None:
        (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(kind) as fault:
        write_report(tmp_path)
    assert words in str(fault.value)
    assert fault.value.exit_code == 3


def test_two_records_of_one_track_are_two_persons(make_result: MakeResult) -> None:
    result = make_result()
    result.person(1)
    result.tracks.append(json.loads(json.dumps(result.tracks[0])))
    page = read_page(write_report(result.write()))
    assert_self_contained(page)
    assert len(page.all("article")) == 2
