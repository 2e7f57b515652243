"""Stage `align`: align and crop each face for the generator, or refuse it with a reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from jdsr_cli.errors import UsageError
from jdsr_cli.faces import Detection, crop, estimate_alignment
from jdsr_cli.faces.alignment import MAX_RESIDUAL, Pose, pose, roll_at_turn
from jdsr_cli.faces.detection.rotated import MAX_SPREAD, UPRIGHT
from jdsr_cli.faces.display import SQUARE, Display
from jdsr_cli.faces.quality import FaceQuality, sharpness
from jdsr_cli.media import Image
from jdsr_cli.restoration.frame import Element, FaceItem, FrameItem, Refusal

TOO_SHORT = "too short"
TOO_SHORT_REASON = "seen for less than"
"""How the reason of such a refusal starts."""
"""Kind of the refusal of people who were seen too briefly; all faces of such a track have it."""
MAX_YAW = 80.0
MAX_PITCH = 60.0
"""Degrees of yaw and pitch above which a face is not restored: one eye is behind the nose."""
MIN_EYE_DISTANCE = 1.0
"""Distance between the eyes in pixels below which there is no direction to align by."""

BETTER_SHOT = "better shot"
"""Kind of the refusal of faces that are not worth restoring where only pictures are wanted."""
Bridged = Literal["align", "refuse", "drop"]
_NO_SHOT = Refusal(
    BETTER_SHOT,
    "the tracker interpolated it; pictures are made of faces that were detected (--mode crops)",
)
_NOT_CONFIRMED = Refusal("no face", "the detector does not find the face again in closer looks")
_NO_FACE = Refusal("landmarks", "the five points do not form a face")
_OUTSIDE = Refusal("outside", "the middle of the face lies outside the frame")


@dataclass(frozen=True)
class AlignmentLimits:
    """Which faces are refused."""

    min_face: float
    """Minimum width of a face's box in pixels."""
    min_sharpness: float
    """Minimum sharpness, 0 to 1, see `faces.quality.sharpness`."""
    min_track: float
    """Minimum seconds for which a person is seen; for the reason only, the tracker decides."""


def align(
    stream: Iterable[Element], side: int, limits: AlignmentLimits, bridged: Bridged = "align"
) -> Iterator[Element]:
    """Align and crop the faces of each frame.

    Args:
        stream: Frames with tracked faces.
        side: Side of the crops in pixels.
        limits: Which faces are refused.
        bridged: Whether the faces that the detector missed are aligned, refused or dropped.

    """
    for element in stream:
        if not isinstance(element, FrameItem):
            yield element
            continue
        if bridged == "drop":
            element.faces = [face for face in element.faces if not face.bridged]
        if element.state.attempt("align", _align_frame, element, side, limits, bridged):
            yield element


def _align_frame(item: FrameItem, side: int, limits: AlignmentLimits, bridged: Bridged) -> bool:
    for face in item.faces:
        if face.bridged and bridged == "refuse":
            place = _refuse_position(item.input.display.size(item.image), face, limits)
            face.refusal = place or face.deselection or _NO_SHOT
        else:
            align_face(item.image, face, side, limits, item.input.display)
    return True


def align_face(
    image: Image,
    face: FaceItem,
    side: int,
    limits: AlignmentLimits,
    display: Display = SQUARE,
) -> None:
    """Set crop, alignment, pose and sharpness of a tracked face, or its refusal.

    Args:
        image: The frame as it is stored, RGB uint8 (H, W, 3).
        face: A face of the frame, in pixels of the displayed picture.
        side: Side of the crop in pixels.
        limits: Which faces are refused.
        display: How stored pixels are displayed.

    """
    detection = face.detection
    face.refusal = _refuse_position(display.size(image), face, limits) or face.deselection
    if face.refusal is not None:
        return
    try:
        alignment = display.stored_alignment(estimate_alignment(detection.points))
    except UsageError:
        face.refusal = _NO_FACE
        return
    if not np.isfinite(alignment.native_width):
        face.refusal = _NO_FACE
        return
    if not detection.confirmed:
        face.refusal = _NOT_CONFIRMED
        return
    face.pose = pose(detection.points)
    face.refusal = _refuse_pose(face.pose, detection)
    if face.refusal is not None:
        return
    face.alignment = alignment
    face.sharpness = sharpness(image, alignment)
    if face.sharpness < limits.min_sharpness:
        face.refusal = Refusal(
            "too blurred",
            f"the face's sharpness is {face.sharpness:.3f}, less than {limits.min_sharpness:g} "
            "(--min-sharpness)",
        )
        return
    face.crop = crop(image, alignment, side)


def _refuse_position(
    size: tuple[int, int], face: FaceItem, limits: AlignmentLimits
) -> Refusal | None:
    """Check box, landmarks and length of the track."""
    detection = face.detection
    if not np.isfinite(detection.box).all():
        return _NO_FACE
    if detection.width < limits.min_face:
        return Refusal(
            "too small",
            f"the face is {detection.width:.1f} px wide, less than {limits.min_face:g} px "
            "(--min-face)",
        )
    if not np.isfinite(detection.points).all() or detection.eye_distance < MIN_EYE_DISTANCE:
        return _NO_FACE
    width, height = size
    x, y = detection.points.mean(axis=0)
    if not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
        return _OUTSIDE
    if face.tracked.too_short:
        return Refusal(TOO_SHORT, f"{TOO_SHORT_REASON} {limits.min_track:g} s (--min-track)")
    return None


def _refuse_pose(head: Pose, detection: Detection) -> Refusal | None:
    """Check the landmarks that the alignment uses, and the head pose they imply."""
    if detection.spread > MAX_SPREAD:
        apart = f"differ by {detection.spread:.2f} eye distances, more than {MAX_SPREAD:g}"
        reason = apart if np.isfinite(detection.spread) else "do not find the same face"
        return Refusal("implausible points", f"several looks at the tilted face {reason}")
    if not head.plausible:
        return Refusal(
            "implausible points",
            f"the five points miss those of a mean head by {head.residual:.3f} of their spread, "
            f"more than {MAX_RESIDUAL:g}",
        )
    rolled = abs(roll_at_turn(head, detection.turn))
    for name, angle, limit in (
        ("rolled", rolled, UPRIGHT),
        ("turned to the side", abs(head.yaw), MAX_YAW),
        ("turned up or down", abs(head.pitch), MAX_PITCH),
    ):
        if angle > limit:
            where = " at every turn of the picture" if name == "rolled" else ""
            return Refusal(
                "turned too far",
                f"the head is {name} by {angle:.0f} degrees{where}, more than {limit:g}",
            )
    return None


def shot_quality(face: FaceItem) -> float:
    """Return how good a shot of the person an aligned face is, 0 to 1; see `FaceQuality`."""
    if face.pose is None or face.sharpness is None:
        return 0.0
    return FaceQuality(
        eye_distance=face.detection.eye_distance,
        sharpness=face.sharpness,
        pose=face.pose,
        covered=face.covered,
        detector=face.detection.score,
    ).score
