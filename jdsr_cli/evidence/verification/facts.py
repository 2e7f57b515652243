"""Comparison of what tracks state about single frames with the records of these faces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jdsr_cli.evidence.verification.findings import Finding
from jdsr_cli.evidence.verification.stored_result import FACES, TRACKS, shown

Record = Mapping[str, Any]
Place = tuple[int, int]
"""Track and frame."""
_KEPT = ("seconds", "mask", "status", "reason")
_MASKED = {"masked": True, "bare": False}
"""Values of `masked` by `mask`; null for all others."""


class TrackFacts:
    """The frames that tracks name: pictures, thumbnails, and what the faces of them are.

    Args:
        tracks: The numbers of the lines and the records of the tracks.
        manifest: The manifest of the result.

    """

    def __init__(self, tracks: Sequence[tuple[int, Record]], manifest: Record) -> None:
        self._tracks = tracks
        weights = manifest.get("weights")
        self._for_fused = weights.get("burst") if isinstance(weights, dict) else None
        self._faces: dict[Place, Record | None] = {
            place: None
            for _, track in tracks
            for _, frame, _ in _named(track)
            if (place := _place(track, frame)) is not None
        }

    def add(self, face: Record) -> None:
        """Keep what is compared of a face, if a track names its frame."""
        place = _place(face, face.get("frame"))
        if place in self._faces:
            self._faces[place] = {name: face.get(name) for name in _KEPT}

    def differences(self) -> Iterator[Finding]:
        """Yield what differs, once all faces were added."""
        for number, track in self._tracks:
            for what in self._track_differences(track):
                text = f"track {shown(track.get('track'))}: {what}"
                yield Finding("problem", TRACKS, text, number)

    def _track_differences(self, track: Record) -> Iterator[str]:
        timeline, fused = track.get("timeline"), track.get("fused")
        if isinstance(fused, dict) and fused.get("jointly") is True and self._for_fused is None:
            yield "fused was restored jointly, and the manifest names no weights for fused faces"
        for what, one in _pictures(track):
            if len({len(_list(one, name)) for name in ("frames", "seconds")}) > 1:
                yield f"{what} has another number of frames than of seconds"
        if isinstance(timeline, dict) and len(_list(timeline, "states")) != len(
            _list(timeline, "frames")
        ):
            yield "timeline has another number of states than of frames"
        for what, frame, stated in _named(track):
            place = _place(track, frame)
            if place is None:
                continue
            face = self._faces[place]
            if face is None:
                yield f"{what} is of frame {frame}, in which {FACES} has no face of the track"
                continue
            for name, value in stated.items():
                allowed = _allowed(name, face)
                if not any(value == one and type(value) is type(one) for one in allowed):
                    yield (
                        f"{what} states {name} {shown(value)} of frame {frame}, and {FACES} "
                        f"{shown(allowed[0])}"
                    )


def face_faults(face: Record, before: Record | None) -> Iterator[str]:
    """Yield what in the record of a face contradicts itself, or the record before it."""
    mask, masked = face.get("mask"), face.get("masked")
    expected = _MASKED.get(mask) if isinstance(mask, str) else None
    if masked is not expected:
        yield f"states masked {shown(masked)} of a face whose mask is {shown(mask)}"
    if before is None:
        return
    frame, seconds = _number(before, "frame"), _number(before, "seconds")
    next_frame, next_seconds = _number(face, "frame"), _number(face, "seconds")
    if None in (frame, seconds, next_frame, next_seconds):
        return
    if next_frame == frame and next_seconds != seconds:
        yield f"states another time of frame {shown(frame)} than the line before"
    elif next_frame > frame and next_seconds < seconds:  # type: ignore[operator]
        what = "states an earlier time than the line before, which is of frame"
        yield f"{what} {shown(frame)}"


def _number(record: Record, name: str) -> float | None:
    value = record.get(name)
    return value if type(value) in (int, float) else None


def _named(track: Record) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Yield what names a frame, the frame, and what it states about the face in it."""
    filmed = track.get("filmed")
    if isinstance(filmed, dict) and type(filmed.get("frame")) is int:
        names = ("seconds", "mask", "reason")
        yield "filmed", filmed["frame"], {name: filmed.get(name) for name in names}
    for what, one in _pictures(track):
        # The mask decision of a fused face is its own.
        columns = {"seconds": _list(one, "seconds"), "state": _list(one, "states")}
        for index, frame in enumerate(_list(one, "frames")):
            if type(frame) is int:
                stated = {
                    name: cells[index] for name, cells in columns.items() if index < len(cells)
                }
                if what != "timeline":
                    stated["restored"] = True
                    stated |= {} if what == "fused" else {"mask": one.get("mask")}
                yield what, frame, stated


def _pictures(track: Record) -> Iterator[tuple[str, Record]]:
    best = track.get("best")
    named = [(f"best {number}", one) for number, one in
             enumerate(best if isinstance(best, list) else (), 1)]  # fmt: skip
    for what, one in (("timeline", track.get("timeline")), *named, ("fused", track.get("fused"))):
        if isinstance(one, dict):
            yield what, one


def _allowed(name: str, face: Record) -> list[object]:
    """Return the values that a track may state of a face; that of its record comes first."""
    mask = face["mask"]
    if name == "restored":
        return [face["status"] != "refused"]
    if name not in ("mask", "state"):
        return [face[name]]
    if mask is None:
        return [None] if name == "mask" else ["refused", "skipped"]
    # That a face is bare is not believed where the track as a whole contradicts it.
    return [mask, "unsure"] if mask == "bare" else [mask]


def _place(record: Record, frame: object) -> Place | None:
    track = record.get("track")
    return (track, frame) if type(track) is int and type(frame) is int else None


def _list(record: Record, name: str) -> list[Any]:
    value = record.get(name)
    return value if isinstance(value, list) else []
