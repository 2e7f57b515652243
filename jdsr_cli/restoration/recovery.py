"""What of an interrupted run can be trusted: the segments whose files are as they were written.

What a disk or a copy has damaged is found before a run continues; the run then continues from the
last segment that is whole together with all before it, and whose state is. Damaged segments between
whole ones are done again before, see `mending`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from jdsr_cli.restoration.finished_segments import FinishedSegment

JOURNAL_LOST = "its journal"
"""What is damaged if lines of the journal are."""


@dataclass(frozen=True)
class Recovered:
    """The segments from which a run continues."""

    segments: tuple[FinishedSegment, ...] = ()
    lost: int = 0
    """Frames of finished segments that are to be done again, as far as intact lines name them."""
    fault: str | None = None
    """What is damaged; None if everything is as it was written."""

    @property
    def frames(self) -> int:
        """Number of frames in the segments."""
        return self.segments[-1].frames if self.segments else 0

    @property
    def note(self) -> str | None:
        """Sentence for the user if something is damaged."""
        if self.fault is None:
            return None
        again = f"{self.lost} of its frames are" if self.lost else "what followed is"
        return (
            f"the interrupted run is damaged ({self.fault}): it continues after {self.frames} "
            f"frames, {again} done again"
        )


class Examination:
    """Compares all files of the segments of a run with the hashes in its journal.

    Args:
        segments: The segments by number, of which some may be missing.
        root: Folder that contains work and results.

    """

    def __init__(self, segments: Mapping[int, FinishedSegment], root: Path) -> None:
        self.segments = segments
        self._root = root
        self.faults: dict[int, str] = {}
        """What is damaged of each segment that is not whole; states do not count."""
        for number in range(max(segments, default=-1) + 1):
            known = segments.get(number)
            fault = JOURNAL_LOST if known is None else known.damaged_file(root)
            if fault is not None:
                self.faults[number] = fault

    def has_state(self, number: int) -> bool:
        """Whether the state at the end of a segment is there as it was written."""
        known = self.segments.get(number)
        return known is not None and known.has_state(self._root)

    @cached_property
    def resumable(self) -> int:
        """Segments after which a run could continue if those before were whole; 0 if none."""
        for number in sorted(self.segments, reverse=True):
            if number not in self.faults and self.has_state(number):
                return number + 1
        return 0

    def gaps(self) -> Iterator[range]:
        """Yield the runs of damaged segments that have whole ones after them."""
        start: int | None = None
        for number in range(self.resumable):
            if number in self.faults:
                start = number if start is None else start
            elif start is not None:
                yield range(start, number)
                start = None

    def recover(self, *, complete: bool) -> Recovered:
        """Return the segments before the first damaged one, as far as there is a state.

        Args:
            complete: Whether no line of the journal is lost after the last one that is known.

        """
        known = self.segments
        whole = [known[number] for number in range(min(self.faults, default=len(known)))]
        fault = self.faults.get(len(whole))
        while whole and not whole[-1].has_state(self._root):
            fault = fault or whole[-1].state_file
            whole.pop()
        if fault is None and not complete:
            fault = JOURNAL_LOST
        frames = whole[-1].frames if whole else 0
        total = max((one.frames for one in known.values()), default=0)
        return Recovered(tuple(whole), total - frames, fault)
