"""Warping error: what changes from one frame to the next beyond motion.

Lai et al. 2018, "Learning Blind Video Temporal Consistency": the mean squared difference of a frame
and the next one, warped back by the optical flow, over the pixels that are not occluded. Flow and
occlusions are those of the reference and the same for every video, so that no video gains by
blurring what moves. The occlusions are those of Ruder et al. 2016 as the published evaluation of
Lai et al. computes them: flow that does not return, and motion boundaries.

Differences from that evaluation: the frames are aligned crops of a face, so that its movement
through the frame is taken off before; the flow is that of dense inverse search instead of FlowNet2;
crops are warped by bicubic instead of bilinear interpolation; pixels have the weight of the face
region. As there, a squared difference is the mean of the three channels, in levels from 0 to 1; the
result is given in thousandths, as is usual in video restoration.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.faces.optical_flow import estimate_flow, flow_levels, positions, round_trip
from jdsr_cli.faces.regions import face_region
from jdsr_cli.faces.resampling import sample

RELATIVE, ABSOLUTE = 0.01, 0.5
"""A pixel is occluded if the square of its distance after the round trip exceeds the sum of the
squared flows times the first number, plus the second one (pixels squared)."""
BOUNDARY_ABSOLUTE = 0.002
"""The same, with `RELATIVE`, for the squared gradient of the flow: a motion boundary."""
LEAST_VISIBLE = 0.15
"""Share of the face region that must not be occluded."""
UNIT = 1000.0
"""The error is given in thousandths."""


class WarpedPair:
    """Flow and occlusions from one frame of the reference to the next.

    Args:
        before: Aligned face of the reference, RGB uint8 (128, 128, 3).
        now: The same of the next frame.
        native_width: Width of the face as filmed, in pixels.

    """

    def __init__(
        self, before: NDArray[np.uint8], now: NDArray[np.uint8], native_width: float
    ) -> None:
        forward, backward = estimate_flow(
            *(flow_levels(_luma(one), native_width) for one in (before, now))
        )
        self._positions = positions(forward)
        visible = ~(occluded(forward, backward) | self._is_outside())
        self._weight = np.asarray(face_region() * visible, np.float64)

    def _is_outside(self) -> NDArray[np.bool_]:
        """Return which pixels lie beyond the border of the next crop, (128, 128)."""
        last = np.array(self._positions.shape[1::-1]) - 1
        beyond = (self._positions < 0) | (self._positions > last)
        return np.asarray(beyond.any(axis=2), np.bool_)

    @property
    def visible(self) -> float:
        """Share of the face region that is compared, 0 to 1."""
        return float(self._weight.sum() / face_region().sum(dtype=np.float64))

    def error(self, before: NDArray[np.uint8], now: NDArray[np.uint8]) -> float:
        """Return the warping error of a video in thousandths; NaN if too little is visible.

        Args:
            before: The face in the video, aligned as that of the reference, (128, 128, 3).
            now: The same of the next frame.

        """
        if self.visible < LEAST_VISIBLE:
            return float("nan")
        warped = sample(now.astype(np.float32), self._positions)
        squared = np.square((warped - before) / 255.0).mean(axis=2)
        return UNIT * float((self._weight * squared).sum() / self._weight.sum())


def occluded(forward: NDArray[np.float32], backward: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which pixels of the first frame are occluded in the next, or on a motion boundary.

    Args:
        forward: (side, side, 2) flow from the first frame to the next.
        backward: The flow back.

    """
    returned = sample(backward, positions(forward))
    size = _squared(forward)
    lost = _squared(round_trip(forward, backward)) > (
        RELATIVE * (size + _squared(returned)) + ABSOLUTE
    )
    across = np.diff(forward, axis=1, append=forward[:, -1:])
    down = np.diff(forward, axis=0, append=forward[-1:])
    boundary = _squared(across) + _squared(down) > RELATIVE * size + BOUNDARY_ABSOLUTE
    return np.asarray(lost | boundary, np.bool_)


def _squared(field: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(np.square(field).sum(axis=2), np.float32)


def _luma(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)


PROTOCOL = (
    "mean squared difference between a frame and the next one warped back by optical flow, over "
    "pixels that are not occluded, in thousandths of the squared range of levels (Lai et al. 2018; "
    "mean of R, G and B); flow (dense inverse search) and occlusions (no round trip within "
    f"{RELATIVE} of the squared flows + {ABSOLUTE} px2, motion boundaries, beyond the crop) are "
    "those of the reference for every video; on aligned faces of 128 px, weighted by the region "
    f"that a restored face replaces; pairs of which less than {LEAST_VISIBLE:.0%} is visible are "
    "left out"
)
