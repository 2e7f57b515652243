from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import (
    COUNT,
    HEIGHT,
    WIDTH,
    Track,
    encode,
    file_size_limit,
    gif,
    gray,
    ntsc,
    picture,
    raw_h264,
    rotated,
    ten_bit,
    vfr,
)

from jdsr_cli.errors import OutputError, UsageError
from jdsr_cli.media import Frame, MediaInfo, SegmentWriter, VideoWriter, open_reader, probe
from jdsr_cli.media.writing.assembly import Assembly
from jdsr_cli.media.writing.tracks import TrackCopier


def copy(path: Path, target: Path, **options: object) -> tuple[VideoWriter, list[Frame]]:
    """Pass a clip through reader and writer."""
    frames = []
    with open_reader(path) as reader:
        info = reader.info
        with VideoWriter(target, info, info.width, info.height, **options) as sink:
            for frame in reader:
                sink.write(frame.image, frame.pts)
                frames.append(frame)
    return sink, frames


def load(path: Path) -> tuple[list[Frame], tuple[str, ...]]:
    with open_reader(path) as reader:
        return list(reader), reader.report.warnings


def packets(path: Path, index: int = 0) -> list[tuple[Fraction, bytes]]:
    with av.open(str(path)) as container:
        stream = container.streams.audio[index]
        return [
            (packet.pts * packet.time_base, bytes(packet))
            for packet in container.demux(stream)
            if packet.size
        ]


MAKERS = {
    "variable rate mp4": vfr,
    "variable rate mkv": lambda folder: vfr(folder, "vfr.mkv"),
    "23.976": ntsc,
    "gif": gif,
    "raw h264": raw_h264,
    "rotated": lambda folder: rotated(folder, 90),
    "10-bit": ten_bit,
    "gray": gray,
    "transport stream": lambda folder: encode(folder / "clip.ts"),
    "late start": lambda folder: encode(folder / "clip.mkv", [i + 50 for i in range(COUNT)]),
    "unicode": lambda folder: encode(folder / "Über wachung 監視.mp4"),
    "many B-frames": lambda folder: encode(
        folder / "b.mp4", range(30), options={"bf": "4", "g": "30"}
    ),
    "odd time base": lambda folder: encode(
        folder / "o.mp4", [7 * i * i + i for i in range(COUNT)], Fraction(1, 17777)
    ),
}


@pytest.mark.parametrize("name", list(MAKERS))
def test_times_are_kept_exactly(tmp_path: Path, name: str) -> None:
    sink, frames = copy(MAKERS[name](tmp_path), tmp_path / "out.mp4")
    again, warnings = load(sink.path)
    assert sink.path == tmp_path / "out.mp4"
    assert [frame.time for frame in again] == [frame.time for frame in frames]
    assert sink.frames == len(frames)
    assert sink.warnings == []
    assert sink.time_offset == 0
    # The reader estimates missing frames from the average rate, which is not exact.
    assert not [text for text in warnings if "constant rate" not in text]


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "ffv1", "source"])
def test_every_codec_can_be_written(tmp_path: Path, codec: str) -> None:
    sink, frames = copy(vfr(tmp_path), tmp_path / "out.mp4", codec=codec)
    again, _ = load(sink.path)
    with av.open(str(sink.path)) as container:
        stored = container.streams.video[0].codec_context.codec.canonical_name
    assert stored == {"source": "h264"}.get(codec, codec)
    assert [frame.time for frame in again] == [frame.time for frame in frames]
    errors = [
        np.abs(a.image.astype(int) - b.image).mean() for a, b in zip(frames, again, strict=True)
    ]
    assert max(errors) == 0 if codec == "ffv1" else max(errors) < 3


@pytest.mark.parametrize(("codec", "pixel_format"), [("mpeg4", "yuv420p"), ("mjpeg", "yuvj420p")])
def test_source_codec_is_kept(tmp_path: Path, codec: str, pixel_format: str) -> None:
    path = encode(tmp_path / "in.avi", codec=codec, pixel_format=pixel_format)
    sink, frames = copy(path, tmp_path / "out.mp4", codec="source")
    again, _ = load(sink.path)
    assert probe(sink.path).codec == codec
    assert [frame.time for frame in again] == [frame.time for frame in frames]
    assert np.abs(again[-1].image.astype(int) - frames[-1].image).mean() < 4


