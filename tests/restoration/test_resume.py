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
from command_line import run
from killed_run import POINTS, run_until_killed
from media.clips import Track, encode, framemd5, interlaced, numbered, raw_h264, vfr
from nightly_cases import mostly_nightly
from results_folder import results_in
from suite_clips import WALK, file_hashes, lines, repeatable_manifest, walk, walk_settings

from jdsr_cli.restoration import crop_faces, models, plan_crops, plan_restore, restore
from jdsr_cli.restoration.finished_segments import read_line, write_line
from jdsr_cli.restoration.journal import Journal
from jdsr_cli.settings import CropSettings, ReadSettings, RestoreSettings
from jdsr_cli.weights import DefaultWeights

FIRST = "after the first segment"
MID = "in the middle of a segment"
"""At this point two segments of 8 frames are done, and three frames of the third."""
JOIN = "before segments are joined"


OTHER_TESTS = (
    "after the first segment",
    "after the second segment",
    "while the journal is written",
)
KILLED = [point for point in POINTS if point not in OTHER_TESTS]
KILLED_OFTEN = (
    MID,
    "while a state is written",
    "before a line of the journal",
    "after the last whole segment",
    "while segments are joined",
    "before the results are published",
    "while working files are removed",
)


@dataclass(frozen=True)
class Walk:
    """A clip, its settings, and the results of an uninterrupted run."""

    clip: Path
    settings: RestoreSettings
    whole: Path


@pytest.fixture(scope="module")
def base_settings(tiny_weights: Callable[[int], Path]) -> RestoreSettings:
    """Fast settings with which two videos are written."""
    return walk_settings(tiny_weights(64), overlay=True)


@pytest.fixture(scope="module")
def walked(
    tmp_path_factory: pytest.TempPathFactory,
    astronaut: np.ndarray,
    hopper: np.ndarray,
    base_settings: RestoreSettings,
) -> Walk:
    folder = tmp_path_factory.mktemp("walk")
    clip = walk(folder / "walk.mkv", astronaut, hopper)
    assert restore([clip], folder / "out", base_settings).exit_code == 0
    return Walk(clip, base_settings, folder / "out" / "walk")


def resume_run(source: Path, out: Path, settings: Any) -> Path:
    """Resume a run; return its results, which must be all that is in `out`."""
    command = restore if isinstance(settings, RestoreSettings) else crop_faces
    (result,) = command([source], out, replace(settings, resume=True)).results
    assert result.error is None
    assert result.output is not None
    assert results_in(out) == [result.output.name]
    return result.output


def assert_same_results(folder: Path, whole: Path) -> None:
    """Check that two runs have the same results, except for the times in the manifest."""
    assert file_hashes(folder) == file_hashes(whole)
    assert repeatable_manifest(folder) == repeatable_manifest(whole)


def test_a_track_keeps_its_number_across_segments(walked: Walk) -> None:
    tracks = lines(walked.whole / "tracks.jsonl")
    spans = [(line["track"], line["first_frame"], line["last_frame"]) for line in tracks]
    assert spans == [(2, 5, 10), (1, 0, WALK - 1)]
    faces = lines(walked.whole / "faces.jsonl")
    assert [line["frame"] for line in faces if line["track"] == 1] == list(range(WALK))
    times, _ = framemd5(walked.whole / "restored.mp4")
    assert times == framemd5(walked.clip)[0] == framemd5(walked.whole / "overlay.mp4")[0]


@pytest.mark.nightly
def test_rotated_faces_resume_to_the_same_bytes(
    walked: Walk, tmp_path: Path, astronaut: np.ndarray, hopper: np.ndarray
) -> None:
    clip = walk(tmp_path / "rotated.mkv", np.rot90(astronaut), np.rot90(hopper, 2))
    settings = replace(walked.settings, rotated_faces=True, detection_scale=1.0, mode="crops")
    run_until_killed(FIRST, clip, tmp_path / "killed", settings)
    resumed = resume_run(clip, tmp_path / "killed", settings)
    assert restore([clip], tmp_path / "whole", settings).exit_code == 0
    assert_same_results(resumed, tmp_path / "whole" / "rotated")
    rolls = [line["roll"] for line in lines(resumed / "faces.jsonl") if line["roll"] is not None]
    assert len(rolls) > WALK / 2
    assert all(abs(abs(roll) - 135.0) < 60.0 for roll in rolls)


