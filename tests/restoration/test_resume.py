"""Killed and interrupted runs resume to the bytes of an uninterrupted run."""

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli.command_line import run
from killed_run import POINTS, run_and_die
from media.clips import Track, encode, framemd5, interlaced, numbered, raw_h264, vfr
from suite_clips import WALK, lasting, lines, tree, walk

from jdsr_cli.restoration import crop_faces, models, plan_crops, plan_restore, restore
from jdsr_cli.restoration.journal import Journal
from jdsr_cli.settings import CropSettings, ReadSettings, RestoreSettings
from jdsr_cli.weights import DefaultWeights

FIRST = "after the first segment"
MID = "in the middle of a segment"
"""Two segments of 8 frames are done there, and three frames of the third."""
JOIN = "before segments are joined"


ELSEWHERE = ("after the first segment", "after the second segment", "while the journal is written")
KILLED = [point for point in POINTS if point not in ELSEWHERE]


@dataclass(frozen=True)
class Walk:
    """A clip, how it is restored, and what comes of it when nothing happens."""

    clip: Path
    settings: RestoreSettings
    whole: Path


@pytest.fixture(scope="module")
def plain(tiny_weights: Callable[[int], Path]) -> RestoreSettings:
    """Quick settings, with which two videos are written."""
    return RestoreSettings(
        weights=str(tiny_weights(64)),
        detector="centerface",
        detection_scale=0.5,
        device="cpu",
        frame_scale=1,
        segment=8,
        overlay=True,
    )


@pytest.fixture(scope="module")
def walked(
    tmp_path_factory: pytest.TempPathFactory,
    astronaut: np.ndarray,
    hopper: np.ndarray,
    plain: RestoreSettings,
) -> Walk:
    folder = tmp_path_factory.mktemp("walk")
    clip = walk(folder / "walk.mkv", astronaut, hopper)
    assert restore([clip], folder / "out", plain).exit_code == 0
    return Walk(clip, plain, folder / "out" / "walk")


def resume_run(source: Path, out: Path, settings: Any) -> Path:
    """Resume a run; return its results, beside which nothing may remain in `out`."""
    command = restore if isinstance(settings, RestoreSettings) else crop_faces
    (result,) = command([source], out, replace(settings, resume=True)).results
    assert result.error is None
    assert result.output is not None
    assert list(out.iterdir()) == [result.output]
    return result.output


def same(folder: Path, whole: Path) -> None:
    """Require the results of two runs to be the same, but for the times in the manifest."""
    assert tree(folder) == tree(whole)
    assert lasting(folder) == lasting(whole)


def test_a_track_keeps_its_number_across_segments(walked: Walk) -> None:
    tracks = lines(walked.whole / "tracks.jsonl")
    seen = [(line["track"], line["first_frame"], line["last_frame"]) for line in tracks]
    assert seen == [(2, 5, 10), (1, 0, WALK - 1)]
    faces = lines(walked.whole / "faces.jsonl")
    assert [line["frame"] for line in faces if line["track"] == 1] == list(range(WALK))
    times, _ = framemd5(walked.whole / "restored.mp4")
    assert times == framemd5(walked.clip)[0] == framemd5(walked.whole / "overlay.mp4")[0]


def test_rotated_faces_resume_to_the_same_bytes(
    walked: Walk, tmp_path: Path, astronaut: np.ndarray, hopper: np.ndarray
) -> None:
    clip = walk(tmp_path / "turned.mkv", np.rot90(astronaut), np.rot90(hopper, 2))
    settings = replace(walked.settings, rotated_faces=True, detection_scale=1.0, mode="crops")
    run_and_die(FIRST, clip, tmp_path / "killed", settings)
    resumed = resume_run(clip, tmp_path / "killed", settings)
    assert restore([clip], tmp_path / "whole", settings).exit_code == 0
    same(resumed, tmp_path / "whole" / "turned")
    rolls = [line["roll"] for line in lines(resumed / "faces.jsonl") if line["roll"] is not None]
    assert len(rolls) > WALK / 2
    assert all(abs(abs(roll) - 135.0) < 60.0 for roll in rolls)


@pytest.mark.parametrize("stored", [None, 1])
def test_a_run_with_another_detection_method_is_refused(
    walked: Walk, tmp_path: Path, stored: int | None
) -> None:
    run_and_die(FIRST, walked.clip, tmp_path, walked.settings)
    (path,) = tmp_path.rglob(Journal.NAME)
    request, *segments = path.read_text().splitlines(keepends=True)
    asked = json.loads(request)
    del asked["asked"]["detections"]
    if stored is not None:
        asked["asked"]["detections"] = stored
    path.write_text(json.dumps(asked) + "\n" + "".join(segments))
    before = tree(tmp_path)
    (result,) = restore([walked.clip], tmp_path, replace(walked.settings, resume=True)).results
    assert result.error is not None
    assert "detections was" in str(result.error)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("point", KILLED)