def test_a_source_codec_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    sink, _ = copy(gif(tmp_path), tmp_path / "out.mp4", codec="source")
    assert probe(sink.path).codec == "h264"
    assert "H.264 is used" in sink.warnings[0]


def test_gif_keeps_the_length_of_its_last_frame(tmp_path: Path) -> None:
    path = gif(tmp_path)
    sink, _ = copy(path, tmp_path / "out.mp4")
    assert probe(sink.path).duration == probe(path).duration


def test_sound_is_copied_packet_by_packet(tmp_path: Path) -> None:
    tracks = [
        Track(language="deu"),
        Track(start=Fraction(477, 1000), seconds=Fraction(1), language="eng", sample_rate=48000),
    ]
    path = encode(tmp_path / "two.mp4", tracks=tracks, metadata={"title": "Gate 4"})
    sink, _ = copy(path, tmp_path / "out.mp4")
    for index in range(2):
        before, after = packets(path, index), packets(sink.path, index)
        assert len(before) > 5
        assert after == before
    with av.open(str(sink.path)) as container:
        assert [stream.language for stream in container.streams.audio] == ["deu", "eng"]
        assert container.metadata["title"] == "Gate 4"


@pytest.mark.parametrize("name", ["sound.ts", "sound.mkv"])
def test_sound_of_other_containers_is_copied(tmp_path: Path, name: str) -> None:
    path = encode(tmp_path / name, tracks=[Track(start=Fraction(1, 5))])
    sink, frames = copy(path, tmp_path / "out.mp4")
    before, after = packets(path), packets(sink.path)
    assert len(after) == len(before)
    shifts = {round(float(b[0] - a[0]), 3) for a, b in zip(before, after, strict=True)}
    assert max(map(abs, shifts)) <= 0.001
    assert [frame.time for frame in load(sink.path)[0]] == [frame.time for frame in frames]


def test_telephone_sound_is_copied_into_quicktime(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.avi", tracks=[Track("pcm_alaw", sample_rate=8000)])
    sink, _ = copy(path, tmp_path / "out.mp4")
    assert sink.path == tmp_path / "out.mov"
    assert b"".join(data for _, data in packets(sink.path)) == b"".join(
        data for _, data in packets(path)
    )


def test_sound_that_no_container_can_store_is_decoded_and_reported(tmp_path: Path) -> None:
    track = Track("adpcm_ms", sample_rate=8000)
    path = encode(tmp_path / "a.avi", tracks=[track])
    sink, _ = copy(path, tmp_path / "out.mp4")
    assert "stored as pcm_s16le" in sink.warnings[0]

    def samples(file: Path) -> np.ndarray:
        with av.open(str(file)) as container:
            return np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])

    np.testing.assert_array_equal(samples(path), samples(sink.path))


class SlowTrack(Track):
    """A track at a rate that the WMA encoder accepts."""

    def add(self, output: av.container.OutputContainer) -> av.AudioStream:
        stream = super().add(output)
        stream.bit_rate = 48000
        return stream


def test_decoded_sound_keeps_its_start(tmp_path: Path) -> None:
    def start(file: Path) -> float:
        with av.open(str(file)) as container:
            return float(next(iter(container.decode(audio=0))).time)

    track = SlowTrack("wmav2", sample_rate=22050, start=Fraction(1, 4))
    path = encode(tmp_path / "a.asf", tracks=[track])
    assert start(path) > 0.25
    sink, _ = copy(path, tmp_path / "out.mp4")
    assert start(sink.path) == pytest.approx(start(path), abs=0.001)


def test_the_last_samples_of_a_decoder_with_delay_are_kept(tmp_path: Path) -> None:
    def samples(file: Path) -> int:
        with av.open(str(file)) as container:
            return sum(frame.samples for frame in container.decode(audio=0))

    path = encode(tmp_path / "a.avi", tracks=[SlowTrack("wmav2", sample_rate=22050)])
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        undelayed = sum(
            frame.samples
            for packet in container.demux(stream)
            if packet.size
            for frame in stream.codec_context.decode(packet)
        )
    sink, _ = copy(path, tmp_path / "out.mp4")
    assert samples(sink.path) == samples(path) > undelayed


