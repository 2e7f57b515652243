"""What the two commands, `restore` and `crop-faces`, put into the pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.faces import Detector
from jdsr_cli.faces.embedding import FaceEmbedder
from jdsr_cli.restoration.generate import FaceGenerator
from jdsr_cli.restoration.journal.snapshot import Snapshot
from jdsr_cli.restoration.pipeline.elements import Finished, Lines, Restored
from jdsr_cli.restoration.pipeline.job import Job
from jdsr_cli.restoration.settings import DetectionSettings
from jdsr_cli.restoration.summary import Counts


class Finisher(Protocol):
    """Makes of the restored frames of one input what is written of them, in their order."""

    def finish(self, restored: Restored) -> Finished:
        """Finish a frame."""

    def close(self) -> Lines:
        """Finish what was still open after the last frame."""

    def counts(self, frames_read: int, frames_written: int | None) -> Counts:
        """Return what became of frames and faces."""

    def figures(self) -> Mapping[str, Any]:
        """Return measures of the whole input for the manifest."""

    def state(self) -> Snapshot:
        """Return what later frames need of those so far."""

    def load(self, state: Snapshot) -> None:
        """Go on from where `state` was taken."""


class Product(Protocol):
    """Stores the frames of one input, segment by segment."""

    def begin(self, number: int) -> None:
        """Open a segment."""

    def write(self, image: NDArray[np.uint8], pts: int) -> None:
        """Store a frame of that time in the open segment."""

    def end(self) -> list[Path]:
        """Close the open segment; return its files, complete and on the disk."""

    def abandon(self) -> None:
        """Let go of an open segment."""

    def join(self, segments: int) -> JoinedProduct:
        """Make one result of so many segments."""


@dataclass(frozen=True)
class JoinedProduct:
    """A whole result in its folder."""

    path: Path
    frames: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Tools:
    """What a run opens once and uses for all inputs."""

    detector: Detector
    generator: FaceGenerator | None
    """None where faces are only cropped."""
    embedder: FaceEmbedder | None
    """None where no face network was given."""
    detector_entry: Mapping[str, Any]
    """Detector and, where used, face network, for the manifest."""
    weights: Mapping[str, Any] | None
    """Weights of the generator, for the manifest."""
    device: Mapping[str, str]

    def deciding(self) -> dict[str, Any]:
        """Return what of the tools decides about the bytes of a result."""
        weights = None
        if self.weights is not None:
            weights = {key: self.weights[key] for key in ("file", "sha256", "precision")}
        return {"detector": dict(self.detector_entry), "weights": weights}


class Task(Protocol):
    """A command: what it needs and what it makes of an input."""

    command: str
    tools: Tools
    side: int
    """Of the crops in pixels."""

    @property
    def settings(self) -> DetectionSettings:
        """What was chosen."""

    @property
    def texts(self) -> tuple[str, ...]:
        """Names of the text files of its results."""

    def prepare(self, job: Job) -> None:
        """Set finisher and products of a job whose input is open and whose workplace is ready."""

    def describe(self, job: Job) -> dict[str, Any]:
        """Return the settings as the manifest tells them."""
