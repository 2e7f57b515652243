"""Restored pictures of faces: the best shots and a fused face of each track.

Shots are chosen while frames pass and exported when their track ends. Of a person who is bare in
any frame of the track, only pictures in which no mask was removed are exported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.media import Image
from jdsr_cli.restoration.best_shots import BestShots, Shot, TrackShots, frames_of
from jdsr_cli.restoration.doubt import Doubt
from jdsr_cli.restoration.examination import ExaminedShot, Examiner
from jdsr_cli.restoration.face_folder import FaceFolder, track_name
from jdsr_cli.restoration.frame import FaceItem, FrameItem, OpenInput
from jdsr_cli.restoration.fused_faces import FusedFace, RestoresBursts, ShotFusion
from jdsr_cli.restoration.sinks import Sink
from jdsr_cli.restoration.snapshots import Snapshot
from jdsr_cli.restoration.stages.generation import FaceGenerator
from jdsr_cli.restoration.summary import TrackPictures
from jdsr_cli.settings import MAX_FUSED_SHOTS, RestoreSettings


class TrackExport:
    """Writes the restored pictures of a track: input on the left, restored on the right.

    Args:
        folder: Receives the pictures.
        examiner: Examines each picture before it is written.
        fusion: Fuses shots.
        scale: Factor by which faces are enlarged.
        most: Maximum number of single shots that are written.

    """

    def __init__(
        self,
        folder: FaceFolder,
        examiner: Examiner,
        fusion: ShotFusion,
        *,
        scale: int,
        most: int,
    ) -> None:
        self._folder = folder
        self._examiner = examiner
        self._fusion = fusion
        self._scale = scale
        self._most = most

    def write(self, track: int, shots: TrackShots, pictures: TrackPictures) -> None:
        """Write the best shots, and the fused face if several shots agree well enough.

        Pictures of which no pixel is reliable are not written, and no fused face without a shot.

        Args:
            track: Number of the track.
            shots: Its shots.
            pictures: Receives the descriptions of the pictures.

        Raises:
            OutputError: A picture cannot be written or signed.

        """
        best = self._examine(shots.best, pictures)
        identity = self._examiner.compare([one.shot for one in best], pictures.bare)
        for number, (one, figures) in enumerate(zip(best, identity, strict=True), 1):
            name, side = f"{track_name(track)}_best{number}", one.shot.side(self._scale)
            pictures.best += (
                {
                    **self._write_shot(name, one.shot, side),
                    "doubt": self._write_doubt(name, one.doubt, side),
                    "identity": None if figures is None else figures.fields(),
                },
            )
        if best:
            self._fuse(track, shots.fusible, pictures)

    def write_face(self, name: str, shot: Shot) -> dict[str, Any]:
        """Write a single face; return the description of its picture."""
        return self._write_shot(name, shot, shot.side(self._scale))

    def _examine(self, shots: Sequence[Shot], pictures: TrackPictures) -> list[ExaminedShot]:
        """Return the shots to be written, and count the unreliable ones before them."""
        best: list[ExaminedShot] = []
        for shot in shots:
            if len(best) == self._most:
                break
            examined = self._examiner.examine(shot)
            if examined.unreliable:
                pictures.unreliable += 1
            else:
                best.append(examined)
        return best

    def _fuse(self, track: int, shots: Sequence[Shot], pictures: TrackPictures) -> None:
        """Write the fused face of the shots, best first, if enough of them agree.

        They are fused as they were restored first, examined or not, and those of which no pixel
        could be reliable are left out: the choice does not depend on how many shots are written.
        """
        kept = [shot for shot in shots if self._examiner.can_keep(shot)][:MAX_FUSED_SHOTS]
        if len(kept) < 2:
            return
        fused = self._fusion.fuse(kept, seen_bare=pictures.seen_bare)
        examined = None if fused is None else self._examiner.examine_fused(fused)
        if examined is None:
            return
        name, side = f"{track_name(track)}_fused", self._fusion.side(examined.reference)
        figures = self._examiner.compare_fused(examined, pictures.bare)
        pictures.fused = {
            **self._write(name, examined.render(side), examined.generated.occlusion),
            **_description(examined.shots, examined),
            "doubt": None,
            "identity": None if figures is None else figures.fields(),
            "jointly": examined.jointly,
        }

    def _write_shot(self, name: str, shot: Shot, side: int) -> dict[str, Any]:
        """Write a shot and its occlusion map; return their description for a record."""
        written = self._write(name, shot.render(side), shot.occlusion)
        return {**written, **_description([shot], shot)}

    def _write(
        self, name: str, pair: tuple[Image, Image], occlusion: NDArray[np.float32]
    ) -> dict[str, Any]:
        """Write a picture and its occlusion map; return their files and hashes."""
        side = len(pair[0])
        covered = cv2.resize(self._examiner.covered(occlusion), (side, side))
        levels = np.rint(np.clip(covered, 0.0, 1.0) * 255.0).astype(np.uint8)
        return {
            **self._folder.write(name, _side_by_side(pair), "restored"),
            "occlusion": self._folder.write(f"{name}_occlusion", levels, "map"),
        }

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


def _description(shots: Sequence[Shot], shown: Shot | FusedFace) -> dict[str, Any]:
    """Return what the record of a picture states about its shots, the best first."""
    return {
        **frames_of(shots),
        "quality": shots[0].quality,
        "mask": shown.mask,
        "covered": round(shown.covered, 4),
    }


def _side_by_side(pair: tuple[Image, Image]) -> Image:
    return np.asarray(cv2.hconcat(pair), np.uint8)


class BestShotSink(Sink):
    """Writes the best shots and the fused face of each track, or pictures of all faces as well."""

    name, stage = "best_shots", "crops"

    def __init__(
        self,
        opened: OpenInput,
        settings: RestoreSettings,
        examiner: Examiner,
        generator: FaceGenerator,
        burst: RestoresBursts | None = None,
    ) -> None:
        self._settings = settings
        self._best = BestShots(settings.kept_shots)
        self._folder = FaceFolder(opened.workspace.results, opened.signer)
        fusion = ShotFusion(generator, generator.calibration, scale=settings.scale, burst=burst)
        limits = {"scale": settings.scale, "most": settings.shots}
        self._export = TrackExport(self._folder, examiner, fusion, **limits)

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
