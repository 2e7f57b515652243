"""A restored face back into its picture: only where it belongs, in the picture's own colours.

All maps are made on the template's 128 x 128 grid, where a face always has the same size; then
the restored face and one map of weights are warped to the face's box. Nothing outside that box
is read or written, but for what hangs below the template of a mask, see `overhang`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.faces.alignment import TEMPLATE_SIZE
from jdsr_cli.faces.colour_matching import match_colour
from jdsr_cli.faces.overhang import cover_overhang
from jdsr_cli.faces.regions import covered_region, face_region, inner_region
from jdsr_cli.faces.resampling import invert, steps


@dataclass(frozen=True)
class ComposeSettings:
    """How a restored face is joined to its picture.

    Raises:
        UsageError: the widths are not in order.

    """

    replaced_to: float = 64.0
    """Native width in pixels up to which the whole face is replaced."""
    kept_from: float = 128.0
    """Native width in pixels from which all that is not covered stays as it was."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.replaced_to < self.kept_from:
            raise UsageError(
                f"faces cannot be replaced up to {self.replaced_to} px and kept from "
                f"{self.kept_from} px",
                hint="The first width must be less than the second.",
            )

    @classmethod
    def of_input(cls, side: int) -> ComposeSettings:
        """Return how to join the faces of a generator whose input is `side` pixels wide.

        Up to that native width it saw all that was filmed, so that its faces replace the filmed
        ones; from twice that width on, and from the template's own on, the picture holds more.
        """
        kept = min(2.0 * side, float(TEMPLATE_SIZE))
        return cls(replaced_to=min(float(side), 0.875 * kept), kept_from=kept)

    def replaced(self, native_width: float) -> float:
        """Return the share of the restored face in what is not covered, 0 to 1."""
        share = (self.kept_from - native_width) / (self.kept_from - self.replaced_to)
        return min(1.0, max(0.0, share))


@dataclass(frozen=True, eq=False)
class Composite:
    """What `compose` changed."""

    image: NDArray[np.uint8]
    """The base, changed in place."""
    left: int
    """Of the box that holds every changed pixel, as `top`."""
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
    settings: ComposeSettings | None = None,
) -> Composite:
    """Join a restored face to `base`, in place.

    What was covered comes from the restored face. What was not comes from it as well while the
    native width is small, and stays as it was where the picture holds more detail than the
    generator can give. The restored face takes on the slowly varying colour of the picture. A mask
    that hangs below the template is painted over where it is certain.

    Args:
        base: RGB uint8 (H, W, 3), writeable: the enlarged frame or the enlarged aligned crop.
        restored: RGB uint8 (128, 128, 3), in the template.
        occlusion: (128, 128) in [0, 1]: how much of each pixel was covered.
        matrix: (2, 3) from pixels of the template to pixels of `base`.
        native_width: Width of the template's region in the frame as it was filmed, in pixels.
        settings: How to join.

    Raises:
        UsageError: an array has another shape or type, or the matrix cannot be inverted.

    """
    _check(base, restored, occlusion, native_width)
    covered = covered_region(occlusion)
    replaced = (settings or ComposeSettings()).replaced(native_width)
    share = np.maximum(replaced * face_region(), covered * inner_region())
    to_template = invert(matrix)
    left, top, right, bottom = _box(matrix, share, base.shape[1], base.shape[0])
    if right == left or bottom == top:
        return Composite(base, left, top, np.zeros((bottom - top, right - left), np.float32))
    face = match_colour(restored, base, matrix, covered)
    face, share = cover_overhang(face, share, base, matrix, occlusion, native_width)
    left, top, right, bottom = _box(matrix, share, base.shape[1], base.shape[0])
    box = base[top:bottom, left:right]
    if min(steps(matrix)) < 1.0:
        face, share = (_blur(one, steps(matrix)) for one in (face, share))
    to_template[:, 2] += to_template[:, :2] @ (left, top)
    size, backwards = (right - left, bottom - top), cv2.WARP_INVERSE_MAP
    weight = np.asarray(
        cv2.warpAffine(share, to_template, size, flags=cv2.INTER_LINEAR | backwards), np.float32
    )
    patch = cv2.warpAffine(
        face,
        to_template,
        size,
        flags=cv2.INTER_CUBIC | backwards,
        borderMode=cv2.BORDER_REPLICATE,
    )
    before = box.astype(np.float32)
    joined = before + weight[..., None] * (np.clip(patch, 0.0, 255.0) - before)
    box[...] = np.rint(joined).astype(np.uint8)
    return Composite(base, left, top, weight)


def _box(
    matrix: NDArray[np.float64], share: NDArray[np.float32], width: int, height: int
) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the pixels of the base that `share` reaches."""
    columns, rows = np.flatnonzero(share.any(axis=0)), np.flatnonzero(share.any(axis=1))
    if not columns.size:
        return 0, 0, 0, 0
    # A pixel further, since between the last weight above 0 and its neighbour it falls to 0.
    x0, y0, x1, y1 = columns[0] - 1, rows[0] - 1, columns[-1] + 1, rows[-1] + 1
    corners = np.array([[x0, y0], [x1, y0], [x0, y1], [x1, y1]], dtype=np.float64)
    reached = corners @ matrix[:, :2].T + matrix[:, 2]
    limits = np.array([width, height])
    low = np.clip(np.ceil(reached.min(axis=0)), 0, limits).astype(int)
    high = np.clip(np.floor(reached.max(axis=0)) + 1, low, limits).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _blur(values: NDArray[np.float32], scales: tuple[float, float]) -> NDArray[np.float32]:
    """Remove what pixels cannot show that see x and y at these scales, each below 1 if coarser."""
    across, down = (0.5 * math.sqrt(max(0.0, (1.0 / one) ** 2 - 1.0)) for one in scales)
    if max(across, down) < 0.1:
        return values
    # OpenCV takes a deviation of 0 for that of the other axis.
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