@pytest.mark.parametrize(
    ("stored", "checked"), [(None, False), (1, True)], ids=["not stored", "another one"]
)
def test_a_run_with_another_detection_method_is_refused(
    walked: Walk, tmp_path: Path, stored: int | None, checked: bool
) -> None:
    run_until_killed(FIRST, walked.clip, tmp_path, walked.settings)
    path, copy = (next(tmp_path.rglob(name)) for name in Journal.NAMES)
    copy.unlink()
    header, *segments = [read_line(line) or {} for line in path.read_bytes().splitlines()]
    del header["asked"]["detections"]
    if stored is not None:
        header["asked"]["detections"] = stored
    written = [header, *({**segment, "run": "another"} for segment in segments)]
    # Earlier versions wrote lines without a checksum.
    path.write_bytes(
        b"".join(
            write_line(one) if checked else json.dumps(one).encode() + b"\n" for one in written
        )
    )
    before = file_hashes(tmp_path)
    (result,) = restore([walked.clip], tmp_path, replace(walked.settings, resume=True)).results
    assert result.error is not None
    assert "detections was" in str(result.error)
    assert file_hashes(tmp_path) == before


@pytest.mark.parametrize("point", mostly_nightly(KILLED, KILLED_OFTEN))
def test_a_killed_run_resumes_to_the_same_bytes(walked: Walk, tmp_path: Path, point: str) -> None:
    run_until_killed(point, walked.clip, tmp_path, walked.settings)
    if point != "while working files are removed":
        assert not (tmp_path / "walk").exists()
    assert_same_results(resume_run(walked.clip, tmp_path, walked.settings), walked.whole)


@pytest.mark.nightly
def test_a_run_may_be_killed_repeatedly(walked: Walk, tmp_path: Path) -> None:
    again = replace(walked.settings, resume=True)
    for point in (FIRST, "before a line of the journal", JOIN):
        run_until_killed(point, walked.clip, tmp_path, again)
    assert_same_results(
        resume_run(walked.clip, tmp_path, replace(walked.settings, batch=3)), walked.whole
    )


def test_crops_of_every_face_resume_to_the_same_bytes(walked: Walk, tmp_path: Path) -> None:
    settings = replace(walked.settings, crops="all")
    run_until_killed(MID, walked.clip, tmp_path / "killed", settings)
    resumed = resume_run(walked.clip, tmp_path / "killed", settings)
    assert restore([walked.clip], tmp_path / "whole", settings).exit_code == 0
    assert_same_results(resumed, tmp_path / "whole" / "walk")
    assert len(list(resumed.glob("faces/*_frame??????.png"))) == WALK + 6


SOUND = [Track(seconds=Fraction(2))]
TRIM = ReadSettings(start=Fraction(1, 5), end=Fraction(1))
LOW_RATE = ReadSettings(frame_rate=Fraction(25, 2))
Make = Callable[[Path], Path]


def joined(folder: Path) -> Path:
    """Two recordings with sound in one file."""
    parts = [encode(folder / f"{n}.mkv", range(20), tracks=SOUND).read_bytes() for n in range(2)]
    (folder / "joined.mkv").write_bytes(b"".join(parts))
    return folder / "joined.mkv"


KINDS: dict[str, tuple[Make, dict[str, Any]]] = {
    "two recordings with sound": (joined, {}),
    "variable rate": (vfr, {}),
    "trimmed, with sound": (
        lambda folder: encode(folder / "trimmed.mp4", range(40), tracks=SOUND),
        {"reading": TRIM},
    ),
    "raw stream": (raw_h264, {"reading": LOW_RATE}),
    "interlaced": (lambda folder: interlaced(folder / "fields.mkv"), {}),
    "B-frames": (
        lambda folder: encode(folder / "b.mkv", range(30), options={"bf": "3", "g": "30"}),
        {},
    ),
    "pictures": (lambda folder: numbered(folder / "shots", [1, 2, *range(5, 17)]), {}),
    "hevc": (lambda folder: encode(folder / "clip.mp4"), {"codec": "hevc"}),
    "lossless": (lambda folder: encode(folder / "clip.mp4"), {"codec": "ffv1"}),
}


OFTEN = ("two recordings with sound", "interlaced", "pictures")


@pytest.mark.parametrize("kind", mostly_nightly(KINDS, OFTEN))
def test_footage_of_any_kind_resumes(
    base_settings: RestoreSettings, tmp_path: Path, kind: str
) -> None:
    make, changes = KINDS[kind]
    source, settings = make(tmp_path), replace(base_settings, **changes)
    run_until_killed(FIRST, source, tmp_path / "killed", settings)
    resumed = resume_run(source, tmp_path / "killed", settings)
    assert restore([source], tmp_path / "whole", settings).exit_code == 0
    assert_same_results(resumed, tmp_path / "whole" / resumed.name)


def test_detection_in_every_third_frame_resumes_to_the_same_bytes(
    walked: Walk, tmp_path: Path
) -> None:
    """Segments of 8 frames start at frames with and without detection."""
    settings = replace(walked.settings, detect_every=3, mode="crops", shots=1)
    run_until_killed("after the second segment", walked.clip, tmp_path / "killed", settings)
    resumed = resume_run(walked.clip, tmp_path / "killed", settings)
    restore([walked.clip], tmp_path / "whole", settings)
    assert_same_results(resumed, tmp_path / "whole" / "walk")


