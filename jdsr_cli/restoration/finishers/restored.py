"""`restore`: faces steadied and pasted, shots kept, every face recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.evidence import FaceMark, FaceRecord, Label, Status, draw_faces, picture_metadata
from jdsr_cli.faces import ComposeSettings, Detection, compose, crop
from jdsr_cli.faces.canonical_colours import ColourMap
from jdsr_cli.faces.display import Display
from jdsr_cli.faces.mask_judge import MaskJudge
from jdsr_cli.faces.occlusion import (
    MaskCalibration,
    MaskState,
    classify_mask,
    covered_share,
    filmed_where_covered,
)
from jdsr_cli.faces.quality import FaceQuality
from jdsr_cli.media import Frame
from jdsr_cli.media.stills import XMP_KEY
from jdsr_cli.restoration.candidates import Candidate, Refusal
from jdsr_cli.restoration.finishers.book import Book
from jdsr_cli.restoration.finishers.describing import describe_face
from jdsr_cli.restoration.finishers.steadying import Steadying
from jdsr_cli.restoration.framing import FramePlan, enlarge, template_to_frame
from jdsr_cli.restoration.generate import RestoredFace
from jdsr_cli.restoration.journal.snapshot import Snapshot
from jdsr_cli.restoration.pipeline.clock import StageClock
from jdsr_cli.restoration.pipeline.elements import Finished, Lines, Restored
from jdsr_cli.restoration.places import RECORDS, TRACKS
from jdsr_cli.restoration.settings import RestoreSettings
from jdsr_cli.restoration.shots import (
    FACES,
    Exported,
    Gallery,
    Shot,
    export_track,
    track_name,
    write_pair,
)
from jdsr_cli.restoration.summary import Counts

FUSED_FROM = 8
"""Best shots of a track that are fused at most."""
PICTURE_METADATA = picture_metadata(XMP_KEY)
NOT_FINITE = Refusal("not finite", "the generator gave values that are not finite")


@dataclass(frozen=True, eq=False)
class _Face:
    """A candidate and what became of it."""

    number: int
    candidate: Candidate
    refusal: Refusal | None
    raw: RestoredFace | None = None
    """In the colours of the frame; where the face is not certainly masked, as it was filmed where
    the generator took it for covered."""
    covered: float = 0.0
    """Share of the face that the generator took for covered."""
    probability: float = 0.0
    """Of a mask, by this frame and those before."""
    mask: MaskState | None = None
    steady: RestoredFace | None = None
    """Blended with what the track showed before."""


class RestoreFinisher:
    """Finishes the frames of one input; a `Finisher`.

    Args:
        folder: Of its results, which exists.
        plan: Size of its enlarged frames.
        settings: Of the run.
        clock: For the stages `steady`, `paste` and `crops`.
        calibration: What the generator's occlusion maps mean.

    """

    def __init__(
        self,
        folder: Path,
        plan: FramePlan,
        settings: RestoreSettings,
        clock: StageClock,
        calibration: MaskCalibration,
    ) -> None:
        self._folder = folder
        self._plan = plan
        self._settings = settings
        self._clock = clock
        self._calibration = calibration
        self._book = Book()
        self._gallery = Gallery(max(settings.shots, FUSED_FROM))
        self._steadying = Steadying()
        self._masks = MaskJudge()
        self._monochrome = 0
        self._label = Label(plan.width, plan.height) if settings.label else None
        if settings.exports_crops:
            (folder / FACES).mkdir(exist_ok=True)

    def finish(self, restored: Restored) -> Finished:
        """Finish a frame: paste its faces, record them, and export the tracks that ended."""
        tracked = restored.examined.tracked
        given = iter(restored.faces)
        faces = [
            self._prepare(restored, number, candidate, next(given) if _is_in(candidate) else None)
            for number, candidate in enumerate(restored.examined.candidates, 1)
        ]
        images = {}
        if self._settings.pastes:
            with self._clock.stage("paste"):
                images["restored"] = self._paste(tracked.frame.image, faces)
        records = [self._record(tracked.frame, face) for face in faces]
        for record, face in zip(records, faces, strict=True):
            self._book.add(record, face.refusal)
            self._keep(tracked.frame, record, face)
        if self._settings.overlay:
            with self._clock.stage("overlay"):
                images["overlay"] = _overlaid(
                    tracked.frame.image, records, faces, tracked.job.display
                )
        self._monochrome += bool(tracked.monochrome)
        lines = {
            RECORDS: tuple(record.to_json() for record in records),
            TRACKS: tuple(line for track in tracked.ended for line in self._end(track)),
        }
        return Finished.of(tracked, images, lines)

    def close(self) -> Lines:
        """Export the tracks that were open at the end."""
        return {TRACKS: tuple(x for track in self._book.open_tracks for x in self._end(track))}

    def counts(self, frames_read: int, frames_written: int | None) -> Counts:
        """Return what became of frames and faces."""
        return self._book.counts(frames_read, frames_written)

    def figures(self) -> Mapping[str, Any]:
        """Return flicker, see `Steadying.figures`, and the frames with monochrome faces."""
        flicker = self._steadying.figures(blended=self._settings.stabilise)
        return {**flicker, "gray_frames": self._monochrome}

    def state(self) -> Snapshot:
        """Return what later frames need of those so far."""
        return Snapshot.join(
            book=self._book.state(),
            gallery=self._gallery.state(),
            steadying=self._steadying.state(),
            masks=Snapshot(self._masks.state()),
            frames=Snapshot({"monochrome": self._monochrome}),
        )

    def load(self, state: Snapshot) -> None:
        """Go on from where `state` was taken."""
        self._book.load(state.part("book"))
        self._gallery.load(state.part("gallery"))
        self._steadying.load(state.part("steadying"))
        self._masks.load(state.part("masks").values)
        self._monochrome = state.part("frames").values["monochrome"]

    def _prepare(
        self, restored: Restored, number: int, candidate: Candidate, face: RestoredFace | None
    ) -> _Face:
        """Bring a restored face to its frame's colours, decide on its mask, and steady it."""
        refusal = candidate.refusal
        if refusal is None and face is None:
            refusal = NOT_FINITE
        if face is None or candidate.alignment is None:
            return _Face(number, candidate, refusal)
        with self._clock.stage("steady"):
            tracked = restored.examined.tracked
            track = candidate.face.track
            reference = crop(tracked.frame.image, candidate.alignment)
            covered = covered_share(face.occlusion)
            gain = candidate.colours.gain
            alone = self._calibration.probability(face.occlusion, gain)
            probability = self._masks.judge(track, float(tracked.frame.time), alone)
            mask = classify_mask(probability)
            face = _as_filmed(face, candidate.colours, reference, mask)
            steady = self._steadying.steady(
                track,
                tracked.seen.read.number,
                reference,
                face,
                fresh=tracked.seen.facts.cut,
            )
        return _Face(
            number, candidate, None, face, steady=steady,
            covered=covered, probability=probability, mask=mask,
        )  # fmt: skip

    def _shown(self, face: _Face) -> RestoredFace | None:
        return face.steady if self._settings.stabilise else face.raw

    def _paste(self, image: NDArray[np.uint8], faces: Sequence[_Face]) -> NDArray[np.uint8]:
        """Return the enlarged frame with its faces, those of near people over those of far ones."""
        base = enlarge(image, self._plan.scale)
        for face in sorted(faces, key=lambda one: one.candidate.detection.width):
            shown, alignment = self._shown(face), face.candidate.alignment
            if shown is not None and alignment is not None:
                matrix = template_to_frame(alignment, self._plan.scale)
                compose(
                    base,
                    shown.image,
                    shown.occlusion,
                    matrix,
                    alignment.native_width,
                    ComposeSettings.of_input(shown.side),
                )
        if self._label is not None:
            self._label.stamp(base)
        return base

    def _record(self, frame: Frame, face: _Face) -> FaceRecord:
        status: Status = "restored" if face.refusal is None else "refused"
        record = describe_face(frame, face.number, face.candidate, status)
        if face.refusal is not None:
            record = replace(record, reason=face.refusal.reason)
        if face.raw is None:
            return record
        record = replace(
            record,
            covered=round(face.covered, 4),
            mask=face.mask,
            mask_probability=round(face.probability, 4),
            masked=None if face.mask == "unsure" else face.mask == "masked",
            quality=round(_quality(face.candidate, face.covered), 4),
            redone_in_float32=face.raw.redone,
        )
        if self._settings.exports_crops and self._settings.crops == "all":
            with self._clock.stage("crops"):
                return self._export(frame, face, record)
        return record

    def _export(self, frame: Frame, face: _Face, record: FaceRecord) -> FaceRecord:
        shown, alignment = self._shown(face), face.candidate.alignment
        assert shown is not None
        assert alignment is not None
        file = f"{FACES}/{track_name(record.track)}_frame{frame.index:06d}.png"
        shot = Shot.cut(frame.image, alignment, shown, frame=frame.index, seconds=0.0, quality=0.0)
        digest = write_pair(
            self._folder / file, *shot.render(shot.side(self._settings.scale)), PICTURE_METADATA
        )
        return replace(record, file=file, sha256=digest)

    def _keep(self, frame: Frame, record: FaceRecord, face: _Face) -> None:
        """Keep the face for the pictures of its track where it is one of the best so far."""
        if face.raw is None or record.quality is None or not self._settings.exports_crops:
            return
        if record.bridged or not self._gallery.wants(record.track, record.seconds, record.quality):
            return
        alignment = face.candidate.alignment
        assert alignment is not None
        shot = Shot.cut(
            frame.image,
            alignment,
            face.raw,
            frame=frame.index,
            seconds=record.seconds,
            quality=record.quality,
        )
        self._gallery.add(record.track, shot)

    def _end(self, track: int) -> list[str]:
        """Export the pictures of a track; return its record, if it had a face."""
        self._steadying.drop(track)
        self._masks.drop(track)
        best: list[Exported] = []
        fused = None
        shots = self._gallery.take(track)
        if shots:
            with self._clock.stage("crops"):
                best, fused = export_track(
                    self._folder,
                    track,
                    shots,
                    scale=self._settings.scale,
                    most=self._settings.shots,
                    metadata=PICTURE_METADATA,
                )
        record = self._book.close(
            track,
            tuple(one.to_json() for one in best),
            None if fused is None else fused.to_json(),
        )
        return [] if record is None else [record.to_json()]


