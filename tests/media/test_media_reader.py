from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from clips import (
    COUNT,
    HEIGHT,
    VFR_PTS,
    WIDTH,
    Track,
    corrupt_middle,
    encode,
    gif,
    gray,
    ntsc,
    picture,
    raw_h264,
    resolution_change,
    rotated,
    ten_bit,
    truncated,
    vfr,
)
from PIL import Image

from jdsr_cli.errors import InputMissingError, InputUnreadableError, MediaError, UsageError
from jdsr_cli.media import ReadReport, open_reader, probe
from jdsr_cli.settings import ReadSettings

LONG = tuple(range(100))


def read(path: Path) -> tuple[list[Fraction], ReadReport]:
    with open_reader(path) as reader:
        times = [frame.time for frame in reader]
    return times, reader.report


@pytest.mark.parametrize("name", ["vfr.mp4", "vfr.mkv", "übung mit Leerzeichen 監視.mp4"])
def test_variable_rate_is_exact(tmp_path: Path, name: str) -> None:
    times, report = read(vfr(tmp_path, name))
    assert times == [Fraction(pts, 1000) for pts in VFR_PTS]
    assert report == ReadReport(len(VFR_PTS), 0, 0, ())


def test_the_ntsc_rate_is_an_exact_fraction(tmp_path: Path) -> None:
    path = ntsc(tmp_path)
    assert probe(path).frame_rate == Fraction(24000, 1001)
    assert read(path)[0] == [Fraction(1001 * i, 24000) for i in range(COUNT)]


def test_a_gif_has_times_in_hundredths_of_a_second(tmp_path: Path) -> None:
    path = gif(tmp_path)
    info = probe(path)
    times, report = read(path)
    assert (info.kind, info.time_base, info.frames_promised) == ("animation", Fraction(1, 100), 12)
    assert times[:5] == [Fraction(n, 100) for n in (0, 8, 17, 25, 55)]
    assert report.frames == COUNT
    assert not report.warnings


def test_a_given_frame_rate_applies_to_a_raw_stream(tmp_path: Path) -> None:
    path = raw_h264(tmp_path)
    times, report = read(path)
    assert times == [Fraction(i, 25) for i in range(COUNT)]
    assert "no timestamps" in report.warnings[0]
    with open_reader(path, ReadSettings(frame_rate=Fraction(25, 2))) as reader:
        assert [frame.time for frame in reader] == [Fraction(2 * i, 25) for i in range(COUNT)]
    with pytest.raises(UsageError):
        open_reader(path, ReadSettings(frame_rate=Fraction(0)))


