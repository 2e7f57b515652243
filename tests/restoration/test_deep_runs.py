"""Whole runs on HDR and on footage of more than 8 bits, with people of an SDR photograph."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from killed_run import run_until_killed
from media.clips import encode
from media.deep_clips import HLG, PQ, Colours, write_deep
from numpy.typing import NDArray
from suite_clips import file_hashes, lines, repeatable_manifest, walk_settings

from jdsr_cli.faces.compositing import enlarge
from jdsr_cli.media import Frame, open_reader, probe, read_image
from jdsr_cli.restoration import restore
from jdsr_cli.settings import RestoreSettings

Picture = NDArray[np.uint8]
Weights = Callable[[int], Path]
FRAMES = 6

VARIANTS = {
    "PQ": replace(PQ, codec="libx265"),
    "PQ, full range, 4:4:4": replace(PQ, full=True, pixel_format="yuv444p12le"),
    "PQ, RGB": replace(PQ, pixel_format="gbrp10le"),
    "PQ, 8 bit": replace(PQ, pixel_format="yuv420p", codec="libx264", options={"crf": "8"}),
    "HLG": replace(HLG, codec="libx265"),
    "BT.2020, SDR": Colours("bt2020-10", "bt2020", "yuv422p10le"),
    "Display P3, 8 bit": Colours("bt709", "smpte432", "yuv420p", "libx264", options={"crf": "8"}),
    "SDR, 10 bit": Colours(),
    "SDR, 12 bit": Colours(pixel_format="yuv422p12le"),
    "gray, 10 bit": Colours(pixel_format="gray10le"),
    "gray, 12 bit": Colours(pixel_format="gray12le"),
}


@pytest.fixture
def scenes(astronaut: Picture, hopper: Picture) -> list[Picture]:
    """Two people who move a little."""
    frames = []
    for index in range(FRAMES):
        frame = np.full((180, 320, 3), 90, np.uint8)
        frame[30:150, 10 + index : 130 + index] = astronaut
        frame[30:150, 180 : 180 + 120] = hopper
        frames.append(frame)
    return frames


def write(folder: Path, scenes: list[Picture], colours: Colours) -> Path:
    suffix = ".mp4" if colours.codec.startswith("libx26") else ".mkv"
    return write_deep(folder / f"scene{suffix}", scenes, colours)


def settings(weights: Path, **changes: Any) -> RestoreSettings:
    chosen = RestoreSettings(weights=str(weights), detector="centerface", device="cpu", label=False)
    return replace(chosen, frame_scale=2, **changes)


def video(folder: Path, name: str = "restored") -> Path:
    (found,) = (path for path in folder.glob(f"{name}.*") if path.suffix != ".framemd5")
    return found


def deep(frame: Frame) -> NDArray[np.uint16]:
    assert frame.deep is not None
    return frame.deep()


def notes(folder: Path) -> str:
    return "\n".join(json.loads((folder / "manifest.json").read_text())["notes"])


def around_faces(records: list[dict[str, Any]], index: int, shape: tuple[int, ...]) -> Any:
    """Return where a frame of twice the size may show restored faces."""
    mask = np.zeros(shape[:2], bool)
    for record in records:
        if record["frame"] == index:
            x0, y0, x1, y1 = (2 * value for value in record["box"])
            grow = x1 - x0
            top, left = max(0, int(y0 - grow)), max(0, int(x0 - grow))
            mask[top : int(y1 + grow), left : int(x1 + grow)] = True
    return mask


@pytest.mark.parametrize("colours", VARIANTS.values(), ids=VARIANTS)
def test_faces_are_found_and_the_rest_keeps_its_values(
    tmp_path: Path, scenes: list[Picture], tiny_weights: Weights, colours: Colours
) -> None:
    """Lossless output equals the enlarged input exactly wherever there is no face."""
    clip = write(tmp_path, scenes, colours)
    chosen = settings(tiny_weights(64), codec="ffv1", mode="paste")
    assert restore([clip], tmp_path / "out", chosen).exit_code == 0
    folder = tmp_path / "out" / "scene"
    records = lines(folder / "faces.jsonl")
    assert len(records) == 2 * FRAMES
    assert not any(record["reason"] for record in records)
    eight = probe(clip).bit_depth == 8
    changed = 0
    with open_reader(clip) as before, open_reader(video(folder)) as after:
        assert after.info.pixel_format == ("bgr0" if eight else "gbrp16le")
        assert after.info.colour_transfer == colours.transfer
        assert after.info.colour_primaries == colours.primaries
        for old, new in zip(before, after, strict=True):
            expected = enlarge(deep(old), 2)
            found = deep(new) if after.info.deep else new.image * np.uint16(257)
            if eight:
                expected = (expected.astype(np.uint32) + 128) // 257 * 257
            differs = (found != expected).any(axis=2)
            mask = around_faces(records, old.index, differs.shape)
            assert not mask.all()
            assert not (differs & ~mask).any()
            changed += int((differs & mask).any())
    assert changed == FRAMES


def small(path: Path) -> NDArray[np.float32]:
    """Return the colours of a picture in 8 x 8 areas."""
    colours = cv2.resize(read_image(path), (8, 8), interpolation=cv2.INTER_AREA)
    return np.asarray(colours, np.float32)


@pytest.mark.parametrize(
    "name",
    [
        "PQ",
        pytest.param("PQ, RGB", marks=pytest.mark.nightly),
        "HLG",
        pytest.param("BT.2020, SDR", marks=pytest.mark.nightly),
        "Display P3, 8 bit",
    ],
)
def test_pictures_of_faces_and_restored_frames_have_the_colours_of_sdr(
    tmp_path: Path, scenes: list[Picture], tiny_weights: Weights, name: str
) -> None:
    """The same people in SDR give the same faces, both as pictures and in the video."""
    sdr = write(tmp_path, scenes, Colours(pixel_format="yuv444p", codec="libx264"))
    (tmp_path / "other").mkdir()
    other = write(tmp_path / "other", scenes, VARIANTS[name])
    chosen = settings(tiny_weights(64), crops="all", overlay=True)
    assert restore([sdr], tmp_path / "sdr", chosen).exit_code == 0
    assert restore([other], tmp_path / "out", chosen).exit_code == 0
    first, second = tmp_path / "sdr" / "scene", tmp_path / "out" / "scene"
    for index in range(FRAMES):
        pattern = f"track*_frame{index:06d}.png"
        expected, found = (
            [small(path) for path in sorted((folder / "faces").glob(pattern))]
            for folder in (first, second)
        )
        assert len(expected) == len(found) == 2
        for face in found:  # the people may be numbered in another order
            assert min(np.abs(face - one).mean() for one in expected) < 8, index
    with open_reader(video(first)) as one, open_reader(video(second)) as two:
        for old, new in zip(one, two, strict=True):
            faces = slice(60, 300), slice(20, 600)
            error = np.abs(old.image[faces].astype(float) - new.image[faces])
            assert error.mean() < 6
    overlay = probe(video(second, "overlay"))
    assert (overlay.pixel_format, overlay.bit_depth) == ("yuv420p", 8)
    assert overlay.colour_primaries == overlay.colour_transfer == "bt709"


@pytest.mark.parametrize(
    ("name", "codec", "stored"),
    [
        ("PQ", "auto", "hevc"), ("PQ", "h264", "h264"), ("HLG", "hevc", "hevc"),
        ("HLG", "av1", "av1"), ("SDR, 10 bit", "auto", "hevc"), ("gray, 12 bit", "auto", "hevc"),
        ("PQ", "source", "hevc"),
    ],
)  # fmt: skip
def test_ten_bits_are_written_and_noted(
    tmp_path: Path, scenes: list[Picture], tiny_weights: Weights, name: str, codec: str, stored: str
) -> None:
    colours = VARIANTS[name]
    clip = write(tmp_path, scenes[:3], colours)
    chosen = settings(tiny_weights(64), codec=codec, mode="paste")
    assert restore([clip], tmp_path / "out", chosen).exit_code == 0
    folder = tmp_path / "out" / "scene"
    after = probe(video(folder))
    # The decoder of AV1 is named instead of the codec.
    assert after.codec in (stored, f"lib{stored}", "libdav1d")
    assert after.pixel_format == "yuv420p10le"
    assert (after.colour_transfer, after.colour_primaries) == (colours.transfer, colours.primaries)
    assert f"{stored} with 10 bits" in notes(folder)
    hdr = {"PQ": "HDR (PQ, BT.2020)", "HLG": "HDR (HLG, BT.2020)"}
    assert hdr.get(name, "bits per channel; faces") in notes(folder)
    with open_reader(clip) as before, open_reader(video(folder)) as written:
        for old, new in zip(before, written, strict=True):
            corner = np.s_[:40, 500:]
            error = np.abs(enlarge(deep(old), 2)[corner].astype(int) - deep(new)[corner])
            assert error.mean() < 200


def test_the_label_is_white_text_of_203_nits(
    tmp_path: Path, scenes: list[Picture], tiny_weights: Weights
) -> None:
    clip = write(tmp_path, scenes[:2], VARIANTS["PQ"])
    chosen = replace(settings(tiny_weights(64), codec="ffv1", mode="paste"), label=True)
    restore([clip], tmp_path / "out", chosen)
    with open_reader(video(tmp_path / "out" / "scene")) as reader:
        corner = deep(next(reader))[-24:, :120]
    assert 0.5 * 65535 < corner.max() < 0.585 * 65535
    assert corner.min() < 0.2 * 65535


@pytest.mark.nightly
def test_a_killed_run_resumes_to_the_same_bytes(
    tmp_path: Path, scenes: list[Picture], tiny_weights: Weights
) -> None:
    clip = write(tmp_path, scenes * 4, VARIANTS["PQ"])
    chosen = walk_settings(tiny_weights(64), overlay=True)
    assert restore([clip], tmp_path / "whole", chosen).exit_code == 0
    run_until_killed("in the middle of a segment", clip, tmp_path / "out", chosen)
    assert restore([clip], tmp_path / "out", replace(chosen, resume=True)).exit_code == 0
    whole, out = tmp_path / "whole" / "scene", tmp_path / "out" / "scene"
    assert file_hashes(whole) == file_hashes(out)
    assert repeatable_manifest(whole) == repeatable_manifest(out)


def test_a_clip_of_eight_bits_is_stored_as_before(
    tmp_path: Path, scenes: list[Picture], tiny_weights: Weights
) -> None:
    clip = encode(tmp_path / "scene.mp4", range(3), size=(320, 180), paint=lambda n: scenes[n])
    results = []
    for codec in ("auto", "h264"):
        chosen = settings(tiny_weights(64), codec=codec)
        assert restore([clip], tmp_path / codec, chosen).exit_code == 0
        results.append(file_hashes(tmp_path / codec / "scene"))
        assert probe(video(tmp_path / codec / "scene")).pixel_format == "yuv420p"
    assert results[0] == results[1]
