"""Restore footage of many kinds: frames, times and sound are kept, faults are reported.

Input and output are compared by a second implementation, the ffmpeg program.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from command_line import run
from media.clips import (
    COUNT,
    HEIGHT,
    WIDTH,
    Track,
    encode,
    file_size_limit,
    ntsc,
    picture,
    raw_h264,
    rotated,
    truncated,
    vfr,
)
from PIL import Image, ImageOps
from results_folder import restored_in, results_in
from suite_cases import CASES, INVALID, LONG, STILLS, empty, text
from suite_clips import file_hashes, lines, pictures, read_with_ffmpeg, sound_packets, tiled

from jdsr_cli.errors import OutputError
from jdsr_cli.media import read_image, write_image
from jdsr_cli.restoration import InputResult, restore
from jdsr_cli.settings import ReadSettings, RestoreSettings


@pytest.fixture
def base(tiny_weights: Callable[[int], Path]) -> RestoreSettings:
    """Settings with which a frame without faces is unchanged."""
    return RestoreSettings(
        weights=str(tiny_weights(64)),
        detector="centerface",
        device="cpu",
        frame_scale=1,
        mode="paste",
        label=False,
    )


def restore_one(sources: Sequence[Path | str], out: Path, settings: RestoreSettings) -> InputResult:
    """Restore one input without errors."""
    summary = restore(sources, out, settings)
    (result,) = summary.results
    assert result.error is None
    assert summary.exit_code == 0
    return result


def video(result: InputResult) -> Path:
    """Return the path of the restored video or image."""
    assert result.output is not None
    return restored_in(result.output)


@pytest.mark.parametrize("name", CASES)
def test_frames_times_and_notes_are_as_expected(
    tmp_path: Path, base: RestoreSettings, name: str
) -> None:
    case = CASES[name]
    source = case.make(tmp_path)
    result = restore_one([source], tmp_path / "out", replace(base, **case.settings))
    assert len(result.notes) == len(case.notes), result.notes
    for words in case.notes:
        assert any(words in note for note in result.notes), result.notes

    restored, before = video(result), None
    if case.times is None or case.max_difference is not None:
        before = read_with_ffmpeg(source, case.stream)
    times = list(case.times) if case.times is not None else before.times
    after = read_with_ffmpeg(restored)
    assert after.times == times
    assert result.counts is not None
    assert result.counts.frames_read == result.counts.frames_written == len(times)
    if before is not None and case.max_difference is not None:
        width, height = before.size
        assert after.aspect == before.aspect
        assert after.size == (width + width % 2, height + height % 2)
        old = pictures(source, before.size, case.stream).astype(np.int16)
        new = pictures(restored, after.size)[:, :height, :width]
        assert np.abs(new - old).mean() < case.max_difference


@pytest.mark.parametrize("name", ["no sound", "two sound tracks", "late sound"])
def test_sound_is_copied_with_its_times(tmp_path: Path, base: RestoreSettings, name: str) -> None:
    source = CASES[name].make(tmp_path)
    result = restore_one([source], tmp_path / "out", base)
    assert sound_packets(video(result)) == sound_packets(source)
    assert bool(sound_packets(source)) == (name != "no sound")


def test_the_sound_of_a_trimmed_part_is_copied(tmp_path: Path, base: RestoreSettings) -> None:
    source = encode(tmp_path / "long.mp4", LONG, tracks=[Track(seconds=Fraction(2))])
    part = ReadSettings(start=Fraction(1, 2), end=Fraction(3, 2))
    result = restore_one([source], tmp_path / "out", replace(base, reading=part))
    first = Fraction(13, 25)
    whole = [(track, time - first, digest) for track, time, digest in sound_packets(source)]
    # Two packets of 0.064 s more are for the decoder; they are not played.
    kept = [packet for packet in whole if Fraction(-128, 1000) <= packet[1] < 1]
    assert sound_packets(video(result)) == kept
    assert len(kept) == 17


@pytest.mark.parametrize("name", INVALID)
def test_an_unreadable_input_is_reported_in_one_line(
    tmp_path: Path, base: RestoreSettings, name: str
) -> None:
    make, changes, message, code = INVALID[name]
    source = make(tmp_path)
    summary = restore([source], tmp_path / "out", replace(base, **changes))
    (error,) = [result.error for result in summary.results]
    assert error is not None
    assert summary.exit_code == code
    assert message in str(error)
    assert "\n" not in str(error)
    assert error.hint
    if name != "a region outside the frame":
        assert str(source) in str(error)
    assert not (tmp_path / "out").exists() or results_in(tmp_path / "out") == []


def test_a_folder_of_valid_and_invalid_files(tmp_path: Path, base: RestoreSettings) -> None:
    folder = tmp_path / "from the recorder"
    folder.mkdir()
    valid = [vfr(folder), ntsc(folder), raw_h264(folder)]
    write_image(folder / "still.png", picture(0))
    invalid = [text(folder), empty(folder), truncated(encode(folder / "z.mp4"), 0.5)]
    (folder / "z.mp4").unlink()
    (folder / "notes.txt").write_text("not media")
    before = file_hashes(folder)
    done = run(
        "restore", folder, "--out", tmp_path / "out", "--weights", base.weights,
        "--detector", "centerface", "--device", "cpu", "--frame-scale", 1, "--mode", "paste",
        "--quiet",
    )  # fmt: skip
    assert done.exit_code == 4
    *errors, last = done.stderr.strip().splitlines()
    assert [line.split(": ")[1] for line in errors] == sorted(map(str, invalid))
    assert last == "error: 3 of 7 inputs failed"
    assert len(done.stdout.splitlines()) == 4
    names = sorted([*(path.stem for path in valid), "still"])
    assert results_in(tmp_path / "out") == names
    for path in valid:
        assert (
            read_with_ffmpeg(tmp_path / "out" / path.stem / "restored.mp4").times
            == read_with_ffmpeg(path).times
        )
    assert file_hashes(folder) == before


def test_frames_are_enlarged_upright(tmp_path: Path, base: RestoreSettings) -> None:
    result = restore_one([rotated(tmp_path, 90)], tmp_path / "out", replace(base, frame_scale=2))
    assert read_with_ffmpeg(video(result)).size == (2 * 48, 2 * 64)


@pytest.mark.parametrize("name", STILLS)
def test_stills_without_faces_are_unchanged(
    tmp_path: Path, base: RestoreSettings, name: str
) -> None:
    options, orientation, difference = STILLS[name]
    if orientation != 1:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options = {**options, "exif": exif}
    Image.fromarray(picture(0, 161, 121)).save(tmp_path / name, **options)
    result = restore_one([tmp_path / name], tmp_path / "out", base)
    restored = read_image(video(result)).astype(np.int16)
    with Image.open(tmp_path / name) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    assert restored.shape == expected.shape
    assert (expected.shape == (121, 161, 3)) == (orientation in (1, 2))
    assert np.abs(restored - expected).mean() <= difference
    assert result.notes == ()


@pytest.fixture
def occupied(tmp_path: Path) -> Path:
    (tmp_path / "file").write_text("mine")
    return tmp_path / "file"


def test_a_file_instead_of_the_output_folder_is_an_error(
    base: RestoreSettings, occupied: Path
) -> None:
    source = encode(occupied.with_name("clip.mp4"))
    for out in (occupied, occupied / "below"):
        with pytest.raises(OutputError) as caught:
            restore([source], out, base)
        assert str(out) in str(caught.value)
        assert "--out" in str(caught.value)
    assert occupied.read_text() == "mine"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc, where no user may write")
def test_an_unwritable_output_folder_is_an_error(tmp_path: Path, base: RestoreSettings) -> None:
    done = run("restore", encode(tmp_path / "clip.mp4"), "--out", "/proc/here", "--quiet",
               "--weights", base.weights)  # fmt: skip
    assert done.exit_code == 6
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("error: /proc/here: nothing can be written here")
    assert "--out" in line


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_output_folder_is_an_error(tmp_path: Path, base: RestoreSettings) -> None:
    source, out = encode(tmp_path / "clip.mp4"), tmp_path / "out"
    out.mkdir(0o500)
    with pytest.raises(OutputError, match="nothing can be written here"):
        restore([source], out, base)


def test_a_full_disk_is_reported(tmp_path: Path, base: RestoreSettings) -> None:
    source, out = encode(tmp_path / "clip.mp4", LONG), tmp_path / "out"
    with file_size_limit(2000):
        summary = restore([source], out, base)
    (error,) = [result.error for result in summary.results]
    assert summary.exit_code == 6
    assert "cannot be written: the file would exceed the size limit" in str(error)
    assert "\n" not in str(error)
    assert results_in(out) == []


def test_a_run_stopped_by_a_full_disk_can_be_resumed(tmp_path: Path, base: RestoreSettings) -> None:
    # The video must be larger than the state that is kept of a segment.
    grain = np.random.default_rng(0).integers(0, 60, (len(LONG), HEIGHT, WIDTH, 3), np.uint8)
    source = encode(tmp_path / "clip.mp4", LONG, paint=lambda n: picture(n) + grain[n] // 2)
    settings, out = replace(base, segment=8), tmp_path / "out"
    whole = video(restore_one([source], tmp_path / "whole", settings)).read_bytes()
    with file_size_limit(len(whole) - 1):
        summary = restore([source], out, settings)
    assert summary.exit_code == 6
    assert "56 frames are kept" in str(summary.results[0].error)
    assert results_in(out) == [".clip.partial"]
    result = restore_one([source], out, replace(settings, resume=True))
    assert video(result).read_bytes() == whole
    assert file_hashes(out / "clip") == file_hashes(tmp_path / "whole" / "clip")


def test_fifty_faces_in_one_frame_are_processed(
    tmp_path: Path, base: RestoreSettings, astronaut: np.ndarray, hopper: np.ndarray
) -> None:
    write_image(tmp_path / "crowd.png", tiled([astronaut, hopper], 5, 10, 64))
    settings = replace(base, mode="both", crops="all", shots=1)
    result = restore_one([tmp_path / "crowd.png"], tmp_path / "out", settings)
    counts = result.counts
    assert counts is not None
    assert counts.faces_found == counts.tracks == 50
    assert counts.faces_restored + counts.faces_refused == 50
    faces = lines(tmp_path / "out" / "crowd" / "faces.jsonl")
    assert [face["face"] for face in faces] == list(range(1, 51))
    assert len({face["track"] for face in faces}) == 50
    cells = {(int(face["box"][0] // 64), int(face["box"][1] // 64)) for face in faces}
    assert len(cells) == 50
    restored = [face for face in faces if face["status"] == "restored"]
    assert len(restored) == counts.faces_restored
    files = {path.name for path in (tmp_path / "out" / "crowd" / "faces").glob("*_frame??????.png")}
    assert files == {Path(face["file"]).name for face in restored}
    assert all(face["reason"] for face in faces if face["status"] == "refused")


EDGES = {
    "left": (slice(20, 140), slice(0, 75), slice(None), slice(45, None)),
    "right": (slice(20, 140), slice(130, 200), slice(None), slice(0, 70)),
    "top": (slice(0, 90), slice(20, 140), slice(30, None), slice(None)),
    "bottom": (slice(95, 160), slice(20, 140), slice(0, 65), slice(None)),
}
"""Rows and columns of the frame, and those of the portrait that are shown there."""


@pytest.mark.parametrize("edge", EDGES)
def test_a_face_at_the_border_is_restored(
    tmp_path: Path, base: RestoreSettings, hopper: np.ndarray, edge: str
) -> None:
    frame = np.full((160, 200, 3), 90, np.uint8)
    rows, columns, own_rows, own_columns = EDGES[edge]
    frame[rows, columns] = hopper[own_rows, own_columns]
    write_image(tmp_path / "edge.png", frame)
    result = restore_one([tmp_path / "edge.png"], tmp_path / "out", replace(base, mode="both"))
    counts = result.counts
    assert counts is not None
    assert (counts.faces_found, counts.faces_restored, counts.faces_refused) == (1, 1, 0)
    (face,) = lines(tmp_path / "out" / "edge" / "faces.jsonl")
    left, top, right, bottom = face["box"]
    changed = (read_image(video(result)) != frame).any(axis=2)
    assert changed[int(max(0, top)) : int(bottom), int(max(0, left)) : int(right)].any()
    reach = right - left
    changed[int(max(0, top - reach)) : int(bottom + reach),
            int(max(0, left - reach)) : int(right + reach)] = False  # fmt: skip
    assert not changed.any()


def test_faces_of_6_px_are_refused_and_unchanged(
    tmp_path: Path, base: RestoreSettings, astronaut: np.ndarray, hopper: np.ndarray
) -> None:
    frame = np.full((96, 128, 3), 90, np.uint8)
    frame[30:46, 20:36] = np.asarray(Image.fromarray(astronaut).resize((16, 16)))
    frame[30:46, 80:96] = np.asarray(Image.fromarray(hopper).resize((16, 16)))
    write_image(tmp_path / "far.png", frame)
    settings = replace(base, detection_scale=4.0, mode="both")
    result = restore_one([tmp_path / "far.png"], tmp_path / "out", settings)
    assert result.counts is not None
    assert result.counts.refusals == {"too small": 2}
    for face in lines(tmp_path / "out" / "far" / "faces.jsonl"):
        assert 4.0 < face["box"][2] - face["box"][0] < 8.0
        assert face["status"] == "refused"
        assert "px wide, less than 10 px (--min-face)" in face["reason"]
    np.testing.assert_array_equal(read_image(video(result)), frame)


def test_faces_in_a_rotated_clip_are_detected(
    tmp_path: Path, base: RestoreSettings, two_people: list[np.ndarray]
) -> None:
    """The picture is stored rotated, with a display rotation."""

    def paint(index: int) -> np.ndarray:
        return np.rot90(two_people[index // 2], 1)

    source = encode(
        tmp_path / "phone.mp4",
        size=(140, 280),
        paint=paint,
        configure=lambda stream: stream.set_display_rotation(-90),
    )
    result = restore_one([source], tmp_path / "out", base)
    assert result.counts is not None
    assert result.counts.faces_found == result.counts.faces_restored == 2 * COUNT
    assert result.counts.tracks == 2
    assert read_with_ffmpeg(video(result)).size == (280, 140)


def test_inputs_of_the_same_name_have_separate_results(
    tmp_path: Path, base: RestoreSettings
) -> None:
    for folder in ("cam 1", "cam 2"):
        (tmp_path / folder).mkdir()
    first = encode(tmp_path / "cam 1" / "clip.mp4")
    second = encode(tmp_path / "cam 2" / "clip.mp4", range(5))
    shutil.copy(second, tmp_path / "cam 2" / "Clip.MP4.part")
    summary = restore([first, second], tmp_path / "out", base)
    assert summary.exit_code == 0
    counted = [result.counts.frames_read for result in summary.results if result.counts]
    assert counted == [COUNT, 5]