def test_frames_are_numbered_rgb_pictures(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.mp4")
    with open_reader(path) as reader:
        frames = list(reader)
    assert [frame.index for frame in frames] == list(range(COUNT))
    for frame in frames:
        assert frame.image.dtype == np.uint8
        assert frame.image.shape == (HEIGHT, WIDTH, 3)
        expected = picture(frame.index).astype(int)
        assert np.abs(frame.image.astype(int) - expected).mean() < 4
    assert frames[0].image[2, 2] == pytest.approx([200, 40, 40], abs=6)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_is_applied(tmp_path: Path, degrees: int) -> None:
    path = rotated(tmp_path, degrees)
    info = probe(path)
    with open_reader(path) as reader:
        image = next(reader).image
    assert info.rotation == degrees
    assert (info.height, info.width, 3) == image.shape
    expected = np.rot90(picture(0), -degrees // 90).astype(int)
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).mean() < 4


@pytest.mark.parametrize(
    ("make", "pixel_format"), [(ten_bit, "yuv420p10le"), (gray, "gray")], ids=["10-bit", "gray"]
)
def test_other_pixel_formats_are_converted_to_rgb(tmp_path: Path, make, pixel_format: str) -> None:
    path = make(tmp_path)
    assert probe(path).pixel_format == pixel_format
    with open_reader(path) as reader:
        images = [frame.image for frame in reader]
    assert len(images) == COUNT
    assert images[0].shape == (HEIGHT, WIDTH, 3)
    if pixel_format == "gray":
        assert (images[0] == images[0][..., :1]).all()
        assert images[0][HEIGHT // 2, WIDTH // 4 + 3, 0] == pytest.approx(220, abs=2)


def test_odd_sizes_are_read(tmp_path: Path) -> None:
    path = encode(tmp_path / "odd.mp4", size=(65, 49), pixel_format="yuv444p")
    with open_reader(path) as reader:
        assert {frame.image.shape for frame in reader} == {(49, 65, 3)}


def test_header_fields_are_reported(tmp_path: Path) -> None:
    def tag(stream) -> None:
        context = stream.codec_context
        context.sample_aspect_ratio = Fraction(12, 11)
        context.color_range, context.colorspace = 1, 1
        context.color_primaries, context.color_trc = 1, 1

    info = probe(encode(tmp_path / "tags.mp4", configure=tag, tracks=[Track(), Track()]))
    assert info.sample_aspect_ratio == Fraction(12, 11)
    assert (info.colour_range, info.colour_matrix) == ("limited", "bt709")
    assert (info.colour_primaries, info.colour_transfer) == ("bt709", "bt709")
    assert (info.audio_streams, info.frames_promised, info.codec) == (2, COUNT, "h264")
    assert info.duration == Fraction(COUNT, 25)


@pytest.mark.parametrize("name", ["long.mkv", "long.ts"])
def test_a_truncated_stream_returns_the_frames_it_contains(tmp_path: Path, name: str) -> None:
    times, report = read(truncated(encode(tmp_path / name, LONG), 0.6))
    assert 40 < len(times) < 80
    assert report.warnings


def test_a_truncated_file_is_reported_with_both_numbers(tmp_path: Path) -> None:
    whole = encode(tmp_path / "f.mp4", LONG, container_options={"movflags": "faststart"})
    times, report = read(truncated(whole, 0.6))
    assert 40 < len(times) < 80
    assert f"the header states 100 frames, the file contains {len(times)}" in report.warnings


@pytest.mark.parametrize("name", ["m.mkv", "m.mp4", "m.ts"])
def test_a_corrupt_middle_is_skipped_and_reported(tmp_path: Path, name: str) -> None:
    times, report = read(corrupt_middle(encode(tmp_path / name, LONG)))
    assert 50 < len(times) < 100
    assert times == sorted(set(times))
    assert report.warnings


def test_changes_of_resolution_and_time_are_reported(tmp_path: Path) -> None:
    with open_reader(resolution_change(tmp_path)) as reader:
        frames = list(reader)
    assert len(frames) == 2 * COUNT
    assert {frame.image.shape for frame in frames} == {(48, 64, 3)}
    steps = {late.time - early.time for early, late in pairwise(frames)}
    assert steps == {Fraction(1, 25)}
    text = " ".join(reader.report.warnings)
    assert "12 frames have another size" in text
    assert "jumps back 1 times" in text


def test_a_late_start_and_longer_sound_give_no_warning(tmp_path: Path) -> None:
    for name in ("late.mkv", "late.mp4", "late.ts"):
        late = [i + 50 for i in range(COUNT)]
        times, report = read(encode(tmp_path / name, late, tracks=[Track(seconds=Fraction(3))]))
        assert times[-1] - times[0] == Fraction(COUNT - 1, 25)
        assert not report.warnings


def test_the_report_is_available_after_closing(tmp_path: Path) -> None:
    with open_reader(encode(tmp_path / "clip.mp4")) as reader:
        next(reader)
    assert reader.report.frames == 1
    assert list(reader) == []


def invalid_files(folder: Path) -> dict[str, tuple[Path, type[Exception], str]]:
    empty = folder / "empty.mp4"
    empty.touch()
    text = folder / "text.mp4"
    text.write_text("This is no video.\n" * 50)
    note = folder / "note.txt"
    note.write_text("This is no video.\n" * 50)
    fake = folder / "fake.jpg"
    fake.write_bytes(b"nothing of a picture" * 20)
    playlist = folder / "list.mp4"
    playlist.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n/etc/passwd\n")
    whole = encode(folder / "whole.mp4")
    unknown = folder / "unknown.mp4"
    data = whole.read_bytes()
    unknown.write_bytes(data.replace(b"avc1", b"zzz9").replace(b"avcC", b"zzzC"))
    return {
        "missing": (folder / "none.mp4", InputMissingError, "no such file"),
        "folder": (folder, InputUnreadableError, "is a folder"),
        "empty": (empty, MediaError, "empty"),
        "text": (text, MediaError, "contains text"),
        "note": (note, MediaError, "contains text"),
        "fake": (fake, MediaError, "contains text"),
        "playlist": (playlist, MediaError, "names other files"),
        "no index": (truncated(whole, 0.6), MediaError, "no moov box"),
        "unknown codec": (unknown, MediaError, "codec"),
        "sound only": (sound_only(folder), MediaError, "contains no video"),
        "below a file": (whole / "inside.mp4", InputMissingError, "no such file"),
    }


def sound_only(folder: Path) -> Path:
    import av

    path = folder / "only.m4a"
    with av.open(str(path), "w", format="mp4") as output:
        track = Track()
        track.fill(output, track.add(output))
    return path


def test_invalid_input_gives_a_one_line_error(tmp_path: Path) -> None:
    for name, (path, kind, text) in invalid_files(tmp_path).items():
        with pytest.raises(kind, match=text) as caught:
            open_reader(path)
        message = str(caught.value)
        assert str(path) in message, name
        assert "\n" not in message, name
        assert caught.value.exit_code == 3


def test_an_unreadable_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = encode(tmp_path / "clip.mp4")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputUnreadableError, match="Permission denied"):
        open_reader(path)


def test_animated_webp_and_apng_are_read(tmp_path: Path) -> None:
    pages = [Image.fromarray(picture(i)) for i in range(4)]
    for name, durations in (("a.webp", [40, 70, 200, 40]), ("a.png", [40, 70, 200, 40])):
        path = tmp_path / name
        pages[0].save(
            path, save_all=True, append_images=pages[1:], duration=durations, lossless=True
        )
        with open_reader(path) as reader:
            frames = list(reader)
        assert reader.info.kind == "animation"
        assert [frame.time for frame in frames] == [Fraction(n, 1000) for n in (0, 40, 110, 310)]
        np.testing.assert_array_equal(frames[3].image, picture(3))


def test_still_is_one_frame(tmp_path: Path) -> None:
    path = tmp_path / "still.png"
    Image.fromarray(picture(0)).save(path)
    with open_reader(path) as reader:
        (frame,) = list(reader)
    assert reader.info.kind == "image"
    assert frame.time == 0
    np.testing.assert_array_equal(frame.image, picture(0))
