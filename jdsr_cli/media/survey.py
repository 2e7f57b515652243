"""Looking through the segments of a video before they are joined: whether they fit together."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from jdsr_cli.errors import OutputError
from jdsr_cli.media.packet_times import ReorderDepth
from jdsr_cli.media.segment_files import SegmentHeader, open_segment

_LATEST_KEPT = 65
"""Times that are remembered: one more than any depth of reordering that is looked for."""

_HINT = "The disk may be failing."


@dataclass(frozen=True)
class Survey:
    """What the segments of a video hold together; times in ticks of the header's time base.

    Attributes:
        header: What they have in common.
        frames: Number of frames.
        first: Time of the first frame.
        latest: Times of the last frames, increasing; more of them than `depth`, where there are.
        last_decoded: Time of the frame that is decoded last.
        depth: By how many packets decoding has to run ahead of presentation.

    """

    header: SegmentHeader
    frames: int
    first: int
    latest: Sequence[int]
    last_decoded: int
    depth: int

    @property
    def last(self) -> int:
        """Time of the last frame."""
        return self.latest[-1]

    @property
    def step(self) -> int | None:
        """Time between the last two frames, None where there is only one."""
        return self.latest[-1] - self.latest[-2] if self.frames > 1 else None

    def lead(self, last_duration: int) -> int:
        """Return the ticks by which the first packet is decoded before it is shown.

        MP4 takes the length of a track to be that from the first decoding to the end of the
        packet that is decoded last. With this lead it is that of the pictures, exactly: at a
        steady rate `depth` frames.

        Args:
            last_duration: How long the last frame is shown, in ticks.

        """
        end = self.latest[-1] + last_duration
        following = min((pts for pts in self.latest if pts > self.last_decoded), default=end)
        before = self.latest[-1 - self.depth] if self.frames > self.depth else self.first
        return max(end - before - (following - self.last_decoded), self.depth)


def survey_segments(segments: Sequence[Path]) -> Survey:
    """Read through segments, in constant memory.

    Raises:
        OutputError: There is none; one is missing, not complete, out of order, or of another
            codec, size or time base than the first.

    """
    if not segments:
        raise OutputError("no frames were written", hint="Check the input.")
    header: SegmentHeader | None = None
    frames, first, last_decoded = 0, 0, 0
    latest: list[int] = []
    reordering = ReorderDepth()
    for path in segments:
        earliest: int | None = None
        before = latest[-1] if latest else 0
        with open_segment(path) as segment:
            header = header or segment.header
            _compare(segment.header, header, path)
            for pts, packet in segment.packets():
                if earliest is None and not packet.is_keyframe:
                    raise OutputError("does not begin with a whole picture", where=path, hint=_HINT)
                earliest = pts if earliest is None else min(earliest, pts)
                insort(latest, pts)
                del latest[:-_LATEST_KEPT]
                last_decoded = pts
                frames += 1
                reordering.add(pts)
        if earliest is None:
            raise OutputError("a segment of the video holds no frames", where=path, hint=_HINT)
        if header is segment.header:
            first = earliest
        elif earliest <= before:
            raise OutputError(
                "a segment of the video begins before the end of the one before it",
                where=path,
                hint=_HINT,
            )
    assert header is not None
    return Survey(header, frames, first, tuple(latest), last_decoded, reordering.depth)


def _compare(found: SegmentHeader, wanted: SegmentHeader, path: Path) -> None:
    for field in fields(SegmentHeader):
        if getattr(found, field.name) == getattr(wanted, field.name):
            continue
        what = field.name.replace("_", " ")
        if field.name == "extradata":
            what = "encoder settings"
            told = ""
        else:
            told = f" ({getattr(found, field.name)} instead of {getattr(wanted, field.name)})"
        raise OutputError(
            f"a segment of the video has another {what} than the first{told}",
            where=path,
            hint=_HINT,
        )
