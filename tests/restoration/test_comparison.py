"""`--compare`: the enlarged input beside the result, in one video or picture."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from frame_times import clip_times
from killed_run import run_until_killed
from media.clips import Track, encode
from media.deep_clips import HLG, PQ, Colours, write_deep
from numpy.typing import NDArray
from results_folder import restored_in
from suite_clips import file_hashes, walk, walk_settings

from jdsr_cli.errors import UsageError
from jdsr_cli.evidence import FaceOverlay
from jdsr_cli.evidence.drawing import track_colour
from jdsr_cli.faces.compositing import FramePlan, enlarge
from jdsr_cli.media import open_reader, read_image, write_image
from jdsr_cli.restoration import restore
from jdsr_cli.restoration.comparison import FrameComparison, plan_comparison
from jdsr_cli.settings import RestoreSettings

Picture = NDArray[np.uint8]
Weights = Callable[[int], Path]


def settings(weights: Path, **changes: Any) -> RestoreSettings:
    chosen = RestoreSettings(weights=str(weights), detector="centerface", device="cpu", label=False)
    return replace(chosen, mode="paste", compare=True, **changes)


def frames_of(path: Path) -> list[Picture]:
    with open_reader(path) as reader:
        return [frame.image for frame in reader]


def manifest(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return read


def scene(width: int, height: int, portrait: Picture, index: int = 0) -> Picture:
    frame = np.full((height, width, 3), 90, np.uint8)
    frame[2:122, 4 + index : 124 + index] = portrait
    return frame


@dataclass(frozen=True)
class Case:
    """Size of a clip, the times of its frames in milliseconds, and the enlargement."""

    size: tuple[int, int]
    pts: tuple[int, ...]
    scale: int

    def write(self, path: Path, portrait: Picture, **named: Any) -> Path:
        return encode(
            path, self.pts, Fraction(1, 1000), size=self.size, codec="ffv1", pixel_format="bgr0",
            paint=lambda index: scene(*self.size, portrait, index), **named,
        )  # fmt: skip


CASES = {
    "even": Case((200, 130), (0, 40, 80), 2),
    "odd": Case((201, 131), (0, 33, 150), 1),
    "odd width, enlarged to odd": Case((165, 126), (7, 500, 501), 3),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_input_and_result_are_side_by_side_at_the_same_times(
    tiny_weights: Weights, tmp_path: Path, hopper: Picture, case: Case
) -> None:
    clip = case.write(tmp_path / "a.mkv", hopper, tracks=[Track("flac")])
    chosen = settings(tiny_weights(64), codec="ffv1", frame_scale=case.scale)
    assert restore([clip], tmp_path / "out", chosen).exit_code == 0
    folder, width = tmp_path / "out" / "a", case.size[0] * case.scale
    videos = {"restored": restored_in(folder), "compare": next(folder.glob("compare.*"))}
    assert clip_times(videos["compare"]) == clip_times(videos["restored"]) == clip_times(clip)
    with open_reader(clip) as reader:
        filmed = [frame.image for frame in reader]
    restored, compared = (frames_of(videos[name]) for name in ("restored", "compare"))
    assert len(filmed) == len(restored) == len(compared) == len(case.pts)
    for before, after, both in zip(filmed, restored, compared, strict=True):
        assert np.array_equal(both[:, :width], enlarge(before, case.scale))
        assert np.array_equal(both[:, -width:], after)
        line = both[:, width:-width]
        assert line.shape[1] == 2
        assert (line == 255).all()
        assert not np.array_equal(both[:, :width], after)
    files = [one["file"] for one in manifest(folder)["outputs"]]
    assert {path.name for path in videos.values()} <= set(files)
    assert manifest(folder)["counts"]["frames_written"] == len(case.pts)
    for path in videos.values():
        with av.open(str(path)) as video:
            kept = [(one.type, one.codec_context.name) for one in video.streams]
            tags = {key.lower(): value for key, value in video.metadata.items()}
        assert kept == [("video", "ffv1"), ("audio", "flac")]
        assert "compositeWithTrainedAlgorithmicMedia" in tags["digital_source_type"]


@pytest.mark.parametrize("label", [True, False])
def test_a_still_picture_is_compared_in_a_picture(
    tiny_weights: Weights, tmp_path: Path, hopper: Picture, label: bool
) -> None:
    picture = scene(161, 127, hopper)
    write_image(tmp_path / "a.png", picture)
    chosen = settings(tiny_weights(64), label=label)
    assert restore([tmp_path / "a.png"], tmp_path / "out", chosen).exit_code == 0
    folder = tmp_path / "out" / "a"
    both, restored = (read_image(folder / f"{name}.png") for name in ("compare", "restored"))
    width = 161 * 4
    assert both.shape == (127 * 4, 2 * width + 2, 3)
    assert np.array_equal(both[:, :width], enlarge(picture, 4))
    assert np.array_equal(both[:, -width:], restored)
    lower_left = (restored[-20:, :100] != enlarge(picture, 4)[-20:, :100]).any()
    assert lower_left == label


@pytest.mark.parametrize(
    "colours", [replace(PQ, codec="libx265"), HLG, Colours()], ids=["PQ", "HLG", "10 bit"]
)
def test_footage_with_more_colours_is_compared_in_sdr(
    tiny_weights: Weights, tmp_path: Path, hopper: Picture, colours: Colours
) -> None:
    suffix = ".mp4" if colours.codec == "libx265" else ".mkv"
    frames = [scene(160, 128, hopper, index) for index in range(3)]
    clip = write_deep(tmp_path / f"a{suffix}", frames, colours)
    chosen = settings(tiny_weights(64), frame_scale=1, crf=1)
    assert restore([clip], tmp_path / "out", chosen).exit_code == 0
    (video,) = (tmp_path / "out" / "a").glob("compare.*")
    with open_reader(video) as reader:
        assert (reader.info.width, reader.info.height) == (322, 128)
        assert reader.info.bit_depth == 8
        assert not reader.info.deep
        assert reader.info.colour_transfer == "bt709"
    with open_reader(clip) as reader:
        filmed = [frame.image for frame in reader]
    for before, both in zip(filmed, frames_of(video), strict=True):
        assert np.abs(both[:, :160].astype(int) - before).mean() < 4
        difference = np.abs(both[:, -160:].astype(int) - both[:, :160]).mean(axis=2)
        assert difference[20:110, 20:110].mean() > 1
        assert difference[:, 140:].mean() < 0.2


def test_pixels_that_are_not_square_stay_so(
    tiny_weights: Weights, tmp_path: Path, hopper: Picture
) -> None:
    def wide(stream: av.VideoStream) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)

    clip = encode(
        tmp_path / "a.mp4", range(2), size=(200, 130), configure=wide,
        paint=lambda index: scene(200, 130, hopper, index),
    )  # fmt: skip
    chosen = settings(tiny_weights(64), frame_scale=1)
    assert restore([clip], tmp_path / "out", chosen).exit_code == 0
    with open_reader(tmp_path / "out" / "a" / "compare.mp4") as reader:
        assert reader.info.sample_aspect_ratio == Fraction(4, 3)
        assert (reader.info.width, reader.info.height) == (402, 130)


@pytest.mark.nightly
def test_a_resumed_run_has_the_bytes_of_an_uninterrupted_one(
    tiny_weights: Weights, tmp_path: Path, astronaut: Picture, hopper: Picture
) -> None:
    clip = walk(tmp_path / "walk.mkv", astronaut, hopper, 20)
    chosen = walk_settings(tiny_weights(64), mode="paste", compare=True, compare_boxes=True)
    assert restore([clip], tmp_path / "whole", chosen).exit_code == 0
    run_until_killed("after the first segment", clip, tmp_path / "cut", chosen)
    resumed = replace(chosen, resume=True)
    assert restore([clip], tmp_path / "cut", resumed).exit_code == 0
    whole = file_hashes(tmp_path / "whole" / "walk")
    assert "compare.mp4" in whole
    assert file_hashes(tmp_path / "cut" / "walk") == whole


PLANS = {
    "fits": (FramePlan(2, 640, 480), False, (640, 480)),
    "just fits": (FramePlan(1, 2045, 1150), False, (2045, 1150)),
    "two Full HD": (FramePlan(2, 3840, 2160), False, (2044, 1150)),
    "odd": (FramePlan(1, 3001, 1001), False, (2046, 682)),
    "a tall frame": (FramePlan(8, 3000, 8000), False, (1536, 4096)),
    "a wide strip": (FramePlan(1, 4096, 3), False, (2047, 2)),
    "a still": (FramePlan(2, 3840, 2160), True, (3840, 2160)),
}


@pytest.mark.parametrize(("plan", "still", "expected"), PLANS.values(), ids=PLANS)
def test_both_pictures_are_reduced_together_where_a_video_would_be_too_large(
    plan: FramePlan, still: bool, expected: tuple[int, int]
) -> None:
    compared = plan_comparison(plan, still=still)
    assert (compared.width, compared.height) == expected
    assert compared.size == (2 * expected[0] + compared.divider, expected[1])
    assert compared.size[0] % 2 == 0
    assert still or max(compared.size) <= 4096
    reduced = (plan.width, plan.height) != expected
    assert (compared.note is not None) == reduced
    if compared.note is not None:
        assert f"{expected[0]}x{expected[1]} instead of {plan.width}x{plan.height}" in compared.note


def test_a_reduced_comparison_is_written_with_a_note(
    tiny_weights: Weights, tmp_path: Path, hopper: Picture
) -> None:
    frame = np.full((126, 1000, 3), 90, np.uint8)
    frame[2:122, 4:124] = hopper
    clip = encode(
        tmp_path / "a.mkv", [0], size=(1000, 126), codec="ffv1", pixel_format="bgr0",
        paint=lambda _: frame,
    )  # fmt: skip
    done = restore([clip], tmp_path / "out", settings(tiny_weights(64), label=True))
    assert done.exit_code == 0
    folder = tmp_path / "out" / "a"
    notes = [note for note in manifest(folder)["notes"] if "the comparison" in note]
    assert len(notes) == 1
    with open_reader(folder / "compare.mp4") as reader:
        assert reader.info.width == 4096
    with open_reader(folder / "restored.mp4") as reader:
        assert reader.info.width == 4000


@pytest.mark.parametrize("factors", [(1.0, 1.0), (0.5, 0.5), (0.25, 0.5)])
def test_boxes_and_track_numbers_are_drawn_on_both_pictures(factors: tuple[float, float]) -> None:
    filmed = np.full((400, 800, 3), 100, np.uint8)
    points = np.array([[120, 120], [180, 120], [150, 150], [125, 180], [175, 180]], np.float32)
    face = FaceOverlay((100.0, 100.0, 200.0, 220.0), points, 7)
    across, down = factors
    plan = replace(
        plan_comparison(FramePlan(1, 800, 400), still=True),
        width=round(800 * across), height=round(400 * down),
    )  # fmt: skip
    both = FrameComparison(plan, label=False).draw(filmed, filmed + np.uint8(50), [face])
    left, right = both[:, : plan.width], both[:, -plan.width :]
    for half, level in ((left, 100), (right, 150)):
        drawn = (half != level).any(axis=2)
        row = round((100 + 0.5) * down - 0.5)
        columns = slice(round(105 * across), round(195 * across))
        assert (half[row, columns] == track_colour(7)).all()
        assert drawn[: row - 1].any()
        assert not drawn[:, round(240 * across) :].any()
    assert np.array_equal(left == 100, right == 150)


@pytest.mark.parametrize(
    ("options", "where", "hint"),
    [
        ({"compare": True, "mode": "crops"}, "--compare", "--mode paste or both"),
        ({"compare_boxes": True}, "--compare-boxes", "Add --compare"),
        ({"compare_boxes": True, "mode": "crops"}, "--compare-boxes", "Add --compare"),
    ],
)
def test_a_comparison_of_nothing_is_refused(options: dict[str, Any], where: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        RestoreSettings(**options)
    assert caught.value.where == where
    assert caught.value.exit_code == 2
    assert hint in (caught.value.hint or "")
