"""Decoders and encoders of graphics processors; what needs one is checked up to opening it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from av.codec.hwaccel import hwdevices_available
from clips import COUNT, encode

from jdsr_cli.errors import DeviceError, UsageError
from jdsr_cli.media import MediaInfo, SegmentWriter, open_reader, probe
from jdsr_cli.media.reading import hardware
from jdsr_cli.media.writing import formats
from jdsr_cli.settings import ReadSettings


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return encode(tmp_path / "clip.mp4")


@pytest.fixture
def info(video: Path) -> MediaInfo:
    return probe(video)


@pytest.fixture
def no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "device_fault", lambda _: "it is not here")


def test_a_named_device_that_is_missing_is_an_error(video: Path, no_device: None) -> None:
    with pytest.raises(DeviceError, match="decoded by cuda: it is not here") as caught:
        open_reader(video, ReadSettings(decoder="cuda"))
    assert "--decoder software" in (caught.value.hint or "")


def test_auto_decodes_by_software_and_says_so(video: Path, no_device: None) -> None:
    with open_reader(video) as reader:
        expected = [frame.image for frame in reader]
        assert reader.report.warnings == ()
    with open_reader(video, ReadSettings(decoder="auto")) as reader:
        found = [frame.image for frame in reader]
        assert "decoded by software, since no hardware is" in reader.report.warnings[0]
    assert len(found) == COUNT
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_a_device_that_this_ffmpeg_does_not_know_is_named_with_those_it_does() -> None:
    fault = hardware.device_fault("opencl")
    assert fault is not None
    assert all(name in fault for name in hwdevices_available())


def test_a_codec_that_the_named_device_cannot_decode_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "device_fault", lambda _: None)
    path = encode(tmp_path / "lossless.mkv", codec="ffv1")
    with pytest.raises(DeviceError, match="codec cannot be decoded by cuda"):
        open_reader(path, ReadSettings(decoder="cuda"))


def test_auto_decodes_by_software_what_the_device_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "device_fault", lambda _: None)
    path = encode(tmp_path / "lossless.mkv", codec="ffv1")
    with open_reader(path, ReadSettings(decoder="auto")) as reader:
        assert len(list(reader)) == COUNT
        assert "since cuda has no decoder for ffv1" in reader.report.warnings[0]


def test_an_encoder_of_a_missing_gpu_is_an_error_that_names_the_software(
    info: MediaInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "hardware_fault", lambda _: "it is not here")
    with pytest.raises(DeviceError, match="encoded by hevc_nvenc: it is not here") as caught:
        SegmentWriter(tmp_path / "a.nut", info, 320, 240, codec="hevc_nvenc")
    assert "Choose hevc" in (caught.value.hint or "")
    assert not (tmp_path / "a.nut").exists()


def test_an_encoder_of_a_gpu_gets_the_quality_of_its_codec(
    info: MediaInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "hardware_fault", lambda _: None)
    encoding, notes = formats.choose_encoding("h264_nvenc", info)
    assert (encoding.codec, encoding.encoder, notes) == ("h264", "h264_nvenc", [])
    assert encoding.options["cq"] == "18.5"
    assert formats.choose_encoding("av1_nvenc", info, 60)[0].options["cq"] == "60"
    with pytest.raises(UsageError, match="crf 60 is out of range for h264"):
        formats.choose_encoding("h264_nvenc", info, 60)


def test_an_encoder_that_cannot_be_opened_has_a_reason() -> None:
    fault = formats.hardware_fault("h264_nvenc")
    assert fault is None or "GPU" in fault or "built without" in fault


def test_encoder_threads_do_not_depend_on_the_machine(info: MediaInfo) -> None:
    assert formats.encoder_threads(formats.choose_encoding("h264", info)[0]) == 2
    assert formats.encoder_threads(formats.choose_encoding("ffv1", info)[0]) is None
