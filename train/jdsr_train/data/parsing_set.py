"""Faces with labelled parts, in the format of CelebAMask-HQ, as training samples of a parser."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from jdsr_cli.atomic import atomic_file
from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.datasets.face_set import PICTURE_FORMATS, PILLOW_ERRORS, output_errors, write_json
from jdsr_cli.datasets.samples import images_on_device, stack
from jdsr_cli.errors import DatasetError, InputMissingError, UsageError
from jdsr_cli.file_names import name_bytes
from jdsr_cli.progress import Progress, Silent
from jdsr_train.data.labelled_files import LabelledFile, find_labelled_files, source_state
from jdsr_train.data.labels import from_celebamask, mirror_labels, reduce_labels
from jdsr_train.data.samples import Packed, SampleNumbers, numbered_batches, shuffled

STORED_SIZE = 160
"""Side of the stored pictures; slightly finer than the faces that are cropped from them."""
TEMPLATE_REGION = (0.0703, 0.0352, 0.8594)
"""Left, top and side of the region that our template covers, as shares of a CelebA-HQ picture; from
the mean positions of eyes, nose and mouth in its label maps."""
MAX_ROTATION = 15.0
"""Largest rotation of an augmented face in degrees."""
ZOOM_RANGE = (0.75, 1.15)
"""Smallest and largest scale of an augmented face; that of the wide crop is 138/178."""
MAX_SHIFT = 8.0
"""Largest shift in pixels."""


@dataclass(frozen=True)
class ParsingSet:
    """Pictures in CelebA-HQ's alignment with the labels of their parts."""

    keys: tuple[str, ...]
    images: NDArray[np.uint8]
    """(N, 160, 160, 3) RGB, the whole pictures; a memory map of the cache."""
    labels: NDArray[np.uint8]
    """(N, 160, 160) of the 11 classes; a memory map of the cache."""
    files: tuple[Path, ...] = ()
    """The files of this set, its index first; empty for a set in memory."""

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.keys)


@dataclass(frozen=True)
class ParsingPair:
    """A face and the labels of its parts."""

    image: NDArray[np.uint8]
    """(128, 128, 3) RGB, aligned with our template."""
    labels: NDArray[np.uint8]
    """(128, 128) of the 11 classes."""


@dataclass(frozen=True)
class ParsingBatch:
    """A batch of pairs."""

    images: Tensor
    """(B, 3, 128, 128) float32 RGB in [0, 1]."""
    labels: Tensor
    """(B, 128, 128) int64, 0 to 10."""


@dataclass(frozen=True)
class PackedPairs(Packed[ParsingBatch]):
    """A batch of pairs on the host, before its transfer to the device."""

    images: Tensor
    """(B, 128, 128, 3) uint8 RGB."""
    labels: Tensor
    """(B, 128, 128) uint8."""

    def unpack(self, device: torch.device | str) -> ParsingBatch:
        """Return the batch on a device."""
        labels = self.labels.to(device, non_blocking=True).long()
        return ParsingBatch(images_on_device(device, self.images), labels)


def open_parsing_set(
    source: Path, split: str | None, cache: Path, progress: Progress | None = None
) -> ParsingSet:
    """Open a set in the format of CelebAMask-HQ; it is decoded once and then read from a cache.

    Args:
        source: A tar archive or folder with `train/` and `test/` (optionally `val/`) that contain
            pictures (`.webp`, `.jpg`) and label maps of 19 classes (`.png` of the same name).
        split: One of these. Without a `val/`, one in twenty of `train/`, selected by name, is
            `val`, and the others are `train`. None: all.
        cache: Folder for the decoded pictures; created if it does not exist.
        progress: Receives a report of each picture.

    Raises:
        InputMissingError: `source` does not exist.
        DatasetError: It cannot be read, has no such pictures, or one has no labels.
        OutputError: The cache cannot be written.

    """
    progress = progress or Silent()
    if not source.exists():
        raise InputMissingError("no such file or folder", where=source)
    files = find_labelled_files(source, split)
    keys_text = "\n".join(file.key for file in files)
    state = f"parsing-1 {STORED_SIZE}\n{source_state(source)}\n{keys_text}"
    stem = cache / f"parsing-{hashlib.sha256(name_bytes(state)).hexdigest()[:16]}"
    index = stem.with_suffix(".json")
    if not index.exists():
        with output_errors("the cache of label maps", cache):
            _write_cache(stem, files, source, progress)
    keys = tuple(json.loads(index.read_text(encoding="utf-8"))["keys"])
    shape = (len(keys), STORED_SIZE, STORED_SIZE)
    images, labels = stem.with_suffix(".rgb"), stem.with_suffix(".labels")
    return ParsingSet(
        keys,
        np.memmap(images, np.uint8, "r", shape=(*shape, 3)),
        np.memmap(labels, np.uint8, "r", shape=shape),
        (index, images, labels),
    )