def test_exported_faces_resume_with_one_header(walked: Walk, tmp_path: Path) -> None:
    settings = CropSettings(
        detector="centerface", detection_scale=0.5, device="cpu", segment=8, size=64
    )
    run_until_killed("after the second segment", walked.clip, tmp_path / "killed", settings)
    resumed = resume_run(walked.clip, tmp_path / "killed", settings)
    crop_faces([walked.clip], tmp_path / "whole", settings)
    assert_same_results(resumed, tmp_path / "whole" / "walk")
    with (resumed / "faces.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header[0] == "key"
    assert len(rows) == WALK + 6
    assert header not in rows


@pytest.fixture(scope="module")
def stopped(walked: Walk, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the output folder of a run killed after 16 frames; tests must not modify it."""
    out = tmp_path_factory.mktemp("stopped")
    run_until_killed(MID, walked.clip, out, walked.settings)
    return out


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """Return size and modification time of everything below a folder."""
    paths = sorted(folder.rglob("*"))
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in paths}


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
    changes, expected = REFUSED[case]
    before = state(stopped)
    summary = restore([walked.clip], stopped, replace(walked.settings, **changes))
    message = str(summary.results[0].error)
    assert summary.exit_code == 6
    assert all(words in message for words in expected), message
    assert str(stopped / "walk") in message or str(stopped / ".walk.partial") in message
    assert "\n" not in message
    assert state(stopped) == before


@pytest.fixture
def default(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Return a function that makes a weight file the default."""

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
    message = str(result.error)
    assert str(planned.error) == message
    assert 'weights.file was "tiny-64.safetensors" and is "tiny-32.safetensors"' in message
    assert "weights.sha256 was" in message
    assert "--weights" in message
    assert state(stopped) == before


def test_a_run_with_given_weights_resumes_if_they_are_the_default(
    walked: Walk,
    tmp_path: Path,
    default: Callable[[Path], None],
    tiny_weights: Callable[[int], Path],
) -> None:
    """Only the manifest states how the weights were requested."""
    run_until_killed(MID, walked.clip, tmp_path, walked.settings)
    default(tiny_weights(64))
    resumed = resume_run(walked.clip, tmp_path, replace(walked.settings, weights="auto"))
    assert file_hashes(resumed) == file_hashes(walked.whole)


def test_another_input_of_the_same_name_has_its_own_result(walked: Walk, tmp_path: Path) -> None:
    out, again = tmp_path / "out", replace(walked.settings, resume=True)
    run_until_killed(MID, walked.clip, out, walked.settings)
    other = encode(tmp_path / "walk.mkv", range(16))
    assert restore([other], out, again).exit_code == 0
    assert results_in(out) == [".walk.partial", "walk.mkv"]
    (result,) = restore([walked.clip], out, again).results
    assert "resumed after 16 frames of an interrupted run" in result.notes
    assert_same_results(out / "walk", walked.whole)
    assert results_in(out) == ["walk", "walk.mkv"]


def test_other_content_under_the_same_path_is_not_resumed(walked: Walk, tmp_path: Path) -> None:
    clip = tmp_path / "walk.mkv"
    clip.write_bytes(walked.clip.read_bytes())
    run_until_killed(MID, clip, tmp_path / "out", walked.settings)
    encode(clip, range(40))
    summary = restore([clip], tmp_path / "out", replace(walked.settings, resume=True))
    assert summary.exit_code == 6
    assert "input was " in str(summary.results[0].error)


def test_finished_segments_are_kept_while_a_run_resumes(walked: Walk, tmp_path: Path) -> None:
    again = replace(walked.settings, resume=True)
    run_until_killed("after the second segment", walked.clip, tmp_path, again)
    run_until_killed("while the journal is written", walked.clip, tmp_path, again)
    (planned,) = plan_restore([walked.clip], tmp_path, again).inputs
    assert planned.frames_done == 16


def test_force_restarts_a_run(walked: Walk, tmp_path: Path) -> None:
    run_until_killed(MID, walked.clip, tmp_path, walked.settings)
    assert restore([walked.clip], tmp_path, replace(walked.settings, force=True)).exit_code == 0
    assert results_in(tmp_path) == ["walk"]
    assert_same_results(tmp_path / "walk", walked.whole)


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
"""A command line that is interrupted by Ctrl-C at the 20th frame."""


def arguments(walked: Walk, out: Path) -> list[str]:
    """Return the settings of `walked` as command-line arguments."""
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
    assert_same_results(tmp_path / "walk", walked.whole)
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
    run_until_killed(FIRST, sources[1], out, walked.settings)
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
    assert results_in(out) == ["a", "b", "c"]
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
