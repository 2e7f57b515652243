"""Samples: a pure function of their number, mirrored with their points, stacked into batches."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from jdsr_cli.datasets.face_set import FaceSet
from jdsr_cli.datasets.samples import Degrader, SampleSettings, evaluation_samples, to_tensor
from jdsr_cli.synthesis.camera_settings import CameraSettings
from jdsr_cli.synthesis.compression import DegradedPair
from jdsr_cli.synthesis.mask_drawing import draw_sprites
from jdsr_train.data.labels import MIRROR_68, heat_maps, mirror_labels, mirror_points
from jdsr_train.data.samples import PackedBatch, TrainingSamples, collate, mirror

MIRRORED_PAIRS = [
    (0, 16), (1, 15), (7, 9), (8, 8), (17, 26), (21, 22), (27, 27), (30, 30), (31, 35), (33, 33),
    (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46), (48, 54), (49, 53), (50, 52),
    (51, 51), (55, 59), (56, 58), (57, 57), (60, 64), (61, 63), (62, 62), (65, 67), (66, 66),
]  # fmt: skip
"""Pairs of symmetric iBUG points."""


@pytest.fixture(scope="module")
def samples(face_set: FaceSet) -> TrainingSamples:
    return TrainingSamples(face_set, degrader("camera", 0.5), seed=3)


def degrader(degradation: str = "paper", masked: float = 1.0, lr_size: int = 32) -> Degrader:
    return Degrader(draw_sprites(4, 1), SampleSettings(lr_size, degradation, masked))


def same(first: DegradedPair, second: DegradedPair) -> bool:
    return all(
        np.array_equal(getattr(first, name), getattr(second, name))
        for name in ("lr", "lr_clean", "hr", "occlusion")
    )


def equal(first: PackedBatch, second: PackedBatch) -> bool:
    """Return whether two batches have the same values, and the same values absent."""
    ready, other = first.unpack("cpu"), second.unpack("cpu")
    pairs = [(value, getattr(other, name)) for name, value in vars(ready).items()]
    return all(
        torch.equal(one, other) if one is not None and other is not None else one is other
        for one, other in pairs
    )


def test_mirroring_renumbers_the_points() -> None:
    assert sorted(MIRROR_68.tolist()) == list(range(68))
    assert np.array_equal(MIRROR_68[MIRROR_68], np.arange(68))
    for left, right in MIRRORED_PAIRS:
        assert MIRROR_68[left] == right


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
    assert first.heat_points is first.parsing is first.identity is None


def test_an_epoch_contains_every_face_once_in_a_random_order(face_set: FaceSet) -> None:
    samples = TrainingSamples(face_set, degrader(masked=0.0), seed=0)
    orders, flips = [], 0
    for epoch in range(4):
        order = []
        for position in range(len(face_set)):
            hr = samples[epoch * len(face_set) + position].hr
            unflipped = (face_set.images == hr).all(axis=(1, 2, 3))
            mirrored = (face_set.images[:, :, ::-1] == hr).all(axis=(1, 2, 3))
            flips += bool(mirrored.any())
            order.append(int((unflipped | mirrored).argmax()))
        assert sorted(order) == list(range(len(face_set)))
        orders.append(tuple(order))
    assert len(set(orders)) > 1
    assert 4 <= flips <= 20


def test_the_share_of_masked_faces_is_as_configured(face_set: FaceSet) -> None:
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
        assert equal(one, other)
    assert not torch.equal(whole[0].hr, whole[1].hr)
    assert list(samples.batches(3, 4, 4, workers=0)) == []


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_batches_do_not_depend_on_workers(samples: TrainingSamples) -> None:
    (without_workers,) = samples.batches(2, 1, 2, workers=0)
    (with_worker,) = samples.batches(2, 1, 2, workers=1)
    assert equal(without_workers, with_worker)


def test_a_batch_is_stacked_in_unit_range(samples: TrainingSamples) -> None:
    pairs = [samples[0], samples[1]]
    packed = collate(pairs)
    assert all(value.dtype == torch.uint8 for value in (packed.lr, packed.lr_clean, packed.hr))
    batch = packed.unpack("cpu")
    assert batch.lr.shape == batch.lr_clean.shape == (2, 3, 32, 32)
    assert batch.hr.shape == (2, 3, 128, 128)
    assert batch.occlusion.shape == (2, 1, 32, 32)
    assert batch.heat_maps is batch.parsing is batch.identity is None
    images = (batch.lr, batch.lr_clean, batch.hr, batch.occlusion)
    assert all(value.dtype == torch.float32 for value in images)
    assert batch.hr[1, 2, 5, 9] == pytest.approx(pairs[1].hr[5, 9, 2] / 255)
    assert float(to_tensor([np.full((4, 4, 3), 255, np.uint8)]).max()) == 1


def test_evaluation_samples_depend_on_the_key(face_set: FaceSet) -> None:
    degradation = degrader()
    whole = list(evaluation_samples(face_set, degradation, masked=True))
    assert [sample.key for sample in whole] == list(face_set.keys)
    shuffled = FaceSet(face_set.keys[::-1], face_set.images[::-1], face_set.landmarks[::-1])
    for one, other in zip(
        whole, reversed(list(evaluation_samples(shuffled, degradation, masked=True))), strict=True
    ):
        assert one.key == other.key
        assert same(one.pair, other.pair)
        assert np.array_equal(one.alpha, other.alpha)
    reseeded = next(evaluation_samples(face_set, degradation, masked=True, seed=1))
    assert not np.array_equal(reseeded.alpha, whole[0].alpha)


def test_evaluation_samples_are_never_mirrored_and_masked_as_requested(face_set: FaceSet) -> None:
    for sample, image in zip(
        evaluation_samples(face_set, degrader(), masked=True), face_set.images, strict=True
    ):
        assert np.array_equal(sample.pair.hr, image)
        assert sample.alpha.shape == (128, 128)
        assert sample.alpha.max() > 0.9
        assert not np.array_equal(sample.pair.lr, sample.pair.lr_clean)
    for sample in evaluation_samples(face_set, degrader(), masked=False):
        assert not sample.alpha.any()
        assert np.array_equal(sample.pair.lr, sample.pair.lr_clean)


@pytest.mark.parametrize(
    ("limit", "positions"), [(3, [0, 2, 4]), (1, [0]), (6, range(6)), (99, range(6))]
)
def test_a_limit_selects_evenly_spaced_faces(
    limit: int, positions: list[int], face_set: FaceSet
) -> None:
    keys = [
        sample.key for sample in evaluation_samples(face_set, degrader(), masked=False, limit=limit)
    ]
    assert keys == [face_set.keys[position] for position in positions]


def test_memory_maps_give_the_same_samples(tmp_path: Path, face_set: FaceSet) -> None:
    path = tmp_path / "face_set.rgb"
    path.write_bytes(np.asarray(face_set.images).tobytes())
    mapped = np.memmap(path, np.uint8, "r", shape=face_set.images.shape)
    stored = FaceSet(face_set.keys, mapped, face_set.landmarks)
    degradation = degrader()
    assert same(
        TrainingSamples(stored, degradation, 0)[2], TrainingSamples(face_set, degradation, 0)[2]
    )


@pytest.mark.parametrize(("size", "world"), [(2, 2), (1, 3)])
def test_processes_share_a_batch(size: int, world: int, samples: TrainingSamples) -> None:
    whole = list(samples.batches(size * world, 1, 4, workers=0))
    parts = [list(samples.batches(size, 1, 4, 0, rank=rank, world=world)) for rank in range(world)]
    assert len(whole) == 3
    for step, batch in enumerate(whole):
        assert torch.equal(batch.hr, torch.cat([part[step].hr for part in parts]))
        assert torch.equal(batch.lr, torch.cat([part[step].lr for part in parts]))


@pytest.fixture
def labelled(face_set: FaceSet) -> FaceSet:
    """The portraits with five points, part labels and, except for one, identities."""
    labels = np.random.default_rng(5).integers(0, 11, (6, 64, 64)).astype(np.uint8)
    five = np.random.default_rng(6).uniform(20, 100, (6, 5, 2)).astype(np.float32)
    names = ("eileen", "eileen", "", "grace", "grace", "grace")
    return replace(face_set, heat_points=five, identities=names, parsing=labels)


def with_priors(degradation: str = "paper") -> Degrader:
    return Degrader(draw_sprites(4, 1), SampleSettings(32, degradation, 1.0, priors=True))


def test_priors_do_not_change_the_pictures(labelled: FaceSet) -> None:
    for degradation in ("paper", "camera"):
        without = TrainingSamples(labelled, degrader(degradation), seed=3)
        with_labels = TrainingSamples(labelled, with_priors(degradation), seed=3)
        for number in range(4):
            assert same(without[number], with_labels[number])


def test_heat_maps_have_the_given_width(labelled: FaceSet) -> None:
    sizes = []
    for sigma in (1.5, 3.0):
        settings = SampleSettings(32, "paper", 1.0, priors=True, heat_sigma=sigma)
        samples = TrainingSamples(labelled, Degrader(draw_sprites(4, 1), settings), seed=0)
        (batch,) = samples.batches(1, 0, 1, workers=0)
        sizes.append(float(batch.unpack("cpu").heat_maps[0, 2].sum()))
    assert sizes[1] / sizes[0] == pytest.approx(4.0, rel=0.05)


def test_priors_are_mirrored_with_the_face(labelled: FaceSet) -> None:
    samples = TrainingSamples(labelled, with_priors(), seed=0)
    flips = []
    for number in range(12):
        sample = samples[number]
        unflipped = (labelled.images == sample.hr).all(axis=(1, 2, 3))
        mirrored = (labelled.images[:, :, ::-1] == sample.hr).all(axis=(1, 2, 3))
        index, flipped = int((unflipped | mirrored).argmax()), bool(mirrored.any())
        flips.append(flipped)
        points, labels = labelled.heat_points[index], labelled.parsing[index]
        if flipped:
            points, labels = mirror_points(points), mirror_labels(labels)
        assert np.array_equal(sample.heat_points, points)
        assert np.array_equal(sample.parsing, labels)
        assert sample.identity == [0, 0, -1, 1, 1, 1][index]
    assert True in flips
    assert False in flips


def test_priors_are_displaced_with_the_face(face_set: FaceSet) -> None:
    image = np.zeros((128, 128, 3), np.uint8)
    image[28:36, 78:86] = 255  # around (81.5, 31.5)
    labels = np.zeros((64, 64), np.uint8)
    labels[14:18, 39:43] = 6
    points = np.array([[[40, 50], [80, 50], [81.5, 31.5], [40, 100], [80, 100]]], np.float32)
    marked = FaceSet(("dot",), image[None], face_set.landmarks[:1], points, parsing=labels[None])
    camera = CameraSettings(rotation=20.0, zoom=0.2, shift=8.0, infrared=0.0)
    settings = SampleSettings(32, "camera", 0.0, camera, priors=True)
    samples = TrainingSamples(marked, Degrader([], settings), seed=0)
    positions = []
    for number in range(8):
        sample = samples[number]
        bright = sample.hr.astype(float).sum(axis=2)
        rows, columns = np.nonzero(bright > (bright.min() + bright.max()) / 2)
        centre = (np.array([columns.mean(), rows.mean()]) + 0.5) / 2 - 0.5
        heat = heat_maps(torch.from_numpy(sample.heat_points))[2]
        peak = np.array(np.divmod(int(heat.argmax()), 64)[::-1])
        assert np.abs(peak - centre).max() < 0.8
        part = np.argwhere(sample.parsing == 6).mean(axis=0)[::-1]
        assert np.abs(part - centre).max() < 0.7
        positions.append(centre)
    assert np.ptp(positions, axis=0).min() > 4


@pytest.mark.parametrize("degradation", ["paper", "camera"])
def test_the_jaw_line_is_mirrored_and_displaced_with_the_face(
    degradation: str, face_set: FaceSet
) -> None:
    image = np.zeros((128, 128, 3), np.uint8)
    image[78:86, 28:36] = 255  # around (31.5, 81.5)
    points = face_set.landmarks[:1].copy()
    points[0, 3] = (31.5, 81.5)
    marked = FaceSet(("dot",), image[None], points)
    camera = CameraSettings(rotation=20.0, zoom=0.2, shift=8.0, infrared=0.0)
    samples = TrainingSamples(
        marked, Degrader([], SampleSettings(32, degradation, 0.0, camera)), seed=0
    )
    sides = set()
    for number in range(8):
        sample = samples[number]
        assert sample.jaw.shape == (17, 2)
        assert sample.jaw.dtype == np.float32
        bright = sample.hr.astype(float).sum(axis=2)
        rows, columns = np.nonzero(bright > (bright.min() + bright.max()) / 2)
        centre = np.array([columns.mean(), rows.mean()])
        index = 3 if centre[0] < 64 else 13
        assert np.abs(sample.jaw[index] - centre).max() < 1.2
        sides.add(index)
    assert sides == {3, 13}


def test_batches_contain_the_jaw_line(samples: TrainingSamples) -> None:
    (packed,) = samples.batches(3, 0, 1, workers=0)
    expected = np.stack([samples[number].jaw for number in range(3)])
    assert np.array_equal(packed.unpack("cpu").jaw.numpy(), expected)
    without = replace(samples[0], jaw=None)
    assert collate([samples[1], without]).unpack("cpu").jaw is None


def test_batches_contain_priors(labelled: FaceSet) -> None:
    samples = TrainingSamples(labelled, with_priors(), seed=0)
    (packed,) = samples.batches(6, 0, 1, workers=0)
    batch = packed.unpack("cpu")
    assert torch.equal(batch.heat_maps, heat_maps(packed.heat_points))
    assert batch.heat_maps.shape == (6, 5, 64, 64)
    assert batch.heat_maps.dtype == torch.float32
    assert batch.parsing.shape == (6, 64, 64)
    assert batch.parsing.dtype == batch.identity.dtype == torch.int64
    assert 0 <= int(batch.parsing.min()) < int(batch.parsing.max()) == 10
    assert sorted(batch.identity.tolist()) == [-1, 0, 0, 1, 1, 1]


def test_missing_labels_are_marked(face_set: FaceSet) -> None:
    (packed,) = TrainingSamples(face_set, with_priors(), 0).batches(2, 0, 1, workers=0)
    batch = packed.unpack("cpu")
    assert batch.heat_maps.shape == (2, 68, 64, 64)
    assert (batch.parsing == -1).all()
    assert batch.identity is None


def test_packed_samples_are_small(face_set: FaceSet) -> None:
    """A worker sends bytes and points, not floats and maps."""
    (packed,) = TrainingSamples(face_set, with_priors(), 0).batches(4, 0, 1, workers=0)
    ready = packed.unpack("cpu")

    def size(batch: object) -> int:
        return sum(value.nbytes for value in vars(batch).values() if isinstance(value, Tensor))

    assert size(packed) / 4 < 80_000
    assert size(ready) > 15 * size(packed)


def test_unpacked_pictures_are_in_channels_last_format(samples: TrainingSamples) -> None:
    (packed,) = samples.batches(2, 0, 1, workers=0)
    hr = packed.unpack("cpu").hr
    assert hr.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(hr, to_tensor(packed.hr.numpy()))


def test_every_tensor_of_a_batch_is_pinned(
    labelled: FaceSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned = []
    monkeypatch.setattr(Tensor, "pin_memory", lambda self: pinned.append(self) or self.clone())
    (packed,) = TrainingSamples(labelled, with_priors(), 0).batches(2, 0, 1, workers=0)
    assert equal(packed.pin_memory(), packed)
    assert len(pinned) == 8
    assert packed.pin_memory().heat_sigma == packed.heat_sigma


AFTER_THREADS = """
import cv2, numpy as np
from jdsr_train.data.samples import SampleNumbers, numbered_batches

cv2.setNumThreads(4)
large = np.zeros((2000, 2000, 3), np.uint8)
cv2.GaussianBlur(large, (0, 0), 5)  # OpenCV starts its threads here

class Samples:
    def __getitem__(self, number):
        return int(cv2.GaussianBlur(large, (0, 0), 3).sum())

print(len(list(numbered_batches(Samples(), list, SampleNumbers(2, 0, 2), 1))))
"""


def test_workers_start_after_opencv_has_started_threads() -> None:
    """They are forked, and would wait forever for threads of the parent process."""
    child = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", AFTER_THREADS],
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        output, _ = child.communicate(timeout=600)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    assert output.strip() == "2"
