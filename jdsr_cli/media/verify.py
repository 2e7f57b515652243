"""Re-opening what was written, to see that every frame is there at its time."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from jdsr_cli.errors import MediaError, OutputError
from jdsr_cli.media.opening import open_container, video_stream


@dataclass
class TimeTally:
    """A digest of timestamps that does not depend on their order and takes constant memory.

    Attributes:
        count: Number of timestamps.
        total: Their sum in seconds, exact.
        first: The earliest in seconds, None where there is none.
        last: The latest in seconds, None where there is none.

    """

    count: int = 0
    total: Fraction = Fraction(0)
    first: Fraction | None = None
    last: Fraction | None = None

    def add(self, time: Fraction) -> None:
        """Take in one timestamp in seconds."""
        self.count += 1
        self.total += time
        self.first = time if self.first is None else min(self.first, time)
        self.last = time if self.last is None else max(self.last, time)


def tally_file(file: Path) -> TimeTally:
    """Return the digest of the timestamps of the frames that a player will show.

    Raises:
        MediaError: The file cannot be opened or read to its end.

    """
    tally = TimeTally()
    with open_container(file) as container:
        stream, _ = video_stream(container, file)
        try:
            for packet in container.demux(stream):
                if packet.pts is not None and packet.size and not packet.is_discard:
                    tally.add(packet.pts * packet.time_base)
        except av.FFmpegError as exc:
            raise MediaError(f"ends early ({exc.strerror})", where=file) from exc
    return tally


def verify(file: Path, written: TimeTally, path: Path) -> None:
    """Compare a written file with what was given to the writer.

    Args:
        file: The file as it lies on the disk, under its temporary name.
        written: What was given to the writer.
        path: The name to be told in an error.

    Raises:
        OutputError: Frames are missing, or their times are others.

    """
    hint = "The disk may be failing or full; the file was removed."
    try:
        found = tally_file(file)
    except MediaError as exc:
        raise OutputError(
            f"cannot be read back after writing ({exc.what})", where=path, hint=hint
        ) from exc
    if found.count != written.count:
        raise OutputError(
            f"holds {found.count} frames after writing instead of {written.count}",
            where=path,
            hint=hint,
        )
    if found != written:
        raise OutputError("holds other times than were written", where=path, hint=hint)