def test_a_killed_run_resumes_to_the_same_bytes(walked: Walk, tmp_path: Path, point: str) -> None:
    run_and_die(point, walked.clip, tmp_path, walked.settings)
    if point != "while the work is cleared away":
        assert not (tmp_path / "walk").exists()
    same(resume_run(walked.clip, tmp_path, walked.settings), walked.whole)


def test_a_run_may_be_killed_repeatedly(walked: Walk, tmp_path: Path) -> None:
    again = replace(walked.settings, resume=True)
    for point in (FIRST, "before a line of the journal", JOIN):
        run_and_die(point, walked.clip, tmp_path, again)
    same(resume_run(walked.clip, tmp_path, replace(walked.settings, batch=3)), walked.whole)


def test_pictures_of_every_face_are_the_same(walked: Walk, tmp_path: Path) -> None:
    settings = replace(walked.settings, crops="all")
    run_and_die(MID, walked.clip, tmp_path / "killed", settings)
    resumed = resume_run(walked.clip, tmp_path / "killed", settings)
    assert restore([walked.clip], tmp_path / "whole", settings).exit_code == 0
    same(resumed, tmp_path / "whole" / "walk")
    assert len(list(resumed.glob("faces/*_frame*.png"))) == WALK + 6


SOUND = [Track(seconds=Fraction(2))]
PART = ReadSettings(start=Fraction(1, 5), end=Fraction(1))
SLOW = ReadSettings(frame_rate=Fraction(25, 2))
Make = Callable[[Path], Path]

