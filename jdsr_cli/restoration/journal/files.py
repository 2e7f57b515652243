"""Names of the files of a segment."""

from __future__ import annotations

from pathlib import Path


def segment_file(work: Path, number: int, suffix: str) -> Path:
    """Return the file of segment `number` (from 0) with that suffix."""
    return work / f"{number:06d}{suffix}"


def state_file(work: Path, number: int) -> Path:
    """Return the file that holds what later frames need of those up to this segment."""
    return segment_file(work, number, ".state.npz")


def facts_file(work: Path, number: int) -> Path:
    """Return the file that holds what was seen in the segment's frames."""
    return segment_file(work, number, ".facts.npz")
