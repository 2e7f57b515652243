"""Compositing of restored faces into frames, and the geometry of enlarged frames.

The slowly varying colour of a restored face is matched to the picture around it. All maps are
computed on the 128 x 128 grid of the template, where a face always has the same size; then the
restored face and one weight map are warped to the face's box. Nothing outside that box is read or
written, except the part of a mask below the template, see `outside_region`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.errors import UsageError
from jdsr_cli.faces.alignment import Alignment
from jdsr_cli.faces.deep_base import DeepBase
from jdsr_cli.faces.occlusion import face_ellipse
from jdsr_cli.faces.outside_region import cover_outside_region
from jdsr_cli.faces.regions import covered_region, face_region, inner_region
from jdsr_cli.faces.resampling import average_blocks, chain, cut_out, extent, invert, steps, zoom
from jdsr_cli.settings import RestoredPart

Pixels = TypeVar("Pixels", NDArray[np.uint8], NDArray[np.uint16])

GRID = 32
"""Side of the grid on which colours are compared; slow changes need no more."""
REACH = 5.0
"""Standard deviation in grid points of what counts as slow."""
UNLIKE = 40.0
"""Grey levels from the median difference at which the weight of a point begins to fall.

Such points belong to hair, glasses, or a mask that was not recognised.
"""
LEAST = 1e-6
"""Constant in the denominator: where all is covered, colours are not changed."""
OVERALL = 0.05
"""Weight of the mean difference of the face, which dominates far from uncovered points."""
RIM = 0.05
"""Coverage above which a point is not used."""


def match_colour(
    restored: NDArray[np.uint8],
    base: NDArray[np.uint8],
    matrix: NDArray[np.float64],
    covered: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Shift the colours of a restored face to those of the picture, by region.

    The difference between both pictures is averaged over the uncovered face near each point
    (normalised convolution), and extrapolated into covered areas.

    Args:
        restored: RGB uint8 (128, 128, 3), in the template.
        base: RGB uint8 (H, W, 3).
        matrix: (2, 3) from the template to `base`.
        covered: (128, 128) in [0, 1], see `covered_region`.

    Returns:
        RGB float32 (128, 128, 3), not clipped.

    """
    side = restored.shape[0]
    size = (GRID, GRID)
    there, inside = _read(base, chain(matrix, zoom(side / GRID)))
    here = cv2.resize(restored, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    difference = there - here
    open_face = cv2.resize(face_region() * (covered <= RIM), size, interpolation=cv2.INTER_AREA)
    trust = (open_face * inside).astype(np.float32)
    trust *= _plausible(difference, trust)
    evidence = cv2.GaussianBlur(trust, (0, 0), REACH)[..., None]
    weighted = difference * trust[..., None]
    overall = weighted.sum(axis=(0, 1)) / (trust.sum() + LEAST)
    slow = cv2.GaussianBlur(weighted, (0, 0), REACH)
    shift = (slow + OVERALL * overall) / (evidence + OVERALL)
    enlarged = cv2.resize(shift, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.asarray(restored.astype(np.float32) + enlarged, dtype=np.float32)


def _read(
    base: NDArray[np.uint8], to_base: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the colours of the base at the grid points, and which of these lie inside it."""
    source, to_source = cut_out(base, to_base, GRID, GRID)
    block = int(extent(to_source))
    if block > 1:
        source, to_source = average_blocks(source, to_source, block)
    colours = cv2.warpAffine(
        source.astype(np.float32),
        to_source,
        (GRID, GRID),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    y, x = np.mgrid[:GRID, :GRID].astype(np.float64)
    u, v = (row[0] * x + row[1] * y + row[2] for row in to_base)
    height, width = base.shape[:2]
    inside = (u >= -0.5) & (u <= width - 0.5) & (v >= -0.5) & (v <= height - 0.5)
    return np.asarray(colours, dtype=np.float32), inside


def _plausible(difference: NDArray[np.float32], trust: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (GRID, GRID) near 1 where the difference is like that of most of the open face."""
    certain = trust > 0.5 * trust.max()
    if not certain.any():
        return np.ones_like(trust)
    usual = np.median(difference[certain], axis=0)
    error = np.abs(difference - usual).max(axis=2)
    return np.asarray(1.0 / (1.0 + (error / UNLIKE) ** 4), dtype=np.float32)


@dataclass(frozen=True)
class CompositeSettings:
    """How a restored face is composited.

    Raises:
        UsageError: The widths are not in order.

    """

    replaced_to: float = 64.0
    """Native width in pixels up to which the whole face is replaced."""
    kept_from: float = 128.0
    """Native width in pixels from which only occluded pixels are replaced."""
    part: RestoredPart = "all"
    """What is replaced at all: everything, only occluded pixels, or only those that are not."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.replaced_to < self.kept_from:
            raise UsageError(
                f"faces cannot be replaced up to {self.replaced_to} px and kept from "
                f"{self.kept_from} px",
                hint="The first width must be less than the second.",
            )

    @classmethod
    def of_input(cls, side: int, part: RestoredPart = "all") -> CompositeSettings:
        """Return the settings for a generator whose input is `side` pixels wide.

        Up to that native width the generator receives all detail of the frame, so that its faces
        replace the filmed ones; from twice that width, or that of the template, the frame has more.
        """
        kept = min(2.0 * side, float(TEMPLATE_SIZE))
        return cls(min(float(side), 0.875 * kept), kept, part)

    def replaced(self, native_width: float) -> float:
        """Return the weight of the restored face where it is not occluded, 0 to 1."""
        if self.part == "covered":
            return 0.0
        share = (self.kept_from - native_width) / (self.kept_from - self.replaced_to)
        return min(1.0, max(0.0, share))

    def weights(self, covered: NDArray[np.float32], native_width: float) -> NDArray[np.float32]:
        """Return the weight of the restored face in each pixel of the template, (128, 128).

        Args:
            covered: (128, 128) in [0, 1], see `covered_region`.
            native_width: Width of the template's region in the frame as it was filmed, in pixels.

        """
        seen = np.float32(self.replaced(native_width)) * face_region()
        if self.part == "uncovered":
            return np.asarray(seen * (np.float32(1.0) - covered), np.float32)
        return np.asarray(np.maximum(seen, covered * inner_region()), np.float32)

    def replaced_share(self, occlusion: NDArray[np.float32], native_width: float) -> float:
        """Return the share of the face's ellipse that the restored face replaces, 0 to 1.

        Args:
            occlusion: (128, 128) in [0, 1], as `compose` receives it.
            native_width: Width of the template's region in the frame as it was filmed, in pixels.

        """
        weights = self.weights(covered_region(occlusion), native_width)
        return float(weights[face_ellipse()].mean())


LONGEST_SIDE = 4096
"""Longer side in pixels up to which frames are enlarged unless a factor is given."""


@dataclass(frozen=True)
class FramePlan:
    """How frames are enlarged."""

    scale: int
    width: int
    """Width of the enlarged frame in pixels."""
    height: int
    note: str | None = None
    """Tells the user if the factor is not the requested one."""


def plan_frames(width: int, height: int, scale: int, frame_scale: int | None) -> FramePlan:
    """Choose the factor by which frames are enlarged. Faces are restored from the input's pixels.

    Args:
        width: Width of the frames in pixels.
        height: Height of the same.
        scale: Factor, lowered until the longer side has at most `LONGEST_SIDE` pixels.
        frame_scale: Factor that is used whatever the size; None for `scale`.

    """
    note = None
    if frame_scale is None:
        frame_scale = max(1, min(scale, LONGEST_SIDE // max(width, height)))
        if frame_scale < scale:
            note = (
                f"frames are enlarged {frame_scale} times instead of {scale}, so that their longer "
                f"side stays within {LONGEST_SIDE} px; --frame-scale {scale} insists"
            )
    return FramePlan(frame_scale, width * frame_scale, height * frame_scale, note)


def enlarge(image: Pixels, factor: int) -> Pixels:
    """Return a new image, `factor` times as large by bicubic interpolation."""
    if factor == 1:
        return image.copy()
    size = (image.shape[1] * factor, image.shape[0] * factor)
    resized = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
    return np.asarray(resized, dtype=image.dtype)


def template_to_frame(alignment: Alignment, factor: int) -> NDArray[np.float64]:
    """Return (2, 3) from 128-pixel template coordinates to those of the enlarged frame."""
    matrix = alignment.inverse()
    matrix[:, 2] += 0.5
    matrix *= factor
    matrix[:, 2] -= 0.5
    return matrix


@dataclass(frozen=True, eq=False)
class Composite:
    """The pixels that `compose` changed."""

    image: NDArray[np.uint8]
    """The base, modified in place."""
    left: int
    """Left edge of the box of all changed pixels."""
    top: int
    weight: NDArray[np.float32]
    """Share of what was made in each pixel of the box, (height, width) in [0, 1]: of the restored
    face, and of what was painted over a mask below it."""


def compose(
    base: NDArray[np.uint8],
    restored: NDArray[np.uint8],
    occlusion: NDArray[np.float32],
    matrix: NDArray[np.float64],
    native_width: float,
    settings: CompositeSettings | None = None,
    deep: DeepBase | None = None,
) -> Composite:
    """Composite a restored face into `base`, in place.

    Occluded pixels are taken from the restored face. Other pixels are taken from it as well if the
    native width is small, and are kept if the picture has more detail than the generator can give.
    The restored face is given the slowly varying colour of the picture. The part of a mask below
    the template is painted over if it is certain. `CompositeSettings.part` limits this to occluded
    pixels, or to those that are not; the latter leaves the mask below the template as well.

    Args:
        base: RGB uint8 (H, W, 3), writeable: the enlarged frame or the enlarged aligned crop.
        restored: RGB uint8 (128, 128, 3), in the template.
        occlusion: (128, 128) in [0, 1]: how much of each pixel was covered.
        matrix: (2, 3) from pixels of the template to pixels of `base`.
        native_width: Width of the template's region in the frame as it was filmed, in pixels.
        settings: How the face is composited.
        deep: The same frame in other colours, which gets the same face; changed in place.

    Raises:
        UsageError: An array has a wrong shape or type, or the matrix cannot be inverted.

    """
    _check(base, restored, occlusion, native_width)
    covered = covered_region(occlusion)
    settings = settings or CompositeSettings()
    share = settings.weights(covered, native_width)
    to_template = invert(matrix)
    left, top, right, bottom = _box(matrix, share, base.shape[1], base.shape[0])
    if right == left or bottom == top:
        return Composite(base, left, top, np.zeros((bottom - top, right - left), np.float32))
    face = match_colour(restored, base, matrix, covered)
    if settings.part != "uncovered":
        face, share = cover_outside_region(face, share, base, matrix, occlusion, native_width)
    left, top, right, bottom = _box(matrix, share, base.shape[1], base.shape[0])
    box = base[top:bottom, left:right]
    if min(steps(matrix)) < 1.0:
        face, share = (_blur(one, steps(matrix)) for one in (face, share))
    to_template[:, 2] += to_template[:, :2] @ (left, top)
    size, backwards = (right - left, bottom - top), cv2.WARP_INVERSE_MAP
    weight = np.asarray(
        cv2.warpAffine(share, to_template, size, flags=cv2.INTER_LINEAR | backwards), np.float32
    )
    patch = np.asarray(
        cv2.warpAffine(
            face,
            to_template,
            size,
            flags=cv2.INTER_CUBIC | backwards,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        np.float32,
    )
    before = box.astype(np.float32)
    # In place: box + weight * (patch - box).
    np.clip(patch, 0.0, 255.0, out=patch)
    if deep is not None:
        deep.blend(left, top, patch, weight)
    patch -= before
    patch *= weight[..., None]
    patch += before
    box[...] = np.rint(patch, out=patch)
    return Composite(base, left, top, weight)


def _box(
    matrix: NDArray[np.float64], share: NDArray[np.float32], width: int, height: int
) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the pixels of the base that `share` covers."""
    columns, rows = np.flatnonzero(share.any(axis=0)), np.flatnonzero(share.any(axis=1))
    if not columns.size:
        return 0, 0, 0, 0
    # One pixel more, since the weight falls to 0 between the last pixel and its neighbour.
    x0, y0, x1, y1 = columns[0] - 1, rows[0] - 1, columns[-1] + 1, rows[-1] + 1
    corners = np.array([[x0, y0], [x1, y0], [x0, y1], [x1, y1]], dtype=np.float64)
    reached = corners @ matrix[:, :2].T + matrix[:, 2]
    limits = np.array([width, height])
    low = np.clip(np.ceil(reached.min(axis=0)), 0, limits).astype(int)
    high = np.clip(np.floor(reached.max(axis=0)) + 1, low, limits).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _blur(values: NDArray[np.float32], scales: tuple[float, float]) -> NDArray[np.float32]:
    """Low-pass filter for sampling at these scales of x and y, each below 1 if coarser."""
    across, down = (0.5 * math.sqrt(max(0.0, (1.0 / one) ** 2 - 1.0)) for one in scales)
    if max(across, down) < 0.1:
        return values
    # OpenCV replaces a deviation of 0 by that of the other axis.
    across, down = max(across, 0.01), max(down, 0.01)
    blurred = cv2.GaussianBlur(
        values, (0, 0), sigmaX=across, sigmaY=down, borderType=cv2.BORDER_REPLICATE
    )
    return np.asarray(blurred, dtype=np.float32)


def _check(
    base: NDArray[np.uint8],
    restored: NDArray[np.uint8],
    occlusion: NDArray[np.float32],
    native_width: float,
) -> None:
    square = (TEMPLATE_SIZE, TEMPLATE_SIZE)
    found = {
        "base": base.ndim == 3 and base.shape[2] == 3 and base.dtype == np.uint8,
        "restored": restored.shape == (*square, 3) and restored.dtype == np.uint8,
        "occlusion": occlusion.shape == square and bool(np.isfinite(occlusion).all()),
        "native_width": native_width > 0.0,
    }
    wrong = [name for name, good in found.items() if not good]
    if wrong:
        raise UsageError(
            f"cannot compose with this {' and '.join(wrong)}",
            hint="base is RGB uint8 (H, W, 3), restored RGB uint8 (128, 128, 3), occlusion "
            "finite (128, 128), native_width more than 0.",
        )
