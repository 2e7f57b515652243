"""`jdsr eval --video`: clips with known changes, matching of frames, and the written files."""

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data
from frame_times import VARIABLE_PTS
from network_files import write_points_onnx, write_torchscript
from numpy.typing import NDArray
from PIL import Image

from jdsr_cli.errors import DatasetError, InputMissingError, UsageError
from jdsr_cli.evaluation.picture_folders import frames_path
from jdsr_cli.evaluation.video_faces import ReferenceFaces
from jdsr_cli.evaluation.video_frames import MatchedVideos
from jdsr_cli.evaluation.videos import VideoComparison, compare_videos
from jdsr_cli.faces.alignment import TEMPLATE
from jdsr_cli.settings import EvalSettings

Picture = NDArray[np.uint8]
WriteClip = Callable[..., Path]
COUNT = 6


@pytest.fixture(scope="module")
def face() -> Picture:
    """A face in the template, without black and white, so that noise is not clipped."""
    return np.clip(np.ascontiguousarray(skimage.data.astronaut()[50:178, 160:288]), 40, 215)


def write_frames(folder: Path, frames: Iterable[Picture]) -> Path:
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{number:08d}.png", compress_level=1)
    return folder


def write_records(path: Path, tracks: dict[int, dict[int, NDArray[np.float64]]]) -> Path:
    """Write `faces.jsonl`: the points of each track by the number of the frame."""
    records = [
        {"frame": frame, "track": track, "points": points.tolist(), "status": "exported",
         "bridged": False}
        for track, places in tracks.items()
        for frame, points in places.items()
    ]  # fmt: skip
    records.sort(key=lambda one: (one["frame"], one["track"]))
    path.write_text("".join(json.dumps(one) + "\n" for one in records), encoding="utf-8")
    return path


@pytest.fixture
def still_faces(tmp_path: Path) -> Path:
    """A face that stays where the template has it."""
    return write_records(tmp_path / "still.jsonl", {1: dict.fromkeys(range(COUNT), TEMPLATE)})


def noisy(face: Picture, strength: float, seed: int) -> Picture:
    grain = np.random.default_rng(seed).normal(0, strength, face.shape)
    return np.clip(np.rint(face + grain), 0, 255).astype(np.uint8)


def compare(
    tmp_path: Path, reference: Path, faces: Path | None, /, **videos: Path
) -> VideoComparison:
    request = EvalSettings(
        reference, out=tmp_path / "out", video=tuple(videos.items()), faces=faces, device="cpu"
    )
    return compare_videos(request)


def mean(found: VideoComparison, video: str, figure: str) -> float:
    return found.videos[video][figure].mean.value


def test_noise_in_each_frame_adds_twice_its_variance_to_a_still_clip(
    tmp_path: Path, face: Picture, still_faces: Path
) -> None:
    reference = write_frames(tmp_path / "reference", [face] * COUNT)
    found = compare(
        tmp_path, reference, still_faces,
        same=write_frames(tmp_path / "same", [face] * COUNT),
        weak=write_frames(tmp_path / "weak", [noisy(face, 3, one) for one in range(COUNT)]),
        strong=write_frames(tmp_path / "strong", [noisy(face, 6, one) for one in range(COUNT)]),
    )  # fmt: skip
    assert (found.frames, found.tracks, found.pairs) == (COUNT, 1, COUNT - 1)
    assert list(found.videos) == ["reference", "same", "weak", "strong"]
    assert mean(found, "same", "warping_error") == 0.0
    for name, strength in (("weak", 3), ("strong", 6)):
        expected = 1000 * 2 * (strength**2 + 1 / 12) / 255**2
        assert mean(found, name, "warping_error") == pytest.approx(expected, rel=0.05)
    flicker = [mean(found, name, "flicker") for name in ("same", "weak", "strong")]
    assert flicker[0] == 0.0
    assert flicker[2] == pytest.approx(2 * flicker[1], rel=0.1)
    assert found.videos["weak"]["flicker"].relative is None


