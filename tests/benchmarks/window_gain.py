"""What a window of frames gains over one frame: PSNR and SSIM on synthetic tracks.

Run by hand: `python tests/benchmarks/window_gain.py OUT --faces TAR [--windows 1 3 5 9]`. Each face
is filmed N times in a row by one camera: its blur, noise and compression are those of the track,
their random numbers those of the frame, and the face lies elsewhere in each frame by a fraction of
a pixel and some degrees. Landmarks have an error in each frame (`--jitter`), so that registration
is measured as well. The middle frame is restored as in `restore --window N`.

PSNR and SSIM are on Y (BT.601 limited range, 11x11 Gaussian window, border of 16 pixels) of the
result and the face at the alignment of the middle frame; `input` is the crop of that frame, `seen`
what the generator receives. `ghosts` are tracks of whose frames only the middle one shows a mask,
or only the others: the mean absolute difference, in grey levels over the mask, between what the
generator receives and the crop of the middle frame.

In OUT: `window_gain.json` and a sheet for each width.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from repeated_clip import print_line

from jdsr_cli.datasets.face_set import FaceSet, evenly_spaced
from jdsr_cli.datasets.preparation import open_faces
from jdsr_cli.datasets.samples import to_tensor
from jdsr_cli.evaluation.metrics.fidelity import psnr, ssim
from jdsr_cli.faces import Alignment, crop
from jdsr_cli.faces.canonical_colours import canonical_map
from jdsr_cli.faces.regions import face_region
from jdsr_cli.faces.resampling import chain, invert, resample, zoom
from jdsr_cli.faces.window import FaceView, FaceWindow
from jdsr_cli.inference.loading import open_generator
from jdsr_cli.restoration.stages.generation import FaceGenerator
from jdsr_cli.synthesis.camera import capture
from jdsr_cli.synthesis.camera_settings import CameraSettings
from jdsr_cli.synthesis.light import draw_light
from jdsr_cli.synthesis.mask_drawing import draw_sprites
from jdsr_cli.synthesis.masks import Sprite, apply_mask, choose_sprite, rng_for
from jdsr_cli.synthesis.tracks import draw_camera

WIDTHS = (16, 24, 36, 56)
SEED = 23
MOVEMENT = 3.0
"""Standard deviation of the position of the face in a frame, in template pixels."""
FRAME_SECONDS = 0.04
BORDER = 16
"""Pixels at each side that are not compared: the track shows the face only up to its border."""
SHEET_FACES = 8

Picture = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Track:
    """The frames of one face, the middle one current."""

    views: list[FaceView]
    truth: Picture
    """The bare face at the alignment of the current frame, RGB uint8 (128, 128, 3)."""


def film(
    face: Picture,
    scenes: Sequence[Picture],
    width: int,
    rng: np.random.Generator,
    jitter: float,
) -> Track:
    """Return the track of a face.

    Args:
        face: The bare face.
        scenes: What the camera sees, for each frame.
        width: Native width in pixels.
        rng: Draws camera and frames.
        jitter: Standard deviation of the landmarks' error in template pixels.

    """
    camera = draw_camera(CameraSettings(native_width=(width, width), motion=0.0), rng)
    camera = replace(camera, native_width=(width, width), blur=(camera.blur[0],) * 2)
    light = draw_light(rng, replace(camera, infrared=0.0))
    views, truth = [], face
    for number, scene in enumerate(scenes):
        position = _similarity(rng, MOVEMENT)
        exposed = light.expose(resample(scene, position, 128))
        shot, _ = capture(np.rint(exposed).astype(np.uint8), width, light, rng, camera)
        error = _similarity(rng, jitter)
        # From pixels of the shot to those of the face, and to the template.
        alignment = chain(error, chain(position, zoom(128 / width)))
        views.append(FaceView.cut(number, number * FRAME_SECONDS, shot, Alignment(alignment)))
        if number == len(scenes) // 2:
            truth = np.rint(light.expose(resample(face, invert(error), 128))).astype(np.uint8)
    return Track(views, truth)


def _similarity(rng: np.random.Generator, deviation: float) -> NDArray[np.float64]:
    """Return a random similarity near the identity that moves points of the face by `deviation`."""
    right, below, grow, turn = rng.normal(0.0, deviation / np.sqrt(2.0), 4) / (1, 1, 35, 35)
    linear = np.array([[1.0 + grow, -turn], [turn, 1.0 + grow]])
    shift = np.array([right, below]) + 63.5 - linear @ np.array([63.5, 63.5])
    return np.column_stack([linear, shift])


def windowed(track: Track, frames: int) -> Picture:
    """Return what the generator receives of the current frame."""
    middle, reach = len(track.views) // 2, frames // 2
    centre = track.views[middle]
    filmed = crop(centre.pixels, centre.alignment)
    near = track.views[middle - reach : middle + reach + 1]
    neighbours = [view for view in near if view is not centre]
    return FaceWindow(centre, neighbours).combine(filmed).image


def restored(generator: FaceGenerator, filmed: list[Picture], seen: list[Picture]) -> list[Picture]:
    """Return restored faces in the colours of their frames."""
    maps = [canonical_map(one, monochrome=False) for one in filmed]
    faces = generator.restore([to.apply(one) for to, one in zip(maps, seen, strict=True)])
    result = []
    for to, own, face in zip(maps, filmed, faces, strict=True):
        if face is None:
            raise ValueError("values that are not finite")
        result.append(to.restore(face.image, own, face.occlusion))
    return result


def _score(pictures: list[Picture], truths: list[Picture]) -> dict[str, float]:
    results, expected = (
        torch.cat([to_tensor(one[None]) for one in many]) for many in (pictures, truths)
    )
    return {
        "psnr": round(float(psnr(results, expected, border=BORDER).mean()), 3),
        "ssim": round(float(ssim(results, expected, border=BORDER).mean()), 4),
    }


def _ghosts(
    faces: FaceSet, sprites: Sequence[Sprite], width: int, frames: int, options: argparse.Namespace
) -> dict[str, float]:
    """Return how far faces whose mask is on in other frames only differ from their own frame."""
    region, found = face_region(), {}
    for name in ("mask in the current frame only", "mask in the others only"):
        changes = []
        for index, key in enumerate(faces.keys):
            rng = rng_for(f"{key} {width} {name}", SEED)
            face, landmarks = np.asarray(faces.images[index]), faces.landmarks[index]
            with_mask = apply_mask(face, landmarks, choose_sprite(sprites, landmarks, rng), rng)
            here, there = with_mask.image, face
            if "others" in name:
                here, there = there, here
            scenes = [here if number == frames // 2 else there for number in range(frames)]
            track = film(face, scenes, width, rng, options.jitter)
            own = windowed(track, 1)
            change = np.abs(windowed(track, frames).astype(np.float32) - own).mean(axis=2)
            covered = region * (with_mask.alpha > 0.5)
            changes.append(float((covered * change).sum() / max(float(covered.sum()), 1e-6)))
        found[name] = round(float(np.mean(changes)), 2)
    return found


def measure(
    faces: FaceSet, generator: FaceGenerator, width: int, options: argparse.Namespace
) -> tuple[dict[str, Any], Picture]:
    """Return the figures of a width and its sheet."""
    most = max(options.windows)
    tracks = []
    for index, key in enumerate(faces.keys):
        face = np.asarray(faces.images[index])
        rng = rng_for(f"{key} {width}", SEED)
        tracks.append(film(face, [face] * most, width, rng, options.jitter))
    truths = [track.truth for track in tracks]
    filmed = [windowed(track, 1) for track in tracks]
    figures: dict[str, Any] = {"input": _score(filmed, truths)}
    columns = [filmed]
    for frames in options.windows:
        seen = [windowed(track, frames) for track in tracks]
        results = restored(generator, filmed, seen)
        figures[str(frames)] = {**_score(results, truths), "seen": _score(seen, truths)["psnr"]}
        columns.append(results)
    columns.append(truths)
    rows = zip(*(column[:SHEET_FACES] for column in columns), strict=True)
    return figures, np.vstack([np.hstack(row) for row in rows])


def main() -> None:
    """Measure and print."""
    options = _options()
    torch.set_num_threads(1)
    generator = FaceGenerator(open_generator(options.weights), 16)
    options.out.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as cache:
        faces = open_faces(options.faces, None, Path(cache))
        masks = draw_sprites(24, SEED)
        chosen = evenly_spaced(faces, options.count)
        for width in options.widths:
            found[str(width)], sheet = measure(chosen, generator, width, options)
            few = evenly_spaced(faces, max(1, options.count // 4))
            ghosts = _ghosts(few, masks, width, max(options.windows), options)
            found[str(width)]["ghosts"] = ghosts
            Image.fromarray(sheet).save(options.out / f"width_{width}.png")
            print_line(f"{width:3d} px  {found[str(width)]}")
    (options.out / "window_gain.json").write_text(json.dumps(found, indent=1))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--faces", type=Path, required=True, help="archive of aligned faces")
    parser.add_argument("--weights", default="lite-camera")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--widths", type=int, nargs="+", default=WIDTHS)
    parser.add_argument("--windows", type=int, nargs="+", default=(1, 3, 5, 9))
    parser.add_argument("--jitter", type=float, default=1.0, help="template pixels")
    return parser.parse_args()


if __name__ == "__main__":
    main()
