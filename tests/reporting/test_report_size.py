"""The size of a report is bounded, and no person is dropped without a word."""

from __future__ import annotations

import json

import pytest
from fake_results import FakeResult, MakeResult
from pages import assert_self_contained, read_page

from jdsr_cli.reporting import write_report
from jdsr_cli.reporting.folder import ResultFolder
from jdsr_cli.reporting.pictures import DETAILS, TOTAL, allowance, first_detail
from jdsr_cli.reporting.selection import select_tracks


def repeated(result: FakeResult, persons: int) -> None:
    """Add persons that share the pictures of the first one."""
    result.person(1)
    first = json.dumps(result.tracks[0])
    result.tracks += [json.loads(first) | {"track": number} for number in range(2, persons + 1)]


def test_the_pictures_of_noisy_persons_take_at_most_the_limit(
    make_result: MakeResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jdsr_cli.reporting.pictures.TOTAL", 150_000)
    result = make_result(side=256, noise=60)
    repeated(result, 5)
    page = read_page(write_report(result.write()))
    used = sum(len(one.attributes["src"]) for one in page.pictures)
    assert 50_000 < used <= 150_000
    assert len(page.all("article")) == 5
    assert "Not shown" not in page.text


def test_persons_beyond_the_limit_have_a_row_with_a_link(
    make_result: MakeResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jdsr_cli.reporting.page.MAX_PERSONS", 8)
    result = make_result(side=16)
    repeated(result, 3000)
    result.tracks[2900]["filmed"]["mask"] = "bare"
    path = write_report(result.write())
    assert path.stat().st_size < 2_000_000
    page = read_page(path)
    assert_self_contained(page)
    assert len(page.all("article")) == 8
    assert "8 of 3,000 persons are shown with pictures" in page.text
    assert "2,992 persons without pictures in this report" in page.text
    assert {one.attributes["href"] for one in page.all("a")} >= {"./faces/track0001_filmed.png"}
    assert "Person 2901" in {one.text for one in page.all("h3")}, "seen bare: before others"


def test_persons_without_a_row_are_counted(
    make_result: MakeResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jdsr_cli.reporting.selection.MAX_ROWS", 5)
    result = make_result(side=16)
    for number in range(1, 21):
        result.tracks.append({"track": number, "restored": 0, "seen": 21 - number})
    result.write()
    selection = select_tracks(ResultFolder(result.folder), 4)
    assert [track["track"] for track in selection.shown] == [1, 2, 3, 4]
    assert [row.track for row in selection.rows] == [5, 6, 7, 8, 9]
    assert selection.uncounted == [11, 10, 20]
    assert selection.total == 20


def test_detail_falls_until_the_pictures_fit(make_result: MakeResult) -> None:
    from jdsr_cli.reporting.persons import describe_person
    from jdsr_cli.reporting.pictures import PictureReader
    from jdsr_cli.reporting.selection import FaceFacts

    result = make_result(side=256, noise=60)
    result.person(1)
    reader = PictureReader(ResultFolder(result.write()))
    sizes = []
    for allowed in (400_000, 60_000, 16_000):
        person = describe_person(result.tracks[0], FaceFacts(), reader, "p1", "all")
        person.encode(0, allowed)
        shots = [*person.shots, *person.demoted]
        pictures = [person.filmed.figure, *(shot.restored for shot in shots)]
        layers = sum(len(one.layer) + len(one.printed) for shot in shots for one in shot.overlays)
        used = sum(len(one.address) for one in pictures) + layers
        assert used <= allowed
        assert person.filmed.figure.address
        assert shots[0].restored.address
        sizes.append(person.filmed.figure.width)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[-1]
    assert person.linked


@pytest.mark.parametrize("persons", [1, 8, 9, 50, 91, 200])
def test_the_pictures_of_all_persons_fit_together(persons: int) -> None:
    assert allowance(persons) * persons <= TOTAL
    assert 0 <= first_detail(persons) < len(DETAILS)