def test_a_clip_that_is_translated_as_a_whole_has_no_error(tmp_path: Path, face: Picture) -> None:
    frames, places = [], {}
    for number in range(COUNT):
        frame = np.full((200, 260, 3), 90, np.uint8)
        left, top = 10 + 17 * number, 5 + 9 * number
        frame[top : top + 128, left : left + 128] = face
        frames.append(frame)
        places[number] = TEMPLATE + np.array([left, top])
    faces = write_records(tmp_path / "moving.jsonl", {7: places})
    clip = write_frames(tmp_path / "clip", frames)
    found = compare(tmp_path, clip, faces, copy=clip)
    for name in ("reference", "copy"):
        assert mean(found, name, "warping_error") < 1e-6
        assert mean(found, name, "flicker") < 1e-6


def test_one_and_four_times_the_size_give_equal_figures(
    tmp_path: Path, face: Picture, still_faces: Path
) -> None:
    frames = [cv2.GaussianBlur(noisy(face, 12, one), (0, 0), 1.5) for one in range(COUNT)]
    larger = [
        np.asarray(Image.fromarray(frame).resize((512, 512), Image.Resampling.BICUBIC))
        for frame in frames
    ]
    reference = write_frames(tmp_path / "reference", frames)
    found = compare(tmp_path, reference, still_faces, x4=write_frames(tmp_path / "x4", larger))
    for figure in ("warping_error", "flicker"):
        relative = found.videos["x4"][figure].relative
        assert relative is not None
        assert relative.value == pytest.approx(1, abs=0.02)
        assert relative.low is not None
        assert relative.low <= relative.value <= relative.high  # type: ignore[operator]


