"""Stages `survey` and `protect`: who is restored, and heads that nobody is to recognise.

`protect` comes before everything that looks at the pixels of tracked faces, so that no result can
show a head as it was filmed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from jdsr_cli.errors import JdsrError
from jdsr_cli.faces.anonymisation import Box, Mosaic, cover_head, hidden_share
from jdsr_cli.media import DeepImage, open_reader
from jdsr_cli.media.tone_mapping import converter_from_sdr
from jdsr_cli.progress import Progress
from jdsr_cli.restoration.frame import (
    Element,
    FaceItem,
    FrameItem,
    InputStarted,
    OpenInput,
    Refusal,
)
from jdsr_cli.restoration.numbered_frames import NumberedFrames
from jdsr_cli.restoration.reference import ReferencePerson
from jdsr_cli.restoration.scene_search import DetectionPlan
from jdsr_cli.restoration.stages.reading import expected_frames
from jdsr_cli.restoration.survey import HEADS_SUFFIX, InputSurvey, SegmentHeads, read_similarities
from jdsr_cli.settings import DetectionSettings

NOT_SELECTED = "not selected"
"""Kind of the refusal of people who are not chosen by `--only-track` or `--reference`."""
OVERLAPPED = "overlapped"
"""Kind of the refusal of chosen people whose face another face overlaps that is unrecognisable."""
MAX_HIDDEN = 0.1
"""Largest share of the face's box that such other faces hide."""


def survey(
    stream: Iterable[Element],
    settings: DetectionSettings,
    plan: DetectionPlan,
    reference: ReferencePerson | None,
    progress: Progress,
    is_stopped: Callable[[], bool],
    limit: int | None,
) -> Iterator[Element]:
    """Search each input as a whole before its first frame is passed on.

    Args:
        stream: Frames as they were read.
        settings: Settings of the run.
        plan: How faces are searched.
        reference: The person to whom tracks are compared, if there is one.
        progress: Receives the progress of each input.
        is_stopped: Whether the run has ended.
        limit: Number of frames of each input that are processed; None for all.

    """

    def check_needed() -> None:
        if is_stopped():
            raise JdsrError("the run ended before the whole input was searched")

    def survey_input(opened: OpenInput) -> None:
        run = InputSurvey(opened, settings, plan, reference)
        if run.is_done:
            return
        task = f"{opened.state.source.name}: search"
        opener = partial(open_reader, opened.state.source, settings.reading)
        frames = NumberedFrames(opener, opener(), limit)
        progress.begin(task, expected_frames(opened.info, settings.reading))
        try:
            run.run(frames, check_needed, lambda: progress.advance(task, plan.segment))
        finally:
            frames.close()
            progress.end(task)

    for element in stream:
        if isinstance(element, InputStarted):
            element.state.attempt("survey", survey_input, element.input)
        yield element


def protect(stream: Iterable[Element], settings: DetectionSettings) -> Iterator[Element]:
    """Mark the faces that are not to be restored, and make heads unrecognisable.

    Args:
        stream: Frames with tracked faces; all of a segment come in their order.
        settings: Settings of the run.

    """
    guard: _Guard | None = None
    for element in stream:
        if not isinstance(element, FrameItem):
            guard = None
            yield element
            continue
        if guard is None:
            guard = element.state.attempt("protect", _Guard, element.input, settings)
        if guard is not None and element.state.attempt("protect", guard.process, element):
            yield element


@dataclass(frozen=True)
class _Cover:
    """A head that is made unrecognisable, in stored pixels."""

    head: Box
    mosaic: Mosaic


class _Guard:
    """Who is restored in one input, and who is made unrecognisable."""

    def __init__(self, opened: OpenInput, settings: DetectionSettings) -> None:
        self._opened = opened
        self._settings = settings
        self._similarities: dict[int, float | None] = {}
        if settings.privacy.reference is not None:
            self._similarities = read_similarities(opened)
        self._number = -1
        """Number of the segment whose heads are read."""
        self._heads: SegmentHeads | None = None

    def process(self, item: FrameItem) -> bool:
        """Mark the faces of a frame and cover heads in it."""
        for face in item.faces:
            face.deselection = self._refuse(face.track)
        if self._settings.privacy.blur_others:
            self._cover_others(item)
        return True

    def _refuse(self, track: int) -> Refusal | None:
        """Return why a track is not restored; None if it is."""
        privacy = self._settings.privacy
        if privacy.only_track is not None:
            if track in privacy.only_track:
                return None
            given = ",".join(map(str, privacy.only_track))
            return Refusal(NOT_SELECTED, f"track {track} is not one of --only-track {given}")
        similarity = self._similarities.get(track)
        if similarity is None:
            return Refusal(NOT_SELECTED, "no face of the track can be compared with --reference")
        if similarity >= privacy.reference_level:
            return None
        return Refusal(
            NOT_SELECTED,
            f"the similarity to the person of --reference is {similarity:.3f}, less than "
            f"{privacy.reference_level:g} (--reference-level)",
        )

    def _cover_others(self, item: FrameItem) -> None:
        heads = self._segment_heads(item.number // self._settings.segment)
        others = [
            one for one in heads.frames.get(item.number, []) if self._refuse(one.track) is not None
        ]
        item.covered_heads = len(others)
        if not others:
            return
        for face in item.faces:
            if face.deselection is None:
                face.deselection = _refuse_overlapped(face, [one.face for one in others])
        chosen = [face for face in item.faces if self._refuse(face.track) is None]
        covers = [_Cover(self._stored(one.head), heads.mosaics[one.track]) for one in others]
        kept = [self._stored(face.detection.box) for face in chosen]
        faces = [self._stored(one.face) for one in others]
        item.image = item.image.copy()
        for one in covers:
            cover_head(item.image, one.head, one.mosaic, kept, faces)
        if item.deep is not None:
            item.deep = partial(self._cover_deep, item.deep, covers, kept, faces)

    def _cover_deep(
        self,
        convert: Callable[[], DeepImage],
        covers: list[_Cover],
        kept: list[Box],
        faces: list[Box],
    ) -> DeepImage:
        """Return the frame in the colours of the input, with the same heads covered."""
        image, from_sdr = convert(), converter_from_sdr(self._opened.info)
        for one in covers:
            levels = np.clip(from_sdr(one.mosaic.astype(np.float32)), 0.0, 65535.0)
            cover_head(image, one.head, np.rint(levels).astype(np.uint16), kept, faces)
        return image

    def _segment_heads(self, number: int) -> SegmentHeads:
        if self._heads is None or number != self._number:
            path = self._opened.workspace.segments.file(number, HEADS_SUFFIX)
            self._heads, self._number = SegmentHeads.read(path, self._opened.request.run), number
        return self._heads

    def _stored(self, box: Box) -> Box:
        """Return a box of the displayed picture in stored pixels."""
        corners = self._opened.display.stored(np.reshape(box, (2, 2)))
        left, top, right, bottom = corners.ravel().tolist()
        return left, top, right, bottom


def _refuse_overlapped(face: FaceItem, others: list[Box]) -> Refusal | None:
    share = hidden_share(face.detection.box, others)
    if share <= MAX_HIDDEN:
        return None
    return Refusal(
        OVERLAPPED,
        f"{100 * share:.0f} % of the face lie in that of somebody who is made unrecognisable "
        "(--blur-others)",
    )
