"""What `report.html` says, in which order, and that it is one self-contained file."""

from __future__ import annotations

import hashlib
import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_results import FakeResult, MakeResult
from pages import Page, assert_self_contained, decoded, read_page

from jdsr_cli.reporting import write_report
from jdsr_cli.reporting.quality import COMPONENTS
from jdsr_cli.reporting.wording import REFUSALS

ROOT = Path(__file__).parents[2]


def page_of(result: FakeResult, **changes: Any) -> Page:
    page = read_page(write_report(result.write(**changes)))
    assert_self_contained(page)
    return page


def position(page: Page, *parts: str) -> list[int]:
    found = [page.text.find(part) for part in parts]
    assert -1 not in found, parts
    return found


def test_the_filmed_picture_comes_before_the_restored_ones(make_result: MakeResult) -> None:
    result = make_result()
    result.person(7, start=1240)
    page = page_of(result)
    order = position(
        page, "Person 7 02:04.0 to 02:10.0", "filmed at 02:05.0", "Best restored shot",
        "Fused face", "Further restored shots (2)", "In the video", "InterEyeDistance",
    )  # fmt: skip
    assert order == sorted(order)
    article = page.source[page.source.index("<article") :]
    first = re.search(r'<img [^>]*alt="([^"]*)"', article)
    assert first is not None
    assert first[1] == "Person 7 as filmed at 02:05.0, enlarged"


def test_a_person_who_was_seen_bare_gets_nothing_invented_as_the_best_shot(
    make_result: MakeResult,
) -> None:
    result = make_result()
    result.person(1, bare=True)
    result.tracks[-1]["best"][0] = result.shot("track0001_best1", 20, "masked")
    page = page_of(result)
    assert "Seen bare at 00:01.0" in page.text
    bare, invented, group = position(
        page,
        "Fused face",
        "Restored shot 1",
        "parts that are or may be invented (1)",
    )
    assert bare < group < invented
    assert "Best restored shot" not in page.text


def test_a_person_who_is_always_covered_or_always_bare_has_no_such_notice(
    make_result: MakeResult,
) -> None:
    result = make_result()
    result.person(1)
    result.person(2, bare=True, masked=0)
    result.faces = [face for face in result.faces if face["track"] == 1]
    page = page_of(result)
    assert "Seen bare" not in page.text
    assert page.text.count("Best restored shot") >= 2


def test_without_the_new_fields_the_bare_frames_of_the_face_records_count(
    make_result: MakeResult,
) -> None:
    result = make_result()
    result.person(1)
    track = result.tracks[0]
    for name in ("filmed", "timeline", "unreliable"):
        del track[name]
    for shot in (*track["best"], track["fused"]):
        for name in ("seconds", "mask", "covered", "occlusion", "doubt", "identity"):
            del shot[name]
    result.face(1, 50, "bare")
    page = page_of(result)
    assert "Seen bare at 00:05.0. Look at frame 50 of the input" in page.text
    assert "No shot without invented parts was restored" in page.text
    assert "It is the filmed side of a restored shot" in page.text
    assert "44 % of the face" in page.text


def test_overlays_and_figures_are_stated_in_words(make_result: MakeResult) -> None:
    result = make_result()
    result.person(1)
    warning = "the restored face differs from the filmed one"
    result.tracks[0]["best"][0]["identity"] |= {"input": 0.214, "warning": warning}
    page = page_of(result)
    for words in (
        "invented: was covered by a mask",
        "doubtful: error may exceed 16 grey levels",
        "52 % of the face's pixels are reliable: of such pixels, at least 90 % on average are "
        "within 16 of 255 grey levels of the true brightness",
        "44 % of the face",
        "0.21 to the filmed face that it was made from",
        f"Identity warning: {warning}",
        "1 shot not exported: no pixel of it is reliable",
    ):
        assert words in page.text
    boxes = page.all("input", type="checkbox")
    assert len(boxes) == 8
    assert sum("checked" in box.attributes for box in boxes) == 4


