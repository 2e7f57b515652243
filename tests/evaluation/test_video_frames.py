"""Frames of `jdsr eval --video` correspond: numbers of pictures, unreadable and damaged frames."""

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from jdsr_cli.errors import MediaError, UsageError
from jdsr_cli.evaluation.video_frames import MatchedVideos
from jdsr_cli.evaluation.videos import compare_videos
from jdsr_cli.faces.alignment import TEMPLATE
from jdsr_cli.progress import Silent
from jdsr_cli.settings import EvalSettings

Levels = list[int]


def sequence(folder: Path, numbers: Sequence[int], name: str = "{:04d}.png") -> Path:
    """Write pictures whose grey level is their number."""
    folder.mkdir()
    for number in numbers:
        Image.new("RGB", (16, 16), (number,) * 3).save(folder / name.format(number))
    return folder


def levels(matched: MatchedVideos) -> list[Levels]:
    return [[int(image[0, 0, 0]) for image in frame.images] for frame in matched]


@pytest.mark.parametrize("numbers", [(0, 1, 2, 3), (1, 2, 3, 4), (0, 2, 4, 7)])
def test_pictures_of_equal_numbers_are_matched(tmp_path: Path, numbers: Sequence[int]) -> None:
    paths = sequence(tmp_path / "a", numbers), sequence(tmp_path / "b", numbers, "x{:d}.webp")
    with MatchedVideos(paths[0], [("b", paths[1])]) as matched:
        assert len(levels(matched)) == len(numbers)
        assert matched.reference.frames == len(numbers)


@pytest.mark.parametrize(
    ("reference", "restored", "at", "number"),
    [
        ((0, 1, 2, 3), (0, 2, 3, 4), "restored", 1),  # as many, later ones are shifted
        ((0, 2, 3, 4), (0, 1, 2, 3), "reference", 1),
        ((0, 1, 2), (1, 2, 3), "restored", 0),
        ((0, 1, 2, 3), (0, 1, 2), "restored", 3),
        ((0, 1), (0, 1, 2), "reference", 2),
    ],
)
def test_the_first_number_that_a_folder_lacks_is_named(
    tmp_path: Path, reference: Sequence[int], restored: Sequence[int], at: str, number: int
) -> None:
    paths = sequence(tmp_path / "reference", reference), sequence(tmp_path / "restored", restored)
    with pytest.raises(UsageError, match=rf"{at}: has no picture of the number {number}\b"):
        MatchedVideos(paths[0], [("b", paths[1])])


def test_beside_a_video_no_number_may_be_left_out(tmp_path: Path, clip: Path) -> None:
    gap = sequence(tmp_path / "gap", (0, 1, 2, 4, 5, 6))
    with pytest.raises(UsageError, match=r"gap: has no picture of the number 3 "):
        MatchedVideos(clip, [("gap", gap)])
    with pytest.raises(UsageError, match=r"gap: has no picture of the number 3 "):
        MatchedVideos(gap, [("clip", clip)])


@pytest.mark.parametrize("damage", ["empty", "cut", "text"])
def test_an_unreadable_picture_is_an_error_that_names_it(tmp_path: Path, damage: str) -> None:
    reference = sequence(tmp_path / "reference", range(5))
    restored = sequence(tmp_path / "restored", range(5))
    grain = np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)
    for number in (2, 4):
        path = restored / f"{number:04d}.png"
        Image.fromarray(grain).save(path)
        whole = path.read_bytes()
        path.write_bytes({"empty": b"", "cut": whole[: len(whole) // 2], "text": b"no"}[damage])
    message = r"0002\.png: the picture cannot be read, nor 1 others"
    with pytest.raises(MediaError, match=message):
        MatchedVideos(reference, [("b", restored)])
    with pytest.raises(MediaError, match=message):
        MatchedVideos(restored, [("b", reference)])


class _Notes(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, message: str) -> None:
        self.lines.append(message)


def _film(path: Path, frames: int, broken: Sequence[int]) -> Path:
    """Write a film of intra frames as MPEG-4 part 2, in some of which the data are noise."""
    random = np.random.default_rng(3)
    with av.open(path, "w") as output:
        stream = output.add_stream("mpeg4", 25, {"g": "1"})
        stream.width = stream.height = 160
        stream.time_base = Fraction(1, 25)
        for number in range(frames):
            grain = random.integers(60, 190, (20, 20, 3), np.uint8)
            picture = np.asarray(Image.fromarray(grain).resize((160, 160)))
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number
            for packet in stream.encode(frame):
                if number in broken:
                    packet = _noisy(packet)
                output.mux(packet)
        output.mux(stream.encode(None))
    return path


def _noisy(packet: Any) -> Any:
    data = bytearray(bytes(packet))
    start = len(data) // 3
    data[start:] = np.random.default_rng(5).bytes(len(data) - start)
    changed = av.Packet(bytes(data))
    changed.pts, changed.dts, changed.time_base = packet.pts, packet.dts, packet.time_base
    changed.stream, changed.is_keyframe = packet.stream, packet.is_keyframe
    return changed


def test_damaged_frames_are_stated(tmp_path: Path) -> None:
    whole, broken = (
        _film(tmp_path / f"{name}.avi", 6, numbers)
        for name, numbers in (("whole", ()), ("broken", (2, 4)))
    )
    faces = tmp_path / "faces.jsonl"
    records = [
        {"frame": one, "track": 1, "points": TEMPLATE.tolist(), "status": "exported",
         "bridged": False}
        for one in range(6)
    ]  # fmt: skip
    faces.write_text("".join(json.dumps(one) + "\n" for one in records))
    notes = _Notes()
    found = compare_videos(
        EvalSettings(
            whole, out=tmp_path / "out", video=(("broken", broken),), faces=faces, device="cpu"
        ),
        notes,
    )
    (line,) = notes.lines
    assert line.startswith(f"{broken}: 2 frames are damaged")
    videos = json.loads(found.results.read_text(encoding="utf-8"))["videos"]
    assert [one["damaged_frames"] for one in videos] == [0, 2]
    assert [one["undecoded_packets"] for one in videos] == [0, 0]
