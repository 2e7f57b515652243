from __future__ import annotations

import subprocess
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest
from clips import COUNT, HEIGHT, VFR_PTS, WIDTH, encode, gif, interlaced, interlaced_later, picture
from numpy.typing import NDArray

from jdsr_cli.media import Frame, ReadReport, open_reader, probe
from jdsr_cli.media.reading.deinterlacing import Deinterlacer
from jdsr_cli.settings import Deinterlacing, ReadSettings


def read(path: Path, mode: Deinterlacing = "auto") -> tuple[list[Frame], ReadReport]:
    with open_reader(path, ReadSettings(deinterlace=mode)) as reader:
        frames = list(reader)
    return frames, reader.report


def comb(image: NDArray[np.uint8]) -> float:
    """Return the mean step between lines minus that over two lines: high for woven fields."""
    gray = image.astype(float).mean(axis=2)[HEIGHT // 3 + 2 : 2 * HEIGHT // 3 - 2]
    return float(np.abs(np.diff(gray, axis=0)).mean() - np.abs(gray[2:] - gray[:-2]).mean())


@pytest.mark.parametrize("name", ["i.mkv", "i.mp4", "i.ts"])
def test_the_number_of_frames_and_their_times_are_kept(tmp_path: Path, name: str) -> None:
    base = Fraction(1, 1000)
    path = interlaced(tmp_path / name, VFR_PTS, base)
    with av.open(str(path)) as container:
        expected = [frame.pts * frame.time_base for frame in container.decode(video=0)]
    frames, report = read(path)
    assert [frame.time for frame in frames] == expected
    assert [frame.index for frame in frames] == list(range(len(VFR_PTS)))
    assert probe(path).interlaced
    assert report.warnings == (
        f"{len(VFR_PTS)} frames were deinterlaced by bwdif, one picture for each frame "
        f"({len(VFR_PTS)} are flagged as interlaced)",
    )


def test_combing_is_removed(tmp_path: Path) -> None:
    path = interlaced(tmp_path / "i.mkv")
    woven, report = read(path, "off")
    assert report.warnings == (f"{COUNT} interlaced frames were left unchanged",)
    clean, _ = read(path)
    for before, after in zip(woven, clean, strict=True):
        assert comb(before.image) > 3
        assert comb(after.image) < 0.5
        difference = after.image[1::2].astype(int) - picture(2 * after.index)[1::2]
        assert np.abs(difference).mean() < 4


def test_pictures_match_ffmpeg(tmp_path: Path) -> None:
    path = interlaced(tmp_path / "i.mkv")
    done = subprocess.run(
        [
            imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-i", str(path),
            "-vf", "bwdif=mode=send_frame:deint=interlaced", "-f", "rawvideo", "-pix_fmt",
            "yuv420p", "-",
        ],
        capture_output=True, check=True,
    )  # fmt: skip
    shape = (COUNT, HEIGHT * 3 // 2, WIDTH)
    expected = np.frombuffer(done.stdout, np.uint8).reshape(shape)
    with av.open(str(path)) as container:
        pairs = list(Deinterlacer("auto").process(container.decode(video=0)))
    assert len(pairs) == COUNT
    deinterlaced = np.stack([pair.picture.to_ndarray() for pair in pairs])
    np.testing.assert_array_equal(deinterlaced[1:], expected[1:])
    # The first has no picture before it, which versions of FFmpeg handle differently.
    np.testing.assert_allclose(deinterlaced[0].astype(int), expected[0], atol=2)


def test_interlaced_flags_may_start_later(tmp_path: Path) -> None:
    frames, report = read(interlaced_later(tmp_path))
    unfiltered, _ = read(tmp_path / "mixed.ts", "off")
    assert not probe(tmp_path / "mixed.ts").interlaced
    assert [frame.pts for frame in frames] == [frame.pts for frame in unfiltered]
    same = [bool((a.image == b.image).all()) for a, b in zip(frames, unfiltered, strict=True)]
    assert same == [True] * COUNT + [False] * COUNT
    assert f"{COUNT} frames were deinterlaced" in " ".join(report.warnings)


def test_progressive_footage_is_unchanged(tmp_path: Path) -> None:
    path = encode(tmp_path / "p.mp4")
    automatic, report = read(path)
    off, _ = read(path, "off")
    assert report.warnings == ()
    assert not probe(path).interlaced
    for one, other in zip(automatic, off, strict=True):
        np.testing.assert_array_equal(one.image, other.image)


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p10le", "gray", "bgr0"])
def test_mode_on_deinterlaces_every_frame(tmp_path: Path, pixel_format: str) -> None:
    path = encode(tmp_path / "p.mkv", codec="ffv1", pixel_format=pixel_format)
    frames, report = read(path, "on")
    assert [frame.time for frame in frames] == [Fraction(i, 25) for i in range(COUNT)]
    assert "12 frames were deinterlaced" in " ".join(report.warnings)
    unfiltered, _ = read(path, "off")
    for frame, same in zip(frames, unfiltered, strict=True):
        assert not (frame.image == same.image).all()
        # Outside the bar nothing moves, so that these pixels hardly change.
        assert np.abs(frame.image[-8:].astype(int) - same.image[-8:]).mean() < 2


def test_a_change_of_size_resets_the_filter(tmp_path: Path) -> None:
    parts = [
        encode(tmp_path / f"{width}.ts", size=(width, 48), options={"x264-params": "interlaced=1"})
        for width in (64, 96)
    ]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    frames, report = read(joined)
    assert len(frames) == 2 * COUNT
    assert {frame.image.shape for frame in frames} == {(48, 64, 3)}
    assert "24 frames were deinterlaced" in " ".join(report.warnings)


def test_animations_are_never_deinterlaced(tmp_path: Path) -> None:
    path = gif(tmp_path)
    frames, report = read(path, "on")
    unfiltered, _ = read(path, "off")
    assert report.warnings == ()
    for one, other in zip(frames, unfiltered, strict=True):
        np.testing.assert_array_equal(one.image, other.image)


def test_frames_that_cannot_be_deinterlaced_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(filters: Deinterlacer, shape: tuple[int, int, str]) -> None:
        filters._refused.add(shape)

    monkeypatch.setattr(Deinterlacer, "_open", refuse)
    frames, report = read(encode(tmp_path / "p.mp4"), "on")
    assert len(frames) == COUNT
    assert report.warnings == (f"{COUNT} frames could not be deinterlaced",)
