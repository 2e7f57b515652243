"""From tracked faces to candidates: faces that can be restored, or refusals with a reason."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.faces import Alignment, Detection, crop, estimate_alignment
from jdsr_cli.faces.alignment import MOST_RESIDUAL, Pose, pose, roll_at_turn
from jdsr_cli.faces.canonical_colours import ColourMap, canonical_map
from jdsr_cli.faces.detection.rotated import MOST_SPREAD, UPRIGHT
from jdsr_cli.faces.display import SQUARE, Display
from jdsr_cli.faces.quality import sharpness
from jdsr_cli.faces.tracking import TrackedFace

TOO_SHORT = "too short"
"""Kind of the refusal of people who were seen too briefly; all faces of such a track have it."""
MOST_YAW = 80.0
MOST_PITCH = 60.0
"""Degrees of yaw and pitch beyond which a face is not restored: one eye lies behind the nose."""
LEAST_EYE_DISTANCE = 1.0
"""Pixels: with the eyes nearer than this there is no direction to align by."""


@dataclass(frozen=True)
class Limits:
    """Which faces are refused."""

    min_face: float
    """Least width of a face's box in pixels."""
    min_sharpness: float
    """Least sharpness, 0 to 1, see `faces.quality.sharpness`."""
    min_track: int
    """Frames in which a person must be seen; for the reason only, the tracker decides."""


@dataclass(frozen=True)
class Refusal:
    """Why a face is not restored: a `kind` to count by and the full `reason`."""

    kind: str
    reason: str


@dataclass(frozen=True, eq=False)
class Candidate:
    """A face of a track: either aligned and cropped, or refused."""

    face: TrackedFace
    alignment: Alignment | None = None
    """From stored pixels of the frame to the template."""
    crop: NDArray[np.uint8] | None = None
    """Aligned face, RGB uint8 (side, side, 3), resampled once from the frame."""
    sharpness: float | None = None
    """0 to 1, of the face as it was filmed."""
    pose: Pose | None = None
    """Of the points by which the face was aligned, with their residual."""
    refusal: Refusal | None = None
    monochrome: bool = False
    """Whether the face is seen without colour, but for a tint."""

    @cached_property
    def colours(self) -> ColourMap:
        """The way to the colours in which the generator sees the face; it must have a crop."""
        assert self.crop is not None
        return canonical_map(self.crop, monochrome=self.monochrome)

    @property
    def canonical(self) -> NDArray[np.uint8]:
        """The crop in canonical colours, RGB uint8 (side, side, 3); there must be one."""
        assert self.crop is not None
        return self.colours.apply(self.crop)

    @property
    def detection(self) -> Detection:
        """Box and points by which the face was aligned, in pixels of the displayed picture."""
        return self.face.detection


def examine(
    image: NDArray[np.uint8],
    faces: Sequence[TrackedFace],
    *,
    side: int,
    limits: Limits,
    monochrome: Collection[int] = (),
    display: Display = SQUARE,
) -> list[Candidate]:
    """Align and crop the faces of one frame.

    Args:
        image: The frame as it is stored, RGB uint8 (H, W, 3).
        faces: Faces in it, in pixels of the displayed picture.
        side: Side of the crops in pixels.
        limits: Which are refused.
        monochrome: Tracks that are seen without colour.
        display: How stored pixels are displayed.

    Returns:
        One candidate for each face, in their order.

    """
    return [
        _examine(image, face, side, limits, face.track in monochrome, display) for face in faces
    ]


def _examine(
    image: NDArray[np.uint8],
    face: TrackedFace,
    side: int,
    limits: Limits,
    monochrome: bool,
    display: Display,
) -> Candidate:
    refusal = _refuse(display.size(image), face, limits)
    if refusal is not None:
        return Candidate(face, refusal=refusal)
    try:
        alignment = display.stored_alignment(estimate_alignment(face.detection.points))
    except UsageError:
        return Candidate(face, refusal=_NO_FACE)
    if not np.isfinite(alignment.native_width):
        return Candidate(face, refusal=_NO_FACE)
    if not face.detection.confirmed:
        return Candidate(face, refusal=_NOT_CONFIRMED)
    turned = pose(face.detection.points)
    refusal = _refuse_points(turned, face.detection)
    if refusal is not None:
        return Candidate(face, pose=turned, refusal=refusal)
    sharp = sharpness(image, alignment)
    if sharp < limits.min_sharpness:
        refusal = Refusal(
            "too blurred",
            f"the face's sharpness is {sharp:.3f}, less than {limits.min_sharpness:g} "
            "(--min-sharpness)",
        )
        return Candidate(face, alignment, None, sharp, turned, refusal)
    cut_out = crop(image, alignment, side)
    return Candidate(face, alignment, cut_out, sharp, turned, monochrome=monochrome)


def _refuse_points(turned: Pose, face: Detection) -> Refusal | None:
    """Judge the points that the alignment uses, and the pose that they tell."""
    if face.spread > MOST_SPREAD:
        apart = f"differ by {face.spread:.2f} eye distances, more than {MOST_SPREAD:g}"
        told = apart if np.isfinite(face.spread) else "do not find the same face"
        return Refusal("implausible points", f"several looks at the tilted face {told}")
    if not turned.plausible:
        return Refusal(
            "implausible points",
            f"the five points miss those of a mean head by {turned.residual:.3f} of their spread, "
            f"more than {MOST_RESIDUAL:g}",
        )
    rolled = abs(roll_at_turn(turned, face.turn))
    for name, angle, most in (
        ("rolled", rolled, UPRIGHT),
        ("turned to the side", abs(turned.yaw), MOST_YAW),
        ("turned up or down", abs(turned.pitch), MOST_PITCH),
    ):
        if angle > most:
            where = " at every turn of the picture" if name == "rolled" else ""
            return Refusal(
                "turned too far",
                f"the head is {name} by {angle:.0f} degrees{where}, more than {most:g}",
            )
    return None


_NOT_CONFIRMED = Refusal("no face", "the detector does not find the face again in closer looks")
_NO_FACE = Refusal("landmarks", "the five points do not form a face")


def _refuse(size: tuple[int, int], face: TrackedFace, limits: Limits) -> Refusal | None:
    detection = face.detection
    if not np.isfinite(detection.box).all():
        return _NO_FACE
    if detection.width < limits.min_face:
        return Refusal(
            "too small",
            f"the face is {detection.width:.1f} px wide, less than {limits.min_face:g} px "
            "(--min-face)",
        )
    if not np.isfinite(detection.points).all() or detection.eye_distance < LEAST_EYE_DISTANCE:
        return _NO_FACE
    width, height = size
    x, y = detection.points.mean(axis=0)
    if not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
        return Refusal("outside", "the middle of the face lies outside the frame")
    if face.too_short:
        return Refusal(
            TOO_SHORT,
            f"seen in fewer than {limits.min_track} frames in a row (--min-track)",
        )
    return None
