"""Times of frames in files that store times of decoding, and in those that do not."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import accumulate, cycle, islice, pairwise
from pathlib import Path

import av
import imageio_ffmpeg
import pytest
from clips import Track, encode, picture
from PIL import Image, PngImagePlugin

from jdsr_cli.media import open_reader
from jdsr_cli.media.frames import TRANSPARENT_NOTE
from jdsr_cli.media.reading.presentation import PresentationTimes

COUNT = 75
CONSTANT = tuple(range(0, 40 * COUNT, 40))
VARIABLE = tuple(accumulate(islice(cycle((20, 40, 40, 60, 120)), COUNT - 1), initial=0))
MILLISECOND = Fraction(1, 1000)
NOTE = "the file stores times of decoding; the times of presentation are derived from them"


@dataclass(frozen=True)
class Codec:
    name: str
    options: dict[str, str] = field(default_factory=dict)


PYRAMID = {"bf": "3", "g": "25", "x264-params": "b-adapt=0:b-pyramid=2"}
CODECS = {
    "h264": Codec("libx264", PYRAMID),
    "h264 open gop": Codec(
        "libx264", {"bf": "3", "g": "12", "x264-params": "b-adapt=0:open-gop=1"}
    ),
    "h264 one B": Codec("libx264", {"bf": "1", "g": "30", "x264-params": "b-adapt=0"}),
    "h264 16 B": Codec("libx264", {"bf": "16", "g": "60", "x264-params": "b-adapt=0:b-pyramid=0"}),
    "h264 no B": Codec("libx264", {"bf": "0", "g": "12"}),
    "hevc": Codec("libx265", {"x265-params": "log-level=none:bframes=4:b-adapt=0:keyint=30"}),
    "mpeg4": Codec("mpeg4", {"bf": "2", "g": "12"}),
    "mpeg2": Codec("mpeg2video", {"bf": "2", "g": "12"}),
}


def write(
    path: Path,
    codec: Codec,
    pts: Sequence[int] = CONSTANT,
    *,
    decoding: bool = True,
    lost: Collection[int] = (),
    damage: Callable[[int, bytes], bytes] | None = None,
    sound: bool = False,
) -> Path:
    """Write a clip whose packets have the time of decoding only, or both.

    The times are increased until the first time of decoding is 0, so that the first frame is shown
    at the delay of the encoder.
    """
    fine = codec.name.startswith("libx") and path.suffix != ".avi"
    base = MILLISECOND if fine else Fraction(1, 25)
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec.name, rate=Fraction(25), options=codec.options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = stream.time_base = base
        track = Track("mp2", seconds=Fraction(3), sample_rate=32000)
        target = track.add(output) if sound else None
        packets = []
        for index, time in enumerate(pts):
            frame = av.VideoFrame.from_ndarray(picture(index), format="rgb24")
            frame = frame.reformat(format="yuv420p")
            frame.pts, frame.time_base = int(time * MILLISECOND / base), base
            packets += stream.encode(frame)
        packets += stream.encode(None)
        shift = -packets[0].dts
        for number, packet in enumerate(packets):
            times = packet.dts + shift, packet.pts + shift
            if number in lost:
                continue
            if damage is not None:
                packet = av.Packet(damage(number, bytes(packet)))
                packet.stream, packet.time_base = stream, base
                packet.is_keyframe = packets[number].is_keyframe
            packet.dts, packet.pts = times[0], times[0] if decoding else times[1]
            output.mux(packet)
        if target is not None:
            track.fill(output, target)
    return path


def read(path: Path) -> tuple[list[Fraction], tuple[str, ...]]:
    with open_reader(path) as reader:
        return [frame.time for frame in reader], reader.report.warnings


def lead_of_sound(path: Path) -> Fraction:
    """Seconds from the first sound to the first frame."""
    with av.open(str(path)) as container:
        sound = next(container.demux(audio=0))
        return read(path)[0][0] - sound.pts * sound.time_base


def steps(times: Sequence[Fraction | int]) -> list[int]:
    """Distances between times in whole milliseconds."""
    unit = 1 if isinstance(times[0], int) else 1000
    return [round((late - early) * unit) for early, late in pairwise(times)]


def best_effort(path: Path) -> list[float]:
    """Times of the frames by the ffmpeg program, in seconds."""
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-copyts", "-i", str(path), "-an",
        "-vf", "showinfo", "-fps_mode", "passthrough", "-f", "null", "-",
    ]  # fmt: skip
    text = subprocess.run(command, check=True, capture_output=True).stderr.decode()
    return [float(time) for time in re.findall(r"pts_time:\s*(\S+)", text)]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".nut", ".ts", ".flv", ".asf", ".avi"])
@pytest.mark.parametrize("codec", [name for name in CODECS if name != "h264 no B"])
def test_frames_keep_their_distances_where_only_decoding_times_are_stored(
    tmp_path: Path, codec: str, suffix: str
) -> None:
    if suffix in (".flv", ".asf", ".avi") and codec == "hevc":
        pytest.skip("the container does not support HEVC")
    if suffix == ".flv" and codec.startswith("mpeg"):
        pytest.skip("the container does not support MPEG")
    path = write(tmp_path / f"a{suffix}", CODECS[codec])
    times, notes = read(path)
    assert len(times) == COUNT
    assert set(steps(times)) == {40}
    # Of MPEG-4 and MPEG-2, FFmpeg derives correct times itself in AVI and ASF.
    assert notes == (NOTE,) or (notes == () and codec.startswith("mpeg"))
    assert Fraction(0) <= times[0] <= Fraction(1, 5)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".ts", ".asf", ".flv"])
@pytest.mark.parametrize("codec", ["h264", "h264 one B"])
def test_a_variable_rate_is_kept(tmp_path: Path, codec: str, suffix: str) -> None:
    times, notes = read(write(tmp_path / f"a{suffix}", CODECS[codec], VARIABLE))
    assert notes == (NOTE,)
    # The last frames follow the last packet; their times are not stored anywhere.
    assert steps(times)[:-4] == steps(VARIABLE)[:-4]


@pytest.mark.parametrize("start", [0, 3_600_000])
@pytest.mark.parametrize("suffix", [".mp4", ".ts", ".asf", ".mkv"])
def test_frames_stay_in_step_with_the_sound(tmp_path: Path, suffix: str, start: int) -> None:
    pts = [start + time for time in CONSTANT]
    correct = write(tmp_path / "correct.mp4", CODECS["h264"], pts, decoding=False, sound=True)
    path = write(tmp_path / f"a{suffix}", CODECS["h264"], pts, sound=True)
    assert abs(lead_of_sound(path) - lead_of_sound(correct)) <= MILLISECOND


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts", ".nut", ".flv"])
@pytest.mark.parametrize("codec", CODECS)
def test_presentation_times_are_unchanged(tmp_path: Path, codec: str, suffix: str) -> None:
    if suffix == ".flv" and (codec == "hevc" or codec.startswith("mpeg")):
        pytest.skip("the container does not support the codec")
    path = write(tmp_path / f"a{suffix}", CODECS[codec], decoding=False)
    times, notes = read(path)
    with av.open(str(path)) as container:
        expected = [frame.time for frame in container.decode(video=0)]
    assert notes == ()
    assert [float(time) for time in times] == pytest.approx(expected)
    assert set(steps(times)) == {40}


@pytest.mark.parametrize("suffix", [".avi", ".asf"])
@pytest.mark.parametrize("codec", ["h264", "h264 one B", "h264 no B", "mpeg4", "mpeg2"])
def test_avi_and_asf_have_the_times_of_ffmpeg(tmp_path: Path, codec: str, suffix: str) -> None:
    chosen = CODECS[codec]
    path = encode(tmp_path / f"a{suffix}", range(COUNT), codec=chosen.name, options=chosen.options)
    times, notes = read(path)
    expected = best_effort(path)
    if expected[0] == 0:  # FFmpeg guesses the first time of MPEG-2 in ASF from one frame only.
        times, expected = times[1:], expected[1:]
    assert [float(time) for time in times] == pytest.approx(expected, abs=0.002)
    assert notes in ((), (NOTE,))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".asf", ".flv"])
def test_frames_without_reordering_may_come_first(tmp_path: Path, suffix: str) -> None:
    # Adaptive placement uses B-frames from frame 24 on only.
    codec = Codec("libx264", {"bf": "3", "g": "100", "x264-params": "b-adapt=1"})
    times, notes = read(write(tmp_path / f"late{suffix}", codec))
    assert notes == (NOTE,)
    assert set(steps(times)) == {40}


@pytest.mark.parametrize("suffix", [".mp4", ".asf", ".avi"])
@pytest.mark.parametrize("lost", [{30}, {31}, {32}, {30, 45, 46, 60}, set(range(20, 60, 5))])
def test_lost_packets_do_not_shift_later_frames(
    tmp_path: Path, lost: set[int], suffix: str
) -> None:
    codec = Codec("libx264", {**PYRAMID, "g": "8"})
    whole, _ = read(write(tmp_path / f"whole{suffix}", codec))
    times, _ = read(write(tmp_path / f"lost{suffix}", codec, lost=lost))
    assert times[-5:] == whole[-5:]
    assert max(steps(times)) <= 40 * 8


@pytest.mark.parametrize("number", [20, 37, 38])
def test_a_damaged_packet_does_not_shift_later_frames(tmp_path: Path, number: int) -> None:
    codec = Codec("libx264", {**PYRAMID, "g": "8"})
    whole, _ = read(write(tmp_path / "whole.asf", codec))
    broken = write(
        tmp_path / "broken.asf",
        codec,
        damage=lambda index, data: data[:4] + bytes(len(data) - 4) if index == number else data,
    )
    times, _ = read(broken)
    assert times[-5:] == whole[-5:]


@pytest.mark.parametrize("decoding", [True, False])
def test_a_recorder_that_restarts_is_not_taken_for_reordering(
    tmp_path: Path, decoding: bool
) -> None:
    part = write(tmp_path / "part.ts", CODECS["h264"], decoding=decoding)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(part.read_bytes() * 2)
    times, notes = read(joined)
    assert len(times) == 2 * COUNT
    assert any("time jumps back 1 times" in text for text in notes)
    assert (NOTE in notes) == decoding
    assert set(steps(times)) == {40} if not decoding else max(steps(times)) <= 160


def test_a_stream_without_reordering_may_restart(tmp_path: Path) -> None:
    part = encode(tmp_path / "part.ts", options={"bf": "0"})
    joined = tmp_path / "joined.ts"
    joined.write_bytes(part.read_bytes() * 3)
    times, notes = read(joined)
    assert len(times) == 36
    assert notes == ("time jumps back 2 times; the times of later frames were shifted",)


@pytest.mark.parametrize("suffix", [".asf", ".mp4"])
def test_skipped_frames_have_the_same_times(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"a{suffix}", CODECS["h264"], lost={33, 40})
    with open_reader(path) as reader:
        whole = list(reader)
        report = reader.report
    for target in (1, 3, 25, len(whole) - 1):
        with open_reader(path) as reader:
            reader.skip_to(target)
            rest = list(reader)
            assert [(frame.index, frame.pts) for frame in rest] == [
                (frame.index, frame.pts) for frame in whole[target:]
            ]
            assert reader.report == report


def test_few_frames_are_held(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", CODECS["h264"], decoding=False)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        times = PresentationTimes(stream)
        read_packets = 0
        for packet in container.demux(stream):
            read_packets += 1
            times.register(packet)
            if next(times.add(packet.decode()), None) is not None:
                break
    assert read_packets <= 24


@pytest.mark.parametrize(
    ("codec", "pixel_format", "options"),
    [
        ("mjpeg", "yuvj420p", {}),
        ("ffv1", "yuv420p", {}),
        ("mpeg4", "yuv420p", {"bf": "2"}),
        ("mpeg4", "yuv420p", {"bf": "0"}),
        ("mpeg2video", "yuv420p", {"bf": "2"}),
        ("libx264", "yuv420p", {"bf": "0"}),
    ],
)
@pytest.mark.parametrize("sound", [(), (Track("mp2", sample_rate=32000),)])
def test_an_intact_avi_has_no_note(
    tmp_path: Path,
    codec: str,
    pixel_format: str,
    options: dict[str, str],
    sound: tuple[Track, ...],
) -> None:
    path = encode(
        tmp_path / "a.avi", codec=codec, pixel_format=pixel_format, options=options, tracks=sound
    )
    times, notes = read(path)
    assert len(times) == 12
    assert notes == ()
    assert set(steps(times)) == {40}


@pytest.mark.parametrize("gaps", [(5,), (5, 6), (3, 7, 8)])
def test_empty_frames_of_an_avi_are_not_missing(tmp_path: Path, gaps: tuple[int, ...]) -> None:
    numbers = [number for number in range(40) if number not in gaps]
    path = encode(tmp_path / "a.avi", numbers, codec="mjpeg", pixel_format="yuvj420p")
    times, notes = read(path)
    assert times == [Fraction(number, 25) for number in numbers]
    text = f"{len(gaps)} frames are stored empty: they repeat the frame before them"
    assert notes == (text,)


def test_a_truncated_avi_is_still_reported(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.avi", range(40), codec="mjpeg", pixel_format="yuvj420p")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    times, notes = read(path)
    assert any(f"the header states 40 frames, the file contains {len(times)}" == n for n in notes)


def pictures(count: int) -> list[Image.Image]:
    return [Image.fromarray(picture(index)).convert("RGBA") for index in range(count)]


@pytest.mark.parametrize("blend", [0, 1])
@pytest.mark.parametrize("disposal", [0, 1, 2])
@pytest.mark.parametrize("count", [2, 4])
def test_an_intact_apng_has_no_note(tmp_path: Path, count: int, disposal: int, blend: int) -> None:
    first, *others = pictures(count)
    path = tmp_path / "a.png"
    durations = [100, 50, 200, 300][:count]
    first.save(
        path,
        save_all=True,
        append_images=others,
        duration=durations,
        disposal=disposal,
        blend=blend,
        loop=1,
    )
    times, notes = read(path)
    assert steps(times) == durations[:-1]
    # The third picture lies on what was there before the first: nothing.
    transparent = disposal == PngImagePlugin.Disposal.OP_PREVIOUS and count > 2
    assert notes == ((TRANSPARENT_NOTE,) if transparent else ())


@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_separate_picture_of_an_apng_is_not_a_missing_frame(tmp_path: Path, count: int) -> None:
    path = tmp_path / "a.png"
    still = Image.new("RGBA", (64, 48), (0, 255, 0, 255))
    still.save(path, save_all=True, append_images=pictures(count), duration=100, default_image=True)
    with open_reader(path) as reader:
        frames = list(reader)
        notes = reader.report.warnings
        assert reader.info.frames_promised == count
        assert reader.info.kind == "animation"
    assert notes == ("a still picture that is not part of the animation was not read",)
    assert [frame.image.tolist() for frame in frames] == [
        picture(index).tolist() for index in range(count)
    ]


def test_a_single_picture_of_an_apng_is_a_still(tmp_path: Path) -> None:
    pictures(1)[0].save(tmp_path / "a.png", save_all=True, append_images=[], duration=100)
    with open_reader(tmp_path / "a.png") as reader:
        assert reader.info.kind == "image"
        assert len(list(reader)) == 1
        assert reader.report.warnings == ()


def coded(codec: Codec, count: int = COUNT) -> list[tuple[bytes, bool]]:
    """The packets of a clip in the order of decoding: data, and whether it is a key frame."""
    context = av.CodecContext.create(codec.name, "w")
    context.width, context.height, context.pix_fmt = 64, 48, "yuv420p"
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    context.options = codec.options
    packets = []
    for index in range(count):
        frame = av.VideoFrame.from_ndarray(picture(index), format="rgb24")
        frame = frame.reformat(format="yuv420p")
        frame.pts, frame.time_base = index, Fraction(1, 25)
        packets += context.encode(frame)
    packets += context.encode(None)
    return [(bytes(packet), packet.is_keyframe) for packet in packets]


def store(path: Path, packets: Sequence[tuple[bytes, bool]]) -> Path:
    """Write packets of MPEG-4 part 2 with times that count them."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mpeg4", rate=Fraction(25))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 25)
        for number, (data, is_key) in enumerate(packets):
            packet = av.Packet(data)
            packet.stream, packet.time_base = stream, Fraction(1, 25)
            packet.pts = packet.dts = number
            packet.is_keyframe = is_key
            output.mux(packet)
    return path


