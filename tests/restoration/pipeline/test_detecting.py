from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from jdsr_cli.errors import UsageError
from jdsr_cli.faces import TEMPLATE, Detection
from jdsr_cli.media import Frame
from jdsr_cli.restoration.journal import Workplace
from jdsr_cli.restoration.pipeline import detecting
from jdsr_cli.restoration.pipeline.detecting import Look, detect, group_size
from jdsr_cli.restoration.pipeline.elements import Begun, Ended, Read, Seen
from jdsr_cli.restoration.pipeline.job import Job

FACE = Detection((40.0, 40.0, 90.0, 90.0), (TEMPLATE * 0.5 + 30.0).astype(np.float32), 0.9)


class OneFaceEach:
    """Finds one face in each frame and remembers how it was asked."""

    name = "fake"

    def __init__(self) -> None:
        self.groups: list[int] = []
        self.sizes: set[tuple[int, ...]] = set()

    def detect(self, images: Sequence[np.ndarray]) -> list[list[Detection]]:
        self.groups.append(len(images))
        self.sizes |= {image.shape for image in images}
        return [[FACE] for _ in images]


def job(name: str = "a") -> Job:
    return Job(Path(f"{name}.mp4"), Workplace(Path("out"), name, Path(f"{name}.mp4")))


def stream(one: Job, count: int, first: int = 0, size: int = 120) -> Iterator[Begun | Read | Ended]:
    yield Begun(one)
    for number in range(first, first + count):
        image = np.full((size, size, 3), 100, np.uint8)
        yield Read(one, Frame(number, number, Fraction(1, 25), image), number)
    yield Ended(one)


def numbers(elements: Sequence[object]) -> list[int]:
    return [one.read.number for one in elements if isinstance(one, Seen)]


def test_frames_are_detected_in_groups_and_none_is_lost() -> None:
    detector = OneFaceEach()
    found = list(detect(stream(job(), 20), Look(detector)))
    assert detector.groups == [8, 8, 4]
    assert numbers(found) == list(range(20))
    assert isinstance(found[0], Begun)
    assert isinstance(found[-1], Ended)
    assert all(one.facts.detections == (FACE,) for one in found if isinstance(one, Seen))


def test_groups_are_the_same_when_a_run_goes_on() -> None:
    whole, later = OneFaceEach(), OneFaceEach()
    list(detect(stream(job(), 30), Look(whole)))
    list(detect(stream(job(), 14, first=16), Look(later)))
    assert whole.groups == [8, 8, *later.groups]


def test_groups_never_span_two_inputs() -> None:
    detector = OneFaceEach()
    first, second = job("a"), job("b")
    found = list(detect([*stream(first, 3), *stream(second, 9)], Look(detector)))
    assert detector.groups == [3, 8, 1]
    assert [type(one).__name__ for one in found] == [
        *("Begun", *["Seen"] * 3, "Ended"),
        *("Begun", *["Seen"] * 9, "Ended"),
    ]


def test_large_frames_are_detected_in_smaller_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detecting, "BYTES_TOGETHER", 3 * 120 * 120 * 3)
    detector = OneFaceEach()
    list(detect(stream(job(), 5), Look(detector)))
    assert detector.groups == [2, 2, 1]
    assert group_size(1) == 8
    assert group_size(10**9) == 1


def test_each_nth_frame_is_looked_at() -> None:
    detector = OneFaceEach()
    found = list(detect(stream(job(), 20), Look(detector, every=3)))
    looked = [one.read.number for one in found if isinstance(one, Seen) and one.facts.looked]
    assert looked == [0, 3, 6, 9, 12, 15, 18]
    assert sum(detector.groups) == 7
    assert numbers(found) == list(range(20))


def test_a_part_of_the_frame_is_looked_at_and_faces_lie_in_the_whole() -> None:
    detector = OneFaceEach()
    found = list(detect(stream(job(), 1), Look(detector, roi=(10, 20, 60, 50))))
    assert detector.sizes == {(50, 60, 3)}
    (seen,) = [one for one in found if isinstance(one, Seen)]
    (face,) = seen.facts.detections
    assert face.box == (50.0, 60.0, 100.0, 110.0)
    np.testing.assert_allclose(face.points, FACE.points + np.array([10, 20]))


def test_a_part_beyond_the_frame_fails_that_input_only() -> None:
    first, second = job("a"), job("b")
    look = Look(OneFaceEach(), roi=(0, 0, 100, 100))
    both = [*stream(first, 2, size=90), *stream(second, 2, size=120)]
    found = list(detect(both, look))
    assert isinstance(first.error, UsageError)
    assert "--roi" in str(first.error)
    assert second.error is None
    assert numbers(found) == [0, 1]


def test_a_cut_is_seen_across_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detecting, "is_cut", lambda a, b: abs(int(a.mean()) - int(b.mean())) > 50)

    def frames(one: Job) -> Iterator[Begun | Read | Ended]:
        yield Begun(one)
        for number in range(12):
            image = np.full((60, 60, 3), 200 if 8 <= number < 10 else 20, np.uint8)
            yield Read(one, Frame(number, number, Fraction(1, 25), image), number)
        yield Ended(one)

    found = list(detect(frames(job()), Look(OneFaceEach(), every=6)))
    seen = [one for one in found if isinstance(one, Seen)]
    assert [one.read.number for one in seen if one.facts.cut] == [8, 10]
    assert [one.read.number for one in seen if one.facts.looked] == [0, 6, 8, 10]


def test_frames_are_read_only_as_they_are_needed() -> None:
    taken = []

    def counted() -> Iterator[Begun | Read | Ended]:
        for element in stream(job(), 100):
            taken.append(element)
            yield element

    found = detect(counted(), Look(OneFaceEach()))
    next(found)
    next(found)
    assert len(taken) <= 10