def test_sound_packets_that_cannot_be_decoded_are_counted(tmp_path: Path) -> None:
    track = Track("adpcm_ms", sample_rate=8000, seconds=Fraction(2))
    path = encode(tmp_path / "a.avi", tracks=[track])
    with av.open(str(path)) as container:
        sound = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
    assert len(sound) > 3
    data = path.read_bytes()
    for packet in sound[1:3]:
        assert data.count(packet) == 1
        # The decoder refuses a block predictor above 6.
        data = data.replace(packet, b"\xff" * len(packet))
    path.write_bytes(data)
    sink, _ = copy(path, tmp_path / "out.mp4")
    assert "2 packets of sound could not be decoded" in sink.warnings
    assert probe(sink.path).audio_streams == 1


def test_sound_of_another_layout_within_a_track_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Changing:
        """A resampler that fails at the second frame, as PyAV's does if the layout changes."""

        def __init__(self, **options: object) -> None:
            self._resampler = av.AudioResampler(**options)  # type: ignore[arg-type]
            self._frames = 0

        def resample(self, frame: av.AudioFrame) -> list[av.AudioFrame]:
            self._frames += 1
            if self._frames == 2:
                raise ValueError("Frame does not match AudioResampler setup.")
            return self._resampler.resample(frame)

    monkeypatch.setattr("jdsr_cli.media.writing.sound.AudioResampler", Changing)
    path = encode(tmp_path / "a.avi", tracks=[Track("adpcm_ms", sample_rate=8000)])
    sink, _ = copy(path, tmp_path / "out.mp4")
    assert sink.warnings[1:] == ["1 packets of sound could not be decoded"]


def test_sound_packets_without_a_time_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = TrackCopier._next
    count = 0

    def untimed(copier: TrackCopier) -> av.Packet | None:
        nonlocal count
        packet = original(copier)
        if packet is not None and packet.size:
            count += 1
            if count == 2:
                packet.pts = packet.dts = None
        return packet

    monkeypatch.setattr(TrackCopier, "_next", untimed)
    path = encode(tmp_path / "a.mp4", tracks=[Track()])
    sink, _ = copy(path, tmp_path / "out.mp4")
    assert sink.warnings == ["1 sound or subtitle packets without a time were left out"]
    assert len(packets(sink.path)) == len(packets(path)) - 1


def test_a_video_without_sound_has_none_after_writing(tmp_path: Path) -> None:
    sink, _ = copy(vfr(tmp_path), tmp_path / "out.mp4")
    assert probe(sink.path).audio_streams == 0


def test_shape_and_colour_tags_are_kept(tmp_path: Path) -> None:
    def tag(stream) -> None:
        context = stream.codec_context
        context.sample_aspect_ratio = Fraction(12, 11)
        context.color_range, context.colorspace = 2, 9
        context.color_primaries, context.color_trc = 9, 14

    path = encode(tmp_path / "in.mp4", configure=tag)
    sink, _ = copy(path, tmp_path / "out.mp4")
    before, after = probe(path), probe(sink.path)
    for field in (
        "sample_aspect_ratio",
        "colour_range",
        "colour_matrix",
        "colour_primaries",
        "colour_transfer",
    ):
        assert getattr(after, field) == getattr(before, field), field
    assert after.colour_matrix == "bt2020nc"


def test_pixel_aspect_rotates_with_the_picture(tmp_path: Path) -> None:
    def shape(stream) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(12, 11)
        stream.set_display_rotation(-90)

    path = encode(tmp_path / "in.mp4", configure=shape)
    assert probe(path).sample_aspect_ratio == Fraction(11, 12)
    sink, _ = copy(path, tmp_path / "out.mp4")
    after = probe(sink.path)
    assert (after.rotation, after.sample_aspect_ratio) == (0, Fraction(11, 12))


