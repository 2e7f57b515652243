"""Reports of runs that restore a part of each face, some people, or replace heads."""

from typing import Any

import pytest
from fake_results import FakeResult, MakeResult
from pages import Page, assert_self_contained, read_page

from jdsr_cli.reporting import report, update_index, write_report

SETTINGS: dict[str, Any] = {"restore": "all", "mode": "both", "privacy": {}}


def page_of(result: FakeResult, settings: dict[str, Any], **changes: Any) -> Page:
    result.write()
    recorded = result.manifest["settings"] | settings
    page = read_page(write_report(result.write(settings=recorded, **changes)))
    assert_self_contained(page)
    return page


@pytest.mark.parametrize("bare", [False, True])
def test_masks_that_stay_are_not_called_invented(make_result: MakeResult, bare: bool) -> None:
    result = make_result()
    result.person(1, bare=bare)
    result.tracks[-1]["best"][0] = result.shot("track0001_best1", 20, "masked")
    assert "invented: was covered by a mask" in page_of(result, {}).text
    page = page_of(result, {"restore": "uncovered"})
    assert "invented: was covered" not in page.text
    assert "covered: kept as it was filmed" in page.text
    assert "drew what lies there" not in page.text
    assert "Other restorations, with parts that are" not in page.text
    assert "nothing under them is invented" in page.text


@pytest.mark.parametrize(("replaced", "filmed"), [(0.0, True), (0.2, False), (None, False)])
def test_a_picture_of_which_nothing_was_restored_is_called_filmed(
    make_result: MakeResult, replaced: float | None, filmed: bool
) -> None:
    result = make_result()
    result.person(1, bare=True)
    track = result.tracks[-1]
    track |= {"masked": 0, "best": track["best"][:2]}
    result.faces = [face | {"replaced": replaced} for face in result.faces]
    page = page_of(result, {"restore": "covered"})
    assert ("as filmed: nothing was restored" in page.text) is filmed
    assert ("restored by a network" in page.text) is not filmed
    alts = [image.attributes["alt"] for image in page.all("img")]
    assert any("a restoration by a network" in alt for alt in alts) is not filmed


@pytest.mark.parametrize("mode", ["both", "crops", "paste"])
@pytest.mark.parametrize("heads", [None, 0, 36])
def test_replaced_heads_are_stated(make_result: MakeResult, mode: str, heads: int | None) -> None:
    result = make_result()
    result.person(1)
    people = {"selected": {"1": 0.9712}, "nearest_other": 0.0778}
    if heads is not None:
        people["covered_heads"] = heads
    privacy = {"blur_others": heads is not None, "reference_level": 0.35}
    detector = {"name": "centerface", "reference_sha256": "7" * 64}
    page = page_of(
        result, {"mode": mode, "privacy": privacy}, figures={"people": people}, detector=detector
    )
    assert ("replaced by mosaics" in page.text) is (heads is not None)
    as_filmed = "A refused face stays in the frame as it was filmed."
    assert (as_filmed in page.text) is (heads is None and mode != "crops")
    for words in ("0.97", "0.35", "0.08", "7" * 64, "no identification"):
        assert words in page.text


def test_who_signed_is_stated_as_a_claim_of_the_manifest(make_result: MakeResult) -> None:
    result = make_result()
    result.person(1)
    assert "content credentials" not in page_of(result, {}).text
    stated = {"certificate_sha256": "8" * 64, "subject": "O=Unit <b>", "files": ["a.png", "b.mp4"]}
    page = page_of(result, {}, credentials=stated)
    assert "2 files of this result carry content credentials" in page.text
    assert "O=Unit <b>" in page.text
    assert "has not verified them" in page.text


def test_covered_thumbnails_say_where_the_person_is_bare(make_result: MakeResult) -> None:
    result = make_result()
    result.person(1, bare=True)
    page = page_of(result, {})
    alts = [image.attributes["alt"] for image in page.all("img")]
    assert sum("covered; seen bare at 00:01.0" in alt for alt in alts) == 9


FORGED = ["1e400", "1e9999999999", 1e308, -1e308, 10**400, True, [1], {"a": 1}, "x" * 9999, None]


@pytest.mark.parametrize("value", FORGED, ids=[str(n) for n in range(len(FORGED))])
def test_forged_values_stop_neither_the_report_nor_the_list(
    make_result: MakeResult, value: Any
) -> None:
    other = make_result("other")
    other.person(1)
    other.write()
    result = make_result("forged")
    result.person(1)
    result.tracks[0] |= {"first_seconds": value, "last_seconds": value, "masked": value}
    result.tracks[0]["best"][0]["seconds"] = [value]
    result.tracks[0]["filmed"]["seconds"] = value
    result.write()
    media = result.manifest["media"] | {"duration": value, "frame_rate": value, "width": value}
    folder = result.write(media=media, figures={"people": value}, credentials=value, counts=value)
    assert update_index(folder.parent) is not None
    assert all(one.page is not None for one in report([folder.parent]).results)


def test_links_in_a_folder_of_results_are_not_followed(make_result: MakeResult) -> None:
    first, second = make_result("a"), make_result("b")
    for one in (first, second):
        one.person(1)
    out = second.write().parent
    elsewhere = out.parent / "elsewhere"
    first.write().rename(elsewhere)
    (out / "a").symlink_to(elsewhere)
    before = sorted(path.name for path in elsewhere.iterdir())
    results = report([out]).results
    assert any("link" in str(one.error) for one in results)
    assert sorted(path.name for path in elsewhere.iterdir()) == before
    assert any(one.page is not None for one in results)
