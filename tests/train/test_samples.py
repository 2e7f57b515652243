"""Samples: a pure function of their number, mirrored with their points, stacked into batches."""

from pathlib import Path

import numpy as np
import pytest
import torch

from jdsr_train.data import (
    Degrader,
    FaceSet,
    SampleSettings,
    TrainingSamples,
    collate,
    exams,
    mirror,
    to_tensor,
)
from jdsr_train.data.samples import MIRROR
from jdsr_train.degradations import Pair
from jdsr_train.masks import draw_pool

MIRRORED_PAIRS = [
    (0, 16), (1, 15), (7, 9), (8, 8), (17, 26), (21, 22), (27, 27), (30, 30), (31, 35), (33, 33),
    (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46), (48, 54), (49, 53), (50, 52),
    (51, 51), (55, 59), (56, 58), (57, 57), (60, 64), (61, 63), (62, 62), (65, 67), (66, 66),
]  # fmt: skip
"""iBUG numbers of places that lie symmetrically."""


@pytest.fixture(scope="module")
def samples(face_set: FaceSet) -> TrainingSamples:
    return TrainingSamples(face_set, degrader("camera", 0.5), seed=3)


def degrader(degradation: str = "paper", masked: float = 1.0, lr_size: int = 32) -> Degrader:
    return Degrader(draw_pool(4, 1), SampleSettings(lr_size, degradation, masked))


def same(first: Pair, second: Pair) -> bool:
    return all(
        np.array_equal(getattr(first, name), getattr(second, name))
        for name in ("lr", "lr_clean", "hr", "occlusion")
    )


def test_mirroring_renumbers_the_points() -> None:
    assert sorted(MIRROR.tolist()) == list(range(68))
    assert np.array_equal(MIRROR[MIRROR], np.arange(68))
    for left, right in MIRRORED_PAIRS:
        assert MIRROR[left] == right


def test_a_mirrored_face_keeps_its_points_on_its_features(face_set: FaceSet) -> None:
    image, points = np.asarray(face_set.images[3]), face_set.landmarks[3].copy()
    points[45] = (100.0, 40.0)
    flipped, moved = mirror(image, points)
    assert np.array_equal(flipped, image[:, ::-1])
    assert moved[36].tolist() == [27.0, 40.0]  # the other eye, on the other side
    assert (np.diff(moved[1:16, 0]) > 0).all()  # the jaw still runs from left to right
    back, again = mirror(flipped, moved)
    assert np.array_equal(back, image)
    assert np.allclose(again, points)


def test_a_sample_depends_on_its_number_alone(face_set: FaceSet, samples: TrainingSamples) -> None:
    first = samples[7]
    for number in (0, 12, 3):
        samples[number]
    assert same(first, samples[7])
    assert same(first, TrainingSamples(face_set, samples.degrader, seed=3)[7])
    assert not same(first, TrainingSamples(face_set, samples.degrader, seed=4)[7])
    assert not same(first, samples[7 + len(face_set)])


def test_an_epoch_shows_every_face_once_in_an_order_of_its_own(face_set: FaceSet) -> None:
    samples = TrainingSamples(face_set, degrader(masked=0.0), seed=0)
    orders, flips = [], 0
    for epoch in range(4):
        order = []
        for place in range(len(face_set)):
            hr = samples[epoch * len(face_set) + place].hr
            straight = (face_set.images == hr).all(axis=(1, 2, 3))
            turned = (face_set.images[:, :, ::-1] == hr).all(axis=(1, 2, 3))
            flips += bool(turned.any())
            order.append(int((straight | turned).argmax()))
        assert sorted(order) == list(range(len(face_set)))
        orders.append(tuple(order))
    assert len(set(orders)) > 1
    assert 4 <= flips <= 20


def test_the_share_of_masks_is_kept(face_set: FaceSet) -> None:
    def masks(share: float) -> list[bool]:
        samples = TrainingSamples(face_set, degrader(masked=share, lr_size=16), seed=1)
        return [bool(samples[number].occlusion.max() > 0.5) for number in range(60)]

    assert all(masks(1.0))
    assert not any(masks(0.0))
    assert 15 <= sum(masks(0.5)) <= 45


