"""Who was selected in an input, for its manifest."""

from __future__ import annotations

from typing import Any

from jdsr_cli.restoration.frame import FrameItem, OpenInput
from jdsr_cli.restoration.sinks import Sink, SinkResult
from jdsr_cli.restoration.snapshots import Snapshot
from jdsr_cli.restoration.summary import rounded
from jdsr_cli.restoration.survey import read_similarities
from jdsr_cli.settings import DetectionSettings, RestoreSettings

_SEARCHED_MORE = (
    "--blur-others searches more frames than --mode crops does otherwise: the numbers of tracks "
    "are those of --mode both"
)


class PeopleSink(Sink):
    """Counts what is made unrecognisable, and records which tracks are selected.

    Args:
        opened: The input.
        settings: Settings of the run, which select people.

    """

    name = "people"

    def __init__(self, opened: OpenInput, settings: DetectionSettings) -> None:
        self._opened = opened
        self._privacy = settings.privacy
        self._searches_more = (
            settings.privacy.blur_others
            and settings.detect_every is None
            and isinstance(settings, RestoreSettings)
            and settings.selects_shots
        )
        self._seen: set[int] = set()
        """Tracks of `--only-track` that occur."""
        self._covered = 0

    def write(self, item: FrameItem) -> None:
        """Note the tracks of a frame."""
        self._covered += item.covered_heads
        wanted = self._privacy.only_track or ()
        self._seen.update(face.track for face in item.faces if face.track in wanted)

    def finish(self) -> SinkResult:
        """Return the figures, and notes on what was given and does not occur."""
        figures: dict[str, Any] = {"selected": {str(one): None for one in sorted(self._seen)}}
        notes = [
            f"--only-track {one}: no track has this number"
            for one in self._privacy.only_track or ()
            if one not in self._seen
        ]
        if self._privacy.reference is not None:
            known = read_similarities(self._opened)
            level = self._privacy.reference_level
            selected = {k: v for k, v in known.items() if v is not None and v >= level}
            others = [(v, k) for k, v in known.items() if v is not None and v < level]
            nearest = max(others, default=None)
            figures["selected"] = {str(k): rounded(v, 4) for k, v in sorted(selected.items())}
            figures["nearest_other"] = None if nearest is None else rounded(nearest[0], 4)
            notes += [] if selected else [_none_selected(nearest, level)]
        if self._searches_more:
            notes.append(_SEARCHED_MORE)
        if self._privacy.blur_others:
            figures["covered_heads"] = self._covered
        return SinkResult(notes=tuple(notes), figures={"people": figures})

    def snapshot(self) -> Snapshot:
        """Return what was seen."""
        return Snapshot({"seen": sorted(self._seen), "covered": self._covered})

    def restore(self, snapshot: Snapshot) -> None:
        """Continue from a snapshot."""
        self._seen = set(snapshot.values["seen"])
        self._covered = snapshot.values["covered"]


def _none_selected(nearest: tuple[float, int] | None, level: float) -> str:
    start = "nobody is like the person of --reference: "
    if nearest is None:
        return f"{start}no face can be compared"
    similarity, track = nearest
    return (
        f"{start}the most similar track, {track}, has {similarity:.3f}, less than {level:g} "
        "(--reference-level)"
    )
