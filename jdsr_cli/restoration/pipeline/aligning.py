"""Fourth stage: faces aligned and cropped for the generator, or refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from jdsr_cli.restoration.candidates import Candidate, Limits, examine
from jdsr_cli.restoration.pipeline.elements import Begun, Ended, Examined, Tracked


def align(
    stream: Iterable[Begun | Tracked | Ended], side: int, limits: Limits
) -> Iterator[Begun | Examined | Ended]:
    """Align and crop the faces of each frame; stage `align`.

    Args:
        stream: Frames with their faces.
        side: Of the crops in pixels.
        limits: Which faces are refused.

    """
    for element in stream:
        if not isinstance(element, Tracked):
            yield element
            continue
        with element.job.clock.stage("align"):
            candidates = element.job.attempt(_examine, element, side, limits)
        if candidates is not None:
            yield Examined(element, candidates)


def _examine(element: Tracked, side: int, limits: Limits) -> tuple[Candidate, ...]:
    return tuple(
        examine(
            element.frame.image,
            element.faces,
            side=side,
            limits=limits,
            monochrome=element.monochrome,
            display=element.job.display,
        )
    )