def test_batches_from_the_middle_are_those_of_the_whole_stream(samples: TrainingSamples) -> None:
    whole = list(samples.batches(3, 0, 4, workers=0))
    rest = list(samples.batches(3, 2, 4, workers=0))
    assert len(whole) == 4
    assert len(rest) == 2
    for one, other in zip(whole[2:], rest, strict=True):
        for name, value in vars(one).items():
            assert torch.equal(value, getattr(other, name))
    assert not torch.equal(whole[0].hr, whole[1].hr)
    assert list(samples.batches(3, 4, 4, workers=0)) == []


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_workers_change_nothing(samples: TrainingSamples) -> None:
    (here,) = samples.batches(2, 1, 2, workers=0)
    (there,) = samples.batches(2, 1, 2, workers=1)
    for name, value in vars(here).items():
        assert torch.equal(value, getattr(there, name))


def test_a_batch_is_stacked_in_unit_range(samples: TrainingSamples) -> None:
    pairs = [samples[0], samples[1]]
    batch = collate(pairs)
    assert batch.lr.shape == batch.lr_clean.shape == (2, 3, 32, 32)
    assert batch.hr.shape == (2, 3, 128, 128)
    assert batch.occlusion.shape == (2, 1, 32, 32)
    assert all(value.dtype == torch.float32 for value in vars(batch).values())
    assert batch.hr[1, 2, 5, 9] == pytest.approx(pairs[1].hr[5, 9, 2] / 255)
    assert float(to_tensor([np.full((4, 4, 3), 255, np.uint8)]).max()) == 1


def test_exams_are_decided_by_the_key(face_set: FaceSet) -> None:
    judge = degrader()
    whole = list(exams(face_set, judge, masked=True))
    assert [exam.key for exam in whole] == list(face_set.keys)
    shuffled = FaceSet(face_set.keys[::-1], face_set.images[::-1], face_set.landmarks[::-1])
    for one, other in zip(whole, reversed(list(exams(shuffled, judge, masked=True))), strict=True):
        assert one.key == other.key
        assert same(one.pair, other.pair)
        assert np.array_equal(one.alpha, other.alpha)
    reseeded = next(exams(face_set, judge, masked=True, seed=1))
    assert not np.array_equal(reseeded.alpha, whole[0].alpha)


def test_exams_are_never_mirrored_and_masked_as_asked(face_set: FaceSet) -> None:
    for exam, image in zip(exams(face_set, degrader(), masked=True), face_set.images, strict=True):
        assert np.array_equal(exam.pair.hr, image)
        assert exam.alpha.shape == (128, 128)
        assert exam.alpha.max() > 0.9
        assert not np.array_equal(exam.pair.lr, exam.pair.lr_clean)
    for exam in exams(face_set, degrader(), masked=False):
        assert not exam.alpha.any()
        assert np.array_equal(exam.pair.lr, exam.pair.lr_clean)


@pytest.mark.parametrize(
    ("limit", "places"), [(3, [0, 2, 4]), (1, [0]), (6, range(6)), (99, range(6))]
)
def test_a_limit_takes_evenly_spaced_faces(
    limit: int, places: list[int], face_set: FaceSet
) -> None:
    found = [exam.key for exam in exams(face_set, degrader(), masked=False, limit=limit)]
    assert found == [face_set.keys[place] for place in places]


def test_memory_maps_serve_as_well(tmp_path: Path, face_set: FaceSet) -> None:
    path = tmp_path / "face_set.rgb"
    path.write_bytes(np.asarray(face_set.images).tobytes())
    mapped = np.memmap(path, np.uint8, "r", shape=face_set.images.shape)
    stored = FaceSet(face_set.keys, mapped, face_set.landmarks)
    judge = degrader()
    assert same(TrainingSamples(stored, judge, 0)[2], TrainingSamples(face_set, judge, 0)[2])
