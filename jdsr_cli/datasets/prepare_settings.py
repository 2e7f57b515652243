"""Options of the `prepare` stage, and the protocol by which part labels are supplied."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError

CROPS = ("138", "138-left", "178", "aligned")


LANDMARKS = ("five", "fan")


class PartLabeller(Protocol):
    """Labels the parts of faces."""

    def label(self, faces: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return (N, 64, 64) classes of the 11 for faces (N, 128, 128, 3)."""


class LabelSource(Protocol):
    """Opens a part labeller; picklable, since worker processes receive it.

    The labelling networks belong to training (`jdsr_train.data.part_labellers`).
    """

    @property
    def fingerprint(self) -> str:
        """Identify the network and its weights, for the hash of a prepared folder."""

    def open(self) -> PartLabeller:
        """Load the network.

        Raises:
            WeightsError: Its weights are missing or damaged.

        """


def check_choice_or_file(value: str, known: Sequence[str], where: str) -> None:
    """Check that a value is one of the known names or an existing file.

    Raises:
        UsageError: It is neither.

    """
    if value not in known and not Path(value).is_file():
        raise UsageError(
            f"{value!r} is neither {' nor '.join(known)} nor a file",
            where=where,
            hint="Check the path",
        )


@dataclass(frozen=True)
class PrepareSettings:
    """How `prepare` makes 128-px faces of pictures.

    Raises:
        UsageError: A value is none of those allowed.

    """

    crop: str = "138"
    """Window of a CelebA picture (SPEC 4.2): `138` is 138x138 at (20, 40), `138-left` the same at
    x 30, `178` the middle 178x178, `aligned` the least-squares similarity from its five points to
    the template. Other pictures are aligned by their points to the template, in the same window.
    """
    landmarks: str = "five"
    """`five`: those of the source (68 where it has them); `fan`: facexlib's FAN, whose 98 points
    become 68; else the path of an ONNX file that takes 112x112 RGB in [0, 1] and gives 136
    numbers, x and y in [0, 1]."""
    labels: LabelSource | None = None
    """Where labels of face parts come from; None for none."""
    workers: int = 0
    """Worker processes; 0 prepares in the calling process."""
    least_width: float = 64.0
    """Least width of a detected face in pixels of the image; images with a narrower one are
    skipped, since an enlarged face is no ground truth."""

    def __post_init__(self) -> None:
        if self.crop not in CROPS:
            raise UsageError(
                f"there is no crop {self.crop!r}", where="crop", hint=f"Use {', '.join(CROPS)}"
            )
        check_choice_or_file(self.landmarks, LANDMARKS, "landmarks")
        if self.workers < 0:
            raise UsageError(f"{self.workers} workers are fewer than none", where="workers")
        if not (math.isfinite(self.least_width) and self.least_width >= 0):
            raise UsageError(f"{self.least_width} is no width of a face", where="least_width")

    @property
    def keeps_aligned_faces(self) -> bool:
        """Whether faces that are aligned already are used unchanged."""
        return self.landmarks == "five" and self.labels is None