START_OF_PICTURE = b"\x00\x00\x01\xb6"
START_OF_GROUP = b"\x00\x00\x01\xb3"


def header_length(packet: bytes) -> int:
    """Number of bytes before the first picture, or group of pictures, of a packet."""
    starts = (packet.find(START_OF_GROUP), packet.find(START_OF_PICTURE))
    return min(start for start in starts if start >= 0)


def test_packed_b_frames_are_complete(tmp_path: Path) -> None:
    """DivX and Xvid store a B-frame in the packet of the frame before, then an empty one."""
    placeholder = START_OF_PICTURE + b"\x50\x80\x7f"
    packets: list[tuple[bytes, bool]] = []
    for data, is_key in coded(Codec("mpeg4", {"bf": "1", "g": "12"})):
        if data[data.find(START_OF_PICTURE) + 4] >> 6 == 2:
            before, was_key = packets.pop()
            packets += [(before + data, was_key), (placeholder, False)]
        else:
            packets.append((data, is_key))
    first, is_key = packets[0]
    start = header_length(first)
    packets[0] = first[:start] + b"\x00\x00\x01\xb2DivX503b1393p" + first[start:], is_key
    path = store(tmp_path / "packed.avi", packets)
    times, notes = read(path)
    assert len(times) == COUNT
    assert set(steps(times)) == {40}
    assert [float(time) for time in times] == pytest.approx(best_effort(path), abs=0.001)
    assert notes == (NOTE,)
