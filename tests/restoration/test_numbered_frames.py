"""Frames by number: forward, the last two again, and back from the start."""

from pathlib import Path

import pytest
from media.clips import encode

from jdsr_cli.media import Reader, open_reader
from jdsr_cli.restoration.numbered_frames import NumberedFrames


@pytest.mark.parametrize(
    ("numbers", "opened"),
    [
        ([0, 1, 2], 1),
        ([3, 4, 4, 3, 9], 1),
        ([5, 2, 6, 5], 3),
        ([9, 99, 98], 1),
        ([9, 99, 0], 2),
    ],
)
def test_frames_by_number(tmp_path: Path, numbers: list[int], opened: int) -> None:
    clip = encode(tmp_path / "clip.mkv", range(12))
    readers: list[Reader] = []

    def opener() -> Reader:
        readers.append(open_reader(clip))
        return readers[-1]

    frames = NumberedFrames(opener)
    found = [frames.get(number) for number in numbers]
    indices = [None if one is None else one.index for one in found]
    assert indices == [number if number < 12 else None for number in numbers]
    assert len(readers) == opened
    for reader in readers:
        reader.close()


def test_an_open_reader_is_used_first(tmp_path: Path) -> None:
    clip = encode(tmp_path / "clip.mkv", range(12))
    with open_reader(clip) as reader:
        frames = NumberedFrames(lambda: pytest.fail("opened again"), reader)
        frame = frames.get(7)
    assert frame is not None
    assert frame.index == 7


def test_frames_before_one_are_skipped_in_steps(tmp_path: Path) -> None:
    clip = encode(tmp_path / "clip.mkv", range(12))
    frames = NumberedFrames(lambda: open_reader(clip))
    for number, expected in ((9, 2), (9, 0), (2, 1), (11, 2), (99, 1)):
        steps = 0
        while not frames.is_near(number, 3):
            frames.approach(number, 3)
            steps += 1
        assert steps == expected
        frame = frames.get(number)
        assert (None if frame is None else frame.index) == (number if number < 12 else None)
    frames.close()
