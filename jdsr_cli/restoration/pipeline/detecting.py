"""Second stage: what is to be seen in each frame.

The detector looks at a few frames of one input at a time. Where these groups begin depends on
the numbers of the frames alone, so that a run that goes on detects as the interrupted one did.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.faces import Detection, Detector
from jdsr_cli.faces.embedding import FaceEmbedder
from jdsr_cli.faces.monochrome import colourfulness, face_colourfulness
from jdsr_cli.faces.scene import is_cut, thumbnail
from jdsr_cli.restoration.journal.facts import FrameFacts
from jdsr_cli.restoration.pipeline.elements import Begun, Ended, Read, Seen

MOST_TOGETHER = 8
"""Frames that the detector is given together; a power of two, see `group_size`."""
BYTES_TOGETHER = 48 << 20
"""Of frames that the detector is given together."""

Thumbnail = NDArray[np.uint8]


@dataclass(frozen=True)
class Look:
    """How frames are looked at."""

    detector: Detector
    every: int = 1
    """Faces are looked for in each n-th frame, and where another scene begins."""
    roi: tuple[int, int, int, int] | None = None
    """Left, top, width and height of the part of the frame in which they are looked for, in
    displayed pixels."""
    embedder: FaceEmbedder | None = None
    """Tells people apart, where a face network was given."""


def group_size(nbytes: int) -> int:
    """Return how many frames of so many bytes are detected together: 8, 4, 2 or 1.

    Being powers of two, groups end where a segment does, whose length is a multiple of 8.
    """
    size = MOST_TOGETHER
    while size > 1 and size * nbytes > BYTES_TOGETHER:
        size //= 2
    return size


def detect(stream: Iterable[Begun | Read | Ended], look: Look) -> Iterator[Begun | Seen | Ended]:
    """Look at the frames of each input in groups; stage `detect`."""
    group: list[Read] = []
    before: Thumbnail | None = None
    for element in stream:
        if isinstance(element, Read):
            group.append(element)
            if (element.number + 1) % group_size(element.nbytes):
                continue
        if group:
            seen = group[0].job.attempt(_see, group, look, before) or []
            before = seen[-1].thumbnail if seen else None
            group = []
            yield from seen
        if not isinstance(element, Read):
            if isinstance(element, Begun):
                state = element.job.state
                before = None if state is None else state.arrays["thumbnail"]
            yield element


def _see(group: Sequence[Read], look: Look, before: Thumbnail | None) -> list[Seen]:
    with group[0].job.clock.stage("detect"):
        small = [thumbnail(one.frame.image) for one in group]
        pairs = pairwise([before, *small])
        cuts = [a is not None and b is not None and is_cut(a, b) for a, b in pairs]
        looked = [one.number % look.every == 0 or cut for one, cut in zip(group, cuts, strict=True)]
        squared = [one.job.display.squared(one.frame.image) for one in group]
        images = [image for image, yes in zip(squared, looked, strict=True) if yes]
        found = iter(_find(images, look))
        seen = []
        for one, image, tiny, cut, yes in zip(group, squared, small, cuts, looked, strict=True):
            faces = tuple(next(found)) if yes else ()
            embed = look.embedder
            facts = FrameFacts(
                time=float(one.frame.time),
                looked=yes,
                cut=cut,
                colour=colourfulness(image),
                detections=faces,
                face_colours=tuple(face_colourfulness(image, face.box) for face in faces),
                embeddings=None
                if embed is None
                else embed(one.frame.image, faces, one.job.display),
            )
            seen.append(Seen(one, facts, tiny))
        return seen


def _find(images: Sequence[NDArray[np.uint8]], look: Look) -> list[list[Detection]]:
    if look.roi is None or not images:
        return look.detector.detect(images) if images else []
    left, top, width, height = look.roi
    if left + width > images[0].shape[1] or top + height > images[0].shape[0]:
        raise UsageError(
            f"{left},{top},{width},{height} reaches beyond the frame of "
            f"{images[0].shape[1]}x{images[0].shape[0]} pixels",
            where="--roi",
            hint="Give left, top, width and height in pixels of the frame as it is displayed.",
        )
    parts = [
        np.ascontiguousarray(image[top : top + height, left : left + width]) for image in images
    ]
    return [[_moved(face, left, top) for face in faces] for faces in look.detector.detect(parts)]


def _moved(face: Detection, right: int, down: int) -> Detection:
    x0, y0, x1, y1 = face.box
    points = (face.points + np.array([right, down], np.float32)).astype(np.float32)
    return replace(face, box=(x0 + right, y0 + down, x1 + right, y1 + down), points=points)