KINDS: dict[str, tuple[Make, dict[str, Any]]] = {
    "variable rate": (vfr, {}),
    "a part, with sound": (
        lambda folder: encode(folder / "part.mp4", range(40), tracks=SOUND),
        {"reading": PART},
    ),
    "raw stream": (raw_h264, {"reading": SLOW}),
    "interlaced": (lambda folder: interlaced(folder / "fields.mkv"), {}),
    "B-frames": (
        lambda folder: encode(folder / "b.mkv", range(30), options={"bf": "3", "g": "30"}),
        {},
    ),
    "pictures": (lambda folder: numbered(folder / "shots", [1, 2, *range(5, 17)]), {}),
    "hevc": (lambda folder: encode(folder / "clip.mp4"), {"codec": "hevc"}),
    "lossless": (lambda folder: encode(folder / "clip.mp4"), {"codec": "ffv1"}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_any_footage_resumes(plain: RestoreSettings, tmp_path: Path, kind: str) -> None:
    make, changes = KINDS[kind]
    source, settings = make(tmp_path), replace(plain, **changes)
    run_and_die(FIRST, source, tmp_path / "killed", settings)
    resumed = resume_run(source, tmp_path / "killed", settings)
    assert restore([source], tmp_path / "whole", settings).exit_code == 0
    same(resumed, tmp_path / "whole" / resumed.name)


def test_detection_in_each_third_frame_resumes(walked: Walk, tmp_path: Path) -> None:
    """Segments of 8 frames begin at frames that are looked at and at others."""
    settings = replace(walked.settings, detect_every=3, mode="crops", shots=1)
    run_and_die("after the second segment", walked.clip, tmp_path / "killed", settings)
    resumed = resume_run(walked.clip, tmp_path / "killed", settings)
    restore([walked.clip], tmp_path / "whole", settings)
    same(resumed, tmp_path / "whole" / "walk")


def test_exported_faces_resume_with_one_header(walked: Walk, tmp_path: Path) -> None:
    settings = CropSettings(
        detector="centerface", detection_scale=0.5, device="cpu", segment=8, size=64
    )
    run_and_die("after the second segment", walked.clip, tmp_path / "killed", settings)
    resumed = resume_run(walked.clip, tmp_path / "killed", settings)
    crop_faces([walked.clip], tmp_path / "whole", settings)
    same(resumed, tmp_path / "whole" / "walk")
    with (resumed / "faces.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header[0] == "key"
    assert len(rows) == WALK + 6
    assert header not in rows


@pytest.fixture(scope="module")
def stopped(walked: Walk, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a run was killed after 16 frames; not to be gone on with."""
    out = tmp_path_factory.mktemp("stopped")
    run_and_die(MID, walked.clip, out, walked.settings)
    return out


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of everything below a folder."""
    found = sorted(folder.rglob("*"))
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in found}


REFUSED: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "without --resume": ({}, ("16 frames done", "--resume", "--force")),
    "another setting": (
        {"resume": True, "crf": 30},
        ("settings.crf was null and is 30", "--force"),
    ),
    "another setting, without --resume": (
        {"min_face": 12.0},
        ("settings.min_face was 10.0 and is 12.0", "--force"),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_interrupted_run_is_not_overwritten(walked: Walk, stopped: Path, case: str) -> None:
    changes, said = REFUSED[case]
    before = state(stopped)
    summary = restore([walked.clip], stopped, replace(walked.settings, **changes))
    told = str(summary.results[0].error)
    assert summary.exit_code == 6
    assert all(words in told for words in said), told
    assert str(stopped / "walk") in told or str(stopped / ".walk.partial") in told
    assert "\n" not in told
    assert state(stopped) == before


@pytest.fixture
def default(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Return what makes a weight file the default."""

    def choose(path: Path) -> None:
        choice = DefaultWeights(str(path), "the default")
        monkeypatch.setattr(models, "default_weights", lambda _: choice)

    return choose


def test_changed_default_weights_are_reported(
    walked: Walk,
    stopped: Path,
    default: Callable[[Path], None],
    tiny_weights: Callable[[int], Path],
) -> None:
    default(tiny_weights(32))
    before = state(stopped)
    again = replace(walked.settings, resume=True, weights="auto")
    (planned,) = plan_restore([walked.clip], stopped, again).inputs
    (result,) = restore([walked.clip], stopped, again).results
    told = str(result.error)
    assert str(planned.error) == told
    assert 'weights.file was "tiny-64.safetensors" and is "tiny-32.safetensors"' in told
    assert "weights.sha256 was" in told
    assert "--weights" in told
    assert state(stopped) == before


def test_a_run_with_named_weights_resumes_if_they_are_the_default(
    walked: Walk,
    tmp_path: Path,
    default: Callable[[Path], None],
    tiny_weights: Callable[[int], Path],
) -> None:
    """Only the manifest tells how the weights were asked for."""
    run_and_die(MID, walked.clip, tmp_path, walked.settings)
    default(tiny_weights(64))
    resumed = resume_run(walked.clip, tmp_path, replace(walked.settings, weights="auto"))
    assert tree(resumed) == tree(walked.whole)


def test_another_input_of_the_same_name_is_not_resumed(
    walked: Walk, stopped: Path, tmp_path: Path
) -> None:
    other = encode(tmp_path / "walk.mkv", range(40))
    summary = restore([other], stopped, replace(walked.settings, resume=True))
    assert summary.exit_code == 6
    assert "input was " in str(summary.results[0].error)


def test_finished_segments_are_kept_while_a_run_resumes(walked: Walk, tmp_path: Path) -> None:
    again = replace(walked.settings, resume=True)
    run_and_die("after the second segment", walked.clip, tmp_path, again)
    run_and_die("while the journal is written", walked.clip, tmp_path, again)
    (planned,) = plan_restore([walked.clip], tmp_path, again).inputs
    assert planned.frames_done == 16


def test_force_starts_again(walked: Walk, tmp_path: Path) -> None:
    run_and_die(MID, walked.clip, tmp_path, walked.settings)
    assert restore([walked.clip], tmp_path, replace(walked.settings, force=True)).exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["walk"]
    same(tmp_path / "walk", walked.whole)


INTERRUPTED = """
import os, signal
from jdsr_cli.cli.app import main
from jdsr_cli.restoration.sinks import VideoSink

signal.signal(signal.SIGINT, signal.default_int_handler)
write, pictures = VideoSink.write, []

def interrupted(*picture):
    pictures.append(None)
    if len(pictures) == 2 * 20:
        os.kill(os.getpid(), signal.SIGINT)
    write(*picture)

VideoSink.write = interrupted
main()
"""
"""A command line that gets Ctrl-C at the 20th frame."""


def arguments(walked: Walk, out: Path) -> list[str]:
    """The settings of `walked` as a user types them."""
    options = {
        "--out": out,
        "--weights": walked.settings.weights,
        "--detector": "centerface",
        "--detection-scale": 0.5,
        "--device": "cpu",
        "--frame-scale": 1,
        "--segment": 8,
    }
    words = [str(word) for option in options.items() for word in option]
    return ["restore", str(walked.clip), *words, "--overlay"]


def test_a_run_resumes_after_ctrl_c(walked: Walk, tmp_path: Path) -> None:
    command = arguments(walked, tmp_path)
    stopped = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, *command], capture_output=True, text=True
    )
    assert stopped.returncode == 130
    assert stopped.stdout == ""
    assert "Traceback" not in stopped.stderr
    assert "16 frames are kept for --resume" in stopped.stderr
    assert stopped.stderr.splitlines()[-1].startswith("interrupted:")

    before = state(tmp_path)
    plan = run(*command, "--resume", "--dry-run")
    assert plan.exit_code == 0
    assert f"{WALK} frames of 280x140, continues after frame 16" in plan.stdout
    assert "1 input to do" in plan.stdout
    refused = run(*command)
    assert refused.exit_code == 6
    assert "--resume" in refused.stderr
    assert state(tmp_path) == before

    resumed = run(*command, "--resume")
    assert resumed.exit_code == 0
    assert "resumed after 16 frames of an interrupted run" in resumed.stderr
    same(tmp_path / "walk", walked.whole)
    again = run(*command, "--resume")
    assert again.exit_code == 0
    assert "done this already" in again.stdout
    plan = run(*command, "--resume", "--dry-run")
    assert "already done, skipped" in plan.stdout
    assert "0 inputs to do" in plan.stdout


def test_finished_inputs_of_a_batch_are_skipped(walked: Walk, tmp_path: Path) -> None:
    sources = [encode(tmp_path / name) for name in ("a.mp4", "b.mp4", "c.mp4")]
    out, again = tmp_path / "out", replace(walked.settings, resume=True)
    assert restore(sources[:1], out, walked.settings).exit_code == 0
    run_and_die(FIRST, sources[1], out, walked.settings)
    done, before = state(out / "a"), state(out)
    plan = plan_restore(sources, out, again)
    assert [one.state for one in plan.inputs] == ["done", "resume", "new"]
    assert [one.frames_done for one in plan.inputs] == [0, 8, 0]
    assert [one.frames for one in plan.inputs] == [12, 12, 12]
    assert plan.exit_code == 0
    assert plan.inputs[0].seconds == 0.0
    assert all(one.seconds and one.bytes for one in plan.inputs[1:])
    assert state(out) == before

    summary = restore(sources, out, again)
    assert summary.exit_code == 0
    assert sorted(path.name for path in out.iterdir()) == ["a", "b", "c"]
    assert [result.output for result in summary.results] == [out / "a", out / "b", out / "c"]
    assert summary.results[0].notes == ("an earlier run has done this already",)
    assert state(out / "a") == done
    for name in ("a", "b", "c"):
        assert (out / name / "restored.mp4").read_bytes() == (
            out / "a" / "restored.mp4"
        ).read_bytes()


def test_a_plan_does_not_create_its_folder(walked: Walk, tmp_path: Path) -> None:
    crops = CropSettings(detector="centerface", device="cpu")
    for plan in (
        plan_restore([walked.clip, tmp_path / "no.mp4"], tmp_path / "out", walked.settings),
        plan_crops([tmp_path / "no.mp4", walked.clip], tmp_path / "out", crops),
    ):
        assert sorted(one.state for one in plan.inputs) == ["failed", "new"]
        assert plan.exit_code == 4
    assert list(tmp_path.iterdir()) == []


DAMAGED = {
    "the state": ("000001.state.npz", "state of the interrupted run is damaged"),
    "what was seen": ("000000.facts.npz", "detections of the interrupted run are damaged"),
    "the picture": ("000000.restored.nut", "segment"),
}


@pytest.mark.parametrize("part", DAMAGED)
def test_a_damaged_file_is_reported(walked: Walk, tmp_path: Path, part: str) -> None:
    name, said = DAMAGED[part]
    run_and_die("after the second segment", walked.clip, tmp_path, walked.settings)
    damaged = tmp_path / ".walk.partial" / "work" / name
    damaged.write_bytes(bytes(damaged.stat().st_size))
    summary = restore([walked.clip], tmp_path, replace(walked.settings, resume=True))
    told = str(summary.results[0].error)
    assert said in told
    assert str(damaged) in told
    assert "--force" in told
    assert summary.exit_code in (3, 6)
    assert not (tmp_path / "walk").exists()


def test_a_lost_segment_is_processed_again(walked: Walk, tmp_path: Path) -> None:
    run_and_die(FIRST, walked.clip, tmp_path, walked.settings)
    (tmp_path / ".walk.partial" / "work" / "000000.overlay.nut").unlink()
    same(resume_run(walked.clip, tmp_path, walked.settings), walked.whole)
