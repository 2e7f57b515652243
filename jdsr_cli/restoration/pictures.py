"""Pictures of faces: best shots and fused faces of each track, and aligned crops of `crop-faces`.

Shots are chosen while frames pass, in bounded memory, and exported when their track ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.evidence import picture_metadata, sha256_file, table_header, table_row
from jdsr_cli.faces import Alignment, compose, crop
from jdsr_cli.faces.fusion import fuse
from jdsr_cli.file_names import LONGEST, as_text, shortened
from jdsr_cli.media import Image, write_image
from jdsr_cli.media.writing.pictures import XMP_KEY
from jdsr_cli.restoration.frame import FaceItem, FacePatch, FrameItem, OpenInput, RestoredFace
from jdsr_cli.restoration.shots import ShotRanking
from jdsr_cli.restoration.sinks import SegmentedText, Sink, SinkResult
from jdsr_cli.restoration.snapshots import Snapshot
from jdsr_cli.restoration.summary import TrackPictures, describe_face
from jdsr_cli.settings import CropSettings, RestoreSettings

FACES = "faces"
"""Folder of the pictures of single faces."""
TABLE = "faces.csv"
"""Landmarks of exported faces, in the format that training reads."""
CROP_SUFFIX = "_track000000000_frame000000000000.png"
"""What the name of a crop has at most after the stem of its input."""
MAX_CANVAS = 1024
"""Side in pixels of the largest picture of a face."""
MAX_FUSED_SIDE = 512
"""Side in pixels up to which faces are fused."""
PICTURE_METADATA = picture_metadata(XMP_KEY)


@dataclass(frozen=True, eq=False)
class Shot:
    """A restored face and the part of its frame that it was made of."""

    frame: int
    """Index of the frame in the input."""
    seconds: float
    """Time of the frame."""
    quality: float
    """0 to 1, see `faces.quality`."""
    patch: FacePatch
    face: RestoredFace

    def side(self, scale: int) -> int:
        """Return the side in pixels of the face's picture, `scale` times as large as filmed."""
        return canvas_side(self.patch.alignment.native_width, scale)

    def render(self, side: int) -> tuple[Image, Image]:
        """Return the face as filmed and as restored, each RGB uint8 (side, side, 3), aligned."""
        alignment = self.patch.alignment
        before = crop(self.patch.pixels, alignment, side)
        after = before.copy()
        compose(
            after,
            self.face.image,
            self.face.occlusion,
            template_to_canvas(side),
            alignment.native_width,
            self.face.compositing,
        )
        return before, after


def template_to_canvas(side: int) -> NDArray[np.float64]:
    """Return (2, 3) from 128-pixel template coordinates to a canvas of `side` pixels."""
    factor = side / TEMPLATE_SIZE
    shift = 0.5 * factor - 0.5
    return np.array([[factor, 0.0, shift], [0.0, factor, shift]])


def canvas_side(native_width: float, scale: int) -> int:
    """Return the side of the picture of a face whose region is `native_width` px wide."""
    return min(MAX_CANVAS, max(TEMPLATE_SIZE, round(scale * native_width)))


class BestShots(ShotRanking[Shot]):
    """The best shots of every open track, with their pictures."""

    def snapshot(self) -> Snapshot:
        """Return all shots."""
        values: list[dict[str, Any]] = []
        arrays: dict[str, NDArray[Any]] = {}
        for track, shots in sorted(self._shots.items()):
            for shot in shots:
                name, face = str(len(values)), shot.face
                times = {"frame": shot.frame, "seconds": shot.seconds, "quality": shot.quality}
                made = {"redone": face.redone, "side": face.side, "part": face.part}
                values.append({"track": track, **times, **made})
                arrays[f"{name}.patch"] = shot.patch.pixels
                arrays[f"{name}.matrix"] = shot.patch.alignment.matrix
                arrays[f"{name}.image"] = face.image
                arrays[f"{name}.occlusion"] = face.occlusion
        return Snapshot({"shots": values}, arrays)

    def restore(self, snapshot: Snapshot) -> None:
        """Continue from a snapshot."""
        self._shots = {}
        for number, value in enumerate(snapshot.values["shots"]):
            names = ("patch", "matrix", "image", "occlusion")
            patch, matrix, image, occlusion = (
                snapshot.arrays[f"{number}.{name}"] for name in names
            )
            made = (value["redone"], value["side"], value["part"])
            face = RestoredFace(image, occlusion, *made)
            times = (value["frame"], value["seconds"], value["quality"])
            shot = Shot(*times, FacePatch(patch, Alignment(matrix)), face)
            self._shots.setdefault(value["track"], []).append(shot)


def track_name(track: int) -> str:
    """Return the start of the names of a track's files."""
    return f"track{track:04d}"


