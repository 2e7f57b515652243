"""Frames in, windows of examined frames out, in bounded memory whatever the length of the video.

Detection looks at a few frames of one size at a time; its groups do not depend on the batch of
the generator. A window then holds as many frames as it takes to fill a batch with faces, within
a limit of bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from jdsr_cli.faces import Detector
from jdsr_cli.media import Frame
from jdsr_cli.restoration.candidates import Candidate, examine
from jdsr_cli.restoration.clock import StageClock

DETECTED_AT_ONCE = 8
"""Frames that the detector is given together."""
DETECTION_BYTES = 64 << 20
"""Of frames that the detector is given together."""
WINDOW_BYTES = 256 << 20
"""Of frames that wait for their faces."""


@dataclass(frozen=True)
class ExaminedFrame:
    """A frame and the faces found in it."""

    frame: Frame
    candidates: list[Candidate]

    @property
    def hopeful(self) -> int:
        """Number of its faces that go to the generator."""
        return sum(candidate.crop is not None for candidate in self.candidates)


def examine_frames(
    frames: Iterable[Frame], detector: Detector, clock: StageClock, *, side: int, min_face: float
) -> Iterator[ExaminedFrame]:
    """Find, align and crop the faces of each frame; stages `detect` and `align`."""
    for group in _groups(frames):
        with clock.stage("detect"):
            found = detector.detect([frame.image for frame in group])
        for frame, detections in zip(group, found, strict=True):
            with clock.stage("align"):
                candidates = examine(frame.image, detections, side=side, min_face=min_face)
            yield ExaminedFrame(frame, candidates)


def _groups(frames: Iterable[Frame]) -> Iterator[list[Frame]]:
    """Cut a stream into runs of frames of one size, few and small enough to detect together."""
    group: list[Frame] = []
    for frame in frames:
        full = len(group) >= DETECTED_AT_ONCE or len(group) * frame.image.nbytes >= DETECTION_BYTES
        if group and (full or frame.image.shape != group[0].image.shape):
            yield group
            group = []
        group.append(frame)
    if group:
        yield group


def gather(examined: Iterable[ExaminedFrame], faces: int) -> Iterator[list[ExaminedFrame]]:
    """Join frames until they hold `faces` faces to restore, or as many bytes as may wait."""
    window: list[ExaminedFrame] = []
    waiting = size = 0
    for item in examined:
        window.append(item)
        waiting += item.hopeful
        size += item.frame.image.nbytes
        if waiting >= faces or size >= WINDOW_BYTES:
            yield window
            window, waiting, size = [], 0, 0
    if window:
        yield window
