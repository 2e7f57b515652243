"""Sound of every layout of channels is kept, and what a container refuses is known beforehand."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest
from clips import HEIGHT, WIDTH, Track, encode, picture
from melodies import write_source

from jdsr_cli.errors import OutputError
from jdsr_cli.media import JoinedVideo, SegmentWriter, join_segments, open_reader, plan_output
from jdsr_cli.media.writing import joining, refusals, trials
from jdsr_cli.media.writing.assembly import Assembly
from jdsr_cli.media.writing.containers import CONTAINERS, TracksRefusedError
from jdsr_cli.media.writing.trials import probe_tracks

RATE = 8000
PACKED = ("s16le", "s24le", "s32le", "u8", "f32le", "s16be", "s24be", "alaw", "mulaw")
PCM = tuple(f"pcm_{kind}" for kind in PACKED)
ADPCM = ("adpcm_ms", "adpcm_ima_wav", "adpcm_yamaha", "adpcm_swf")
LAYOUTS = ("mono", "stereo", "2.1", "4.0", "5.0", "5.1", "5.1(side)", "7 channels", "downmix")


def channels_of(layout: str) -> int:
    return av.AudioLayout(layout).nb_channels


def source_with(path: Path, codec: str, layout: str, *more: str) -> Path:
    """Write a video with a tone of another pitch in each channel."""
    tones = "|".join(f"sin({200 + 90 * n}*2*PI*t)" for n in range(channels_of(layout)))
    named = "" if layout.endswith("channels") else f":c={layout}"
    video = "mjpeg" if path.suffix == ".avi" else "mpeg2video"
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error",
        "-f", "lavfi", "-i", f"testsrc=size={WIDTH}x{HEIGHT}:rate=25:duration=0.4",
        "-f", "lavfi", "-i", f"aevalsrc={tones}:s={RATE}:d=0.4{named}",
        "-c:v", video, "-c:a", codec, *more, str(path),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    return path


def joined(path: Path, codec: str = "h264") -> JoinedVideo:
    """Write the frames of a file anew, with its sound."""
    segment = path.with_name("all.nut")
    with open_reader(path) as reader:
        with SegmentWriter(segment, reader.info, WIDTH, HEIGHT, codec=codec) as writer:
            for frame in reader:
                writer.write(picture(frame.index), frame.pts)
        info, later = reader.info, reader.report.later
    target = path.with_name("out.mp4")
    planned = plan_output(target, info, codec)
    video = join_segments(target, [segment], info, later=later)
    assert later or video.path == planned
    return video


def samples_of(path: Path) -> list[np.ndarray]:
    """Return the decoded samples of each sound track, (n, channels)."""
    tracks = []
    with av.open(str(path)) as container:
        count = len(container.streams.audio)
    for number in range(count):
        with av.open(str(path)) as container:
            parts = []
            for frame in container.decode(audio=number):
                values, channels = frame.to_ndarray(), len(frame.layout.channels)
                parts.append(values.T if frame.format.is_planar else values.reshape(-1, channels))
            tracks.append(np.concatenate(parts))
    return tracks


def assert_same_sound(source: Path, result: Path) -> None:
    before, after = samples_of(source), samples_of(result)
    assert len(before) == len(after)
    for one, other in zip(before, after, strict=True):
        assert one.shape == other.shape
        # Sound that is stored as PCM has 16 bits.
        assert one.dtype != other.dtype or np.array_equal(one, other)


def matrix(codecs: Sequence[str], layouts: Sequence[str]) -> list[tuple[str, str, str]]:
    return [(end, c, one) for end in (".avi", ".mkv", ".mov") for c in codecs for one in layouts]


def is_written(suffix: str, codec: str, layout: str) -> bool:
    """Whether ffmpeg writes such a source."""
    if codec.startswith("adpcm"):
        return channels_of(layout) <= 2
    return suffix == ".mov" or not (codec.endswith("be") and suffix == ".avi")


EVERY_DAY = [
    (".avi", "pcm_s16le", "stereo"),
    (".avi", "adpcm_ms", "stereo"),
    (".avi", "pcm_s16le", "downmix"),
    (".mkv", "pcm_s16le", "stereo"),
    (".mkv", "pcm_s24le", "stereo"),
    (".mkv", "adpcm_ima_wav", "stereo"),
    (".mkv", "pcm_s24le", "5.1"),
    (".mov", "pcm_s24be", "5.1"),
    (".mov", "pcm_s16le", "downmix"),
    (".mov", "pcm_mulaw", "stereo"),
    (".mxf", "pcm_s16le", "stereo"),
]


@pytest.mark.parametrize(("suffix", "codec", "layout"), EVERY_DAY)
def test_sound_of_any_layout_is_kept(tmp_path: Path, suffix: str, codec: str, layout: str) -> None:
    rate = ["-ar", "48000"] if suffix == ".mxf" else []
    source = source_with(tmp_path / f"in{suffix}", codec, layout, *rate)
    result = joined(source)
    assert_same_sound(source, result.path)
    if channels_of(layout) <= 2 and suffix != ".mov":
        assert result.path.suffix == ".mp4"


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("suffix", "codec", "layout"),
    [one for one in matrix((*PCM, *ADPCM), LAYOUTS) if is_written(*one)],
)
def test_sound_of_every_codec_and_layout_is_kept(
    tmp_path: Path, suffix: str, codec: str, layout: str
) -> None:
    source = source_with(tmp_path / f"in{suffix}", codec, layout)
    assert_same_sound(source, joined(source).path)


@pytest.mark.parametrize(
    ("suffix", "layout", "stated"),
    [(".mkv", "5.1", "6 channels"), (".mkv", "7 channels", "7 channels"), (".mov", "downmix", "")],
)
def test_the_reason_for_another_container_is_that_of_ffmpeg(
    tmp_path: Path, suffix: str, layout: str, stated: str
) -> None:
    result = joined(source_with(tmp_path / f"in{suffix}", "pcm_s16le", layout))
    assert result.path.suffix == ".mov"
    (note,) = result.warnings
    assert note == (
        "stored as QuickTime: MP4 refuses the sound (pcm_s16le): unsupported channel layout "
        f"{stated or layout}"
    )


@pytest.mark.parametrize(
    ("codec", "layout", "suffix"),
    [
        ("ffv1", "5.1", ".mkv"),
        ("av1", "5.1", ".mkv"),
        ("av1", "stereo", ".mp4"),
        ("hevc", "5.1", ".mov"),
    ],
)
def test_sound_is_kept_in_the_containers_of_every_codec(
    tmp_path: Path, codec: str, layout: str, suffix: str
) -> None:
    """QuickTime takes neither FFV1 nor AV1."""
    source = source_with(tmp_path / "in.mkv", "pcm_s16le", layout)
    result = joined(source, codec)
    assert result.path.suffix == suffix
    assert_same_sound(source, result.path)
    assert any("unsupported channel layout" in one for one in result.warnings) == (
        layout != "stereo"
    )


def test_refused_sound_of_another_codec_is_decoded(tmp_path: Path) -> None:
    more = ("-strict", "-2", "-ar", "48000")
    source = source_with(tmp_path / "in.mkv", "truehd", "stereo", *more)
    result = joined(source)
    (note,) = result.warnings
    assert "(truehd) cannot be stored in MP4 (truehd in MP4 support is experimental" in note
    assert note.endswith("it was stored as pcm_s16le")
    assert samples_of(result.path)[0].shape == samples_of(source)[0].shape


def test_one_refused_track_of_several_decides(tmp_path: Path) -> None:
    parts = [
        source_with(tmp_path / f"{number}.mkv", codec, layout)
        for number, (codec, layout) in enumerate(
            [("pcm_s16le", "stereo"), ("pcm_s24le", "5.1"), ("adpcm_ms", "stereo")]
        )
    ]
    source = tmp_path / "in.mkv"
    inputs = [word for part in parts for word in ("-i", str(part))]
    subprocess.run(
        [
            imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *inputs, "-map", "0", "-map", "1:a",
            "-map", "2:a", "-c", "copy", str(source),
        ],
        check=True,
    )  # fmt: skip
    result = joined(source)
    assert result.path.suffix == ".mov"
    assert [one.shape[1] for one in samples_of(result.path)] == [2, 6, 2]
    assert_same_sound(source, result.path)


@pytest.mark.parametrize(
    ("codec", "layout", "suffix"), [("pcm_s16le", "stereo", ".mp4"), ("pcm_s16le", "5.1", ".mov")]
)
def test_joined_recordings_of_any_layout_keep_their_sound(
    tmp_path: Path, codec: str, layout: str, suffix: str
) -> None:
    part = source_with(tmp_path / "part.mkv", codec, layout).read_bytes()
    source = tmp_path / "in.mkv"
    source.write_bytes(part * 2)
    result = joined(source)
    assert result.path.suffix == suffix
    (samples,) = samples_of(result.path)
    assert samples.shape[1] == channels_of(layout)
    assert abs(len(samples) - 0.8 * RATE) < 0.05 * RATE


def test_sound_that_begins_late_is_tried_with_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = source_with(tmp_path / "in.mkv", "pcm_s16le", "5.1")
    monkeypatch.setattr(trials, "_LARGEST_SEARCH", 0)
    (kind,) = probe_tracks(source)
    assert kind.refused == {"mp4"}
    assert joined(source).path.suffix == ".mov"


def test_nothing_of_a_trial_is_written_beside_the_input(tmp_path: Path) -> None:
    source = source_with(tmp_path / "in.mkv", "pcm_s16le", "5.1")
    (kind,) = probe_tracks(source)
    assert kind.copied == kind.decoded == {"mov", "matroska"}
    assert list(tmp_path.iterdir()) == [source]


class TestRefusalsAtTheJoin:
    """What no trial has shown costs no computed frame."""

    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        return write_source(tmp_path / "in.mkv", "aac", 48000)

    def refuse(self, monkeypatch: pytest.MonkeyPatch, *containers: str) -> None:
        """Let containers refuse the tracks at the end of writing."""
        write = Assembly.write

        def refuse_or_write(self: Assembly, *given: object) -> None:
            write(self, *given)  # type: ignore[arg-type]
            if self._container in containers and self._tracks is not None:
                raise TracksRefusedError("Invalid argument")

        monkeypatch.setattr(Assembly, "write", refuse_or_write)

    @pytest.mark.parametrize(("refused", "suffix"), [(("mp4",), ".mov"), (("mp4", "mov"), ".mkv")])
    def test_another_container_is_taken(
        self,
        source: Path,
        monkeypatch: pytest.MonkeyPatch,
        refused: tuple[str, ...],
        suffix: str,
    ) -> None:
        self.refuse(monkeypatch, *refused)
        result = joined_anyhow(source)
        assert result.path.suffix == suffix
        assert any("MP4 does not store the tracks (Invalid argument)" in one
                   for one in result.warnings)  # fmt: skip
        assert_same_sound(source, result.path)

    def test_the_video_is_kept_without_sound_as_the_last_resort(
        self, source: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.refuse(monkeypatch, *CONTAINERS)
        result = joined_anyhow(source)
        assert result.frames == 75
        assert "sound and subtitles could not be kept" in result.warnings
        assert sum("does not store the tracks" in one for one in result.warnings) == 3
        with av.open(str(result.path)) as container:
            assert not container.streams.audio

    def test_tracks_that_are_missing_when_read_back_count_as_refused(
        self, source: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        verify = joining.verify_file

        def lose(file: Path, expected: object, path: Path) -> list[str]:
            if path.suffix == ".mp4":
                raise TracksRefusedError("0 sound and subtitle tracks after writing instead of 1")
            return verify(file, expected, path)  # type: ignore[arg-type]

        monkeypatch.setattr(joining, "verify_file", lose)
        assert joined_anyhow(source).path.suffix == ".mov"

    def test_sound_that_matroska_would_move_with_the_video_is_left_out(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = write_source(tmp_path / "in.mp4", "aac", 48000)
        self.refuse(monkeypatch, "mp4", "mov")
        result = joined_anyhow(source)
        assert result.frames == 75
        assert any("Matroska does not store the tracks (contains other times" in one
                   for one in result.warnings)  # fmt: skip

    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EFBIG])
    def test_a_failing_disk_is_no_refusal(
        self, source: Path, monkeypatch: pytest.MonkeyPatch, code: int
    ) -> None:
        attempts = []

        def fail(*_: object) -> None:
            attempts.append(code)
            raise av.error.OSError(code, os.strerror(code))

        monkeypatch.setattr(Assembly, "_copy", fail)
        with pytest.raises(OutputError, match="cannot be written"):
            joined_anyhow(source)
        assert len(attempts) == 1


def joined_anyhow(path: Path) -> JoinedVideo:
    """Write the frames of a file anew, with its sound if a container takes it."""
    segment = path.with_name("all.nut")
    with open_reader(path) as reader:
        with SegmentWriter(segment, reader.info, WIDTH, HEIGHT) as writer:
            for frame in reader:
                writer.write(picture(frame.index), frame.pts)
        info = reader.info
    return join_segments(path.with_name("out.mp4"), [segment], info)


def test_the_reason_is_general_where_no_process_can_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = source_with(tmp_path / "in.mkv", "pcm_s16le", "5.1")
    monkeypatch.setattr(refusals.sys, "executable", str(tmp_path / "absent"))
    (note,) = joined(source).warnings
    assert note.endswith("MP4 refuses the sound (pcm_s16le): FFmpeg refuses it")


def test_a_module_in_the_working_folder_is_not_run_for_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = source_with(tmp_path / "in.mkv", "pcm_s16le", "5.1")
    (tmp_path / "av.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    (note,) = joined(source).warnings
    assert note.endswith("unsupported channel layout 6 channels")


def test_mono_of_one_recorder_stays_as_it_is(tmp_path: Path) -> None:
    source = encode(tmp_path / "in.avi", tracks=[Track("pcm_s16le")])
    result = joined(source)
    assert result.warnings == ()
    assert_same_sound(source, result.path)
