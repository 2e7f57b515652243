from pathlib import Path

import numpy as np
import pytest

from jdsr_cli.errors import InputUnreadableError
from jdsr_cli.faces import Detection
from jdsr_cli.restoration.journal.facts import FrameFacts, read_facts, write_facts
from jdsr_cli.restoration.journal.snapshot import Snapshot


def test_a_snapshot_comes_back_to_the_bit(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    inner = Snapshot({"sum": 0.1 + 0.2, "names": ["ä", "b/c"]}, {"x": random.random((3, 4))})
    outer = Snapshot.join(one=inner, two=Snapshot({}, {"m": np.zeros((0, 2), np.uint8)}))
    outer.write(tmp_path / "state.npz")
    read = Snapshot.read(tmp_path / "state.npz")
    assert read.values == outer.values
    assert read.part("one").values == inner.values
    np.testing.assert_array_equal(read.part("one").arrays["x"], inner.arrays["x"])
    assert read.part("two").arrays["m"].shape == (0, 2)
    assert read.part("two").arrays["m"].dtype == np.uint8


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 torn"])
def test_a_damaged_snapshot_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state.npz").write_bytes(content)
    with pytest.raises(InputUnreadableError, match="--force"):
        Snapshot.read(tmp_path / "state.npz")
    with pytest.raises(InputUnreadableError, match="--force"):
        Snapshot.read(tmp_path / "absent.npz")


def face(random: np.random.Generator) -> Detection:
    box = tuple(float(value) for value in random.random(4).astype(np.float32) * 1000)
    points = (random.random((5, 2)) * 1000).astype(np.float32)
    turn = float(45 * random.integers(8))
    spread = float(random.choice([0.0, random.random(), np.inf]))
    sure = bool(random.integers(2))
    return Detection(box, points, float(random.random()), turn, spread, sure)  # type: ignore[arg-type]


def test_facts_come_back_to_the_bit(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    facts = [
        FrameFacts(
            time=number / 30000 * 1001,
            looked=number % 2 == 0,
            cut=number == 3,
            colour=float(random.random()),
            detections=tuple(face(random) for _ in range(number % 3)),
            face_colours=tuple(float(random.random()) for _ in range(number % 3)),
            embeddings=random.random((number % 3, 4)).astype(np.float32) if number > 2 else None,
        )
        for number in range(6)
    ]
    write_facts(tmp_path / "facts.npz", facts)
    read = list(read_facts(tmp_path / "facts.npz"))
    assert len(read) == len(facts)
    for a, b in zip(facts, read, strict=True):
        assert (a.time, a.looked, a.cut, a.colour) == (b.time, b.looked, b.cut, b.colour)
        assert len(a.detections) == len(b.detections)
        assert a.face_colours == b.face_colours
        for one, other in zip(a.detections, b.detections, strict=True):
            assert (one.box, one.score) == (other.box, other.score)
            assert (one.turn, one.spread, one.confirmed) == (
                other.turn, other.spread, other.confirmed
            )  # fmt: skip
            np.testing.assert_array_equal(one.points, other.points)
            assert other.points.dtype == np.float32
        assert (a.embeddings is None) == (b.embeddings is None)
        if a.embeddings is not None and b.embeddings is not None:
            np.testing.assert_array_equal(a.embeddings, b.embeddings)


def test_no_frames_are_no_facts(tmp_path: Path) -> None:
    write_facts(tmp_path / "facts.npz", [])
    assert list(read_facts(tmp_path / "facts.npz")) == []


def test_damaged_facts_are_told(tmp_path: Path) -> None:
    (tmp_path / "facts.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(InputUnreadableError, match="--force"):
        list(read_facts(tmp_path / "facts.npz"))
