"""What the tracker tells about a frame."""

from __future__ import annotations

from dataclasses import dataclass

from jdsr_cli.faces.detection import Detection


@dataclass(frozen=True, eq=False)
class TrackedFace:
    """A face in a frame, and whose it is."""

    track: int
    """Number of the person, from 1, in the order in which they were first seen."""
    detection: Detection
    """Box and points smoothed along the track, or filled in where the frame shows no detection.

    The score is the detector's; of a face that was filled in, the lower one of its neighbours.
    """
    raw: Detection | None
    """What the detector found, as it was given; None where the face was filled in."""
    too_short: bool
    """Whether the whole track has too few detections to be trusted; it is then not smoothed."""


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """The faces of a frame, decided once and for all."""

    index: int
    """Number of the frame among those given to the tracker, from 0."""
    faces: tuple[TrackedFace, ...]
    """By number of their track; no track has two."""
    ended: tuple[int, ...]
    """Tracks, in ascending order, that have no face in any later frame; each is told once."""