def _write_cache(
    stem: Path, files: Sequence[LabelledFile], source: Path, progress: Progress
) -> None:
    """Decode every picture into the cache; the index is written last and marks a complete cache."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    progress.begin("reading label maps", len(files))
    try:
        with (
            atomic_file(stem.with_suffix(".rgb")) as rgb,
            atomic_file(stem.with_suffix(".labels")) as maps,
            rgb.open("wb") as images,
            maps.open("wb") as labels,
        ):
            for file in files:
                picture, parts = file.read()
                images.write(_picture(picture, file.key, source).tobytes())
                labels.write(_labels(parts, file.key, source).tobytes())
                progress.advance("reading label maps")
    finally:
        progress.end("reading label maps")
    write_json(stem.with_suffix(".json"), {"keys": [file.key for file in files]})


def _picture(data: bytes, key: str, source: Path) -> NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(data), formats=PICTURE_FORMATS) as picture:
            square = picture.convert("RGB")
    except PILLOW_ERRORS as error:
        raise DatasetError(f"{key} is not a readable picture", where=source) from error
    if square.width != square.height:
        raise DatasetError(f"{key} is {square.width}x{square.height}, not square", where=source)
    small = square.resize((STORED_SIZE, STORED_SIZE), Image.Resampling.BICUBIC)
    return np.asarray(small, np.uint8)


def _labels(data: bytes, key: str, source: Path) -> NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(data), formats=PICTURE_FORMATS) as picture:
            labels = np.asarray(picture)
        if labels.dtype != np.uint8 or labels.ndim != 2 or labels.shape[0] != labels.shape[1]:
            raise UsageError(f"an array {labels.shape} of {labels.dtype}, not square 8-bit labels")
        return reduce_labels(from_celebamask(labels), STORED_SIZE)
    except PILLOW_ERRORS as error:
        raise DatasetError(
            f"the label map of {key} cannot be used ({error})", where=source
        ) from error


class ParsingSamples(Dataset[ParsingPair]):
    """An endless stream of numbered pairs; the same number always gives the same bytes.

    Augmented pairs are shuffled in each epoch, mirrored, and slightly rotated, scaled and shifted;
    others are unchanged and in the order of the set.
    """

    def __init__(self, pictures: ParsingSet, seed: int, *, augment: bool = True) -> None:
        self.pictures = pictures
        self.seed = seed
        self.augment = augment

    def __getitem__(self, number: int) -> ParsingPair:
        """Return the pair."""
        epoch, position = divmod(number, len(self.pictures))
        if not self.augment:
            return self._crop(position, crop_matrix())
        index = int(shuffled(len(self.pictures), self.seed, epoch)[position])
        rng = np.random.default_rng((self.seed, epoch, index))
        mirrored = rng.random() < 0.5
        rotation, zoom = (
            rng.uniform(-MAX_ROTATION, MAX_ROTATION),
            float(np.exp(rng.uniform(*np.log(ZOOM_RANGE)))),
        )
        pair = self._crop(index, crop_matrix(rotation, zoom, rng.uniform(-MAX_SHIFT, MAX_SHIFT, 2)))
        if not mirrored:
            return pair
        return ParsingPair(np.ascontiguousarray(pair.image[:, ::-1]), mirror_labels(pair.labels))

    def _crop(self, index: int, matrix: NDArray[np.float64]) -> ParsingPair:
        def warp(source: NDArray[np.uint8], interpolation: int) -> NDArray[np.uint8]:
            cropped = cv2.warpAffine(
                np.asarray(source),
                matrix,
                (TEMPLATE_SIZE, TEMPLATE_SIZE),
                flags=interpolation | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            )
            return np.asarray(cropped, np.uint8)

        return ParsingPair(
            warp(self.pictures.images[index], cv2.INTER_LINEAR),
            warp(self.pictures.labels[index], cv2.INTER_NEAREST),
        )

    def batches(
        self, size: int, first: int, last: int, workers: int, *, rank: int = 0, world: int = 1
    ) -> Iterator[PackedPairs]:
        """Iterate over the batches `first` to `last` - 1; see `TrainingSamples.batches`."""
        numbers = SampleNumbers(size, first, last, rank, world)
        return numbered_batches(self, stack_pairs, numbers, workers)


def crop_matrix(
    rotation: float = 0.0, zoom: float = 1.0, shift: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Return the (2, 3) affine map from pixels of a face to those of a stored picture.

    Args:
        rotation: Rotation of the face about its centre, in degrees, clockwise in the picture.
        zoom: Scale of the face.
        shift: (2,) translation of the face in x and y, in its pixels.

    """
    left, top, side = (part * STORED_SIZE for part in TEMPLATE_REGION)
    scale = side / TEMPLATE_SIZE / zoom
    angle = np.deg2rad(-rotation)
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.full(2, (TEMPLATE_SIZE - 1) / 2)
    shifted = middle if shift is None else middle + shift
    centre = np.array([left, top]) + side / 2 - 0.5
    return np.column_stack([linear, centre - linear @ shifted])


def stack_pairs(pairs: Sequence[ParsingPair]) -> PackedPairs:
    """Stack pairs into a batch."""
    return PackedPairs(
        stack([pair.image for pair in pairs]), stack([pair.labels for pair in pairs])
    )