@pytest.mark.parametrize(
    ("jointly", "words"),
    [
        (True, "all frames were restored together, by the network for fused faces"),
        (False, "the mean of the frames was restored, by the network for single faces"),
        (None, None),
        ("true", None),
        ([1], None),
    ],
)
def test_it_is_stated_how_a_fused_face_was_restored(
    make_result: MakeResult, jointly: object, words: str | None
) -> None:
    result = make_result()
    result.person(1)
    result.tracks[0]["fused"]["jointly"] = jointly
    page = page_of(result)
    assert page.text.count("Combined") == (words is not None)
    assert words is None or words in page.text


@pytest.mark.parametrize("available", [True, False])
def test_the_network_for_fused_faces_is_one_that_was_available(
    make_result: MakeResult, available: bool
) -> None:
    result = make_result()
    result.person(1)
    burst = {"name": "lite-several", "file": "several.safetensors", "sha256": "9" * 64}
    result.write()
    weights = {**result.manifest["weights"], "burst": burst if available else None}
    page = page_of(result, weights=weights)
    for words in ("Network for fused faces", "lite-several", "weights for fused faces"):
        assert (words in page.text) == available


def test_overlays_cover_what_the_maps_mark_and_differ_without_colour(
    make_result: MakeResult,
) -> None:
    result = make_result(side=128)
    result.person(1)
    page = page_of(result)
    layers = [one for one in page.pictures if "layer" in one.attributes.get("class", "")]
    drawn = [np.asarray(decoded(one).convert("RGBA"))[..., 3] > 0 for one in layers[:2]]
    for marked, edge in zip(drawn, (0.55, 0.3), strict=True):
        rows = np.nonzero(marked.any(axis=1))[0] / marked.shape[0]
        assert rows.min() == pytest.approx(edge if edge == 0.55 else 0.5, abs=0.02)
        assert 0.15 < marked[int(0.75 * marked.shape[0]) :].mean() < 0.75
    lower = [marked[100:120, 20:100] for marked in drawn]
    assert (lower[0] != lower[1]).mean() > 0.2


def test_a_covered_part_of_a_bare_face_is_not_called_invented(make_result: MakeResult) -> None:
    result = make_result()
    result.person(1, bare=True)
    page = page_of(result)
    assert "may be covered: kept as it was filmed" in page.text
    assert "invented: was covered by a mask" not in page.text


def test_the_time_line_states_time_and_state_of_each_thumbnail_in_text(
    make_result: MakeResult,
) -> None:
    result = make_result()
    result.person(1)
    states = ["bare", "masked", "unsure", "refused"]
    result.tracks[0]["timeline"] = result.timeline("strip.png", states, start=605)
    page = page_of(result)
    words = "01:00.5 bare 01:01.0 covered 01:01.5 not certain 01:02.0 refused"
    assert words in page.text
    assert [one.attributes["class"] for one in page.all("li") if "class" in one.attributes] == [
        f"state-{state}" for state in states
    ]


def test_quality_has_ofiqs_names_and_says_that_ofiq_did_not_compute_it(
    make_result: MakeResult,
) -> None:
    result = make_result()
    result.person(1)
    page = page_of(result)
    for words in (
        "InterEyeDistance 18.2 px", "Sharpness 0.72", "HeadPoseYaw -12.5°",
        "HeadPosePitch +4.0°", "HeadPoseRoll +1.5°", "FaceOcclusionPrevention 56 % not covered",
        "They were not computed by OFIQ",
    ):  # fmt: skip
        assert words in page.text
    assert "UnifiedQualityScore" not in page.text
    assert {one.name for one in COMPONENTS if one.name} <= {
        "InterEyeDistance", "Sharpness", "HeadPoseYaw", "HeadPosePitch", "HeadPoseRoll",
        "FaceOcclusionPrevention",
    }  # fmt: skip


def test_refused_persons_are_shown_with_picture_and_reason(make_result: MakeResult) -> None:
    result = make_result()
    result.refused_person(4, "turned too far", "turned 85 degrees to the side")
    page = page_of(result, counts={"refusals": {"turned too far": 7, "a new kind": 2}})
    for words in (
        "Persons without a restored face", "Person 4 filmed at 00:00.4",
        "7 faces: turned too far", "turned 85 degrees to the side", REFUSALS["turned too far"],
        "a new kind 2 See docs/guide/refusals.md",
    ):  # fmt: skip
        assert words in page.text
    assert len(page.pictures) == 1


