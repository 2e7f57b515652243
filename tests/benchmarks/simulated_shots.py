"""Shots of people as a camera films them and as `restore` exports them, from aligned faces.

Each face is filmed several times, bare and with a mask: the width is drawn log-uniformly, the same
for all shots of a track within 15 %; every shot has its own misalignment, blur, noise and
compression. Each shot is processed as in `restore`: canonical colours, generator, mask
classification (of a single frame), colours of the frame, compositing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.datasets.face_set import FaceSet
from jdsr_cli.faces import CompositeSettings, compose
from jdsr_cli.faces.canonical_colours import canonical_map
from jdsr_cli.faces.occlusion import MaskState, classify_mask, filmed_where_covered
from jdsr_cli.restoration.stages.generation import FaceGenerator
from jdsr_cli.synthesis.camera import record
from jdsr_cli.synthesis.camera_settings import CameraSettings
from jdsr_cli.synthesis.masks import Sprite, apply_mask, choose_sprite, rng_for

WIDTHS = (12.0, 140.0)
"""Least and largest mean width of a track in pixels."""
VARIATION = 0.15
"""Largest relative difference of a shot's width to that of its track."""
SEED = 31

Picture = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class SimulatedShot:
    """One shot of a track."""

    filmed: Picture
    """RGB uint8 (128, 128, 3), in the template."""
    restored: Picture
    """The composited result, likewise."""
    occlusion: NDArray[np.float32]
    """(128, 128) in [0, 1], of the generator."""
    state: MaskState
    width: float
    """Native width in pixels."""


def simulate_track(
    faces: FaceSet,
    index: int,
    generator: FaceGenerator,
    sprites: Sequence[Sprite],
    *,
    masked: bool,
    shots: int,
) -> list[SimulatedShot]:
    """Return the shots of a face; they depend on its key and on `masked` alone.

    Raises:
        ValueError: The generator gives values that are not finite.

    """
    key, face = faces.keys[index], np.asarray(faces.images[index])
    rng = rng_for(f"{key} {masked} 0", SEED)
    scene, alpha = face, np.zeros(face.shape[:2], np.float32)
    if masked:
        landmarks = faces.landmarks[index]
        with_mask = apply_mask(face, landmarks, choose_sprite(sprites, landmarks, rng), rng)
        scene, alpha = with_mask.image, with_mask.alpha
    mean = float(np.exp(rng.uniform(*np.log(WIDTHS))))
    widths = mean * rng.uniform(1.0 - VARIATION, 1.0 + VARIATION, shots)
    recordings = []
    for width in widths:
        sampled = round(min(float(width), 128.0))
        camera = CameraSettings(native_width=(sampled, sampled), video=0.3)
        recordings.append(record(face, scene, alpha, generator.side, rng, camera))
    maps = [canonical_map(one.lr, monochrome=one.light.monochrome) for one in recordings]
    inputs = [colours.apply(one.lr) for colours, one in zip(maps, recordings, strict=True)]
    found = []
    for colours, one, width, restored in zip(
        maps, recordings, widths, generator.restore(inputs), strict=True
    ):
        if restored is None:
            raise ValueError(f"{key}: values that are not finite")
        probability = generator.calibration.probability(restored.occlusion, colours.gain)
        state = classify_mask(probability)
        image = colours.restore(restored.image, one.lr, restored.occlusion)
        if state != "masked":
            image = filmed_where_covered(image, one.lr, restored.occlusion)
        canvas = one.lr.copy()
        settings = CompositeSettings.of_input(generator.side)
        compose(canvas, image, restored.occlusion, np.eye(2, 3), float(width), settings)
        found.append(SimulatedShot(one.lr, canvas, restored.occlusion, state, float(width)))
    return found