def _as_filmed(
    face: RestoredFace, colours: ColourMap, filmed: NDArray[np.uint8], mask: MaskState
) -> RestoredFace:
    """Return a restored face in the colours of its frame, with no more invented than is certain.

    Args:
        face: As the generator gave it, in canonical colours.
        colours: The way there.
        filmed: The aligned crop of the frame, RGB uint8 (128, 128, 3).
        mask: Unless it is `masked`, nothing that was taken for covered is replaced.

    """
    image = colours.restore(face.image, filmed, face.occlusion)
    if mask == "masked":
        return replace(face, image=image)
    kept = filmed_where_covered(image, filmed, face.occlusion)
    return replace(face, image=kept, occlusion=np.zeros_like(face.occlusion))


def _is_in(candidate: Candidate) -> bool:
    """Whether the candidate was given to the generator."""
    return candidate.crop is not None


def _quality(candidate: Candidate, covered: float) -> float:
    turned = candidate.pose
    if turned is None or candidate.sharpness is None:
        return 0.0
    return FaceQuality(
        eye_distance=candidate.detection.eye_distance,
        sharpness=candidate.sharpness,
        pose=turned,
        covered=covered,
        detector=candidate.detection.score,
    ).score


def _overlaid(
    image: NDArray[np.uint8],
    records: Sequence[FaceRecord],
    faces: Sequence[_Face],
    display: Display,
) -> NDArray[np.uint8]:
    """Return a copy of the frame with what was found drawn on it."""
    drawn = image.copy()
    draw_faces(drawn, [_mark(*pair, display) for pair in zip(records, faces, strict=True)])
    return drawn


def _mark(record: FaceRecord, face: _Face, display: Display) -> FaceMark:
    points = np.array(record.points, np.float32)
    there = display.stored_detection(Detection(record.box, points, record.score))
    word = "bridged" if record.bridged else f"{record.score:.2f}"
    return FaceMark(
        box=there.box,
        points=there.points,
        track=record.track,
        text=word if face.refusal is None else face.refusal.kind,
        refused=record.status == "refused",
    )