def test_every_kind_of_refusal_in_the_guide_is_explained() -> None:
    guide = (ROOT / "docs" / "guide" / "refusals.md").read_text("utf-8")
    table = guide[guide.index("| kind |") :].split("\n\n")[0]
    assert {row.split("|")[1].strip(" `") for row in table.splitlines()[2:]} <= REFUSALS.keys()


def test_settings_that_differ_come_first_and_all_are_listed(make_result: MakeResult) -> None:
    result = make_result()
    page = page_of(result)
    changed, others = position(page, "--scale 8 4", "All other settings")
    assert changed < others
    assert page.text.count("--min-face") == 1 + page.text.count("below --min-face")
    assert "No person was tracked" in page.text


def test_bytes_that_were_not_read_are_stated_at_the_top(make_result: MakeResult) -> None:
    result = make_result()
    result.person(1)
    page = page_of(result, unread=["the last 10 bytes of the file"])
    assert position(page, "Parts of the input were not read")[0] < position(page, "Overview")[0]
    assert "the last 10 bytes of the file" in page.text


def test_use_and_hashes_are_stated(make_result: MakeResult) -> None:
    result = make_result()
    page = page_of(result)
    content = (result.folder / "manifest.json").read_bytes()
    assert hashlib.sha256(content).hexdigest() in page.text
    for words in (
        "never an identification", "The filmed picture is the evidence", "face recogniser",
        "State of Washington v. Puloka", "arXiv 2603.27747", "arXiv 2512.03199", "1" * 64,
        "2" * 64, "2026-01-02T03:04:05+00:00",
    ):  # fmt: skip
        assert words in page.text


def test_the_same_folder_gives_the_same_bytes(make_result: MakeResult) -> None:
    result = make_result()
    result.person(1)
    result.refused_person(2)
    path = write_report(result.write())
    first = path.read_bytes()
    moved = result.folder.rename(result.folder.with_name("another name"))
    assert write_report(moved).read_bytes() == first


def test_the_page_has_landmarks_headings_captions_and_labels(make_result: MakeResult) -> None:
    result = make_result()
    result.person(1)
    result.refused_person(2)
    page = page_of(result)
    (root,) = page.all("html")
    assert (root.attributes["lang"], root.attributes["dir"]) == ("en", "ltr")
    for tag in ("main", "footer", "h1", "nav"):
        assert len(page.all(tag)) == 1
    levels = [int(one.tag[1]) for one in page.elements if re.fullmatch("h[1-6]", one.tag)]
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert len(page.all("caption")) == len(page.all("table"))
    labels = {one.attributes.get("for") for one in page.all("label")}
    for box in page.all("input", type="checkbox"):
        assert box.attributes["id"] in labels
    sliders = page.all("label", class_="slider")
    assert len(sliders) == len(page.all("input", type="range")) == 4


def test_numbers_of_the_wrong_type_count_as_absent(make_result: MakeResult) -> None:
    result = make_result()
    result.person(1)
    odd: list[Any] = ["x", None, [], {}, True, 1e999, -5, 10**400]
    for value in odd:
        track = json.loads(json.dumps(result.tracks[0]))
        for name in track:
            if name != "track":
                track[name] = value
        result.tracks.append(track)
        track = json.loads(json.dumps(result.tracks[0]))
        track["best"] = [dict.fromkeys(track["best"][0], value)]
        track["filmed"] = dict.fromkeys(track["filmed"], value)
        track["timeline"] = dict.fromkeys(track["timeline"], value)
        result.tracks.append(track)
        result.face(1, 11, "bare")
        result.faces.append(dict.fromkeys(result.faces[0], value) | {"track": 1})
    page_of(result)
    result.tracks = []
    for name in list(result.manifest):
        if name not in ("command", "schema_version"):
            page_of(result, **{name: odd[len(name) % len(odd)]})
