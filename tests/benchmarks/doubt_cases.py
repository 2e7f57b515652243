"""Restored faces with known truth, on which the doubt map is fitted and its coverage measured.

Run by hand: `python tests/benchmarks/doubt_cases.py OUT --faces TAR [--masks DIR] [--lpips FILE]`.
Each face is recorded once in each class of width, bare and with a mask (`--alternate`: bare or with
a mask, in turn), in a condition drawn from those of `conditions.py` (normal light and low light
more often) and at a width drawn from the class, with the misalignment of the camera degradation.
Half of the masks are templates, half are drawn. The eight repeats are restored and compared as in
`restore`, with the mask classification of a single frame.

`OUT` is an `.npz` file with the features and errors of the pixels in the face's ellipse, and PSNR,
SSIM (Y) and LPIPS of the single restoration, of the mean of it and its mirror image, and of the
mean of all repeats. Pixels beyond an image border do not count.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from conditions import degraded
from numpy.typing import NDArray
from repeated_clip import print_line

from jdsr_cli.datasets.face_set import FaceSet, evenly_spaced
from jdsr_cli.datasets.preparation import open_faces
from jdsr_cli.datasets.samples import to_tensor
from jdsr_cli.evaluation.metrics.fidelity import psnr, ssim
from jdsr_cli.evaluation.metrics.lpips import LpipsMetric
from jdsr_cli.faces.doubt import FaceConditions, gather_evidence
from jdsr_cli.faces.error_bounds import WIDTH_CLASSES
from jdsr_cli.faces.occlusion import classify_mask, face_ellipse, filmed_where_covered
from jdsr_cli.faces.repeats import agree, repeated, smoothed_luma
from jdsr_cli.inference.loading import open_generator
from jdsr_cli.restoration.frame import RestoredFace
from jdsr_cli.restoration.stages.generation import FaceGenerator
from jdsr_cli.synthesis.camera_settings import CONDITIONS
from jdsr_cli.synthesis.mask_drawing import draw_sprites
from jdsr_cli.synthesis.masks import Sprite, load_templates, rng_for

LIMITS = (12.0, *WIDTH_CLASSES, 128.0)
NORMAL, LOW = 4.0, 1.5
"""Weights of normal light and of low light; that of every other condition is 1."""
LOW_LIGHT = ("light 15 %", "light 10 %", "light 6 %", "light 4 %", "backlit")
RESULTS = ("single", "mirrored", "mean")
FIGURES = tuple(f"{metric} {one}" for metric in ("psnr", "ssim", "lpips") for one in RESULTS)
FACE = np.dtype([
    ("key", "U32"), ("person", "U32"), ("condition", "U16"), ("width", "f4"), ("masked", "?"),
    ("mask", "U8"), ("gain", "f4"), *((name, "f4") for name in FIGURES),
])  # fmt: skip
"""Of each face: key and person, condition, width in the frame in pixels, whether it wears a mask,
the mask state it was given, gain, and figures."""


@dataclass(frozen=True, eq=False)
class Cases:
    """Restored faces with known truth, as stored in a file."""

    features: NDArray[np.float16]
    """(n, p, 5) of the pixels of the ellipse, see `jdsr_cli.faces.doubt`."""
    errors: NDArray[np.float16]
    """(n, p) in grey levels."""
    covered: NDArray[np.bool_]
    """(n, p): what the restoration counts as covered."""
    inside: NDArray[np.bool_]
    """(n, p): pixels inside the image."""
    faces: NDArray[np.void]
    """(n,) of `FACE`."""


def read_cases(path: Path) -> Cases:
    """Read the cases of a file."""
    with np.load(path) as table:
        return Cases(
            *(table[name] for name in ("features", "errors", "covered", "inside", "faces"))
        )


def draw_condition(rng: np.random.Generator, masked: bool) -> str:
    """Draw a condition; a hand in front of a mask is not among them."""
    names = [name for name in CONDITIONS if not (masked and name == "occluded")]
    weights = np.array(
        [NORMAL if name == "normal" else LOW if name in LOW_LIGHT else 1.0 for name in names]
    )
    return names[int(rng.choice(len(names), p=weights / weights.sum()))]


class Recorder:
    """Records, restores and measures faces.

    Args:
        generator: The generator.
        masks: Masks by origin; each origin is equally likely.
        lpips: The metric, if it is wanted.

    """

    def __init__(
        self, generator: FaceGenerator, masks: list[list[Sprite]], lpips: LpipsMetric | None
    ) -> None:
        self._generator, self._masks, self._lpips = generator, masks, lpips
        self._rows: list[tuple[NDArray[np.generic], ...]] = []
        self._faces: list[tuple[object, ...]] = []

    def add(self, faces: FaceSet, index: int, group: int, masked: bool) -> None:
        """Add a face, recorded in a class of width."""
        rng = rng_for(f"{faces.keys[index]} {group} {masked}", 5)
        name = draw_condition(rng, masked)
        width = float(np.exp(rng.uniform(*np.log(LIMITS[group : group + 2]))))
        masks = self._masks[min(int(rng.random() * len(self._masks)), len(self._masks) - 1)]
        side = self._generator.side
        case = degraded(faces, index, masks, name, width, side, masked)
        crop, gain = case.colours.apply(case.lr), case.colours.gain
        restored = [
            one for one in self._generator.restore(repeated(crop, width)) if one is not None
        ]
        agreement = agree([r.image for r in restored], [r.occlusion for r in restored], side)
        probability = self._generator.calibration.probability(restored[0].occlusion, gain)
        mask = classify_mask(probability)
        evidence = gather_evidence(agreement, crop, FaceConditions(mask, width, gain))

        def shown(image: NDArray[np.uint8], occlusion: NDArray[np.float32]) -> NDArray[np.uint8]:
            return image if mask == "masked" else filmed_where_covered(image, crop, occlusion)

        results = [
            shown(restored[0].image, restored[0].occlusion),
            shown(*_mirrored_mean(*restored[:2])),
            shown(agreement.image, agreement.occlusion),
        ]
        errors = np.abs(smoothed_luma(results[-1]) - smoothed_luma(case.truth))
        ellipse = face_ellipse()
        self._rows.append((
            evidence.features.astype(np.float16), errors[ellipse].astype(np.float16),
            evidence.covered, case.inside[ellipse],
        ))  # fmt: skip
        person = "" if faces.identities is None else faces.identities[index]
        figures = self._measure(results, case.truth, case.inside)
        self._faces.append((faces.keys[index], person, name, width, masked, mask, gain, *figures))

    def _measure(
        self, results: list[NDArray[np.uint8]], truth: NDArray[np.uint8], inside: NDArray[np.bool_]
    ) -> list[float]:
        pictures, true = to_tensor(results), to_tensor([truth] * len(results))
        region = torch.from_numpy(inside)[None, None].expand(len(results), 1, *inside.shape)
        figures = [*psnr(pictures, true, region).tolist(), *ssim(pictures, true, region).tolist()]
        if self._lpips is None:
            return [*figures, *[float("nan")] * len(results)]
        metric = self._lpips
        return [
            *figures,
            *metric.compare(metric.features(pictures), metric.features(true)).tolist(),
        ]

    def save(self, path: Path) -> None:
        """Write all cases."""
        names = ("features", "errors", "covered", "inside")
        arrays = dict(zip(names, map(np.stack, zip(*self._rows, strict=True)), strict=True))
        np.savez(path, **arrays, faces=np.array(self._faces, FACE))  # type: ignore[arg-type]


def _mirrored_mean(
    face: RestoredFace, mirrored: RestoredFace
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    image = np.rint((face.image.astype(np.float32) + mirrored.image[:, ::-1]) / 2)
    return image.astype(np.uint8), (face.occlusion + mirrored.occlusion[:, ::-1]) / 2


def main() -> None:
    """Record and restore all faces."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--faces", type=Path, required=True, help="archive of aligned faces")
    parser.add_argument("--split", help="split of a folder of archives; default: all faces")
    parser.add_argument("--count", type=int, help="number of faces; default: all")
    parser.add_argument("--alternate", action="store_true", help="bare or masked, in turn")
    parser.add_argument("--masks", type=Path, help="mask templates; default: drawn masks only")
    parser.add_argument("--weights", default="lite-camera")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--lpips", type=Path, help="trunk of LPIPS")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    network = open_generator(options.weights, "cpu", options.precision)
    masks = [draw_sprites(200, 777)]
    if options.masks is not None:
        masks.insert(0, load_templates(options.masks))
    lpips = None if options.lpips is None else LpipsMetric(options.lpips)
    recorder = Recorder(FaceGenerator(network, 8), masks, lpips)
    with tempfile.TemporaryDirectory() as cache:
        faces = evenly_spaced(open_faces(options.faces, options.split, Path(cache)), options.count)
        for index in range(len(faces)):
            for group in range(len(LIMITS) - 1):
                kinds = ((index + group) % 2 == 1,) if options.alternate else (False, True)
                for masked in kinds:
                    recorder.add(faces, index, group, masked)
            if index % 50 == 0:
                print_line(f"{index + 1} of {len(faces)} faces")
    recorder.save(options.out)
    print_line(f"{network.backend} {network.precision} {network.sha256}")


if __name__ == "__main__":
    main()
