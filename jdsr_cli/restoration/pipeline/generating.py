"""Fifth stage: batches of faces, of many frames and inputs, through the generator."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

from jdsr_cli.restoration.generate import FaceGenerator
from jdsr_cli.restoration.pipeline.elements import Begun, Ended, Examined, Restored

WINDOW_BYTES = 96 << 20
"""Of frames that wait until a batch is full."""


def generate(
    stream: Iterable[Begun | Examined | Ended], generator: FaceGenerator
) -> Iterator[Begun | Restored | Ended]:
    """Restore the faces of the frames; stage `restore`.

    Frames wait until there are faces for a batch, or until they take too much memory; then all
    go on in their order.
    """
    waiting: list[Begun | Examined | Ended] = []
    hopeful = size = 0
    for element in stream:
        waiting.append(element)
        size += element.nbytes
        hopeful += element.hopeful if isinstance(element, Examined) else 0
        if hopeful >= generator.batch or size >= WINDOW_BYTES or not hopeful:
            yield from _restored(waiting, generator)
            waiting, hopeful, size = [], 0, 0
    yield from _restored(waiting, generator)


def _restored(
    waiting: Sequence[Begun | Examined | Ended], generator: FaceGenerator
) -> Iterator[Begun | Restored | Ended]:
    start = time.perf_counter()
    frames = [one for one in waiting if isinstance(one, Examined) and not one.job.failed]
    crops = [face.canonical for one in frames for face in one.candidates if face.crop is not None]
    faces = iter(generator.restore(crops))
    spent = time.perf_counter() - start
    for one in waiting:
        if not isinstance(one, Examined):
            yield one
        elif one in frames:
            if one.hopeful:
                one.job.clock.add("restore", spent * one.hopeful / len(crops))
            yield Restored(one, tuple(next(faces) for _ in range(one.hopeful)))


def pass_by(stream: Iterable[Begun | Examined | Ended]) -> Iterator[Begun | Restored | Ended]:
    """Take the place of `generate` where nothing is restored."""
    for element in stream:
        if isinstance(element, Examined):
            yield Restored(element, (None,) * element.hopeful)
        else:
            yield element
