"""Stage `composite`: smooth restored faces along their tracks and paste them into their frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.errors import UsageError
from jdsr_cli.evidence import FaceOverlay, Label
from jdsr_cli.faces import Alignment, compose, crop
from jdsr_cli.faces.compositing import enlarge, template_to_frame
from jdsr_cli.faces.deep_base import DeepBase
from jdsr_cli.faces.framing import frame_box
from jdsr_cli.faces.occlusion import (
    MaskCalibration,
    MaskClassifier,
    classify_mask,
    covered_share,
)
from jdsr_cli.faces.resampling import cut_out, invert
from jdsr_cli.faces.temporal_smoothing import FaceSmoother
from jdsr_cli.media import DeepImage, Image
from jdsr_cli.media.tone_mapping import converter_from_sdr, graphics_white
from jdsr_cli.restoration.annotations import face_annotations
from jdsr_cli.restoration.comparison import FrameComparison, plan_comparison
from jdsr_cli.restoration.finishing import finish_face
from jdsr_cli.restoration.frame import (
    NO_IMAGE,
    Element,
    FaceItem,
    FacePatch,
    FrameItem,
    InputStarted,
    OpenInput,
    Refusal,
)
from jdsr_cli.restoration.snapshots import Snapshot
from jdsr_cli.restoration.stages.alignment import shot_quality
from jdsr_cli.settings import RestoreSettings

NOT_FINITE = Refusal("not finite", "the generator gave values that are not finite")


def composite(
    stream: Iterable[Element], settings: RestoreSettings, calibration: MaskCalibration
) -> Iterator[Element]:
    """Finish the faces of each frame and paste them into the enlarged frame.

    Args:
        stream: Frames with generated faces.
        settings: Settings of the run.
        calibration: Maps the generator's occlusion maps to probabilities of a mask.

    """
    compositor: _Compositor | None = None
    for element in stream:
        if isinstance(element, FrameItem):
            if compositor is not None and compositor.process(element):
                yield element
            continue
        compositor = None
        if isinstance(element, InputStarted):
            arguments = (element.input, settings, calibration)
            compositor = element.state.attempt("steady", _Compositor, *arguments)
        yield element


class _Compositor:
    """The state of one input: temporal smoothing and mask decisions along its tracks."""

    def __init__(
        self, opened: OpenInput, settings: RestoreSettings, calibration: MaskCalibration
    ) -> None:
        assert opened.frame_plan is not None
        self._plan = opened.frame_plan
        self._settings = settings
        self._calibration = calibration
        self._smoother = FaceSmoother()
        self._masks = MaskClassifier()
        self._label = Label(self._plan.width, self._plan.height) if settings.label else None
        self._comparison: FrameComparison | None = None
        if settings.compare:
            compared = plan_comparison(self._plan, still=opened.info.kind == "image")
            self._comparison = FrameComparison(compared, label=settings.label)
        if opened.snapshot is not None:
            snapshot = opened.snapshot.part("composite")
            self._smoother.load(snapshot.arrays)
            self._masks.load(snapshot.values)

    def process(self, item: FrameItem) -> bool:
        """Finish and composite a frame; return whether that succeeded."""
        attempt = item.state.attempt
        return bool(attempt("steady", self._finish_faces, item)) and bool(
            attempt("paste", self._paste, item)
        )

    def _finish_faces(self, item: FrameItem) -> bool:
        """Finish the faces of a frame and take a snapshot if a segment ends with it."""
        for face in item.faces:
            self._finish_face(item, face)
            if self._settings.exports_crops and _is_shown(face):
                face.patch = cut_face(item, face)
        for track in item.ended_tracks:
            self._smoother.drop(track)
            self._masks.drop(track)
        if item.ends_segment:
            item.snapshot = Snapshot(self._masks.state(), self._smoother.state())
        return True

    def _paste(self, item: FrameItem) -> bool:
        """Composite a frame. Its stored pixels are dropped unless the overlay needs them."""
        if self._settings.pastes:
            item.composited = self._composite(item)
        item.deep = None
        if not self._settings.overlay:
            item.image = NO_IMAGE
        return True

    def _finish_face(self, item: FrameItem, face: FaceItem) -> None:
        """Convert a face to the colours of its frame, classify its mask and smooth it."""
        if face.refusal is None and face.generated is None:
            face.refusal = NOT_FINITE
        generated, alignment, colours = face.generated, face.alignment, face.colours
        if generated is None or alignment is None or colours is None or face.crop is None:
            return
        face.reference = face.crop
        if len(face.crop) != TEMPLATE_SIZE:
            face.reference = crop(item.image, alignment)
        probability = self._calibration.probability(generated.occlusion, colours.gain)
        face.covered = covered_share(generated.occlusion)
        face.mask_probability = self._masks.classify(face.track, float(item.time), probability)
        face.mask = classify_mask(face.mask_probability)
        face.restored = finish_face(
            generated, face.reference, colours, face.mask, self._settings.restore
        )
        face.replaced = face.restored.compositing.replaced_share(
            face.restored.occlusion, alignment.native_width
        )
        if not self._settings.selects_shots:
            assert item.detections is not None
            image, occlusion = self._smoother.smooth(
                face.track,
                float(item.time),
                face.reference,
                face.restored.image,
                face.restored.occlusion,
                fresh=item.detections.cut,
            )
            face.smoothed = replace(face.restored, image=image, occlusion=occlusion)
        face.quality = round(shot_quality(face), 4)

    def _composite(self, item: FrameItem) -> Image | DeepImage:
        """Return the enlarged frame with its faces, near ones (the wider ones) on top."""
        base = enlarge(item.image, self._plan.scale)
        filmed = None if self._comparison is None else base.copy()
        deep = None
        if item.deep is not None:
            convert = converter_from_sdr(item.input.info)
            deep = DeepBase(enlarge(item.deep(), self._plan.scale), convert)
        for face in sorted(item.faces, key=lambda one: one.detection.width):
            shown = face.smoothed if self._settings.stabilise else face.restored
            if shown is not None and face.alignment is not None:
                compose(
                    base,
                    shown.image,
                    shown.occlusion,
                    template_to_frame(face.alignment, self._plan.scale),
                    face.alignment.native_width,
                    shown.compositing,
                    deep,
                )
        if self._comparison is not None and filmed is not None:
            item.comparison = self._comparison.draw(filmed, base, self._annotations(item))
        if self._label is not None:
            if deep is not None:
                self._label.stamp(deep.image, graphics_white(item.input.info))
            else:
                self._label.stamp(base)
        return base if deep is None else deep.image

    def _annotations(self, item: FrameItem) -> list[FaceOverlay]:
        """Return the boxes and track numbers of the enlarged frame, if they are drawn."""
        if not self._settings.compare_boxes:
            return []
        scale = self._plan.scale
        return [replace(one.scaled(scale, scale), text="") for one in face_annotations(item)]


def _is_shown(face: FaceItem) -> bool:
    """Whether pictures of a face are written: restored, or as filmed."""
    return face.deselection is None and (face.restored is not None or not face.bridged)


def cut_face(item: FrameItem, face: FaceItem) -> FacePatch | None:
    """Return the part of a frame that shows a face, whether it was refused or not.

    Faces without an alignment are shown by their box; None if that is not finite or is empty.
    """
    alignment = face.alignment
    if alignment is None:
        try:
            boxed = frame_box(face.detection.box)
        except UsageError:
            return None
        alignment = item.input.display.stored_alignment(boxed)
    return cut_patch(item.image, alignment)


def cut_patch(image: Image, alignment: Alignment) -> FacePatch:
    """Copy the part of a frame that the template covers."""
    part, to_part = cut_out(image, alignment.inverse(), TEMPLATE_SIZE, TEMPLATE_SIZE)
    return FacePatch(part.copy(), Alignment(invert(to_part)))
