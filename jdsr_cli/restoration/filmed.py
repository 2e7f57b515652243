"""Filmed pictures of each person: the best one as filmed, and thumbnails along the track.

Nothing in them is restored. They are made of all faces that were detected, refused ones included,
so that every person who was found is shown. A person who is bare in any frame is shown bare.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from jdsr_cli.faces import Alignment, crop
from jdsr_cli.faces.lower_face import SAME_ABOVE, lower_face_correlation
from jdsr_cli.faces.occlusion import MaskState
from jdsr_cli.media import Image
from jdsr_cli.restoration.face_folder import FaceFolder, picture_side, track_name
from jdsr_cli.restoration.frame import FaceItem, FacePatch, FrameItem, OpenInput
from jdsr_cli.restoration.sinks import Sink
from jdsr_cli.restoration.snapshots import Snapshot
from jdsr_cli.restoration.stages.alignment import BETTER_SHOT, shot_quality
from jdsr_cli.restoration.summary import TrackPictures
from jdsr_cli.settings import RestoreSettings

ViewState = Literal["bare", "unsure", "masked", "skipped", "refused"]
"""How a filmed face was treated: restored with one of the mask states, left out since better shots
exist, or refused."""
THUMBNAIL = 64
"""Side of the thumbnails in pixels."""
MAX_THUMBNAILS = 12
"""Thumbnails of a track at most."""
MIN_INTERVAL = 0.2
"""Least seconds between two of them; doubled each time there are too many."""


@dataclass(frozen=True, eq=False)
class FilmedView:
    """A filmed face."""

    frame: int
    """Index of the frame in the input."""
    seconds: float
    quality: float
    """0 to 1, see `faces.quality`."""
    state: ViewState
    reason: str | None
    """Why it was refused."""
    patch: FacePatch

    @property
    def aligned(self) -> Image:
        """The face, RGB uint8 (128, 128, 3), aligned to the template."""
        return crop(self.patch.pixels, self.patch.alignment)

    @property
    def mask(self) -> MaskState | None:
        """Mask decision; None if it is not known."""
        return None if self.state == "skipped" or self.state == "refused" else self.state


@dataclass(eq=False)
class ThumbnailRow:
    """Thumbnails of one track, evenly spread over it."""

    interval: float = MIN_INTERVAL
    """Least seconds between two thumbnails."""
    frames: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    states: list[ViewState] = field(default_factory=list)
    thumbnails: list[Image] = field(default_factory=list)
    """RGB uint8 (64, 64, 3)."""

    def add(self, view: FilmedView) -> None:
        """Add a view if it is far enough from the last one."""
        if self.seconds and view.seconds - self.seconds[-1] < self.interval:
            return
        if len(self.frames) == MAX_THUMBNAILS:
            self.interval *= 2.0
            for column in (self.frames, self.seconds, self.states, self.thumbnails):
                del column[1::2]
            self.add(view)
            return
        self.frames.append(view.frame)
        self.seconds.append(view.seconds)
        self.states.append(view.state)
        self.thumbnails.append(crop(view.patch.pixels, view.patch.alignment, THUMBNAIL))


@dataclass(eq=False)
class TrackViews:
    """The filmed views of one track."""

    best: dict[ViewState, FilmedView] = field(default_factory=dict)
    """The best view of each state."""
    seen: dict[ViewState, int] = field(default_factory=dict)
    """Number of views of each state."""
    timeline: ThumbnailRow = field(default_factory=ThumbnailRow)

    def add(self, view: FilmedView) -> None:
        """Take a view into account."""
        best = self.best.get(view.state)
        if best is None or view.quality > best.quality:
            self.best[view.state] = view
        self.seen[view.state] = self.seen.get(view.state, 0) + 1
        self.timeline.add(view)

    def is_seen_bare(self) -> bool:
        """Return whether the person is bare in some frame.

        If the lower face is the same where the face counts as masked, one of both decisions is
        wrong, and that of more frames holds.
        """
        bare, masked = self.best.get("bare"), self.best.get("masked")
        if bare is None or masked is None:
            return bare is not None
        if self.seen["bare"] >= self.seen["masked"]:
            return True
        return lower_face_correlation(bare.aligned, masked.aligned) < SAME_ABOVE

    def choose(self, *, seen_bare: bool) -> FilmedView:
        """Return the view that is shown: the bare face if there is one, else the best view.

        Views whose mask is not known come after those that were restored, and refused ones last.
        """
        if seen_bare:
            return self.best["bare"]
        restored = [view for state, view in self.best.items() if state in ("unsure", "masked")]
        left = [self.best[state] for state in ("skipped", "refused", "bare") if state in self.best]
        return max(restored, key=lambda view: view.quality) if restored else left[0]


class FilmedSink(Sink):
    """Writes the filmed picture of each track and its thumbnails."""

    name, stage = "filmed", "crops"

    def __init__(self, opened: OpenInput, settings: RestoreSettings) -> None:
        self._scale = settings.scale
        self._folder = FaceFolder(opened.workspace.results, opened.signer)
        self._tracks: dict[int, TrackViews] = {}

    def write(self, item: FrameItem) -> None:
        """Take the faces of a frame into account."""
        for face in item.faces:
            if not face.bridged and face.patch is not None:
                views = self._tracks.setdefault(face.track, TrackViews())
                views.add(filmed_view(item, face, face.patch))

    def end_track(self, track: int, pictures: TrackPictures) -> None:
        """Write the pictures of a track."""
        views = self._tracks.pop(track, None)
        if views is None:
            return
        seen_bare = views.is_seen_bare()
        best, timeline = views.choose(seen_bare=seen_bare), views.timeline
        pictures.bare = best.aligned if seen_bare else None
        alignment = best.patch.alignment
        side = picture_side(alignment.native_width, self._scale)
        name = f"{track_name(track)}_filmed"
        pictures.filmed = {
            **self._folder.write(name, crop(best.patch.pixels, alignment, side), "filmed"),
            "frame": best.frame,
            "seconds": best.seconds,
            "mask": best.mask,
            "quality": best.quality,
            "reason": best.reason,
        }
        row = np.asarray(cv2.hconcat(timeline.thumbnails), np.uint8)
        states = timeline.states
        if not seen_bare:
            states = ["unsure" if state == "bare" else state for state in states]
        pictures.timeline = {
            **self._folder.write(f"{track_name(track)}_timeline", row, "filmed"),
            "side": THUMBNAIL,
            "frames": tuple(timeline.frames),
            "seconds": tuple(timeline.seconds),
            "states": tuple(states),
        }

    def end_segment(self) -> list[Path]:
        """Return the pictures that were written in the segment."""
        return self._folder.take_written()

    def snapshot(self) -> Snapshot:
        """Return the views of open tracks."""
        values: list[dict[str, Any]] = []
        arrays: dict[str, Any] = {}
        for track, views in sorted(self._tracks.items()):
            best, timeline = [], views.timeline
            for state, view in views.best.items():
                name = f"{track}.{state}"
                best.append([view.frame, view.seconds, view.quality, state, view.reason])
                arrays[f"{name}.patch"] = view.patch.pixels
                arrays[f"{name}.matrix"] = view.patch.alignment.matrix
            values.append(
                {
                    "track": track,
                    "best": best,
                    "seen": views.seen,
                    "interval": timeline.interval,
                    "frames": timeline.frames,
                    "seconds": timeline.seconds,
                    "states": timeline.states,
                }
            )
            arrays[f"{track}.thumbnails"] = np.stack(timeline.thumbnails)
        return Snapshot({"tracks": values}, arrays)

    def restore(self, snapshot: Snapshot) -> None:
        """Continue from a snapshot."""
        self._tracks = {}
        for one in snapshot.values["tracks"]:
            track, best = one["track"], dict[ViewState, FilmedView]()
            for frame, seconds, quality, state, reason in one["best"]:
                name = f"{track}.{state}"
                pixels, matrix = (snapshot.arrays[f"{name}.{key}"] for key in ("patch", "matrix"))
                patch = FacePatch(pixels, Alignment(matrix))
                best[state] = FilmedView(frame, seconds, quality, state, reason, patch)
            timeline = ThumbnailRow(
                *(one["interval"], one["frames"], one["seconds"], one["states"]),
                list(snapshot.arrays[f"{track}.thumbnails"]),
            )
            self._tracks[track] = TrackViews(best, one["seen"], timeline)


def filmed_view(item: FrameItem, face: FaceItem, patch: FacePatch) -> FilmedView:
    """Return a face of a frame as filmed."""
    quality = round(shot_quality(face), 4) if face.quality is None else face.quality
    state = _state(face)
    reason = face.refusal.reason if face.refusal is not None and state == "refused" else None
    return FilmedView(item.index, item.seconds, quality, state, reason, patch)


def _state(face: FaceItem) -> ViewState:
    if face.mask is not None:
        return face.mask
    skipped = face.refusal is not None and face.refusal.kind == BETTER_SHOT
    return "skipped" if skipped else "refused"