def test_a_video_that_alternates_between_two_faces_changes_identity(
    tmp_path: Path, face: Picture, portraits: Sequence[Any], still_faces: Path
) -> None:
    other = portraits[-1].image
    points = [0.05] * 136
    request = EvalSettings(
        write_frames(tmp_path / "reference", [noisy(face, 2, one) for one in range(COUNT)]),
        video=(
            ("steady", write_frames(tmp_path / "steady", [face] * COUNT)),
            ("alternating", write_frames(tmp_path / "alternating", [face, other] * (COUNT // 2))),
        ),
        out=tmp_path / "out", faces=still_faces, device="cpu",
        identity=write_torchscript(tmp_path / "identity.pt"),
        landmarks=write_points_onnx(tmp_path / "p.onnx", points, np.linspace(0.1, 0.8, 136)),
    )  # fmt: skip
    found = compare_videos(request)
    assert mean(found, "steady", "identity_distance") == 0.0
    alternating = found.videos["alternating"]["identity_distance"]
    assert alternating.mean.value > 20 * mean(found, "reference", "identity_distance")
    assert alternating.pairs == COUNT - 1
    # The landmarks of this network follow the colour of the face.
    assert mean(found, "steady", "landmark_jitter") == pytest.approx(0, abs=1e-9)
    jitter = found.videos["alternating"]["landmark_jitter"]
    assert jitter.pairs == COUNT - 2
    assert jitter.mean.value > mean(found, "reference", "landmark_jitter")
    assert "landmark_jitter_error" not in found.videos["reference"]
    assert mean(found, "alternating", "landmark_jitter_error") == pytest.approx(
        jitter.mean.value, rel=0.3
    )
    stated = json.loads(found.results.read_text(encoding="utf-8"))
    assert {"identity_distance", "landmark_jitter"} < set(stated["protocol"])


def test_results_and_scores_hold_every_video_and_track(tmp_path: Path, face: Picture) -> None:
    places = dict.fromkeys(range(COUNT), TEMPLATE)
    interrupted = {one: TEMPLATE + np.array([140.0, 0.0]) for one in (0, 1, 3, 5)}
    alone = {2: TEMPLATE + np.array([280.0, 0.0])}
    faces = write_records(tmp_path / "faces.jsonl", {4: places, 5: interrupted, 6: alone})
    frames = [
        np.pad(np.hstack([noisy(face, 4, 10 * one + part) for part in range(3)]), ((0, 0), (0, 60),
               (0, 0)))
        for one in range(COUNT)
    ]  # fmt: skip
    clip = write_frames(tmp_path / "clip", frames)
    found = compare(tmp_path, clip, faces, copy=clip)
    assert (found.tracks, found.pairs, found.units) == (2, COUNT, "tracks")
    with found.per_track.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["video"], row["track"], row["pairs"], row["frames"]) for row in rows] == [
        ("reference", "4", "5", "6"), ("reference", "5", "1", "4"),
        ("copy", "4", "5", "6"), ("copy", "5", "1", "4"),
    ]  # fmt: skip
    assert (rows[1]["first_frame"], rows[1]["last_frame"]) == ("0", "5")
    assert float(rows[0]["native_width"]) == pytest.approx(128)
    errors = [float(row["warping_error"]) for row in rows[:2]]
    assert mean(found, "copy", "warping_error") == pytest.approx((5 * errors[0] + errors[1]) / 6)
    stated = json.loads(found.results.read_text(encoding="utf-8"))
    assert stated["data"] | {"faces_sha256": ""} == {
        "frames": COUNT, "tracks": 2, "pairs": COUNT, "faces_sha256": "",
    }  # fmt: skip
    assert [one["name"] for one in stated["videos"]] == ["reference", "copy"]
    assert "over tracks" in stated["protocol"]["interval"]
    copy = stated["results"][1]["figures"]["warping_error"]
    assert copy["relative"]["value"] == 1.0
    assert copy["pairs"] == COUNT


def test_refused_and_interpolated_faces_are_left_out(
    tmp_path: Path, face: Picture, still_faces: Path
) -> None:
    records = [json.loads(line) for line in still_faces.read_text().splitlines()]
    records[1] |= {"status": "refused", "points": [[0, 0]] * 5}
    records[4]["bridged"] = True
    still_faces.write_text("".join(json.dumps(one) + "\n" for one in records))
    clip = write_frames(tmp_path / "clip", [face] * COUNT)
    assert compare(tmp_path, clip, still_faces, copy=clip).pairs == 1


def test_faces_are_searched_where_none_are_given(tmp_path: Path, clip: Path) -> None:
    found = compare(tmp_path, clip, None, copy=clip)
    assert (found.frames, found.tracks, found.pairs) == (6, 2, 10)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "faces.jsonl", "results.json", "scores.csv"
    ]  # fmt: skip
    again = compare(tmp_path, clip, found.faces, copy=clip)
    assert again.videos == found.videos


@pytest.mark.parametrize("count", [1, 2])
def test_without_two_frames_of_a_face_there_is_nothing_to_compare(
    tmp_path: Path, face: Picture, count: int
) -> None:
    picture = face if count == 1 else np.full((120, 160, 3), 90, np.uint8)
    padded = cv2.copyMakeBorder(picture, 60, 60, 60, 60, cv2.BORDER_REPLICATE)
    folder = write_frames(tmp_path / "clip", [padded] * count)
    with pytest.raises(DatasetError, match=r"clip: no face is found in two consecutive frames"):
        compare(tmp_path, folder, None, copy=folder)


def test_another_number_of_frames_is_an_error_with_both_numbers(
    tmp_path: Path, two_people: list[Picture], clip: Path, write_clip: WriteClip
) -> None:
    shorter = write_clip(tmp_path / "shorter.mp4", two_people[:-1], VARIABLE_PTS[:-1])
    with pytest.raises(UsageError, match=r"shorter\.mp4: has 5 frames, and the reference 6"):
        MatchedVideos(clip, [("copy", clip), ("shorter", shorter)])
    with pytest.raises(UsageError, match="has 6 frames, and the reference 5"):
        MatchedVideos(shorter, [("longer", clip)])


