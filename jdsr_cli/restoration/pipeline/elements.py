"""What passes from stage to stage: the beginning and end of each input, and its frames between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.faces.tracking import TrackedFace
from jdsr_cli.media import Frame
from jdsr_cli.restoration.candidates import Candidate
from jdsr_cli.restoration.generate import RestoredFace
from jdsr_cli.restoration.journal.facts import FrameFacts
from jdsr_cli.restoration.journal.snapshot import Snapshot
from jdsr_cli.restoration.pipeline.job import Job

Lines = Mapping[str, tuple[str, ...]]
"""Lines to append to text files of results, by name of file."""


@dataclass(frozen=True, eq=False)
class Begun:
    """An input is open; its frames follow."""

    job: Job
    nbytes: int = 0


@dataclass(frozen=True, eq=False)
class Ended:
    """Nothing more comes of an input: it was read to its end, or it failed."""

    job: Job
    lines: Lines = field(default_factory=dict)
    nbytes: int = 0


@dataclass(frozen=True, eq=False)
class Read:
    """A frame as it was decoded."""

    job: Job
    frame: Frame
    number: int
    """Of the frame among those of the run, from 0; differs from its index where it was trimmed."""

    @property
    def nbytes(self) -> int:
        """Bytes of its pixels."""
        return self.frame.image.nbytes


@dataclass(frozen=True, eq=False)
class Seen:
    """A frame and what was seen in it."""

    read: Read
    facts: FrameFacts
    thumbnail: NDArray[np.uint8]

    @property
    def job(self) -> Job:
        """The input."""
        return self.read.job

    @property
    def nbytes(self) -> int:
        """Bytes of its pixels."""
        return self.read.nbytes


@dataclass(frozen=True, eq=False)
class Tracked:
    """A frame whose faces belong to tracks."""

    seen: Seen
    faces: tuple[TrackedFace, ...]
    ended: tuple[int, ...]
    """Tracks of which nothing more will come."""
    monochrome: frozenset[int]
    """Tracks among `faces` that are seen without colour, but for a tint."""

    @property
    def job(self) -> Job:
        """The input."""
        return self.seen.job

    @property
    def frame(self) -> Frame:
        """The frame as it was decoded."""
        return self.seen.read.frame

    @property
    def nbytes(self) -> int:
        """Bytes of its pixels."""
        return self.seen.nbytes


@dataclass(frozen=True, eq=False)
class Examined:
    """A frame whose faces were aligned and cropped, or refused."""

    tracked: Tracked
    candidates: tuple[Candidate, ...]

    @property
    def job(self) -> Job:
        """The input."""
        return self.tracked.job

    @property
    def frame(self) -> Frame:
        """The frame as it was decoded."""
        return self.tracked.frame

    @property
    def nbytes(self) -> int:
        """Bytes of its pixels."""
        return self.tracked.nbytes

    @property
    def hopeful(self) -> int:
        """Number of its faces that go to the generator."""
        return sum(candidate.crop is not None for candidate in self.candidates)


@dataclass(frozen=True, eq=False)
class Restored:
    """A frame with what the generator made of its faces."""

    examined: Examined
    faces: tuple[RestoredFace | None, ...]
    """One for each candidate that had a crop, in their order; None where it was not finite."""

    @property
    def job(self) -> Job:
        """The input."""
        return self.examined.job

    @property
    def nbytes(self) -> int:
        """Bytes of its pixels."""
        return self.examined.nbytes


@dataclass(frozen=True, eq=False)
class Finished:
    """A frame of which only writing is left; the frame as it was decoded is gone."""

    job: Job
    number: int
    """As that of `Read`."""
    index: int
    """Of the frame in the input."""
    pts: int
    """Its time in units of the input's time base."""
    facts: FrameFacts
    thumbnail: NDArray[np.uint8]
    images: Mapping[str, NDArray[np.uint8]]
    """Pictures to store as frame of each product, by its name; RGB uint8."""
    lines: Lines
    border: Snapshot | None = None
    """What later frames need of earlier ones, where a segment ends with this frame."""

    @classmethod
    def of(
        cls, tracked: Tracked, images: Mapping[str, NDArray[np.uint8]], lines: Lines
    ) -> Finished:
        """Make it of a frame with what is to be written of it."""
        seen, frame = tracked.seen, tracked.frame
        return cls(
            job=seen.job,
            number=seen.read.number,
            index=frame.index,
            pts=frame.pts,
            facts=seen.facts,
            thumbnail=seen.thumbnail,
            images=images,
            lines=lines,
        )

    @property
    def nbytes(self) -> int:
        """Bytes of its pictures."""
        return sum(image.nbytes for image in self.images.values())
