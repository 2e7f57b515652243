"""Runs that restore selected people only, and in which nobody else can be recognised."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import jsonschema
import numpy as np
import pytest
from killed_run import run_until_killed
from media.clips import encode
from media.deep_clips import PQ, Colours, write_deep
from numpy.typing import NDArray
from PIL import Image
from private_runs import best_match, done, face_of, frames_of, manifest
from results_folder import restored_in
from suite_clips import WALK, file_hashes, lines, repeatable_manifest, walk, walk_settings
from test_assistance import assistant, interrupt

import jdsr_cli
from jdsr_cli.media import open_reader
from jdsr_cli.restoration import crop_faces, processing, restore
from jdsr_cli.restoration.survey import HEADS_SUFFIX, PEOPLE
from jdsr_cli.settings import CropSettings, PrivacySettings, ReadSettings, RestoreSettings

Picture = NDArray[np.uint8]
Weights = Callable[[int], Path]
OTHER = range(5, 11)
"""Frames of `walk` in which the second person is seen."""
ONLY_FIRST = PrivacySettings(only_track=(1,), blur_others=True)


@dataclass(frozen=True)
class Walk:
    clip: Path
    settings: RestoreSettings
    whole: Path
    """Results of a run in which only the first person is restored and recognisable."""


@pytest.fixture(scope="module")
def walked(
    tmp_path_factory: pytest.TempPathFactory, astronaut: Picture, hopper: Picture,
    tiny_weights: Weights,
) -> Walk:  # fmt: skip
    folder = tmp_path_factory.mktemp("privacy")
    clip = walk(folder / "walk.mkv", astronaut, hopper)
    settings = walk_settings(tiny_weights(64), overlay=True, privacy=ONLY_FIRST, label=False)
    return Walk(clip, settings, done(restore([clip], folder / "out", settings).results))


def test_nothing_shows_the_other_face(walked: Walk, hopper: Picture, astronaut: Picture) -> None:
    source = frames_of(walked.clip)
    assert best_match(source[7], face_of(hopper)) > 0.9
    for name in ("restored.mp4", "overlay.mp4"):
        frames = frames_of(walked.whole / name)
        assert len(frames) == WALK
        for number in OTHER:
            assert best_match(frames[number][:, 140:], face_of(hopper)) < 0.45, (name, number)
        assert best_match(frames[7], face_of(astronaut)) > 0.6
        # Frames are averaged after the motion of the face is undone.
        moved = [np.roll(frames[number], -(number % 3), axis=0) for number in OTHER]
        mean = np.rint(np.mean(moved, axis=0)).astype(np.uint8)
        assert best_match(mean[:, 140:], face_of(hopper)) < 0.45
        if name == "restored.mp4":
            # All that is left of the face is the same in all frames.
            inner = [one[50:90, 190:230].astype(int) for one in moved]
            assert max(np.abs(one - inner[0]).max() for one in inner) < 24
    pictures = sorted((walked.whole / "faces").iterdir())
    assert [one.name[:9] for one in pictures] == ["track0001"] * len(pictures)
    assert pictures


def test_the_head_is_covered_before_and_after_its_detections(walked: Walk) -> None:
    source, shown = frames_of(walked.clip), frames_of(walked.whole / "restored.mp4")
    changed = [
        np.abs(shown[number][:, 150:].astype(int) - source[number][:, 150:]).mean() > 5
        for number in range(WALK)
    ]
    # The clip begins 0.2 s before the first detection; 0.5 s after the last one are 12 frames.
    assert changed == [number <= 22 for number in range(WALK)]


def test_all_faces_are_counted_and_the_record_says_who_is_selected(walked: Walk) -> None:
    faces = lines(walked.whole / "faces.jsonl")
    by_track = {n: {one["reason"] for one in faces if one["track"] == n} for n in (1, 2)}
    assert by_track == {1: {None}, 2: {"track 2 is not one of --only-track 1"}}
    tracks = {one["track"]: one for one in lines(walked.whole / "tracks.jsonl")}
    assert tracks[2]["refused"] == {"not selected": len(OTHER)}
    assert tracks[2]["best"] == []
    read = manifest(walked.whole)
    schema = Path(jdsr_cli.__file__).parent / "schemas" / "manifest.schema.json"
    jsonschema.Draft202012Validator(json.loads(schema.read_text("utf-8"))).validate(read)
    assert read["counts"]["refusals"] == {"not selected": len(OTHER)}
    assert read["counts"]["tracks"] == 2
    assert read["figures"]["people"] == {"selected": {"1": None}, "covered_heads": 23}
    assert read["settings"]["privacy"]["only_track"] == [1]


def test_a_killed_run_resumes_to_the_same_bytes_with_another_batch(
    walked: Walk, tmp_path: Path
) -> None:
    run_until_killed("in the middle of a segment", walked.clip, tmp_path, walked.settings)
    (work,) = tmp_path.glob(".walk.partial/work")
    # A survey that is damaged is made again.
    (work / f"000003{HEADS_SUFFIX}").write_bytes(b"damaged")
    settings = replace(walked.settings, resume=True, batch=1)
    folder = done(restore([walked.clip], tmp_path, settings).results)
    assert file_hashes(folder) == file_hashes(walked.whole)
    read, expected = repeatable_manifest(folder), repeatable_manifest(walked.whole)
    assert read["figures"]["people"] == expected["figures"]["people"]
    assert not work.exists()


def test_segments_of_other_processes_have_the_same_bytes(walked: Walk, tmp_path: Path) -> None:
    # The survey advances by whole segments, of which the last one is half empty.
    workspace = interrupt(walked.clip, tmp_path, walked.settings, frames=WALK + 4 + 10)
    with assistant(walked.clip, workspace, walked.settings) as one:
        while one.search_one():
            pass
        # Nobody is restored before it is known who is selected.
        people = workspace.work / PEOPLE
        people.rename(people.with_suffix(".gone"))
        assert not one.restore_one()
        people.with_suffix(".gone").rename(people)
        while one.restore_one():
            pass
    assert workspace.segments.file(2, ".faces").exists()
    settings = replace(walked.settings, resume=True)
    folder = done(restore([walked.clip], tmp_path, settings).results)
    assert file_hashes(folder) == file_hashes(walked.whole)


def still(folder: Path, name: str, astronaut: Picture, hopper: Picture) -> Path:
    scene = np.hstack([astronaut, np.full((120, 40, 3), 90, np.uint8), hopper])
    path = folder / name
    if name.startswith("gray"):
        scene = np.repeat(cv2.cvtColor(scene, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    exif = Image.Exif()
    exif[271] = "Maker"
    exif.get_ifd(34665)[37500] = b"preview of the picture"
    Image.fromarray(scene).save(path, exif=exif)
    return path


@pytest.mark.parametrize("name", ["colour.png", "gray.png", "photo.jpg"])
def test_of_a_still_the_other_head_and_previews_are_gone(
    walked: Walk, tmp_path: Path, astronaut: Picture, hopper: Picture, name: str
) -> None:
    source = still(tmp_path, name, astronaut, hopper)
    settings = replace(walked.settings, mode="paste", detection_scale=None)
    folder = done(restore([source], tmp_path / "out", settings).results)
    people = {one["track"]: one["box"][0] for one in lines(folder / "faces.jsonl")}
    left = people[1] < 140
    with Image.open(folder / "restored.png") as picture:
        shown, restored = np.asarray(picture), picture.getexif()
    gone, kept = (shown[:, 160:], shown[:, :120]) if left else (shown[:, :120], shown[:, 160:])
    other, chosen = (hopper, astronaut) if left else (astronaut, hopper)
    assert best_match(gone, face_of(other)) < 0.45
    assert best_match(kept, face_of(chosen)) > 0.6
    assert restored[271] == "Maker"
    assert 37500 not in restored.get_ifd(34665)


@pytest.mark.parametrize(
    "colours", [replace(PQ, codec="ffv1"), Colours(codec="ffv1")], ids=["PQ", "SDR, 10 bit"]
)
def test_deep_frames_show_the_same(
    walked: Walk, tmp_path: Path, astronaut: Picture, hopper: Picture, colours: Colours
) -> None:
    scene = np.full((140, 280, 3), 90, np.uint8)
    scene[10:130, 5:125], scene[10:130, 150:270] = astronaut, hopper
    clip = write_deep(tmp_path / "deep.mkv", [scene] * 3, colours)
    settings = replace(walked.settings, mode="paste", codec="ffv1", overlay=False)
    folder = done(restore([clip], tmp_path / "out", settings).results)
    faces = lines(folder / "faces.jsonl")
    (chosen_left,) = {one["box"][0] < 140 for one in faces if one["track"] == 1}
    path = restored_in(folder)
    with open_reader(clip) as before, open_reader(path) as after:
        for old, new in zip(before, after, strict=True):
            assert old.deep is not None
            assert new.deep is not None
            for one, other in ((old.image, new.image), (old.deep(), new.deep())):
                gone, stay = (slice(140, 280), slice(0, 140))[:: 1 if chosen_left else -1]
                levels = 255.0 / np.iinfo(one.dtype).max
                face = (one[45:95, gone] * levels)[:, 40:80].astype(np.uint8)
                assert best_match((other[:, gone] * levels).astype(np.uint8), face) < 0.45
                kept = (one[45:95, stay] * levels)[:, 40:80].astype(np.uint8)
                assert best_match((other[:, stay] * levels).astype(np.uint8), kept) > 0.6


def test_of_a_squeezed_picture_the_whole_head_is_covered(
    walked: Walk, tmp_path: Path, astronaut: Picture, hopper: Picture
) -> None:
    scene = np.full((140, 280, 3), 90, np.uint8)
    scene[10:130, 5:125], scene[10:130, 150:270] = astronaut, hopper
    half = cv2.resize(scene, (280, 70), interpolation=cv2.INTER_AREA)
    clip = encode(tmp_path / "half.mkv", range(3), size=(280, 70), paint=lambda _: half)
    settings = replace(walked.settings, mode="paste", reading=ReadSettings(aspect="2:1"))
    folder = done(restore([clip], tmp_path / "out", settings).results)
    (left,) = {one["box"][0] < 140 for one in lines(folder / "faces.jsonl") if one["track"] == 1}
    gone = slice(150, 270) if left else slice(5, 125)
    for one in frames_of(folder / "restored.mp4"):
        changed = np.abs(one.astype(int) - half).max(axis=2)[:, gone] > 12
        rows, columns = np.nonzero(changed)
        # The square of the displayed picture is half as high in stored pixels.
        assert 1.5 < np.ptp(columns) / np.ptp(rows) < 2.5
        assert best_match(one[:, gone], face_of(hopper if left else astronaut)[::2]) < 0.45


def test_a_run_that_ends_stops_the_search(
    walked: Walk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = processing.survey

    def stopped(*arguments: Any) -> Any:
        *others, _, limit = arguments
        return original(*others, lambda: True, limit)

    monkeypatch.setattr(processing, "survey", stopped)
    (result,) = restore([walked.clip], tmp_path, walked.settings).results
    assert "ended before the whole input was searched" in str(result.error)
    assert list(tmp_path.glob(".*.partial")) == []


def test_only_crops_and_sparse_search_show_nobody_else(
    walked: Walk, tmp_path: Path, hopper: Picture
) -> None:
    settings = replace(walked.settings, mode="crops")
    folder = done(restore([walked.clip], tmp_path, settings).results)
    assert {one.name[:9] for one in (folder / "faces").iterdir()} == {"track0001"}
    for one in frames_of(folder / "overlay.mp4"):
        assert best_match(one[:, 140:], face_of(hopper)) < 0.45


@pytest.mark.parametrize("number", [1, 2])
def test_selection_alone_leaves_the_frames_as_they_are(
    walked: Walk, tmp_path: Path, number: int, hopper: Picture
) -> None:
    privacy = PrivacySettings(only_track=(number, 7))
    settings = CropSettings(
        detector="centerface", detection_scale=0.5, device="cpu", segment=8, privacy=privacy
    )
    folder = done(crop_faces([walked.clip], tmp_path, settings).results)
    crops = sorted(folder.glob("*.png"))
    assert len(crops) == (WALK if number == 1 else len(OTHER))
    assert {one.name.split("_")[1] for one in crops} == {f"track000{number}"}
    read = manifest(folder)
    assert read["figures"]["people"] == {"selected": {str(number): None}}
    assert read["notes"] == ["--only-track 7: no track has this number"]
