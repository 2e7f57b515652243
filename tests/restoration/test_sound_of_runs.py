"""Runs on recordings whose sound a container refuses: nothing is computed in vain."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media.clips import Track, encode
from nightly_cases import mostly_nightly
from PIL import Image
from results_folder import results_in
from suite_clips import walk_settings

from jdsr_cli.errors import OutputError
from jdsr_cli.restoration import restore
from jdsr_cli.restoration.stages import reading
from jdsr_cli.settings import RestoreSettings


class WideTrack(Track):
    """Noise in several channels."""

    def __init__(self, codec: str, layout: str) -> None:
        super().__init__(codec, sample_rate=8000)
        self._layout = layout

    def add(self, output: av.container.OutputContainer) -> av.AudioStream:
        return output.add_stream(self.codec, rate=self.sample_rate, layout=self._layout)

    def fill(self, output: av.container.OutputContainer, stream: av.AudioStream) -> None:
        count = av.AudioLayout(self._layout).nb_channels
        noise = np.random.default_rng(1).integers(-9000, 9000, (1, 4000 * count))
        frame = av.AudioFrame.from_ndarray(
            noise.astype(np.int16), format="s16", layout=self._layout
        )
        frame.sample_rate, frame.pts, frame.time_base = self.sample_rate, 0, Fraction(1, 8000)
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


@pytest.fixture
def settings(tiny_weights: Callable[[int], Path]) -> RestoreSettings:
    return walk_settings(tiny_weights(32), report=False)


@pytest.mark.parametrize(
    "case",
    mostly_nightly(
        [
            (".avi", "pcm_s16le", "stereo", ".mp4"),
            (".mkv", "pcm_s16le", "stereo", ".mp4"),
            (".avi", "adpcm_ms", "stereo", ".mp4"),
            (".mkv", "pcm_s16le", "5.1", ".mov"),
        ],
        [(".avi", "pcm_s16le", "stereo", ".mp4")],
    ),
)
def test_a_run_keeps_the_sound_of_a_recorder(
    tmp_path: Path, settings: RestoreSettings, case: tuple[str, str, str, str]
) -> None:
    suffix, codec, layout, expected = case
    clip = encode(tmp_path / f"in{suffix}", tracks=[WideTrack(codec, layout)])
    (result,) = restore([clip], tmp_path / "out", settings).results
    assert result.output is not None, result.error
    with av.open(str(result.output / f"restored{expected}")) as container:
        (sound,) = container.streams.audio
        assert sound.codec_context.channels == av.AudioLayout(layout).nb_channels
        assert sum(frame.samples for frame in container.decode(sound)) >= 4000
    manifest = json.loads((result.output / "manifest.json").read_text("utf-8"))
    refused = [note for note in manifest["notes"] if "unsupported channel layout" in note]
    assert bool(refused) == (expected == ".mov")


def test_containers_are_tried_before_the_first_frame(
    tmp_path: Path, settings: RestoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = encode(tmp_path / "in.avi", tracks=[WideTrack("pcm_s16le", "stereo")])

    def refuse(path: Path, *_: object) -> None:
        raise OutputError("cannot be written (a reason)", where=path)

    monkeypatch.setattr(reading, "plan_output", refuse)
    monkeypatch.setattr(reading, "frame_item", lambda *_: pytest.fail("a frame was read"))
    summary = restore([clip], tmp_path / "out", settings)
    assert summary.exit_code == 6
    assert "a reason" in str(summary.results[0].error)
    assert results_in(tmp_path / "out") == []


def test_a_sequence_with_a_huge_number_is_restored(
    tmp_path: Path, settings: RestoreSettings, two_people: list[np.ndarray]
) -> None:
    for number, frame in zip((1, 2, 999_999_999_999), two_people, strict=False):
        Image.fromarray(frame).save(tmp_path / f"shot_{number}.png")
    summary = restore([tmp_path / "shot_%d.png"], tmp_path / "out", settings)
    (result,) = summary.results
    assert summary.exit_code == 0, result.error
    assert result.counts is not None
    assert result.counts.frames_written == 3
    assert (tmp_path / "out" / "shot" / "restored.mkv").is_file()
