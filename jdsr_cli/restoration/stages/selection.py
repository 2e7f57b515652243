"""Stage `select`: choose the shots that are worth restoring, before they are restored.

The quality of a face is that of the best shots, without the share of the face that is covered,
which only the generator knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from jdsr_cli.restoration.frame import Element, FaceItem, FrameItem, InputStarted, Refusal
from jdsr_cli.restoration.shots import ShotRanking
from jdsr_cli.restoration.stages.alignment import BETTER_SHOT, shot_quality

_REFUSAL = Refusal(
    BETTER_SHOT, "better shots of this person are kept (--mode crops restores only those)"
)


class _FilmedShot(NamedTuple):
    frame: int
    seconds: float
    quality: float


def select(stream: Iterable[Element], limit: int) -> Iterator[Element]:
    """Refuse the faces that are no better than the shots of the person so far.

    The choice begins anew with each segment, so that a resumed run chooses the same shots.

    Args:
        stream: Frames with aligned faces.
        limit: Number of shots of each person that are kept.

    """
    ranking: ShotRanking[_FilmedShot] = ShotRanking(limit)
    for element in stream:
        if isinstance(element, InputStarted):
            ranking.clear()
        elif isinstance(element, FrameItem):
            for face in element.faces:
                _select(element, face, ranking)
            for track in element.ended_tracks:
                ranking.pop(track)
            if element.ends_segment:
                ranking.clear()
        yield element


def _select(item: FrameItem, face: FaceItem, ranking: ShotRanking[_FilmedShot]) -> None:
    if face.crop is None:
        return
    candidate = _FilmedShot(item.index, item.seconds, shot_quality(face))
    arguments = (face.track, candidate.seconds, candidate.quality)
    if ranking.accepts(*arguments):
        ranking.add(face.track, candidate)
    else:
        face.refusal, face.crop = _REFUSAL, None
