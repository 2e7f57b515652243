"""Joining segments: frames and times are kept, and damaged segments are reported."""

from __future__ import annotations

import subprocess
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest
from clips import (
    COUNT,
    HEIGHT,
    WIDTH,
    Track,
    encode,
    file_size_limit,
    framemd5,
    picture,
    subtitled,
    track_packets,
)

from jdsr_cli.errors import OutputError, UsageError
from jdsr_cli.media import (
    MediaInfo,
    SegmentWriter,
    VideoWriter,
    join_segments,
    open_reader,
    plan_output,
    probe,
)

LONG = 30
"""Frames of a clip that is long enough for encoders to reorder frames."""

VARIABLE = [0, 3, 4, 5, 9, 20, 21, 22, 23, 24, 25, 60, 61, 62, 70, 71, 90, 91]
VARIABLE = [*VARIABLE, *(200 + 2 * time for time in VARIABLE[:12])]
"""Times of a clip of variable rate, in ticks."""

LUMA = (0.299, 0.587, 0.114)

LOSSY = ("h264", "hevc", "av1", "mpeg4", "mjpeg")


def source_of(folder: Path, time_base: Fraction, codec: str = "h264") -> MediaInfo:
    """Return the media information of a clip with this time base and codec."""
    info = probe(encode(folder / "plain.mkv"))
    return replace(info, kind="sequence", time_base=time_base, duration=None, codec=codec)


def segments_of(
    folder: Path,
    info: MediaInfo,
    times: Sequence[int],
    cuts: Sequence[int],
    *,
    codec: str = "h264",
    size: tuple[int, int] = (WIDTH, HEIGHT),
    static: bool = False,
) -> list[Path]:
    """Write a clip in segments that end before the given frames."""
    paths = []
    bounds = [0, *cuts, len(times)]
    for number, (start, end) in enumerate(pairwise(bounds)):
        path = folder / f"part-{number}.nut"
        with SegmentWriter(path, info, *size, codec=codec) as segment:
            for index in range(start, end):
                image = picture(0, *size) + np.uint8(index) if static else picture(index, *size)
                segment.write(image, times[index])
        paths.append(path)
    return paths


