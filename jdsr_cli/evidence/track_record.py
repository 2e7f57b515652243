"""One record for each person who was followed through the frames."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class TrackRecord:
    """A track from its first frame to its last; frames are counted by their index in the input."""

    track: int
    """Number of the track, from 1; the same in `faces.jsonl` and in names of files."""
    first_frame: int
    last_frame: int
    first_seconds: float
    last_seconds: float
    seen: int
    """Frames in which the detector found the face."""
    bridged: int
    """Frames between, in which its place was worked out."""
    restored: int
    """Faces that were restored, or exported by `crop-faces`."""
    refused: dict[str, int]
    """Refused faces by kind of reason."""
    masked: int
    """Restored faces that wear a mask."""
    unsure: int
    """Restored faces of which that is unsure."""
    best: tuple[dict[str, Any], ...] = field(default=())
    """Pictures of the best single frames, best first: file, sha256, frames, quality."""
    fused: dict[str, Any] | None = None
    """Picture of several frames together, where there are enough that agree."""

    def to_json(self) -> str:
        """Return the record as one line of JSON without its newline."""
        return json.dumps(asdict(self), ensure_ascii=False, allow_nan=False)