@pytest.mark.parametrize("matrix", ["smpte170m", "bt709", "unspecified"])
@pytest.mark.parametrize("span", ["limited", "full"])
@pytest.mark.parametrize("factor", [1, 20])
def test_colours_are_kept(tmp_path: Path, matrix: str, span: str, factor: int) -> None:
    """Also where the enlarged picture is HD, for which readers assume another matrix."""
    info = replace(
        probe(encode(tmp_path / "in.mp4", pts=(0,))), colour_matrix=matrix, colour_range=span
    )
    colours = np.array([(200, 60, 40), (30, 180, 60), (20, 40, 220), (128, 128, 128)], np.uint8)
    width, height = WIDTH * factor, 16 * factor
    image = np.repeat(np.repeat(colours[None], height, 0), width // 4, 1)
    with VideoWriter(tmp_path / "out.mp4", info, width, height, crf=4) as sink:
        sink.write(image, 0)
    again = load(sink.path)[0][0].image
    stored = again[height // 2, width // 8 :: width // 4]
    np.testing.assert_allclose(stored.astype(int), colours, atol=3)
    written = probe(sink.path)
    assert written.colour_range == span
    assert written.colour_matrix == ("smpte170m" if matrix == "unspecified" else matrix)


def test_odd_size_is_padded_by_repetition(tmp_path: Path) -> None:
    info = probe(encode(tmp_path / "in.mp4", pts=(0,)))
    image = picture(0, 65, 49)
    with VideoWriter(tmp_path / "out.mp4", info, 65, 49, crf=4) as sink:
        sink.write(image, 0)
    again = load(sink.path)[0][0].image
    assert again.shape == (50, 66, 3)
    assert np.abs(again[:49, :65].astype(int) - image).mean() < 4


def test_a_buffer_may_be_reused_between_writes(tmp_path: Path) -> None:
    info = probe(encode(tmp_path / "in.mp4"))
    buffer = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    with VideoWriter(tmp_path / "out.mp4", info, WIDTH, HEIGHT, codec="ffv1") as sink:
        for index in range(COUNT):
            buffer[:] = picture(index)
            sink.write(buffer, index * 512)
    for index, frame in enumerate(load(sink.path)[0]):
        np.testing.assert_array_equal(frame.image, picture(index))


@pytest.mark.parametrize("frames", [1, 2, 3])
@pytest.mark.parametrize("codec", ["hevc", "h264", "av1"])
def test_few_frames_give_the_same_bytes_every_time(
    tmp_path: Path, info: MediaInfo, codec: str, frames: int
) -> None:
    """With one or two frames, x265 takes decoding times from memory that is not initialised."""
    results = []
    for _ in range(25 if codec == "hevc" else 2):
        path = tmp_path / "a.nut"
        with SegmentWriter(path, info, WIDTH, HEIGHT, codec=codec) as writer:
            for number in range(frames):
                writer.write(picture(number), number)
        results.append(path.read_bytes())
    assert len(set(results)) == 1


@pytest.mark.parametrize("start", [3600 * 9, -2])
def test_times_far_from_zero_are_shifted(tmp_path: Path, start: int) -> None:
    info = probe(encode(tmp_path / "in.ts", tracks=[Track()]))
    first = start * 90000
    with VideoWriter(tmp_path / "out.mp4", info, WIDTH, HEIGHT) as sink:
        for index in range(COUNT):
            sink.write(picture(index), first + index * 3600)
    assert "times were moved" in sink.warnings[0]
    times = [frame.time + 0 for frame in load(sink.path)[0]]
    assert times == [Fraction(first + i * 3600, 90000) + sink.time_offset for i in range(COUNT)]


def file_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def info(tmp_path: Path) -> MediaInfo:
    (tmp_path / "in").mkdir()
    return probe(encode(tmp_path / "in" / "clip.mp4"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def write(target: Path, info: MediaInfo, frames: Iterable[tuple[np.ndarray, int]]) -> None:
    with VideoWriter(target, info, WIDTH, HEIGHT, crf=1) as sink:
        for image, pts in frames:
            sink.write(image, pts)


def test_an_exception_leaves_no_file_and_keeps_an_earlier_result(
    info: MediaInfo, folder: Path
) -> None:
    target = folder / "out.mp4"
    target.write_bytes(b"earlier result")

    def interrupted() -> Iterator[tuple[np.ndarray, int]]:
        yield picture(0), 0
        yield picture(1), 512
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(target, info, interrupted())
    assert file_names(folder) == ["out.mp4"]
    assert target.read_bytes() == b"earlier result"


def test_the_final_name_is_used_only_at_the_end(info: MediaInfo, folder: Path) -> None:
    with VideoWriter(folder / "out.mp4", info, WIDTH, HEIGHT) as sink:
        sink.write(picture(0), 0)
        assert not sink.path.exists()
        assert len(file_names(folder)) == 1
    assert file_names(folder) == ["out.mp4"]


def test_a_full_disk_is_an_error(info: MediaInfo, folder: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, HEIGHT, WIDTH, 3), np.uint8)
    frames = [(image, index) for index, image in enumerate(noise)]
    with file_size_limit(60_000), pytest.raises(OutputError, match="cannot be written"):
        write(folder / "out.mp4", info, frames)
    assert file_names(folder) == []


def test_the_error_states_that_the_disk_is_full(
    info: MediaInfo, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("jdsr_cli.atomic.os.fsync", refuse)
    with pytest.raises(OutputError, match="the disk is full"):
        write(folder / "out.mp4", info, [(picture(0), 0)])
    assert file_names(folder) == []


def test_invalid_output_folders_are_refused_immediately(
    info: MediaInfo, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "taken.mp4").mkdir()
    for path, text in (
        (folder / "none" / "out.mp4", "the folder does not exist"),
        (info.path / "out.mp4", "is a file, not a folder"),
        (folder / "taken.mp4", "is a folder"),
        (info.path, "would overwrite its input"),
        (folder / ("x" * 300 + ".mp4"), "too long"),
    ):
        with pytest.raises(OutputError, match=text) as caught:
            VideoWriter(path, info, WIDTH, HEIGHT)
        assert caught.value.exit_code == 6

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    real = Path.open
    monkeypatch.setattr(
        Path, "open", lambda self, *a, **k: refuse() if "x" in str(a) else real(self, *a, **k)
    )
    with pytest.raises(OutputError, match="read-only"):
        VideoWriter(folder / "out.mp4", info, WIDTH, HEIGHT)
    assert file_names(folder) == ["taken.mp4"]
    assert probe(info.path).frames_promised == COUNT


def test_a_lost_frame_is_detected(
    info: MediaInfo, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = SegmentWriter._mux
    lost: list[object] = []

    def lossy(self, packets):
        if packets and not lost:
            lost.append(packets[-1])
            packets = packets[:-1]
        real(self, packets)

    monkeypatch.setattr(SegmentWriter, "_mux", lossy)
    with pytest.raises(OutputError, match="frames after writing instead of 12"):
        write(folder / "out.mp4", info, [(picture(index), index * 512) for index in range(COUNT)])
    assert file_names(folder) == []


def test_the_final_file_is_verified(
    info: MediaInfo, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Assembly.write

    def lossy(assembly: Assembly, *arguments: Any) -> None:
        original(assembly, *arguments)
        assembly.times.add(Fraction(99))

    monkeypatch.setattr(Assembly, "write", lossy)
    with pytest.raises(OutputError, match="contains 12 frames after writing instead of 13"):
        write(folder / "out.mp4", info, [(picture(index), index * 512) for index in range(COUNT)])
    assert file_names(folder) == []


def test_invalid_arguments_are_refused(info: MediaInfo, folder: Path) -> None:
    for options in ({"codec": "divx"}, {"crf": 52}, {"crf": -1}):
        with pytest.raises(UsageError):
            VideoWriter(folder / "out.mp4", info, WIDTH, HEIGHT, **options)
    with pytest.raises(UsageError):
        VideoWriter(folder / "out.mp4", info, 0, HEIGHT)
    invalid = [
        (picture(0, 32, 32), 1, "uint8 of shape"),
        (picture(0).astype(np.float32), 1, "uint8 of shape"),
        (picture(0), 0, "must increase"),
    ]
    for image, pts, text in invalid:
        with pytest.raises(UsageError, match=text):
            write(folder / "out.mp4", info, [(picture(0), 0), (image, pts)])
    with pytest.raises(OutputError, match="no frames"):
        write(folder / "out.mp4", info, [])
    assert file_names(folder) == []


def test_metadata_of_the_source_is_copied(tmp_path: Path) -> None:
    texts = {"title": "Gate 4", "creation_time": "2024-04-03T17:35:55.000000Z"}
    for extra in ({}, {"make": "DVR 9000"}):
        path = encode(
            tmp_path / "in.mp4",
            metadata={**texts, **extra},
            container_options={"movflags": "use_metadata_tags"} if extra else None,
        )
        sink, _ = copy(path, tmp_path / "out.mp4")
        with av.open(str(sink.path)) as container:
            metadata = container.metadata
        assert metadata["title"] == "Gate 4"
        assert metadata["creation_time"].startswith(texts["creation_time"])
        assert extra.items() <= metadata.items()


def test_additional_metadata_is_stored(info: MediaInfo, folder: Path) -> None:
    with VideoWriter(
        folder / "out.mp4", info, WIDTH, HEIGHT, metadata={"comment": "made by jdsr"}
    ) as sink:
        sink.write(picture(0), 0)
    with av.open(str(sink.path)) as container:
        assert container.metadata["comment"] == "made by jdsr"