def ffmpeg_warnings(path: Path) -> str:
    """Return the warnings of ffmpeg while it decodes the file, and while it copies its packets."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "warning", "-i", str(path)]
    decoding = ["-map", "0:v", "-map", "0:a?", "-enc_time_base:v", "demux", "-f", "null", "-"]
    copying = ["-map", "0", "-c", "copy", "-f", "null", "-"]
    return "".join(
        subprocess.run([*command, *use], check=True, capture_output=True).stderr.decode()
        for use in (decoding, copying)
    )


def file_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("codec", [*LOSSY, "ffv1"])
@pytest.mark.parametrize(
    "time_base", [Fraction(1001, 24000), Fraction(1, 90000), Fraction(1, 12800)], ids=str
)
def test_joined_frames_are_those_of_the_segments(
    tmp_path: Path, codec: str, time_base: Fraction
) -> None:
    requested = "source" if codec in ("mpeg4", "mjpeg") else codec
    info = source_of(tmp_path, time_base, codec)
    paths = segments_of(tmp_path, info, VARIABLE, (9, 22), codec=requested)
    joined = join_segments(tmp_path / "out.mp4", paths, info)
    assert (joined.frames, joined.warnings, joined.time_offset) == (LONG, (), 0)
    times, hashes = framemd5(joined.path)
    assert times == [time * time_base for time in VARIABLE]
    assert hashes == [digest for path in paths for digest in framemd5(path)[1]]
    assert len(set(hashes)) == LONG
    with av.open(str(joined.path)) as container:
        assert container.streams.video[0].codec_context.codec.canonical_name == codec
    assert ffmpeg_warnings(joined.path) == ""


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_reordering_continues_across_segment_borders(tmp_path: Path, codec: str) -> None:
    """The encoder stores frames out of order."""
    times = [1001 * index for index in range(LONG)]
    info = source_of(tmp_path, Fraction(1, 24000))
    paths = segments_of(tmp_path, info, times, (12, 25), codec=codec, static=True)
    path = join_segments(tmp_path / "out.mp4", paths, info).path
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    shown = [packet.pts for packet in packets]
    decoded = [packet.dts for packet in packets]
    assert sorted(shown) == times
    assert shown != times
    assert {late - early for early, late in pairwise(decoded)} == {1001}
    assert all(dts <= pts for dts, pts in zip(decoded, shown, strict=True))
    assert probe(path).duration == LONG * Fraction(1001, 24000)


def test_one_segment_and_one_frame_are_joined(tmp_path: Path) -> None:
    info = source_of(tmp_path, Fraction(1, 1000))
    for times in ([7], [7, 47], list(range(5, 500, 40))):
        paths = segments_of(tmp_path, info, times, ())
        joined = join_segments(tmp_path / "out.mp4", paths, info)
        assert framemd5(joined.path)[0] == [Fraction(time, 1000) for time in times]


def test_segment_borders_do_not_change_a_lossless_video(tmp_path: Path) -> None:
    info = source_of(tmp_path, Fraction(1, 1000))
    whole = segments_of(tmp_path, info, VARIABLE, (), codec="ffv1")
    expected = framemd5(join_segments(tmp_path / "whole.mp4", whole, info).path)
    paths = segments_of(tmp_path, info, VARIABLE, (1, 2, 17, 29), codec="ffv1")
    assert framemd5(join_segments(tmp_path / "out.mp4", paths, info).path) == expected


def test_odd_sizes_are_padded(tmp_path: Path) -> None:
    info = source_of(tmp_path, Fraction(1, 25))
    for codec, size in (("h264", (66, 50)), ("av1", (66, 50)), ("ffv1", (65, 49))):
        paths = segments_of(tmp_path, info, range(6), (3,), codec=codec, size=(65, 49))
        media = probe(join_segments(tmp_path / "out.mp4", paths, info).path)
        assert (media.width, media.height) == size


@pytest.mark.parametrize(("codec", "least"), [("hevc", 16), ("av1", 32)])
def test_sizes_that_an_encoder_does_not_support_are_refused(
    tmp_path: Path, codec: str, least: int
) -> None:
    """SVT-AV1 hangs at 20x300."""
    info = source_of(tmp_path, Fraction(1, 25))
    for size in ((least - 1, 300), (300, least - 1)):
        with pytest.raises(UsageError, match=f"cannot be written as {codec}"):
            SegmentWriter(tmp_path / "part.nut", info, *size, codec=codec)
    assert not (tmp_path / "part.nut").exists()
    paths = segments_of(tmp_path, info, range(5), (), codec=codec, size=(least, 300))
    assert join_segments(tmp_path / "out.mp4", paths, info).frames == 5


def test_aspect_and_colours_are_those_of_the_source(tmp_path: Path) -> None:
    info = replace(
        source_of(tmp_path, Fraction(1, 25)),
        sample_aspect_ratio=Fraction(12, 11),
        colour_range="full",
        colour_primaries="bt2020",
        colour_transfer="bt2020-10",
        colour_matrix="bt2020nc",
    )
    for codec in ("h264", "hevc", "av1"):
        paths = segments_of(tmp_path, info, range(6), (3,), codec=codec)
        media = probe(join_segments(tmp_path / "out.mp4", paths, info).path)
        assert media.sample_aspect_ratio == Fraction(12, 11)
        for field in ("range", "primaries", "transfer", "matrix"):
            assert getattr(media, f"colour_{field}") == getattr(info, f"colour_{field}"), codec


@pytest.mark.parametrize("codec", [*LOSSY, "ffv1"])
def test_the_same_frames_give_the_same_bytes(tmp_path: Path, codec: str) -> None:
    requested = "source" if codec in ("mpeg4", "mjpeg") else codec
    info = source_of(tmp_path, Fraction(1, 25), codec)
    first, second = (
        [
            path.read_bytes()
            for path in segments_of(tmp_path, info, VARIABLE, (20,), codec=requested)
        ]
        for _ in range(2)
    )
    assert first == second


def test_the_default_and_a_given_quality_apply(tmp_path: Path) -> None:
    """The default quality is similar for all codecs, and a given CRF changes it."""
    info = source_of(tmp_path, Fraction(1, 25))
    sizes = {}
    for codec in ("h264", "hevc", "av1"):
        for crf in (None, 45):
            path = tmp_path / f"{codec}.nut"
            with SegmentWriter(path, info, WIDTH, HEIGHT, codec=codec, crf=crf) as segment:
                for index in range(COUNT):
                    segment.write(picture(index), index)
            with open_reader(path) as reader:
                errors = [
                    np.abs((frame.image - picture(frame.index).astype(float)) @ LUMA).mean()
                    for frame in reader
                ]
            assert len(errors) == COUNT
            assert max(errors) < 0.8 if crf is None else max(errors) > 0.8, (
                codec,
                crf,
                max(errors),
            )
            sizes[codec, crf] = path.stat().st_size
        assert sizes[codec, 45] < sizes[codec, None]
    with pytest.raises(UsageError, match="out of range"):
        SegmentWriter(tmp_path / "x.nut", info, WIDTH, HEIGHT, codec="av1", crf=64)


def test_sound_and_subtitles_are_copied(tmp_path: Path) -> None:
    path = subtitled(tmp_path / "in.mkv")
    with open_reader(path) as reader:
        info = reader.info
        times = [frame.pts for frame in reader]
    paths = segments_of(tmp_path, info, times, (5,))
    joined = join_segments(tmp_path / "out.mp4", paths, info)
    assert joined.path == tmp_path / "out.mkv"
    assert plan_output(tmp_path / "out.mp4", info) == joined.path
    assert joined.warnings == ()
    assert framemd5(joined.path)[0] == [time * info.time_base for time in times]
    for index in range(1, 5):
        assert track_packets(joined.path, index) == track_packets(path, index)
    with av.open(str(path)) as before, av.open(str(joined.path)) as after:
        for old, new in zip(before.streams, after.streams, strict=True):
            assert new.language == old.language
            assert new.disposition == old.disposition
            assert new.codec_context.name == old.codec_context.name
    assert ffmpeg_warnings(joined.path) == ""


def test_subtitles_that_no_container_stores_exactly_are_reported(tmp_path: Path) -> None:
    """Matroska would round these times, so that the subtitles are dropped."""
    info = replace(probe(subtitled(tmp_path / "in.mkv")), time_base=Fraction(1, 90000))
    paths = segments_of(tmp_path, info, [1001 * index for index in range(12)], (5,))
    joined = join_segments(tmp_path / "out.mp4", paths, info)
    assert joined.path == tmp_path / "out.mp4"
    assert sum("subtitle track (subrip) could not be kept" in text for text in joined.warnings) == 1
    assert len(joined.warnings) == 2


def test_a_trimmed_video_has_the_sound_of_its_part(tmp_path: Path) -> None:
    path = subtitled(tmp_path / "in.mkv", seconds=3)
    with open_reader(path) as reader:
        info = reader.info
        frames = [frame for frame in reader if 1 <= frame.time < 2]
    times = [frame.pts for frame in frames]
    paths = segments_of(tmp_path, info, times, (9,))
    joined = join_segments(tmp_path / "out.mkv", paths, info, trimmed=True)
    assert (joined.time_offset, joined.warnings) == (-1, ())
    assert framemd5(joined.path)[0] == [frame.time - 1 for frame in frames]
    # Packets within the delay of the codec (1024 and 481 samples) are for the decoder.
    for index, delay in ((1, Fraction(64, 1000)), (2, Fraction(10, 1000))):
        whole = [
            (start - 1, duration, data)
            for start, duration, data in track_packets(path, index)
            if 1 - delay <= start < 2
        ]
        assert whole[0][0] < 0
        copied = track_packets(joined.path, index)
        assert [(start, data) for start, _, data in copied] == [(s, data) for s, _, data in whole]
        # Readers shorten the first packet by the priming samples of the decoder.
        assert [duration for _, duration, _ in copied[1:]] == [one for _, one, _ in whole[1:]]
    # Of "one" (0.5 to 1.5 s) the second half is shown; "two" (1.6 s) is whole; "three" is later.
    assert [
        (start, duration, data.decode()) for start, duration, data in track_packets(joined.path, 3)
    ] == [(0, Fraction(1, 2), "one"), (Fraction(3, 5), Fraction(3, 10), "two")]
    assert ffmpeg_warnings(joined.path) == ""


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
def test_the_sound_of_a_late_part_is_copied_completely(tmp_path: Path, suffix: str) -> None:
    track = Track(seconds=Fraction(62))
    path = encode(
        tmp_path / f"in{suffix}", range(62), Fraction(1), rate=Fraction(1), tracks=[track]
    )
    with open_reader(path) as reader:
        info = reader.info
        start = min(frame.time for frame in reader)
    times = [round((start + index) / info.time_base) for index in range(50, 53)]
    paths = segments_of(tmp_path, info, times, ())
    joined = join_segments(tmp_path / "out.mp4", paths, info, trimmed=True)
    low, high = (times[0] * info.time_base, times[0] * info.time_base + 3)
    # Two packets more, for the decoder.
    low -= Fraction(2 * 1024, 16000)
    whole = [data for start, _, data in track_packets(path, 1) if low <= start < high]
    if suffix == ".ts":
        assert len(track_packets(joined.path, 1)) == len(whole)
    else:
        assert [data for _, _, data in track_packets(joined.path, 1)] == whole
    assert len(whole) >= 46


@pytest.fixture
def info(tmp_path: Path) -> MediaInfo:
    return source_of(tmp_path, Fraction(1, 25))


@pytest.fixture
def parts(tmp_path: Path, info: MediaInfo) -> list[Path]:
    return segments_of(tmp_path, info, range(15), (5, 10))


def test_invalid_segments_are_reported(tmp_path: Path, info: MediaInfo, parts: list[Path]) -> None:
    (tmp_path / "other").mkdir()
    half = parts[1].read_bytes()[: parts[1].stat().st_size // 2]

    def other(source: MediaInfo, **options: object) -> bytes:
        return segments_of(tmp_path / "other", source, range(5, 10), (), **options)[0].read_bytes()

    (tmp_path / "out").mkdir()
    for data, text in (
        (None, "is missing"),
        (b"", "is not complete"),
        (half, "is not complete"),
        (parts[1].read_bytes()[:-1], "is not complete"),
        (b"no video " * 20, "is not complete"),
        (other(info, codec="hevc"), "another codec than the first .hevc instead of h264"),
        (other(info, size=(80, 48)), "another width than the first .80 instead of 64"),
        (other(replace(info, time_base=Fraction(1, 50))), "another time base"),
        (parts[0].read_bytes(), "starts before the end"),
    ):
        damaged = tmp_path / "damaged.nut"
        damaged.unlink(missing_ok=True)
        if data is not None:
            damaged.write_bytes(data)
        with pytest.raises(OutputError, match=text) as caught:
            join_segments(tmp_path / "out" / "out.mp4", [parts[0], damaged, parts[2]], info)
        assert caught.value.where == str(damaged)
        assert file_names(tmp_path / "out") == []
    with pytest.raises(OutputError, match="no frames"):
        join_segments(tmp_path / "out" / "out.mp4", [], info)


def test_segments_out_of_order_are_reported(
    tmp_path: Path, info: MediaInfo, parts: list[Path]
) -> None:
    with pytest.raises(OutputError, match="starts before the end"):
        join_segments(tmp_path / "out.mp4", [parts[0], parts[2], parts[1]], info)


def test_other_encoder_settings_are_reported(
    tmp_path: Path, info: MediaInfo, parts: list[Path]
) -> None:
    """A segment of a run with other options has headers that do not match the others."""
    with SegmentWriter(parts[1], info, WIDTH, HEIGHT, crf=40) as segment:
        segment.write(picture(0), 5)
    with pytest.raises(OutputError, match="other encoder settings"):
        join_segments(tmp_path / "out.mp4", parts, info)


def test_segments_are_kept_and_other_videos_are_not_segments(
    tmp_path: Path, info: MediaInfo, parts: list[Path]
) -> None:
    join_segments(tmp_path / "out.mp4", parts, info)
    assert all(path.is_file() for path in parts)
    with pytest.raises(OutputError, match="is not complete"):
        join_segments(tmp_path / "again.mp4", [tmp_path / "out.mp4"], info)


def test_a_segment_that_fails_is_removed(tmp_path: Path, info: MediaInfo) -> None:
    path = tmp_path / "part.nut"

    def interrupted() -> None:
        with SegmentWriter(path, info, WIDTH, HEIGHT) as segment:
            segment.write(picture(0), 0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not path.exists()
    with (
        pytest.raises(OutputError, match="no frames"),
        SegmentWriter(path, info, WIDTH, HEIGHT),
    ):
        pass
    assert not path.exists()
    with pytest.raises(OutputError, match="the folder does not exist"):
        SegmentWriter(tmp_path / "none" / "part.nut", info, WIDTH, HEIGHT)


def test_an_incomplete_segment_is_overwritten(tmp_path: Path, info: MediaInfo) -> None:
    """As after a run that was killed."""
    whole = segments_of(tmp_path, info, range(8), ())[0]
    data = whole.read_bytes()
    whole.write_bytes(data[:-100] + bytes(5000))
    assert segments_of(tmp_path, info, range(8), ())[0].read_bytes() == data


def test_writing_without_segments_gives_the_same_file(tmp_path: Path, info: MediaInfo) -> None:
    paths = segments_of(tmp_path, info, range(15), ())
    joined = join_segments(tmp_path / "joined.mp4", paths, info)
    with VideoWriter(tmp_path / "out.mp4", info, WIDTH, HEIGHT) as writer:
        for index in range(15):
            writer.write(picture(index), index)
    assert writer.path.read_bytes() == joined.path.read_bytes()


@pytest.mark.parametrize("frames", [1, 400])
def test_a_full_disk_is_reported_immediately(tmp_path: Path, info: MediaInfo, frames: int) -> None:
    """Also where the system reports it only when the file is closed."""
    path = tmp_path / "part.nut"
    path.symlink_to("/dev/full")
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    written = 0

    def fill() -> None:
        nonlocal written
        with SegmentWriter(path, info, WIDTH, HEIGHT, codec="ffv1") as segment:
            for index in range(frames):
                segment.write(noise, index)
                written += 1

    with pytest.raises(OutputError, match="the disk is full") as caught:
        fill()
    assert caught.value.exit_code == 6
    assert written == 1 if frames == 1 else written < frames
    assert not path.is_symlink()


def test_a_full_disk_while_joining_leaves_no_files(
    tmp_path: Path, info: MediaInfo, parts: list[Path]
) -> None:
    (tmp_path / "out").mkdir()
    with file_size_limit(2000), pytest.raises(OutputError, match="cannot be written"):
        join_segments(tmp_path / "out" / "out.mp4", parts, info)
    assert file_names(tmp_path / "out") == []


def test_memory_does_not_grow_with_the_number_of_packets(tmp_path: Path, info: MediaInfo) -> None:
    """Joining holds a few packets at a time, and no list of frames."""
    peaks = []
    for count in (50, 1000):
        path = tmp_path / "many.nut"
        with SegmentWriter(path, info, 16, 16) as segment:
            for index in range(count):
                segment.write(picture(index, 16, 16), index)
        tracemalloc.start()
        join_segments(tmp_path / "out.mp4", [path], info)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]
