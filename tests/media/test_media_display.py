"""The displayed part of a stored picture and its proportions."""

import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from media.clips import encode, numbered, resolution_change
from PIL import Image

from jdsr_cli.errors import UsageError
from jdsr_cli.media import open_reader, probe
from jdsr_cli.settings import ReadSettings


def with_clean_aperture(path: Path, numbers: tuple[int, ...], degrees: int = 0) -> Path:
    """A clip of 64x48 whose sample description states a clean aperture: w, h, right, down."""
    encode(
        path,
        configure=lambda stream: stream.set_display_rotation(-degrees) if degrees else None,
        container_options={"movflags": "+write_colr"},
    )
    data = bytearray(path.read_bytes())
    pairs = [part for number in numbers for part in (number & 0xFFFFFFFF, 1)]
    box = struct.pack(">I4s8I", 40, b"clap", *pairs)
    entry = data.rindex(b"avc1") - 4
    (size,) = struct.unpack_from(">I", data, entry)
    data[entry + size : entry + size] = box
    # The boxes around the entry grow with it; the media data come before them.
    assert data.index(b"mdat") < data.index(b"moov")
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"):
        position = (data.rindex(name) if name == b"avc1" else data.index(name)) - 4
        (size,) = struct.unpack_from(">I", data, position)
        struct.pack_into(">I", data, position, size + len(box))
    path.write_bytes(bytes(data))
    return path


def images(path: Path) -> list[np.ndarray]:
    with open_reader(path) as reader:
        return [frame.image for frame in reader]


@pytest.mark.parametrize(
    ("numbers", "left", "top"), [((48, 32, 0, 0), 8, 8), ((32, 48, -16, 0), 0, 0),
                                 ((40, 30, 12, -5), 24, 4)]
)  # fmt: skip
def test_frames_are_cropped_to_the_clean_aperture(
    tmp_path: Path, numbers: tuple[int, ...], left: int, top: int
) -> None:
    whole = images(encode(tmp_path / "whole.mp4"))
    clip = with_clean_aperture(tmp_path / "clap.mp4", numbers)
    width, height = numbers[:2]
    info = probe(clip)
    assert (info.width, info.height) == (width, height)
    for cut, full in zip(images(clip), whole, strict=True):
        np.testing.assert_array_equal(cut, full[top : top + height, left : left + width])
    with open_reader(clip) as reader:
        assert any(f"clean aperture of {width}x{height}" in one for one in reader.report.warnings)


def test_the_aperture_is_applied_before_the_rotation(tmp_path: Path) -> None:
    clip = with_clean_aperture(tmp_path / "rotated.mp4", (48, 32, 0, 0), degrees=90)
    assert (probe(clip).width, probe(clip).height) == (32, 48)
    upright = images(with_clean_aperture(tmp_path / "upright.mp4", (48, 32, 0, 0)))
    np.testing.assert_array_equal(images(clip)[0], np.rot90(upright[0], -1))


@pytest.mark.parametrize("numbers", [(64, 48, 0, 0), (80, 48, 0, 0), (48, 32, 20, 0), (4, 4, 0, 0)])
def test_an_invalid_aperture_is_ignored(tmp_path: Path, numbers: tuple[int, ...]) -> None:
    info = probe(with_clean_aperture(tmp_path / "clap.mp4", numbers))
    assert (info.width, info.height) == (64, 48)


def test_a_mirrored_clip_is_unmirrored(tmp_path: Path) -> None:
    unmirrored = encode(tmp_path / "unmirrored.mp4")
    data = bytearray(unmirrored.read_bytes())
    position = data.index(b"tkhd") - 4 + 48
    assert struct.unpack_from(">i", data, position) == (0x10000,)
    struct.pack_into(">i", data, position, -0x10000)
    mirrored = tmp_path / "mirrored.mp4"
    mirrored.write_bytes(bytes(data))
    assert probe(mirrored).mirrored
    np.testing.assert_array_equal(images(mirrored)[0], images(unmirrored)[0][:, ::-1])


def test_a_size_change_keeps_proportions(tmp_path: Path) -> None:
    # 96x64 fits into 64x48 as 64x43.
    frames = images(resolution_change(tmp_path))
    later = frames[-1]
    assert later.shape == (48, 64, 3)
    assert later[0].max() < 30
    assert later[-1].max() < 30
    assert later[5].min() > 30


def test_the_pixel_aspect_is_considered_where_the_size_changes(tmp_path: Path) -> None:
    # The rows of the second part are half as many and twice as high: no bars.
    parts = [
        encode(tmp_path / "0.ts", size=(64, 48)),
        encode(
            tmp_path / "1.ts",
            size=(64, 24),
            configure=lambda stream: setattr(
                stream.codec_context, "sample_aspect_ratio", Fraction(1, 2)
            ),
        ),
    ]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    frames = images(joined)
    assert frames[-1].shape == (48, 64, 3)
    assert frames[-1].min() > 10


@pytest.mark.parametrize(("size", "bars"), [((128, 96), 0), ((48, 48), 8), ((64, 24), 12)])
def test_pictures_of_a_sequence_keep_proportions(
    tmp_path: Path, size: tuple[int, int], bars: int
) -> None:
    numbered(tmp_path, [1, 2])
    Image.new("RGB", size, (200, 100, 50)).save(tmp_path / "shot_002.png")
    last = images(tmp_path / "shot_%03d.png")[-1]
    assert last.shape == (48, 64, 3)
    dark = (last.max(axis=2) < 30).all(axis=0 if size[0] == size[1] else 1)
    assert dark.sum() == 2 * bars


def test_a_given_display_aspect_has_precedence(tmp_path: Path) -> None:
    clip = encode(tmp_path / "a.mp4")
    assert probe(clip, ReadSettings(aspect=Fraction(8, 3))).sample_aspect_ratio == 2
    with pytest.raises(UsageError, match="not allowed"):
        ReadSettings(aspect=Fraction(0))
    flat = encode(tmp_path / "flat.mp4", size=(320, 16))
    with pytest.raises(UsageError, match="--aspect"):
        probe(flat, ReadSettings(aspect=Fraction(1, 4)))


def test_an_implausible_aspect_tag_is_ignored(tmp_path: Path) -> None:
    def configure(stream: object) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(40, 1)  # type: ignore[attr-defined]

    with open_reader(encode(tmp_path / "a.mp4", configure=configure)) as reader:
        assert reader.info.sample_aspect_ratio == 1
        assert any("40 times" in one for one in reader.report.warnings)
