"""Pauses of the sound: what follows one is heard at its time."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import HEIGHT, WIDTH, Track, encode, picture
from melodies import SECONDS, decode_with_ffmpeg, melody, placed, shift

from jdsr_cli.media import JoinedVideo, ReadSettings, SegmentWriter, join_segments, open_reader
from jdsr_cli.media.writing.silence import bytes_per_sample

RATE = 8000
PACKET = 400
PAUSE = (1.0, 1.9)
"""Seconds from and to which there is no sound."""


class PausedTrack(Track):
    """The melody, without the packets of the pause.

    Args:
        codec: The codec.
        later: Seconds by which the pause is longer.

    """

    def __init__(self, codec: str, later: int = 0) -> None:
        super().__init__(codec, sample_rate=RATE)
        self._later = later

    def fill(self, output: av.container.OutputContainer, stream: av.AudioStream) -> None:
        samples = (np.clip(melody(RATE), -1, 1) * 32000).astype(np.int16)
        for start in range(0, SECONDS * RATE, PACKET):
            if PAUSE[0] * RATE <= start < PAUSE[1] * RATE:
                continue
            frame = av.AudioFrame.from_ndarray(
                samples[None, start : start + PACKET], format="s16", layout="mono"
            )
            frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
            frame.pts = start + (self._later * RATE if start >= PAUSE[1] * RATE else 0)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def paused(folder: Path, suffix: str, codec: str, later: int = 0) -> Path:
    times = [*range(50), *(25 * later + time for time in range(50, 75))]
    return encode(
        folder / f"in{suffix}", times, options={"bf": "0"}, tracks=[PausedTrack(codec, later)]
    )


def restored(path: Path, settings: ReadSettings | None = None) -> JoinedVideo:
    segment = path.with_name("all.nut")
    with open_reader(path, settings) as reader:
        with SegmentWriter(segment, reader.info, WIDTH, HEIGHT) as writer:
            for frame in reader:
                writer.write(picture(frame.index), frame.pts)
        target = path.with_name("out.mp4")
        return join_segments(target, [segment], reader.info, trimmed=settings is not None)


def assert_in_step(path: Path, begin: float, offsets: list[float]) -> None:
    """Check pieces of 0.2 s of the melody, which begins at a time of the file."""
    samples, rate = placed(path)
    for offset in offsets:
        piece = samples[round((begin + offset) * rate) :][: rate // 5]
        assert abs(shift(piece, melody(RATE), rate, offset)) <= 0.0015


SOURCES = [
    (".mkv", "pcm_s16le"),
    (".asf", "pcm_s16le"),
    (".asf", "pcm_mulaw"),
    (".asf", "pcm_alaw"),
    (".flv", "pcm_mulaw"),
    (".nut", "pcm_s16be"),
]


@pytest.mark.parametrize(("suffix", "codec"), SOURCES)
def test_a_pause_of_uncompressed_sound_is_filled(tmp_path: Path, suffix: str, codec: str) -> None:
    joined = restored(paused(tmp_path, suffix, codec))
    assert joined.path.suffix in (".mp4", ".mov")
    text = "pauses of the sound were filled with silence (1, 0.90 s in all)"
    assert joined.warnings == (text,)
    assert_in_step(joined.path, 0, [0.1, 0.7, 1.95, 2.7])
    samples, rate = placed(joined.path)
    pause = samples[round(1.01 * rate) : round(1.89 * rate)]
    assert np.abs(pause).max() < 0.001
    assert len(decode_with_ffmpeg(joined.path)) == len(samples)


@pytest.mark.parametrize("codec", ["adpcm_ms", "adpcm_ima_wav"])
def test_a_pause_of_decoded_sound_is_filled(tmp_path: Path, codec: str) -> None:
    source = paused(tmp_path, ".asf", codec)
    joined = restored(source)
    assert "stored as pcm_s16le" in joined.warnings[0]
    assert "filled with silence (1, 0.90 s in all)" in joined.warnings[1]
    with av.open(str(source)) as container:
        decoded = list(container.decode(audio=0))
    frames = [float(frame.time or 0) for frame in decoded]
    end = frames[-1] + decoded[-1].samples / RATE
    steps = np.diff(frames)
    assert steps.max() > 0.85
    after = frames[int(steps.argmax()) + 1]
    samples, rate = placed(joined.path)
    # The encoder collects samples across the pause, so that its place is that of the packets.
    assert not samples[round((after - 0.5) * rate) : round((after - 0.01) * rate)].any()
    assert samples[round((after + 0.05) * rate) :].any()
    assert len(samples) / rate == pytest.approx(end, abs=0.01)


@pytest.mark.parametrize(
    ("start", "end", "offsets"),
    [
        ("1.4", None, [1.95, 2.5]),
        ("0.6", None, [0.65, 1.95, 2.5]),
        ("2.2", None, [2.25, 2.5]),
        (None, "2.4", [0.1, 1.95]),
    ],
)
def test_a_part_with_a_pause_is_in_step(
    tmp_path: Path, start: str | None, end: str | None, offsets: list[float]
) -> None:
    joined = restored(paused(tmp_path, ".mkv", "pcm_s16le"), ReadSettings(start=start, end=end))
    assert_in_step(joined.path, -float(start or 0), offsets)


@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_mulaw"])
def test_a_long_pause_is_stored_in_matroska(tmp_path: Path, codec: str) -> None:
    joined = restored(paused(tmp_path, ".asf", codec, later=700))
    assert joined.path.suffix == ".mkv"
    assert joined.path.stat().st_size < 1_000_000
    assert any("longest pause of the sound" in text for text in joined.warnings)
    with av.open(str(joined.path)) as container:
        times = [float(frame.time or 0) for frame in container.decode(audio=0)]
    assert np.diff(times).max() == pytest.approx(700.9, abs=0.06)


@pytest.mark.parametrize("packet", [400, 401, 419])
def test_no_packet_is_lost_to_the_rounding_of_times(tmp_path: Path, packet: int) -> None:
    """Matroska rounds times to milliseconds, in which the end of a pause is its beginning."""
    path = tmp_path / "in.mkv"
    samples = np.full((1, 48000), 100, np.int16)

    class Track48(Track):
        def fill(self, output: av.container.OutputContainer, stream: av.AudioStream) -> None:
            for first, last, later in ((0, 2045, 0), (2045, 3045, 48019), (3045, 4045, 48019)):
                frame = av.AudioFrame.from_ndarray(
                    samples[:, first:last].copy(), format="s16", layout="mono"
                )
                frame.sample_rate, frame.time_base = 48000, Fraction(1, 48000)
                frame.pts = first + later + packet
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))

    encode(path, range(40), tracks=[Track48("pcm_s16le", sample_rate=48000)])
    joined = restored(path)
    assert not any("impossible" in text for text in joined.warnings)
    found, _ = placed(joined.path)
    assert np.count_nonzero(found) == 4045


@pytest.mark.parametrize(
    ("codec", "size"),
    [
        *[("pcm_s16le", 2), ("pcm_s24be", 3), ("pcm_u8", 1), ("pcm_alaw", 1), ("pcm_f64le", 8)],
        *[("pcm_bluray", None), ("adpcm_ms", None), ("aac", None), ("pcm_s16le_planar", None)],
    ],
)
def test_the_size_of_samples(codec: str, size: int | None) -> None:
    assert bytes_per_sample(codec) == size
