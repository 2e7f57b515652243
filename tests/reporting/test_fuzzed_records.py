"""No value at any place of a record keeps a report from being written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fake_results import FakeResult, MakeResult
from pages import read_page

from jdsr_cli.reporting import write_report
from jdsr_cli.reporting.folder import ResultFolder
from jdsr_cli.reporting.page import render_report
from jdsr_cli.reporting.values import ratio

VALUES: tuple[Any, ...] = (
    *("1e400", "1e9999999999", "1/0", "-1/-1", "9" * 5000, "", "\ud800"),
    *(1e308, -1e308, 1e400, float("nan"), 10**400, 2**63, -1, 1.5, True, None),
    *([], {}, [[]], [{"a": 1e308}], {"a": [1e400]}, [1e308, "x", None]),
)
Place = tuple[str | int, ...]


def places(value: Any, place: Place = ()) -> Iterator[Place]:
    """Yield the place of each value in a record, and of those in it."""
    inner = value.items() if isinstance(value, dict) else enumerate(value[:1])
    for name, one in inner:
        yield (*place, name)
        if isinstance(one, (dict, list)):
            yield from places(one, (*place, name))


def changed(record: Any, place: Place, value: Any) -> Any:
    """Return a copy of a record with another value at a place."""
    copy = json.loads(json.dumps(record))
    inner = copy
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    return copy


def variants(record: Any, most: int) -> list[Any]:
    """Return copies of a record, each with one other value: at each place `most` values."""
    found = []
    for number, place in enumerate(places(record)):
        step = [VALUES[(number + 7 * one) % len(VALUES)] for one in range(most)]
        found += [changed(record, place, value) for value in step]
    return found


@pytest.fixture
def result(make_result: MakeResult) -> FakeResult:
    """Return a result of one person whose pictures are gone, so that reports are fast."""
    made = make_result(side=16)
    made.person(1)
    made.write()
    for picture in (made.folder / "faces").iterdir():
        picture.unlink()
    return made


@pytest.mark.parametrize("name", ["tracks.jsonl", "faces.jsonl"])
def test_records_with_any_value_at_any_place(result: FakeResult, name: str) -> None:
    records = variants(result.tracks[0] if name == "tracks.jsonl" else result.faces[0], 5)
    text = "".join(f"{json.dumps(one)}\n" for one in records)
    (result.folder / name).write_text(text, encoding="utf-8")
    page = read_page(write_report(result.folder))
    assert page.unbalanced == []
    assert "differs from the hash" in page.text


def test_manifests_with_any_value_at_any_place(result: FakeResult) -> None:
    manifest = result.manifest | {
        "figures": {"people": {"selected": {"1": 0.5}, "nearest_other": 0.1, "covered_heads": 3}},
        "credentials": {"subject": "a", "certificate_sha256": "b", "files": ["c"]},
    }
    stated = {one: manifest[one] for one in ("schema_version", "command")}
    (result.folder / "tracks.jsonl").write_text("")
    for variant in variants(manifest, 3):
        content = json.dumps(variant | stated)
        (result.folder / "manifest.json").write_text(content, encoding="utf-8")
        assert "<main" in render_report(ResultFolder(result.folder))


@pytest.mark.parametrize("part", ["unknown", "", 7, ["covered"], None])
def test_an_unknown_part_is_not_called_covered(result: FakeResult, part: Any) -> None:
    result.write(settings=result.manifest["settings"] | {"restore": part})
    text = read_page(write_report(result.folder)).text
    assert "Only what lay under a mask was replaced" not in text
    assert "Only what the camera saw was restored" not in text


@pytest.mark.parametrize("part", ["all", "covered", "uncovered"])
def test_the_section_on_use_does_not_call_kept_masks_drawn(result: FakeResult, part: str) -> None:
    result.write(settings=result.manifest["settings"] | {"restore": part})
    text = read_page(write_report(result.folder)).text
    assert ("stays covered in these pictures" in text) == (part == "uncovered")
    assert ("draws a plausible lower face" in text) == (part != "uncovered")


@pytest.mark.parametrize("value", VALUES)
def test_values_that_are_no_ratio_are_absent(value: Any) -> None:
    assert ratio({"rate": value}, "rate") is None


@pytest.mark.parametrize(
    ("stated", "value"),
    [("30000/1001", 29.97), ("25", 25.0), ("12.5", 12.5), ("233/50", 4.66), ("0/1", 0.0)],
)
def test_ratios_are_read(stated: str, value: float) -> None:
    assert ratio({"rate": stated}, "rate") == pytest.approx(value, abs=0.01)


@pytest.mark.parametrize("damage", ["absent", "altered", "broken"])
def test_persons_that_cannot_be_read_are_not_called_absent(result: FakeResult, damage: str) -> None:
    record = result.folder / "tracks.jsonl"
    if damage == "absent":
        record.unlink()
    else:
        record.write_bytes(b"" if damage == "altered" else b"[\n")
    text = read_page(write_report(result.folder)).text
    assert "whether persons were tracked in this input is not known" in text
    assert "No person was tracked" not in text


@pytest.mark.parametrize("rows", [0, 3, 5])
def test_the_numbers_of_persons_agree(
    make_result: MakeResult, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr("jdsr_cli.reporting.page.MAX_PERSONS", 4)
    monkeypatch.setattr("jdsr_cli.reporting.selection.MAX_ROWS", 3)
    made = make_result(side=16)
    made.tracks = [{"track": number, "restored": 0} for number in range(1, 5 + rows)]
    text = read_page(write_report(made.write())).text
    assert ("all others are in a table" in text) == (rows == 3)
    assert ("3 others are in a table , and 2 are only in tracks.jsonl" in text) == (rows == 5)


@pytest.mark.parametrize("name", ["overlay.mp4", "overlay.png", "compare.mkv", "restored.mov"])
def test_all_pictures_beside_the_report_are_linked(make_result: MakeResult, name: str) -> None:
    made = make_result(side=16)
    (made.folder / name).write_bytes(b"x")
    page = read_page(write_report(made.write()))
    links = {one.attributes["href"] for one in page.all("a")}
    assert {f"./{name}", "./SHA256SUMS", "./manifest.json"} <= links


@pytest.mark.parametrize(("covered", "stated"), [(0.0, False), (0.004, True), (0.3, True)])
def test_only_a_covered_part_is_said_to_stay(
    make_result: MakeResult, covered: float, stated: bool
) -> None:
    made = make_result(side=16)
    made.person(1, bare=True)
    track = made.tracks[0]
    track["best"] = [made.shot("track0001_best1", 10, "bare", covered=covered)]
    track["fused"] = None
    text = read_page(write_report(made.write())).text
    assert ("of the face; it stays as it was filmed" in text) == stated
