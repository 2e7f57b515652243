"""Measure what the fusion of shots gains over a single one, by native width.

Run by hand: `python tests/benchmarks/fused_shots.py FACES [--count N] [--shots K] [--bare B]
[--weights NAME] [--masks DIR]`. FACES is an archive of aligned faces on which nothing was trained.
Each face is filmed K times by one camera, see `synthesis.tracks`: the head, the mouth and the light
move a little, noise and compression differ. The first shot is the reference.

Prints the mean PSNR of luma over the face against the first shot's truth: of the first shot
(*input*), of it restored (*one*), of the registered mean of the restored shots (*after*), and of
the fused shots restored once (*fused*). With `--masks` all shots but the last B wear a mask, and
the PSNR is that of the pixels that it covers in the first.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from repeated_clip import print_line

from jdsr_cli.conventions import LUMA_WEIGHTS
from jdsr_cli.datasets.face_set import FaceSet, evenly_spaced
from jdsr_cli.datasets.preparation import open_faces
from jdsr_cli.faces.burst import align_shots, fuse
from jdsr_cli.faces.occlusion import face_ellipse
from jdsr_cli.inference.loading import open_generator
from jdsr_cli.restoration.stages.generation import FaceGenerator
from jdsr_cli.synthesis.camera_settings import CameraSettings
from jdsr_cli.synthesis.masks import Sprite, load_templates, rng_for
from jdsr_cli.synthesis.tracks import RecordedTrack, TrackSettings, record_track

WIDTHS = (16, 24, 36, 56)
SEED = 17
MOVEMENT = TrackSettings(hand=0.0)
COLUMNS = ("input", "one", "after", "fused")


def film(
    faces: FaceSet, index: int, width: int, sprites: Sequence[Sprite], *, shots: int, bare: int
) -> tuple[RecordedTrack, NDArray[np.bool_]]:
    """Return the shots of a face and where the restored first one is compared with its truth."""
    key, face = faces.keys[index], np.asarray(faces.images[index])
    rng = rng_for(f"{key} {width} {bool(sprites)}", SEED)
    masked = [bool(sprites) and number < shots - bare for number in range(shots)]
    camera = CameraSettings(native_width=(width, width), infrared=0.0)
    track = record_track(
        face, faces.landmarks[index], masked, sprites, 128, rng, camera, MOVEMENT, canonical=True
    )
    where = face_ellipse() & (track.occlusions[0] > 0.5 if sprites else True)
    return track, where


def psnr(picture: NDArray[np.uint8], truth: NDArray[np.uint8], where: NDArray[np.bool_]) -> float:
    """Return the PSNR of luma in decibels."""
    error = (picture.astype(np.float64) - truth) @ np.array(LUMA_WEIGHTS)
    return float(10.0 * np.log10(255.0**2 / max(float((error[where] ** 2).mean()), 1e-9)))


def main() -> None:
    """Print a line for each width."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("faces", type=Path)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--shots", type=int, default=8)
    parser.add_argument("--bare", type=int, default=2)
    parser.add_argument("--weights", default="lite-camera")
    parser.add_argument("--masks", type=Path)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    generator = FaceGenerator(open_generator(options.weights, "cpu", "float32", "torch"), 8)
    sprites = load_templates(options.masks) if options.masks else []
    with tempfile.TemporaryDirectory() as cache:
        faces = evenly_spaced(open_faces(options.faces, None, Path(cache)), options.count)
        print_line(_row("width", *COLUMNS, "gain", "used", "support"))
        for width in WIDTHS:
            rows = [_measure(faces, index, width, sprites, generator, options)
                    for index in range(len(faces))]  # fmt: skip
            mean = np.mean(rows, axis=0)
            figures = (*mean[:4], mean[3] - mean[1], *mean[4:])
            print_line(_row(str(width), *(f"{one:.2f}" for one in figures)))


def _row(*cells: str) -> str:
    return "".join(f"{cell:>9}" for cell in cells)


def _measure(
    faces: FaceSet,
    index: int,
    width: int,
    sprites: Sequence[Sprite],
    generator: FaceGenerator,
    options: argparse.Namespace,
) -> tuple[float, ...]:
    """Return the PSNR of each column, the number of fused shots and their mean support."""
    track, where = film(faces, index, width, sprites, shots=options.shots, bare=options.bare)
    crops, truth = track.frames, track.truth
    found = [one for one in generator.restore(list(crops)) if one is not None]
    restored = np.stack([one.image for one in found])
    occlusions = np.stack([one.occlusion for one in found])
    weights, widths = [1.0] * len(crops), [float(width)] * len(crops)
    aligned = align_shots(crops, weights, occlusions, widths=widths)
    fused = fuse(aligned)
    (face,) = generator.restore([fused.image])
    assert face is not None
    after = fuse(align_shots(restored, weights)).image
    pictures = (crops[0], restored[0], after, face.image)
    figures = [psnr(one, truth, where) for one in pictures]
    return (*figures, float(len(aligned.used)), float(fused.support[face_ellipse()].mean()))


if __name__ == "__main__":
    main()