def test_frames_of_a_varying_rate_are_matched_and_others_refused(
    tmp_path: Path, two_people: list[Picture], clip: Path, write_clip: WriteClip
) -> None:
    later = write_clip(tmp_path / "later.mp4", two_people, [one + 500 for one in VARIABLE_PTS])
    pictures = write_frames(tmp_path / "pictures", two_people)
    with MatchedVideos(clip, [("later", later), ("pictures", pictures)]) as matched:
        frames = list(matched)
    start = VARIABLE_PTS[0]
    assert [round(1000 * frame.time) for frame in frames] == [one - start for one in VARIABLE_PTS]
    assert all(len(frame.images) == 3 for frame in frames)
    assert np.array_equal(frames[2].images[2], two_people[2])
    even = write_clip(tmp_path / "even.mp4", two_people, [40 * one for one in range(6)])
    with MatchedVideos(clip, [("even", even)]) as matched, pytest.raises(UsageError) as fault:
        list(matched)
    assert fault.value.where == str(even)
    assert "that of the reference at" in str(fault.value)


def test_another_shape_is_refused_and_a_rounded_size_is_not(tmp_path: Path) -> None:
    def folder(name: str, width: int, height: int) -> Path:
        return write_frames(tmp_path / name, [np.zeros((height, width, 3), np.uint8)] * 2)

    reference = folder("reference", 101, 75)
    with MatchedVideos(reference, [("even", folder("even", 404, 302))]) as matched:
        scale = matched.videos[1].to_reference
        corner = scale[:, :2] @ [403.5, 301.5] + scale[:, 2]
        assert corner == pytest.approx([100.5, 74.5])
    cut = folder("cut", 404, 280)
    with pytest.raises(UsageError, match=r"404x280 pixels, and the reference in 101x75"):
        MatchedVideos(reference, [("cut", cut)])


def test_a_folder_is_the_sequence_of_its_numbered_pictures(tmp_path: Path) -> None:
    for name in ("frame_001.png", "frame_002.png", "frame_010.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("beside them")
    assert frames_path(tmp_path) == tmp_path / "frame_%03d.png"
    (tmp_path / "frame_010.png").rename(tmp_path / "frame_1000.png")
    assert frames_path(tmp_path) == tmp_path / "frame_%03d.png"
    (tmp_path / "frame_0003.png").touch()
    with pytest.raises(UsageError, match="not one numbered sequence"):
        frames_path(tmp_path)
    (tmp_path / "frame_0003.png").unlink()
    Image.new("RGB", (8, 8)).save(tmp_path / "cover.png")
    with pytest.raises(UsageError, match="not one numbered sequence"):
        frames_path(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no pictures directly in this folder"):
        frames_path(tmp_path / "empty")


def test_names_are_different_and_videos_exist(tmp_path: Path, clip: Path) -> None:
    for names in (("one", "one"), ("reference",)):
        with pytest.raises(UsageError, match=rf"--video: {names[0]} is given twice"):
            MatchedVideos(clip, [(name, clip) for name in names])
    with pytest.raises(InputMissingError, match=r"absent\.mp4"):
        MatchedVideos(clip, [("absent", tmp_path / "absent.mp4")])


def test_records_that_do_not_fit_are_refused(
    tmp_path: Path, face: Picture, still_faces: Path
) -> None:
    clip = write_frames(tmp_path / "clip", [face] * (COUNT - 2))
    with pytest.raises(UsageError, match=r"still\.jsonl: has a face in frame 4.*has 4 frames"):
        compare(tmp_path, clip, still_faces, copy=clip)
    with pytest.raises(DatasetError, match=r"absent\.jsonl: cannot be read"):
        ReferenceFaces(tmp_path / "absent.jsonl")
    good = still_faces.read_text().splitlines()
    for content in ("{}", "[1]", "no record", good[0].replace('"track": 1', '"track": null')):
        still_faces.write_text(content)
        with pytest.raises(DatasetError, match="not the record of a face"):
            ReferenceFaces(still_faces)
    for lines, frame in (((good[3], good[1]), 3), ((good[0], good[0]), 0)):
        still_faces.write_text("\n".join(lines))
        stored = ReferenceFaces(still_faces)
        with pytest.raises(DatasetError, match="not in the order of frames"):
            stored.faces(frame)
