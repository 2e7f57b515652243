"""`--restore`: whether all of a face, what a mask covers, or what the camera saw is replaced."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from media.deep_clips import Colours, write_deep
from numpy.typing import NDArray
from results_folder import restored_in

from jdsr_cli.faces import CompositeSettings, estimate_alignment
from jdsr_cli.faces.compositing import enlarge, template_to_frame
from jdsr_cli.faces.regions import covered_region
from jdsr_cli.media import open_reader, read_image, write_image
from jdsr_cli.restoration import restore
from jdsr_cli.restoration.frame import RestoredFace
from jdsr_cli.restoration.pictures import BestShots, Shot
from jdsr_cli.restoration.snapshots import Snapshot
from jdsr_cli.restoration.stages.compositing import cut_patch
from jdsr_cli.restoration.stages.generation import FaceGenerator
from jdsr_cli.settings import RestoredPart, RestoreSettings

Picture = NDArray[np.uint8]
Weights = Callable[[int], Path]
PARTS: tuple[RestoredPart, ...] = ("all", "covered", "uncovered")
MASK = np.zeros((128, 128), np.float32)
MASK[76:128, 20:108] = 1.0
HAND = np.zeros((128, 128), np.float32)
HAND[78:98, 20:108] = 1.0
"""Too little for a mask: the face is not decided to be masked."""
UNDER_MASK = (slice(88, 94), slice(48, 80))
SEEN = (slice(48, 64), slice(48, 80))
"""Rows and columns of the template that are certainly covered by both maps, and by none."""
STRIPES = np.where(np.arange(128)[:, None, None] // 4 % 2, 40, 210) * np.ones((1, 128, 3))


@pytest.fixture
def covering(monkeypatch: pytest.MonkeyPatch) -> Callable[[NDArray[np.float32]], None]:
    """Return a function that makes every face striped by the generator, with a given map."""

    def cover(occlusion: NDArray[np.float32]) -> None:
        def striped(self: FaceGenerator, crops: list[Picture]) -> list[RestoredFace]:
            image = STRIPES.astype(np.uint8)
            return [RestoredFace(image, occlusion, False, self.side) for _ in crops]

        monkeypatch.setattr(FaceGenerator, "restore", striped)

    return cover


def settings(weights: Path, part: RestoredPart, **changes: Any) -> RestoreSettings:
    chosen = RestoreSettings(weights=str(weights), detector="centerface", device="cpu", label=False)
    return replace(chosen, restore=part, **changes)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "faces.jsonl").read_text().splitlines()]


def region(record: dict[str, Any], place: tuple[slice, slice], size: tuple[int, int]) -> Any:
    """Return where a part of the template lies in the enlarged frame, bool (height, width)."""
    template = np.zeros((128, 128), np.float32)
    template[place] = 1.0
    matrix = template_to_frame(estimate_alignment(np.array(record["points"], np.float32)), 4)
    return cv2.warpAffine(template, matrix, size) > 0.99


def changes(image: Picture, restored: Picture, record: dict[str, Any]) -> tuple[float, float]:
    """Return the mean change under the mask and beside it."""
    difference = np.abs(enlarge(image, 4).astype(int) - restored).mean(axis=2)
    size = (restored.shape[1], restored.shape[0])
    means = [difference[region(record, place, size)].mean() for place in (UNDER_MASK, SEEN)]
    return means[0], means[1]


EXPECTED = {"all": (True, True), "covered": (True, False), "uncovered": (False, True)}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("gray", [False, True], ids=["colours", "gray"])
def test_only_the_chosen_part_of_masked_faces_is_replaced(
    covering: Any, tiny_weights: Weights, tmp_path: Path, astronaut: Picture, hopper: Picture,
    part: RestoredPart, gray: bool,
) -> None:  # fmt: skip
    covering(MASK)
    scene = np.hstack([astronaut, hopper])
    if gray:
        scene = np.repeat(scene.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    write_image(tmp_path / "a.png", scene)
    done = restore([tmp_path / "a.png"], tmp_path / "out", settings(tiny_weights(128), part))
    assert done.exit_code == 0
    folder, records = tmp_path / "out" / "a", lines(tmp_path / "out" / "a")
    restored = read_image(folder / "restored.png")
    assert [one["mask"] for one in records] == ["masked", "masked"]
    for record in records:
        found = changes(scene, restored, record)
        assert tuple(change > 20 for change in found) == EXPECTED[part]
        assert all(change > 20 or change == 0 for change in found)
        shares = {"all": (0.9, 1.0), "covered": (0.3, 0.6), "uncovered": (0.3, 0.6)}[part]
        assert shares[0] <= record["replaced"] <= shares[1]
    assert not gray or (restored.max(axis=2) == restored.min(axis=2)).all()
    for shot in folder.glob("faces/*_best1.png"):
        pair = read_image(shot).astype(int)
        side = pair.shape[0]
        place = [slice(side * k // 128, side * m // 128) for k, m in ((88, 94), (48, 64), (48, 80))]
        difference = np.abs(pair[:, side:] - pair[:, :side])
        under, seen = (difference[rows, place[2]].mean() for rows in place[:2])
        assert (under > 20, seen > 20) == EXPECTED[part]
        assert min(under, seen) == 0 or part == "all"


@pytest.mark.parametrize("part", PARTS)
def test_what_is_not_certainly_a_mask_stays_as_filmed(
    covering: Any, tiny_weights: Weights, tmp_path: Path, hopper: Picture, part: RestoredPart
) -> None:
    covering(HAND)
    write_image(tmp_path / "a.png", hopper)
    restore([tmp_path / "a.png"], tmp_path / "out", settings(tiny_weights(128), part, mode="paste"))
    (record,) = lines(tmp_path / "out" / "a")
    assert record["mask"] != "masked"
    assert record["status"] == "restored"
    restored = read_image(tmp_path / "out" / "a" / "restored.png")
    under, seen = changes(hopper, restored, record)
    assert under < 6
    assert (seen > 20) == (part != "covered")
    if part == "covered":
        assert np.array_equal(restored, enlarge(hopper, 4))
        assert record["replaced"] == 0.0


@pytest.mark.parametrize("part", PARTS)
def test_faces_wider_than_the_generator_keep_what_the_camera_saw(
    covering: Any, tiny_weights: Weights, tmp_path: Path, hopper: Picture, part: RestoredPart
) -> None:
    covering(MASK)
    large = enlarge(hopper, 3)
    write_image(tmp_path / "a.png", large)
    restore([tmp_path / "a.png"], tmp_path / "out", settings(tiny_weights(128), part, mode="paste"))
    (record,) = lines(tmp_path / "out" / "a")
    assert record["native_width"] > 128
    under, seen = changes(large, read_image(tmp_path / "out" / "a" / "restored.png"), record)
    assert seen == 0
    assert (under > 20) == (part != "uncovered")
    assert (record["replaced"] > 0) == (part != "uncovered")


def moving(index: int, portrait: Picture) -> Picture:
    """Return a frame in which only the lower part of the face becomes brighter."""
    frame = np.full((140, 160, 3), 90, np.uint8)
    frame[10:130, 20:140] = portrait
    frame[70:130, 20:140] = np.minimum(frame[70:130, 20:140].astype(int) + 3 * index, 255)
    return frame


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("deep", [False, True], ids=["8 bit", "10 bit"])
def test_smoothing_and_deep_frames_leave_the_other_part_as_filmed(
    covering: Any, tiny_weights: Weights, tmp_path: Path, hopper: Picture, part: RestoredPart,
    deep: bool,
) -> None:  # fmt: skip
    covering(MASK)
    frames = [moving(index, hopper) for index in range(4)]
    colours = Colours() if deep else Colours(pixel_format="yuv444p")
    clip = write_deep(tmp_path / "a.mkv", frames, colours)
    chosen = settings(tiny_weights(128), part, codec="ffv1", mode="paste")
    assert restore([clip], tmp_path / "out", chosen).exit_code == 0
    video = restored_in(tmp_path / "out" / "a")
    records = lines(tmp_path / "out" / "a")
    with open_reader(clip) as before, open_reader(video) as after:
        for old, new, record in zip(before, after, records, strict=True):
            if deep:
                assert old.deep is not None
                assert new.deep is not None
                filmed, shown = enlarge(old.deep(), 4), new.deep()
            else:
                filmed, shown = enlarge(old.image, 4), new.image
            difference = np.abs(filmed.astype(int) - shown).mean(axis=2) / (257 if deep else 1)
            size = (shown.shape[1], shown.shape[0])
            for place, expected in zip((UNDER_MASK, SEEN), EXPECTED[part], strict=True):
                change = difference[region(record, place, size)].mean()
                assert change > 20 if expected else change <= (0 if deep else 1)


def test_shots_of_a_resumed_run_show_the_same_part(hopper: Picture, tmp_path: Path) -> None:
    points = np.array([[47, 50], [74, 50], [60, 66], [49, 78], [73, 78]], np.float32)
    patch = cut_patch(hopper, estimate_alignment(points))
    shots = BestShots(3)
    for track, part in enumerate(PARTS):
        face = RestoredFace(STRIPES.astype(np.uint8), MASK, False, 128, part)
        shots.add(track, Shot(0, 0.0, 0.5, "masked", 0.5, patch, face, MASK))
    shots.snapshot().write(tmp_path / "state.npz", "run")
    resumed = BestShots(3)
    resumed.restore(Snapshot.read(tmp_path / "state.npz", "run"))
    pictures = [shots.pop(track, seen_bare=False).best[0].render(160)[1] for track in range(3)]
    again = [resumed.pop(track, seen_bare=False).best[0].render(160)[1] for track in range(3)]
    for one, other in zip(pictures, again, strict=True):
        assert np.array_equal(one, other)
    assert not np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[1], pictures[2])


@pytest.mark.parametrize("width", [20.0, 100.0, 119.0, 300.0])
def test_the_parts_complement_each_other_with_soft_borders(width: float) -> None:
    """Of a certain mask, the weights of both parts add up to those of the whole face or more."""
    soft = cv2.GaussianBlur(MASK, (0, 0), 2.0)
    covered = covered_region(soft)
    weights = {
        part: CompositeSettings.of_input(128, part).weights(covered, width) for part in PARTS
    }
    for part in PARTS:
        steps = [np.abs(np.diff(weights[part], axis=axis)).max() for axis in (0, 1)]
        assert max(steps) < 0.35
        assert weights[part].dtype == np.float32
        assert 0.0 <= weights[part].min() <= weights[part].max() <= 1.0
    assert (weights["all"] >= np.maximum(weights["covered"], weights["uncovered"])).all()
    assert (weights["covered"] + weights["uncovered"] >= weights["all"] - 1e-6).all()
    assert not weights["covered"][SEEN].any()
    assert weights["uncovered"][UNDER_MASK].max() < 1e-6
