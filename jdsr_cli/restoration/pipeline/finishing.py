"""Sixth stage: frames put together, in the way of the command."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from jdsr_cli.restoration.journal.snapshot import Snapshot
from jdsr_cli.restoration.pipeline.elements import Begun, Ended, Finished, Lines, Restored
from jdsr_cli.restoration.pipeline.job import Job


def finish(
    stream: Iterable[Begun | Restored | Ended], segment: int
) -> Iterator[Begun | Finished | Ended]:
    """Finish each frame; where a segment ends, keep what the next one needs.

    Args:
        stream: Frames with their restored faces.
        segment: Frames in a segment.

    """
    for element in stream:
        job = element.job
        if isinstance(element, Restored):
            done = job.attempt(_finish, element, segment)
            if done is not None:
                yield done
        elif isinstance(element, Ended) and not job.finished_before:
            lines = job.attempt(_close, job)
            yield Ended(job, lines or {})
        else:
            yield element


def _close(job: Job) -> Lines:
    return job.finisher.close()


def _finish(restored: Restored, segment: int) -> Finished:
    done = restored.job.finisher.finish(restored)
    if (done.number + 1) % segment:
        return done
    state = Snapshot.join(finisher=restored.job.finisher.state())
    arrays = {**state.arrays, "thumbnail": done.thumbnail}
    return replace(done, border=replace(state, arrays=arrays))
