"""Compare the search near tracks with the search of every frame as a whole, on video clips.

For each clip: faces (confirmed, of the given width) that the whole search finds, the share of them
that is found in the same frame by the search near tracks (intersection over union of at least 0.4),
how many that finds in all, and the processor time of both.

    OMP_NUM_THREADS=1 taskset -c 0 python tests/benchmarks/near_tracks_recall.py CLIP... --frames 96
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from jdsr_cli.faces import Detection, create_detector
from jdsr_cli.faces.boxes import box_overlaps
from jdsr_cli.faces.detection.near_tracks import NearTrackDetector, key_frame_interval
from jdsr_cli.faces.detection.network import NetworkDetector
from jdsr_cli.faces.detection.rotated import RotatedDetector
from jdsr_cli.faces.detection.verification import VerifiedDetector
from jdsr_cli.media import open_reader
from jdsr_cli.settings import DEFAULT_FRAME_RATE, DetectorSettings, ReadSettings

SAME_FACE = 0.4
"""Intersection over union from which two boxes are the same face."""


def measure(clip: Path, frames: int, width: float) -> str:
    """Return a line with the figures of a clip."""
    reader = open_reader(clip, ReadSettings())
    images = [frame.image for frame in islice(reader, frames)]
    rate = float(reader.info.frame_rate or DEFAULT_FRAME_RATE)
    reader.close()
    network = create_detector("auto", DetectorSettings())
    assert isinstance(network, NetworkDetector)
    detector = VerifiedDetector(RotatedDetector(network), network)
    start = time.process_time()
    whole = [detector.detect([image])[0] for image in images]
    whole_time, start = time.process_time() - start, time.process_time()
    near, step = NearTrackDetector(network, detector.refine), key_frame_interval(rate)
    found: list[list[Detection]] = []
    for first in range(0, len(images), step):
        after = images[first + step] if first + step < len(images) else None
        found += [faces or [] for faces in near.detect(images[first : first + step], after)]
    near_time = time.process_time() - start
    pairs = [(_chosen(a, width), _chosen(b, width)) for a, b in zip(whole, found, strict=True)]
    total, again = sum(len(a) for a, _ in pairs), sum(_matched(a, b) for a, b in pairs)
    return (
        f"{clip.name}: {len(images)} frames, {rate:.3g} frames/s, key frames every {step}; "
        f"{total} faces in whole frames, {again} found again "
        f"({100 * again / max(1, total):.1f} %), "
        f"{sum(len(b) for _, b in pairs)} found in all; "
        f"{whole_time:.1f} s and {near_time:.1f} s of processor time"
    )


def _chosen(faces: Sequence[Detection], width: float) -> list[Detection]:
    return [face for face in faces if face.confirmed and face.width >= width]


def _matched(faces: Sequence[Detection], others: Sequence[Detection]) -> int:
    if not faces or not others:
        return 0
    boxes = (np.array([face.box for face in group]) for group in (faces, others))
    return int((box_overlaps(*boxes).max(axis=1) >= SAME_FACE).sum())


def main() -> None:
    """Measure the clips given on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--frames", type=int, default=96)
    parser.add_argument("--width", type=float, default=10.0, help="least width of a face in px")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    for clip in options.clips:
        print(measure(clip, options.frames, options.width), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
