"""Whole runs with an untrained generator on generated clips."""

import hashlib
import json
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from frame_times import VARIABLE_PTS, clip_times
from nightly_cases import mostly_nightly
from results_folder import VARYING, restored_in, results_in

from jdsr_cli.faces import TEMPLATE, Detection
from jdsr_cli.media import open_reader, read_image, write_image
from jdsr_cli.restoration import RunSummary, models, restore
from jdsr_cli.settings import ReadSettings, RestoreSettings

Weights = Callable[[int], Path]


class Notes:
    """Records the calls of the progress interface."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.advanced: dict[str, int] = {}
        self.open: set[str] = set()

    def begin(self, task: str, total: int | None) -> None:
        self.open.add(task)
        self.advanced[task] = 0

    def advance(self, task: str, units: int = 1) -> None:
        self.advanced[task] += units

    def end(self, task: str) -> None:
        self.open.remove(task)

    def note(self, message: str) -> None:
        self.lines.append(message)


def settings(weights: Path, **changes: Any) -> RestoreSettings:
    defaults: dict[str, Any] = {"weights": str(weights), "detector": "centerface", "device": "cpu"}
    return RestoreSettings(**(defaults | changes))


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "faces.jsonl").read_text().splitlines()]


def manifest(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return read


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def progress() -> Notes:
    return Notes()


@pytest.fixture(scope="module")
def done(
    clip: Path, tiny_weights: Weights, progress: Notes, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, RunSummary]:
    """The clip of two people, restored once for the tests that only read the results."""
    out = tmp_path_factory.mktemp("done")
    before = digest(clip)
    summary = restore([clip], out, settings(tiny_weights(64), crops="all"), progress)
    assert digest(clip) == before
    return out / "street", summary


def test_frames_and_times_equal_those_of_the_input(
    clip: Path, done: tuple[Path, RunSummary]
) -> None:
    assert clip_times(clip) == [Fraction(pts, 1000) for pts in VARIABLE_PTS]
    assert clip_times(done[0] / "restored.mp4") == clip_times(clip)
    with open_reader(done[0] / "restored.mp4") as reader:
        assert (reader.info.width, reader.info.height) == (280 * 4, 140 * 4)


def test_counts_are_consistent(done: tuple[Path, RunSummary]) -> None:
    folder, summary = done
    (result,) = summary.results
    assert summary.exit_code == 0
    assert result.output == folder
    assert result.counts is not None
    assert result.counts.frames_read == result.counts.frames_written == len(VARIABLE_PTS)
    assert result.counts.faces_found == 2 * len(VARIABLE_PTS)
    lines = records(folder)
    assert len(lines) == result.counts.faces_found
    restored = [line for line in lines if line["status"] == "restored"]
    assert len(restored) == result.counts.faces_restored
    assert sorted({line["frame"] for line in lines}) == list(range(len(VARIABLE_PTS)))
    for line in restored:
        assert 0.0 <= line["covered"] <= 1.0
    seconds = {line["frame"]: line["seconds"] for line in lines}
    assert [seconds[index] for index in sorted(seconds)] == [pts / 1000 for pts in VARIABLE_PTS]


def test_each_restored_face_has_a_picture(done: tuple[Path, RunSummary]) -> None:
    folder, _ = done
    lines = [line for line in records(folder) if line["status"] == "restored"]
    assert sorted(path.name for path in (folder / "faces").glob("*_frame??????.png")) == sorted(
        Path(line["file"]).name for line in lines
    )
    for line in lines:
        image = read_image(folder / line["file"])
        side = max(128, round(4 * line["native_width"]))
        assert abs(image.shape[0] - side) <= 1
        assert image.shape[1] == 2 * image.shape[0]
        assert digest(folder / line["file"]) == line["sha256"]
        before, after = np.split(image, 2, axis=1)
        assert (before[0] == after[0]).all(), "the border of a crop is not the input's"
        assert (before != after).any()


def test_the_manifest_contains_the_hashes_of_input_and_results(
    clip: Path, done: tuple[Path, RunSummary], tiny_weights: Weights
) -> None:
    folder, _ = done
    read = manifest(folder)
    assert read["input"]["sha256"] == digest(clip)
    assert {output["file"]: output["sha256"] for output in read["outputs"]} == {
        name: digest(folder / name)
        for name in (
            *("restored.mp4", "faces.jsonl", "tracks.jsonl"),
            *("input.framemd5", "restored.framemd5"),
        )
    }
    assert read["weights"]["sha256"] == digest(tiny_weights(64))
    assert read["counts"]["frames_read"] == read["counts"]["frames_written"]
    assert read["settings"]["scale"] == 4
    assert read["detector"]["name"] == "centerface"
    stages = {"read", "detect", "track", "align", "restore", "steady", "paste", "crops", "write"}
    assert stages | {"hash", "total"} == set(read["seconds"])
    assert max(read["seconds"].values()) == read["seconds"]["total"]
    assert sorted(path.name for path in folder.iterdir()) == [
        "SHA256SUMS",
        "faces",
        "faces.jsonl",
        "input.framemd5",
        "manifest.json",
        "report.html",
        "restored.framemd5",
        "restored.mp4",
        "tracks.jsonl",
    ]
    assert results_in(folder.parent) == ["street"]


def test_progress_advances_with_every_frame(done: tuple[Path, RunSummary], progress: Notes) -> None:
    assert done[1].exit_code == 0
    tasks = ("street.mp4", "street.mp4: input.framemd5", "street.mp4: restored.framemd5")
    assert progress.advanced == dict.fromkeys(tasks, len(VARIABLE_PTS))
    assert progress.open == set()
    assert any("centerface" in line for line in progress.lines)
    assert any("tiny-64" in line for line in progress.lines)


def test_only_faces_and_label_are_changed(
    clip: Path, tiny_weights: Weights, tmp_path: Path
) -> None:
    """Where there is no face the frame is the enlarged input, up to the codec."""
    chosen = settings(tiny_weights(32), frame_scale=1, label=False, codec="ffv1", mode="paste")
    restore([clip], tmp_path, chosen)
    video = restored_in(tmp_path / "street")
    boxes = [(line["frame"], line["box"]) for line in records(tmp_path / "street")]
    differs = []
    with open_reader(clip) as before, open_reader(video) as after:
        for old, new in zip(before, after, strict=True):
            changed = (np.abs(old.image.astype(int) - new.image) > 3).any(axis=2)
            differs.append(bool(changed.any()))
            for frame, (x0, y0, x1, y1) in boxes:
                if frame == old.index:
                    grow = x1 - x0
                    rows = slice(max(0, int(y0 - grow)), int(y1 + grow))
                    changed[rows, max(0, int(x0 - grow)) : int(x1 + grow)] = False
            assert not changed.any()
    assert sum(differs) > len(differs) // 2
    assert not (tmp_path / "street" / "faces").exists()


def file_hashes(folder: Path) -> dict[str, str]:
    """Return the hashes of all files of a result except those that contain times."""
    return {
        str(path.relative_to(folder)): digest(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in VARYING
    }


@pytest.mark.parametrize("lr_size", mostly_nightly([32, 128], [32]))
def test_results_do_not_depend_on_the_batch_size(
    clip: Path, tiny_weights: Weights, tmp_path: Path, lr_size: int
) -> None:
    hashes = []
    for batch in (1, 5, 32):
        chosen = settings(
            tiny_weights(lr_size), batch=batch, crops="all", overlay=True, precision="float32"
        )
        assert restore([clip], tmp_path / str(batch), chosen).exit_code == 0
        hashes.append(file_hashes(tmp_path / str(batch) / "street"))
    assert hashes[0] == hashes[1] == hashes[2]
    assert {"restored.mp4", "overlay.mp4", "faces.jsonl"} <= set(hashes[0])


def test_crops_only_writes_no_frames(clip: Path, tiny_weights: Weights, tmp_path: Path) -> None:
    restore([clip], tmp_path, settings(tiny_weights(64), mode="crops"))
    assert not list((tmp_path / "street").glob("restored*"))
    assert list((tmp_path / "street" / "faces").glob("track0001_best1.png"))
    assert manifest(tmp_path / "street")["counts"]["frames_written"] is None


def test_people_are_tracked_and_their_best_shots_written(
    done: tuple[Path, RunSummary],
) -> None:
    folder, summary = done
    tracks = [json.loads(line) for line in (folder / "tracks.jsonl").read_text().splitlines()]
    assert [track["track"] for track in tracks] == [1, 2]
    lines = records(folder)
    assert summary.results[0].counts is not None
    assert summary.results[0].counts.tracks == 2
    for track in tracks:
        own = [line for line in lines if line["track"] == track["track"]]
        assert len(own) == track["seen"] == track["restored"] == len(VARIABLE_PTS)
        assert track["first_seconds"] == 0.0
        assert track["last_seconds"] == VARIABLE_PTS[-1] / 1000
        assert 1 <= len(track["best"]) <= 3
        qualities = [shot["quality"] for shot in track["best"]]
        assert qualities == sorted(qualities, reverse=True)
        assert qualities[0] == max(line["quality"] for line in own)
        for shot in track["best"]:
            assert digest(folder / shot["file"]) == shot["sha256"]
            assert f"track{track['track']:04d}_best" in shot["file"]


def test_temporal_smoothing_reduces_flicker(done: tuple[Path, RunSummary]) -> None:
    figures = manifest(done[0])["figures"]
    assert 0.0 < figures["flicker"] < figures["flicker_unstabilised"]
    assert figures["gray_frames"] == 0
    assert done[1].results[0].figures["flicker"] == figures["flicker"]


def test_without_temporal_smoothing_flicker_is_that_of_the_generator(
    clip: Path, tiny_weights: Weights, tmp_path: Path
) -> None:
    chosen = settings(tiny_weights(64), stabilise=False)
    restore([clip], tmp_path, chosen)
    figures = manifest(tmp_path / "street")["figures"]
    assert figures["flicker"] == figures["flicker_unstabilised"]


def test_gray_footage_stays_gray(
    tiny_weights: Weights,
    tmp_path: Path,
    two_people: list[np.ndarray],
    write_clip: Callable[..., Path],
) -> None:
    gray = [
        np.repeat(frame.mean(axis=2, keepdims=True), 3, 2).astype(np.uint8) for frame in two_people
    ]
    source = write_clip(tmp_path / "night.mp4", gray)
    chosen = settings(tiny_weights(64), codec="ffv1", frame_scale=1)
    assert restore([source], tmp_path / "out", chosen).exit_code == 0
    video = restored_in(tmp_path / "out" / "night")
    assert manifest(tmp_path / "out" / "night")["figures"]["gray_frames"] == len(gray)
    with open_reader(video) as reader, open_reader(source) as before:
        for frame, old in zip(reader, before, strict=True):
            assert np.ptp(old.image.astype(int), axis=2).max() == 0
            assert np.ptp(frame.image.astype(int), axis=2).max() == 0
            assert (frame.image != old.image).any()


def test_each_nth_frame_is_searched_and_the_others_are_interpolated(
    clip: Path, tiny_weights: Weights, tmp_path: Path
) -> None:
    summary = restore([clip], tmp_path, settings(tiny_weights(32), detect_every=2, mode="paste"))
    counts = summary.results[0].counts
    assert counts is not None
    assert counts.faces_found == 6
    assert counts.faces_bridged == 6
    assert counts.faces_restored == 12
    bridged = {line["frame"] for line in records(tmp_path / "street") if line["bridged"]}
    assert bridged == {1, 3, 5}


def test_a_region_of_the_frame_and_a_trim_apply(
    clip: Path, tiny_weights: Weights, tmp_path: Path
) -> None:
    window = ReadSettings(start=Fraction(VARIABLE_PTS[2], 1000))
    chosen = settings(tiny_weights(32), roi=(140, 0, 140, 140), reading=window, mode="paste")
    summary = restore([clip], tmp_path, chosen)
    counts = summary.results[0].counts
    assert counts is not None
    assert counts.frames_read == len(VARIABLE_PTS) - 2
    lines = records(tmp_path / "street")
    assert {line["frame"] for line in lines} == set(range(2, len(VARIABLE_PTS)))
    assert all(line["box"][0] > 140 for line in lines)
    first = Fraction(VARIABLE_PTS[2], 1000)
    expected = [Fraction(pts, 1000) - first for pts in VARIABLE_PTS[2:]]
    assert clip_times(tmp_path / "street" / "restored.mp4") == expected


def test_small_faces_are_refused_with_a_reason(
    clip: Path, tiny_weights: Weights, tmp_path: Path
) -> None:
    summary = restore([clip], tmp_path, settings(tiny_weights(32), min_face=45.0))
    (result,) = summary.results
    assert result.counts is not None
    assert result.counts.refusals == {"too small": len(VARIABLE_PTS)}
    assert result.counts.faces_restored == len(VARIABLE_PTS)
    refused = [line for line in records(tmp_path / "street") if line["status"] == "refused"]
    assert all("--min-face" in line["reason"] and line["file"] is None for line in refused)


class SixPixels:
    """Detects one face 6 px wide in every frame."""

    name = "six"

    def detect(self, images: Sequence[np.ndarray]) -> list[list[Detection]]:
        points = ((TEMPLATE - 64.0) * 0.06 + 50.0).astype(np.float32)
        return [[Detection((47.0, 46.0, 53.0, 54.0), points, 0.8)] for _ in images]


def test_a_face_of_6_px_is_refused_and_unchanged(
    clip: Path, tiny_weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "create_detector", lambda *_: SixPixels())
    chosen = settings(tiny_weights(64), label=False, codec="ffv1", frame_scale=1)
    summary = restore([clip], tmp_path, chosen)
    assert summary.exit_code == 0
    lines = records(tmp_path / "street")
    assert len(lines) == len(VARIABLE_PTS)
    assert all(line["status"] == "refused" and "6.0 px" in line["reason"] for line in lines)
    video = restored_in(tmp_path / "street")
    with open_reader(clip) as before, open_reader(video) as after:
        for old, new in zip(before, after, strict=True):
            assert np.abs(old.image.astype(int) - new.image).max() <= 2


def test_footage_without_faces_is_restored(
    tiny_weights: Weights, tmp_path: Path, write_clip: Callable[..., Path]
) -> None:
    gray = [np.full((96, 128, 3), 60 + 5 * step, np.uint8) for step in range(4)]
    source = write_clip(tmp_path / "empty.mp4", gray, (0, 40, 80, 120))
    summary = restore([source], tmp_path / "out", settings(tiny_weights(64)))
    assert summary.exit_code == 0
    assert summary.results[0].counts is not None
    assert summary.results[0].counts.faces_found == 0
    assert clip_times(tmp_path / "out/empty/restored.mp4") == clip_times(source)
    assert (tmp_path / "out/empty/faces.jsonl").read_text() == ""


@pytest.mark.parametrize("lr_size", [64, 128])
def test_a_still_image_is_restored_as_a_still_image(
    tiny_weights: Weights, tmp_path: Path, astronaut: np.ndarray, lr_size: int
) -> None:
    write_image(tmp_path / "Änne 1.jpg", astronaut)
    summary = restore([tmp_path / "Änne 1.jpg"], tmp_path / "out", settings(tiny_weights(lr_size)))
    folder = tmp_path / "out" / "Änne 1"
    assert summary.exit_code == 0
    assert read_image(folder / "restored.png").shape == (480, 480, 3)
    assert b"compositeWithTrainedAlgorithmicMedia" in (folder / "restored.png").read_bytes()
    assert [line["frame"] for line in records(folder)] == [0]
    assert manifest(folder)["media"]["kind"] == "image"


def test_an_animation_keeps_its_delays(
    tiny_weights: Weights, tmp_path: Path, two_people: list[np.ndarray]
) -> None:
    from PIL import Image

    pages = [Image.fromarray(frame) for frame in two_people[:3]]
    delays = [70, 200, 30]
    pages[0].save(
        tmp_path / "a.gif", save_all=True, append_images=pages[1:], duration=delays, loop=0
    )
    summary = restore([tmp_path / "a.gif"], tmp_path / "out", settings(tiny_weights(64)))
    assert summary.exit_code == 0
    times = clip_times(tmp_path / "out/a/restored.mp4")
    assert times == [Fraction(0), Fraction(7, 100), Fraction(27, 100)]


def test_the_label_is_drawn_unless_it_is_disabled(tiny_weights: Weights, tmp_path: Path) -> None:
    write_image(tmp_path / "gray.png", np.full((90, 160, 3), 128, np.uint8))
    for label in (True, False):
        out = tmp_path / str(label)
        restore([tmp_path / "gray.png"], out, settings(tiny_weights(64), label=label))
        image = read_image(out / "gray" / "restored.png")
        assert (image[-40:, :200] != 128).any() == label
        assert (image[:-60] == 128).all()


def test_wide_frames_are_enlarged_less_with_a_note(tiny_weights: Weights, tmp_path: Path) -> None:
    write_image(tmp_path / "wide.png", np.zeros((40, 1300, 3), np.uint8))
    progress = Notes()
    summary = restore([tmp_path / "wide.png"], tmp_path, settings(tiny_weights(64)), progress)
    assert read_image(tmp_path / "wide/restored.png").shape[1] == 3900
    assert manifest(tmp_path / "wide")["settings"]["frame_scale_used"] == 3
    (note,) = (one for one in summary.results[0].notes if "3 times instead of 4" in one)
    assert any(note in line for line in progress.lines)


def test_audio_is_copied(
    tiny_weights: Weights, tmp_path: Path, two_people: list[np.ndarray]
) -> None:
    source = tmp_path / "sound.mp4"
    with av.open(str(source), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.height, video.width = two_people[0].shape[:2]
        audio = container.add_stream("aac", rate=16000)
        audio.layout = "mono"
        for index, image in enumerate(two_people):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(video.encode(frame))
        for block in range(4):
            sound = av.AudioFrame.from_ndarray(
                np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
            )
            sound.sample_rate, sound.pts = 16000, block * 1024
            container.mux(audio.encode(sound))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    restore([source], tmp_path / "out", settings(tiny_weights(64), mode="paste"))

    def packets(path: Path) -> list[bytes]:
        with av.open(str(path)) as container:
            return [bytes(p) for p in container.demux(audio=0) if p.size]

    assert len(packets(source)) > 2
    assert packets(tmp_path / "out/sound/restored.mp4") == packets(source)


@pytest.mark.parametrize("everywhere", [False, True])
def test_an_inverted_face_is_restored_like_an_upright_one(
    tiny_weights: Weights, tmp_path: Path, hopper: np.ndarray, everywhere: bool
) -> None:
    inverted = np.full((200, 200, 3), 90, np.uint8)
    inverted[40:160, 40:160] = hopper[::-1, ::-1]
    write_image(tmp_path / "inverted.png", inverted)
    write_image(tmp_path / "upright.png", inverted[::-1, ::-1])
    chosen = settings(tiny_weights(64), rotated_faces=everywhere, crops="all")
    sources = [tmp_path / "inverted.png", tmp_path / "upright.png"]
    assert restore(sources, tmp_path / "out", chosen).exit_code == 0
    (rotated,), (upright,) = (records(tmp_path / "out" / one.stem) for one in sources)
    assert rotated["status"] == upright["status"] == "restored"
    assert abs(rotated["roll"]) > 170.0
    assert rotated["residual"] < 0.1
    eyes = 199.0 - np.array(upright["points"])[:2]
    assert np.abs(np.array(rotated["points"])[:2] - eyes).max() < 0.15 * upright["eye_distance"]
    # The input is shown upright on the left; the two crops differ a little in size and position.
    rotated_crop, upright_crop = (
        coarse(read_image(tmp_path / "out" / one.stem / record["file"]))
        for one, record in zip(sources, (rotated, upright), strict=True)
    )
    similarity = np.corrcoef(rotated_crop.ravel(), upright_crop.ravel())[0, 1]
    assert similarity > 0.6
    assert (
        similarity > 0.3 + np.corrcoef(rotated_crop.ravel(), upright_crop[::-1, ::-1].ravel())[0, 1]
    )


def coarse(picture: np.ndarray) -> np.ndarray:
    """Return the left half of a picture as 16 x 16 gray pixels."""
    half = picture[:, : picture.shape[1] // 2].mean(axis=2)
    rows = np.array_split(half, 16)
    return np.array([[part.mean() for part in np.array_split(row, 16, axis=1)] for row in rows])


def test_every_record_contains_the_residual_of_its_landmarks(done: tuple[Path, RunSummary]) -> None:
    for line in records(done[0]):
        assert 0.0 <= line["residual"] < 0.13
