"""Restored pictures of faces: the best shots and a fused face of each track.

Shots are chosen while frames pass and exported when their track ends. Of a person who is bare in
any frame of the track, only shots in which no mask was removed are exported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.faces.fusion import fuse
from jdsr_cli.media import Image
from jdsr_cli.restoration.best_shots import BestShots, Shot, frames_of
from jdsr_cli.restoration.doubt import Doubt
from jdsr_cli.restoration.examination import ExaminedShot, Examiner
from jdsr_cli.restoration.face_folder import FaceFolder, track_name
from jdsr_cli.restoration.frame import FaceItem, FrameItem, OpenInput
from jdsr_cli.restoration.sinks import Sink
from jdsr_cli.restoration.snapshots import Snapshot
from jdsr_cli.restoration.summary import TrackPictures
from jdsr_cli.settings import RestoreSettings

MAX_FUSED_SIDE = 512
"""Side in pixels up to which faces are fused."""


class TrackExport:
    """Writes the restored pictures of a track: input on the left, restored on the right.

    Args:
        folder: Receives the pictures.
        examiner: Examines each shot before it is written.
        scale: Factor by which faces are enlarged.
        most: Maximum number of single shots that are written.

    """

    def __init__(self, folder: FaceFolder, examiner: Examiner, *, scale: int, most: int) -> None:
        self._folder = folder
        self._examiner = examiner
        self._scale = scale
        self._most = most

    def write(self, track: int, shots: Sequence[Shot], pictures: TrackPictures) -> None:
        """Write the best shots, and the fused face if several shots agree well enough.

        Shots of which no pixel is reliable are not written.

        Args:
            track: Number of the track.
            shots: Its shots, best first.
            pictures: Receives the descriptions of the pictures.

        Raises:
            OutputError: A picture cannot be written or signed.

        """
        best, others = self._examine(shots, pictures)
        identity = self._examiner.compare([one.shot for one in best], pictures.bare)
        for number, (one, figures) in enumerate(zip(best, identity, strict=True), 1):
            name, side = f"{track_name(track)}_best{number}", one.shot.side(self._scale)
            pictures.best += (
                {
                    **self._write(name, one.shot.render(side), [one.shot]),
                    "doubt": self._write_doubt(name, one.doubt, side),
                    "identity": None if figures is None else figures.fields(),
                },
            )
        fusible = [*(one.shot for one in best), *others]
        if best and len(fusible) >= 2:
            self._fuse(track, fusible, pictures)

    def write_face(self, name: str, shot: Shot) -> dict[str, Any]:
        """Write a single face; return the description of its picture."""
        return self._write(name, shot.render(shot.side(self._scale)), [shot])

    def _examine(
        self, shots: Sequence[Shot], pictures: TrackPictures
    ) -> tuple[list[ExaminedShot], list[Shot]]:
        """Return the shots to be written and others to be fused; count the unreliable ones.

        The others are those that need no repeats: what would have to be restored eight times to be
        judged is neither written nor fused.
        """
        best: list[ExaminedShot] = []
        for index, shot in enumerate(shots):
            if len(best) == self._most:
                return best, [one for one in shots[index:] if not self._examiner.repeats(one)]
            examined = self._examiner.examine(shot)
            if examined.unreliable:
                pictures.unreliable += 1
            else:
                best.append(examined)
        return best, []

    def _fuse(self, track: int, shots: Sequence[Shot], pictures: TrackPictures) -> None:
        """Write the fused face of the shots, best first, if enough of them agree."""
        side = min(MAX_FUSED_SIDE, shots[0].side(self._scale))
        pairs = [shot.render(side) for shot in shots]
        fused = fuse(
            np.stack([after for _, after in pairs]),
            np.array([shot.quality for shot in shots]),
            occlusions=np.stack([shot.face.occlusion for shot in shots]),
        )
        if len(fused.used) < 2:
            return
        used = [shots[index] for index in fused.used]
        name, pair = f"{track_name(track)}_fused", (pairs[0][0], fused.image)
        small = cv2.resize(fused.image, (TEMPLATE_SIZE,) * 2, interpolation=cv2.INTER_AREA)
        figures = self._examiner.compare_fused(
            np.asarray(small, np.uint8), used[0], used, pictures.bare
        )
        pictures.fused = {
            **self._write(name, pair, used),
            "doubt": None,
            "identity": None if figures is None else figures.fields(),
        }

    def _write(
        self,
        name: str,
        pair: tuple[Image, Image],
        shots: Sequence[Shot],
    ) -> dict[str, Any]:
        """Write a picture and its occlusion map; return their description for a record."""
        return {
            **self._folder.write(name, _side_by_side(pair), "restored"),
            **frames_of(shots),
            "quality": shots[0].quality,
            "mask": shots[0].mask,
            "covered": shots[0].covered,
            "occlusion": self._write_occlusion(name, shots, len(pair[0])),
        }

    def _write_occlusion(self, name: str, shots: Sequence[Shot], side: int) -> dict[str, str]:
        maps = np.stack([self._examiner.covered(shot) for shot in shots])
        mean = np.average(maps, axis=0, weights=[shot.quality or 1.0 for shot in shots])
        enlarged = cv2.resize(mean, (side, side), interpolation=cv2.INTER_LINEAR)
        levels = np.rint(np.clip(enlarged, 0.0, 1.0) * 255.0).astype(np.uint8)
        return self._folder.write(f"{name}_occlusion", levels, "map")

    def _write_doubt(self, name: str, doubt: Doubt | None, side: int) -> dict[str, Any] | None:
        if doubt is None:
            return None
        levels = cv2.resize(doubt.levels, (side, side), interpolation=cv2.INTER_NEAREST)
        return {
            **self._folder.write(f"{name}_doubt", np.asarray(levels, np.uint8), "map"),
            "bound": doubt.bound,
            "probability": doubt.probability,
            "reliable": round(doubt.reliable, 4),
        }


def _side_by_side(pair: tuple[Image, Image]) -> Image:
    return np.asarray(cv2.hconcat(pair), np.uint8)


class BestShotSink(Sink):
    """Writes the best shots and the fused face of each track, or pictures of all faces as well."""

    name, stage = "best_shots", "crops"

    def __init__(self, opened: OpenInput, settings: RestoreSettings, examiner: Examiner) -> None:
        self._settings = settings
        self._best = BestShots(settings.kept_shots)
        self._folder = FaceFolder(opened.workspace.results, opened.signer)
        limits = {"scale": settings.scale, "most": settings.shots}
        self._export = TrackExport(self._folder, examiner, **limits)

    def write(self, item: FrameItem) -> None:
        """Write pictures of all faces if asked to, and keep the best shots."""
        for face in item.faces:
            if face.restored is None or face.patch is None or face.quality is None:
                continue
            if self._settings.crops == "all":
                self._write_face(item, face)
            assert face.mask is not None
            seconds = item.seconds
            if not face.bridged and self._best.accepts(
                face.track, seconds, face.quality, face.mask
            ):
                shot = _shot(item, face, smoothed=False)
                self._best.add(face.track, replace(shot, seen=_seen(face)))

    def end_track(self, track: int, pictures: TrackPictures) -> None:
        """Write the pictures of a track."""
        shots = self._best.pop(track, seen_bare=pictures.seen_bare)
        self._export.write(track, shots, pictures)

    def end_segment(self) -> list[Path]:
        """Return the pictures that were written in the segment."""
        return self._folder.take_written()

    def snapshot(self) -> Snapshot:
        """Return the shots of open tracks."""
        return self._best.snapshot()

    def restore(self, snapshot: Snapshot) -> None:
        """Continue from a snapshot."""
        self._best.restore(snapshot)

    def _write_face(self, item: FrameItem, face: FaceItem) -> None:
        name = f"{track_name(face.track)}_frame{item.index:06d}"
        shot = _shot(item, face, smoothed=self._settings.stabilise)
        written = self._export.write_face(name, shot)
        face.file, face.sha256 = written["file"], written["sha256"]
        face.occlusion = written["occlusion"]


def _shot(item: FrameItem, face: FaceItem, *, smoothed: bool) -> Shot:
    """Return the shot of a restored face."""
    shown = face.smoothed if smoothed else face.restored
    assert shown is not None
    assert face.patch is not None
    assert face.generated is not None
    assert face.mask is not None
    return Shot(
        item.index,
        item.seconds,
        face.quality or 0.0,
        face.mask,
        round(face.covered, 4),
        face.patch,
        shown,
        face.generated.occlusion,
        face.monochrome,
    )


def _seen(face: FaceItem) -> Image | None:
    """Return what a face was restored from if that is the mean of several frames.

    It is combined again, since another process may have restored the face.
    """
    if face.window is None or face.frames == 1:
        return None
    assert face.reference is not None
    return face.window.combine(face.reference).image
