"""Mask classification and restoration quality by recording condition.

Run by hand: `python tests/benchmarks/conditions.py OUT --faces TAR [--masks DIR] [--weights NAME]
[--identity FILE] [--landmarks FILE]`. Each face is degraded in every condition of
`jdsr_cli.synthesis.camera_settings` at each width, bare and with a mask, with the misalignment of
the camera degradation, and processed as in `restore`: canonical colours, generator, mask
classification (of a single frame), colours of the frame. The mask and the random numbers of a face
do not depend on the weights.

PSNR and SSIM are on Y (BT.601 limited range, 11x11 Gaussian window, no border crop) of truth and
result in the canonical colours of the input, so that dark and light faces have equal weight.
Occluders in front of a face belong to the truth, and of cut faces only pixels inside the image
count. `bicubic` is the enlarged input crop.

In OUT: `conditions.json`, `occlusion.npz` (the occlusion map and gain of every face, for
`fit_mask_decision.py`) and a sheet for each condition (recorded input; input, restored and truth
in canonical colours; for each width, bare and masked).

`--uncorrected` measures without canonical colours and with a threshold of 8 % on the covered
share, as before both were introduced.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from repeated_clip import print_line
from stored_maps import StoredMaps

from jdsr_cli.datasets.face_set import FaceSet, evenly_spaced
from jdsr_cli.datasets.preparation import open_faces
from jdsr_cli.datasets.samples import to_tensor
from jdsr_cli.evaluation.metrics.fidelity import psnr, ssim
from jdsr_cli.evaluation.metrics.identity import IdentityMetric
from jdsr_cli.evaluation.metrics.landmarks import LandmarkMetric
from jdsr_cli.evaluation.scoring import Metric
from jdsr_cli.faces.canonical_colours import ColourMap, canonical_map
from jdsr_cli.faces.occlusion import classify_mask, covered_share, filmed_where_covered
from jdsr_cli.inference.loading import open_generator
from jdsr_cli.restoration.frame import RestoredFace
from jdsr_cli.restoration.stages.generation import FaceGenerator
from jdsr_cli.synthesis.camera import record
from jdsr_cli.synthesis.camera_settings import CONDITIONS, apply_border, condition
from jdsr_cli.synthesis.mask_drawing import draw_sprites
from jdsr_cli.synthesis.masks import Sprite, apply_mask, choose_sprite, load_templates, rng_for
from jdsr_cli.synthesis.occluder_scene import Scene
from jdsr_cli.synthesis.occluders import occlude

WIDTHS = (24, 48, 96)
MONOCHROME = ("gray", "green", "purple")
"""Conditions whose footage is treated as monochrome; clips measure that classification."""
UNCORRECTED_THRESHOLD = 0.08
SHEET_COLUMNS = 6
"""Number of faces per row of a sheet."""

ImageArray = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Case:
    """A recorded face and its ground truth."""

    lr: ImageArray
    colours: ColourMap
    truth: ImageArray
    """In canonical colours."""
    inside: NDArray[np.bool_]
    """(128, 128): pixels inside the image."""
    covered: float
    """Share of the face that the mask covers."""


def cases(
    faces: FaceSet, sprites: Sequence[Sprite], name: str, width: int, side: int, masked: bool
) -> Iterator[Case]:
    """Yield every face of the set, degraded by a condition."""
    for index in range(len(faces)):
        yield degraded(faces, index, sprites, name, width, side, masked)


def degraded(
    faces: FaceSet,
    index: int,
    sprites: Sequence[Sprite],
    name: str,
    width: float,
    side: int,
    masked: bool,
) -> Case:
    """Return one face of the set, degraded by a condition."""
    rng = rng_for(f"{faces.keys[index]} {name} {width} {masked}", 11)
    face = np.asarray(faces.images[index])
    scene, alpha = face, np.zeros(face.shape[:2], np.float32)
    if masked:
        landmarks = faces.landmarks[index]
        with_mask = apply_mask(face, landmarks, choose_sprite(sprites, landmarks, rng), rng)
        scene, alpha = with_mask.image, with_mask.alpha
    if name == "occluded":
        occluded = occlude(Scene(face, scene, alpha), faces.landmarks[index], rng)
        face, scene, alpha = occluded.clean, occluded.masked, occluded.alpha
    recording = record(face, scene, alpha, side, rng, condition(name, width))
    lr = apply_border(recording.lr, name)
    colours = canonical_map(lr, monochrome=name in MONOCHROME)
    truth = np.rint(colours.apply(recording.truth)).astype(np.uint8)
    numbers = np.arange(3 * 128 * 128, dtype=np.uint32).reshape(128, 128, 3)
    inside = (apply_border(numbers, name) == numbers).all(axis=2)  # type: ignore[arg-type]
    occlusion = cv2.resize(recording.occlusion, (128, 128), interpolation=cv2.INTER_LINEAR)
    return Case(lr, colours, truth, inside, covered_share(occlusion))


def restore(
    generator: FaceGenerator, case: Case, face: RestoredFace, uncorrected: bool
) -> tuple[ImageArray, str, float]:
    """Return the result in canonical colours, the mask state and the mask probability."""
    crop = cv2.resize(case.lr, (128, 128), interpolation=cv2.INTER_CUBIC)
    crop = np.asarray(crop, np.uint8)
    if uncorrected:
        share = covered_share(face.occlusion)
        return (
            case.colours.apply(face.image),
            "masked" if share > UNCORRECTED_THRESHOLD else "bare",
            share,
        )
    probability = generator.calibration.probability(face.occlusion, case.colours.gain)
    state = classify_mask(probability)
    image = case.colours.restore(face.image, crop, face.occlusion)
    if state != "masked":
        image = filmed_where_covered(image, crop, face.occlusion)
    return case.colours.apply(image), state, probability


def main() -> None:
    """Measure all conditions and write the results."""
    options = _options()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    loaded = open_generator(options.weights, "cpu", "float32", "torch")
    generator = FaceGenerator(loaded, 32)
    with tempfile.TemporaryDirectory() as cache:
        all_faces = open_faces(options.faces, options.split, Path(cache))
        sets = {
            False: evenly_spaced(all_faces, options.count),
            True: evenly_spaced(all_faces, options.count // 2),
        }
    sprites = draw_sprites(200, 777) if options.masks is None else load_templates(options.masks)
    metrics: list[Metric] = []
    if options.identity is not None:
        metrics.append(IdentityMetric(options.identity))
    if options.landmarks is not None:
        metrics.append(LandmarkMetric(options.landmarks))
    results: dict[str, Any] = {}
    stored = StoredMaps()
    for name in options.only:
        rows: list[list[ImageArray]] = []
        for width in options.widths:
            # A hand may hide the mask completely.
            for masked in (False,) if name == "occluded" else (False, True):
                key = f"{name} | {width} px | {'masked' if masked else 'bare'}"
                recorded = list(cases(sets[masked], sprites, name, width, generator.side, masked))
                figures, row, occlusion = _measure(
                    generator, recorded, metrics, options.judged, options.uncorrected
                )
                results[key] = figures
                for one, covered in zip(recorded, occlusion, strict=True):
                    stored.add(key, covered, one.colours.gain)
                rows += row
                print_line(f"{key}: " + ", ".join(f"{a} {b:.4g}" for a, b in figures.items()))
        sheet = np.vstack([np.hstack(row) for row in rows])
        Image.fromarray(sheet).save(
            options.out / f"{name.replace(' ', '-').replace('%', 'pc')}.png"
        )
        (options.out / "conditions.json").write_text(json.dumps(results, indent=1))
    stored.save(options.out)


def _measure(
    generator: FaceGenerator,
    recorded: list[Case],
    metrics: Sequence[Metric],
    metric_faces: int,
    uncorrected: bool,
) -> tuple[dict[str, float], list[list[ImageArray]], list[NDArray[np.float32]]]:
    network_inputs = [one.lr if uncorrected else one.colours.apply(one.lr) for one in recorded]
    faces = [face for face in generator.restore(network_inputs) if face is not None]
    assert len(faces) == len(recorded), "values that are not finite"
    results = [restore(generator, *pair, uncorrected) for pair in zip(recorded, faces, strict=True)]
    states = [state for _, state, _ in results]
    measured = {state: states.count(state) / len(states) for state in ("bare", "unsure", "masked")}
    inputs = to_tensor([
        cv2.resize(one.colours.apply(one.lr), (128, 128), interpolation=cv2.INTER_CUBIC)
        for one in recorded
    ])  # fmt: skip
    outputs = to_tensor([image for image, _, _ in results])
    truth = to_tensor([one.truth for one in recorded])
    inside = torch.from_numpy(np.stack([one.inside for one in recorded]))[:, None]
    for label, pictures in (("bicubic", inputs), ("restored", outputs)):
        measured[f"psnr {label}"] = float(psnr(pictures, truth, inside).mean())
        measured[f"ssim {label}"] = float(ssim(pictures, truth, inside).mean())
    for metric in metrics:
        truth_features = metric.features(truth[:metric_faces])
        for label, pictures in (("bicubic", inputs), ("restored", outputs)):
            values = metric.compare(metric.features(pictures[:metric_faces]), truth_features)
            measured[f"{metric.figure} {label}"] = float(values.nanmean())
    rows = [
        [
            cv2.resize(one.lr, (128, 128), interpolation=cv2.INTER_CUBIC)
            for one in recorded[:SHEET_COLUMNS]
        ],
        [_enlarged(one.colours.apply(one.lr)) for one in recorded[:SHEET_COLUMNS]],
        [image for image, _, _ in results[:SHEET_COLUMNS]],
        [one.truth for one in recorded[:SHEET_COLUMNS]],
    ]
    sheet = [[np.asarray(one, np.uint8) for one in row] for row in rows]
    return measured, sheet, [face.occlusion for face in faces]


def _enlarged(picture: ImageArray) -> ImageArray:
    enlarged = cv2.resize(picture, (128, 128), interpolation=cv2.INTER_CUBIC)
    return np.asarray(enlarged, np.uint8)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--faces", type=Path, required=True, help="archive of aligned faces")
    parser.add_argument("--split", help="split of a folder of archives; default: all faces")
    parser.add_argument("--masks", type=Path, help="mask templates; default: drawn masks")
    parser.add_argument("--weights", default="lite-camera")
    parser.add_argument("--identity", type=Path)
    parser.add_argument("--landmarks", type=Path)
    parser.add_argument("--count", type=int, default=200, help="bare faces; half as many masked")
    parser.add_argument(
        "--judged", type=int, default=60, help="number of faces for identity and landmarks"
    )
    parser.add_argument("--widths", type=int, nargs="+", default=WIDTHS)
    parser.add_argument("--only", nargs="+", default=list(CONDITIONS), choices=list(CONDITIONS))
    parser.add_argument("--uncorrected", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