def export_track(
    folder: Path, track: int, shots: Sequence[Shot], *, scale: int, most: int
) -> TrackPictures:
    """Write the pictures of a track: input on the left, restored on the right.

    Args:
        folder: Folder of the results.
        track: Number of the track.
        shots: Its shots, best first.
        scale: Factor by which the faces are enlarged.
        most: Maximum number of single shots that are written.

    Returns:
        The best shots, and the fused face if several shots agree well enough.

    Raises:
        OutputError: A picture cannot be written.

    """
    pictures = TrackPictures()
    for number, shot in enumerate(shots[:most], 1):
        file = f"{FACES}/{track_name(track)}_best{number}.png"
        digest = _write_pair(folder / file, *shot.render(shot.side(scale)))
        pictures.best += (_describe(file, digest, [shot]),)
    if len(shots) < 2:
        return pictures
    side = min(MAX_FUSED_SIDE, shots[0].side(scale))
    pairs = [shot.render(side) for shot in shots]
    fused = fuse(
        np.stack([after for _, after in pairs]),
        np.array([shot.quality for shot in shots]),
        occlusions=np.stack([shot.face.occlusion for shot in shots]),
    )
    if len(fused.used) >= 2:
        file = f"{FACES}/{track_name(track)}_fused.png"
        digest = _write_pair(folder / file, pairs[0][0], fused.image)
        pictures.fused = _describe(file, digest, [shots[index] for index in fused.used])
    return pictures


def _describe(file: str, sha256: str, shots: Sequence[Shot]) -> dict[str, Any]:
    """Return a picture for the record of its track; its quality is that of the best shot."""
    frames = tuple(shot.frame for shot in shots)
    return {"file": file, "sha256": sha256, "frames": frames, "quality": shots[0].quality}


def _write_pair(path: Path, before: Image, after: Image) -> str:
    """Write two pictures side by side; return the SHA-256 of the file."""
    write_image(path, np.asarray(cv2.hconcat([before, after]), np.uint8), PICTURE_METADATA)
    return sha256_file(path)


class BestShotSink(Sink):
    """Writes the best shots and the fused face of each track, or pictures of all faces as well."""

    name, stage = "best_shots", "crops"

    def __init__(self, opened: OpenInput, settings: RestoreSettings) -> None:
        self._folder = opened.workspace.results
        self._settings = settings
        self._best = BestShots(settings.kept_shots)
        self._written: list[Path] = []
        """Pictures of the open segment."""
        (self._folder / FACES).mkdir(exist_ok=True)

    def write(self, item: FrameItem) -> None:
        """Write pictures of all faces if asked to, and keep the best shots."""
        for face in item.faces:
            if face.restored is None or face.patch is None or face.quality is None:
                continue
            if self._settings.crops == "all":
                self._write_face(item, face)
            seconds = item.seconds
            if not face.bridged and self._best.accepts(face.track, seconds, face.quality):
                shot = Shot(item.index, seconds, face.quality, face.patch, face.restored)
                self._best.add(face.track, shot)

    def end_track(self, track: int, pictures: TrackPictures) -> None:
        """Write the pictures of a track."""
        if shots := self._best.pop(track):
            scale, most = self._settings.scale, self._settings.shots
            exported = export_track(self._folder, track, shots, scale=scale, most=most)
            pictures.best, pictures.fused = exported.best, exported.fused
            self._written += [self._folder / one["file"] for one in exported.all]

    def end_segment(self) -> list[Path]:
        """Return the pictures that were written in the segment."""
        written, self._written = self._written, []
        return written

    def snapshot(self) -> Snapshot:
        """Return the shots of open tracks."""
        return self._best.snapshot()

    def restore(self, snapshot: Snapshot) -> None:
        """Continue from a snapshot."""
        self._best.restore(snapshot)

    def _write_face(self, item: FrameItem, face: FaceItem) -> None:
        shown = face.smoothed if self._settings.stabilise else face.restored
        assert shown is not None
        assert face.patch is not None
        shot = Shot(item.index, item.seconds, 0.0, face.patch, shown)
        face.file = f"{FACES}/{track_name(face.track)}_frame{item.index:06d}.png"
        pair = shot.render(shot.side(self._settings.scale))
        face.sha256 = _write_pair(self._folder / face.file, *pair)
        self._written.append(self._folder / face.file)


class CropSink(Sink):
    """Writes each aligned face as it is, and the table of their landmarks, for `crop-faces`."""

    name, stage = "crops", "crops"

    def __init__(self, opened: OpenInput, settings: CropSettings) -> None:
        self._folder = opened.workspace.results
        self._stem = shortened(as_text(opened.state.source.stem), LONGEST - len(CROP_SUFFIX))
        self._size = settings.size
        self._table = SegmentedText(opened.workspace, TABLE)
        self._written: list[Path] = []
        """Crops of the open segment."""
        if opened.snapshot is None:
            self._table.add(table_header())

    def write(self, item: FrameItem) -> None:
        """Write the crops of a frame."""
        for number, face in enumerate(item.faces, 1):
            if face.crop is None or face.alignment is None:
                continue
            face.file = f"{self._stem}_{track_name(face.track)}_frame{item.index:06d}.png"
            path = self._folder / face.file
            write_image(path, face.crop)
            face.sha256 = sha256_file(path)
            self._written.append(path)
            stored = item.input.display.stored_detection(face.detection)
            ones = np.ones((len(stored.points), 1))
            template = np.hstack([stored.points, ones]) @ face.alignment.matrix.T
            points = (template + 0.5) * (self._size / TEMPLATE_SIZE) - 0.5
            self._table.add(table_row(path.stem, describe_face(item, number, face), points))

    def end_segment(self) -> list[Path]:
        """Store the rows of the segment; return them and its crops."""
        written, self._written = self._written, []
        return [self._table.end_segment(), *written]

    def finish(self) -> SinkResult:
        """Return the joined table."""
        return SinkResult(files=(self._table.join(),))
