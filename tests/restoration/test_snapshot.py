import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jdsr_cli.errors import InputUnreadableError
from jdsr_cli.faces import Detection
from jdsr_cli.restoration.frame import FrameDetections
from jdsr_cli.restoration.snapshots import Snapshot
from jdsr_cli.restoration.stored_detections import read_detections, write_detections


def test_a_snapshot_is_stored_exactly(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    inner = Snapshot({"sum": 0.1 + 0.2, "names": ["ä", "b/c"]}, {"x": random.random((3, 4))})
    outer = Snapshot.join(one=inner, two=Snapshot({}, {"m": np.zeros((0, 2), np.uint8)}))
    outer.write(tmp_path / "state.npz", "run")
    read = Snapshot.read(tmp_path / "state.npz", "run")
    assert read.values == outer.values
    assert read.part("one").values == inner.values
    np.testing.assert_array_equal(read.part("one").arrays["x"], inner.arrays["x"])
    assert read.part("two").arrays["m"].shape == (0, 2)
    assert read.part("two").arrays["m"].dtype == np.uint8


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 torn"])
def test_a_damaged_snapshot_is_reported(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state.npz").write_bytes(content)
    with pytest.raises(InputUnreadableError, match="--resume"):
        Snapshot.read(tmp_path / "state.npz", "run")
    with pytest.raises(InputUnreadableError, match="--resume"):
        Snapshot.read(tmp_path / "absent.npz", "run")


def face(random: np.random.Generator) -> Detection:
    box = tuple(float(value) for value in random.random(4).astype(np.float32) * 1000)
    points = (random.random((5, 2)) * 1000).astype(np.float32)
    turn = float(45 * random.integers(8))
    spread = float(random.choice([0.0, random.random(), np.inf]))
    confirmed = bool(random.integers(2))
    return Detection(box, points, float(random.random()), turn, spread, confirmed)  # type: ignore[arg-type]


def test_detections_are_stored_exactly(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    frames = [
        FrameDetections(
            time=number / 30000 * 1001,
            searched=number % 2 == 0,
            cut=number == 3,
            shift=(float(random.normal()), number / 3) if number % 3 else None,
            colour=float(random.random()),
            detections=tuple(face(random) for _ in range(number % 3)),
            face_colours=tuple(float(random.random()) for _ in range(number % 3)),
            heads=random.integers(0, 256, (number % 3, 12, 12, 3), np.uint8),
            embeddings=random.random((number % 3, 4)).astype(np.float32) if number > 2 else None,
        )
        for number in range(6)
    ]
    write_detections(tmp_path / "frames.npz", frames, "run")
    read = list(read_detections(tmp_path / "frames.npz", "run"))
    assert len(read) == len(frames)
    for a, b in zip(frames, read, strict=True):
        assert (a.time, a.searched, a.cut, a.colour) == (b.time, b.searched, b.cut, b.colour)
        assert a.shift == b.shift
        assert len(a.detections) == len(b.detections)
        assert a.face_colours == b.face_colours
        assert a.heads.dtype == b.heads.dtype
        np.testing.assert_array_equal(a.heads, b.heads)
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


def test_a_segment_without_frames_is_stored(tmp_path: Path) -> None:
    write_detections(tmp_path / "frames.npz", [], "run")
    assert list(read_detections(tmp_path / "frames.npz", "run")) == []


def test_damaged_detections_are_reported(tmp_path: Path) -> None:
    (tmp_path / "frames.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(InputUnreadableError, match="--resume"):
        list(read_detections(tmp_path / "frames.npz", "run"))


@pytest.mark.parametrize("threads", [2, 4, 8])
def test_threads_read_snapshots_one_after_another(
    tmp_path: Path, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NumPy parses the headers of arrays by `ast`, which some versions of Python get wrong."""
    Snapshot({"a": 1}, {"b": np.arange(3)}).write(tmp_path / "state.npz", "run")
    load, now, most = np.load, [0], [0]

    def counted(*args: Any, **named: Any) -> Any:
        now[0] += 1
        most[0] = max(most[0], now[0])
        time.sleep(0.02)
        try:
            return load(*args, **named)
        finally:
            now[0] -= 1

    monkeypatch.setattr(np, "load", counted)
    with ThreadPoolExecutor(threads) as pool:
        read = list(
            pool.map(lambda _: Snapshot.read(tmp_path / "state.npz", "run"), range(2 * threads))
        )
    assert most == [1]
    assert all(one.values == {"a": 1} for one in read)
