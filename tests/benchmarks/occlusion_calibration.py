"""Fit and measure the calibration of the occlusion map: the probability that a pixel is covered.

Run by hand: `python tests/benchmarks/occlusion_calibration.py OUT --fit TAR --test TAR --masks DIR
[--weights NAME]`. No person may be in both archives of aligned faces. Each face is recorded five
times by `jdsr_cli.synthesis.camera`: bare, bare with an object or a hand, with a mask of the
templates, with a drawn mask, and with a mask and an object. Condition (`CONDITIONS` without
`occluded`) and width (`WIDTHS`) are drawn for each recording. The crop is processed as in
`restore`: canonical colours, then the generator.

The truth of a pixel is the share of it that a mask covers. Objects and hands belong to the scene,
as in training: they are not covered, and hide what they cover of a mask. Pixels beyond an image
border do not count. Bare faces and faces with a mask have equal weight.

Fits a beta calibration to the pixels inside the face on the first archive, and prints it as
`occlusion_calibration` for the manifest; measures the map before and after it on the second:
intersection over union of the pixels above 0.5 with those that are more than half covered, error of
the share of the face that is above 0.5, reliability, and expected calibration error (ten bins).
`maps-fit.npz` and `maps-test.npz` in OUT hold the maps; if they exist they are not made anew.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from repeated_clip import print_line
from scipy.optimize import minimize

from jdsr_cli.datasets.face_set import FaceSet, evenly_spaced
from jdsr_cli.datasets.preparation import open_faces
from jdsr_cli.faces.canonical_colours import ColourMap, canonical_map
from jdsr_cli.faces.occlusion import COVERED, face_ellipse
from jdsr_cli.faces.occlusion_calibration import OcclusionCalibration, calibrated_occlusion
from jdsr_cli.inference.loading import open_generator
from jdsr_cli.restoration.stages.generation import FaceGenerator
from jdsr_cli.synthesis.camera import record
from jdsr_cli.synthesis.camera_settings import CONDITIONS, apply_border, condition
from jdsr_cli.synthesis.mask_drawing import draw_sprites
from jdsr_cli.synthesis.masks import Sprite, apply_mask, choose_sprite, load_templates, rng_for
from jdsr_cli.synthesis.occluder_scene import Scene
from jdsr_cli.synthesis.occluders import occlude

WIDTHS = (12, 16, 24, 32, 48, 64, 96, 128)
KINDS = ("bare", "bare, object", "mask", "drawn mask", "mask, object")
NAMES = tuple(name for name in CONDITIONS if name != "occluded")
MONOCHROME = ("gray", "green", "purple")
BATCH = 32
BINS = 10

Levels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Maps:
    """Occlusion maps of faces, with the truth."""

    maps: Levels
    """(n, 128, 128): 255 times the occlusion."""
    truth: Levels
    """(n, 128, 128): 255 times the covered share of a pixel."""
    inside: NDArray[np.bool_]
    """(n, 128, 128): pixels inside the image."""
    kind: NDArray[np.int64]
    """(n,) index into `KINDS`."""
    width: NDArray[np.int64]
    """(n,) native width in pixels."""
    condition: NDArray[np.int64]
    """(n,) index into `NAMES`."""

    @property
    def masked(self) -> NDArray[np.bool_]:
        """(n,) whether the face wears a mask."""
        return self.kind >= KINDS.index("mask")

    @property
    def face(self) -> NDArray[np.bool_]:
        """(n, 128, 128): pixels of the face inside the image."""
        return self.inside & face_ellipse()

    def part(self, chosen: NDArray[np.bool_]) -> Maps:
        """Return some of the faces."""
        return Maps(
            self.maps[chosen], self.truth[chosen], self.inside[chosen], self.kind[chosen],
            self.width[chosen], self.condition[chosen],
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Case:
    lr: Levels
    colours: ColourMap
    truth: Levels
    inside: NDArray[np.bool_]
    labels: tuple[int, int, int]


def _cases(faces: FaceSet, masks: list[Sprite], drawn: list[Sprite]) -> Iterator[_Case]:
    """Yield five recordings of each face, 128 pixels wide."""
    for index, key in enumerate(faces.keys):
        for number, kind in enumerate(KINDS):
            rng = rng_for(f"{key} {kind}", 23)
            width, name = int(rng.choice(WIDTHS)), NAMES[int(rng.integers(len(NAMES)))]
            face, points = np.asarray(faces.images[index]), faces.landmarks[index]
            scene, alpha = face, np.zeros(face.shape[:2], np.float32)
            if "mask" in kind:
                sprite = choose_sprite(drawn if kind == "drawn mask" else masks, points, rng)
                worn = apply_mask(face, points, sprite, rng)
                scene, alpha = worn.image, worn.alpha
            if "object" in kind:
                occluded = occlude(Scene(face, scene, alpha), points, rng)
                face, scene, alpha = occluded.clean, occluded.masked, occluded.alpha
            recording = record(face, scene, alpha, 128, rng, condition(name, width))
            lr = apply_border(recording.lr, name)
            numbers = np.arange(3 * 128 * 128, dtype=np.uint32).reshape(128, 128, 3)
            inside = (apply_border(numbers, name) == numbers).all(axis=2)  # type: ignore[arg-type]
            truth = np.rint(255.0 * recording.occlusion).astype(np.uint8)
            colours = canonical_map(lr, monochrome=name in MONOCHROME)
            yield _Case(lr, colours, truth, inside, (number, width, NAMES.index(name)))


def make_maps(path: Path, faces: FaceSet, masks: list[Sprite], generator: FaceGenerator) -> Maps:
    """Return the maps of a file; make them and the file if it does not exist."""
    if not path.exists():
        cases, maps = [], []
        waiting = []
        for one in _cases(faces, masks, draw_sprites(200, 777)):
            waiting.append(one.colours.apply(one.lr))
            cases.append(one)
            if len(waiting) == BATCH or len(cases) == len(KINDS) * len(faces):
                maps += [face.occlusion for face in generator.restore(waiting) if face is not None]
                waiting = []
                print_line(f"{path.name}: {len(maps)} of {len(KINDS) * len(faces)} faces")
        assert len(maps) == len(cases), "values that are not finite"
        labels = np.array([one.labels for one in cases]).T
        np.savez_compressed(
            path,
            maps=np.rint(255.0 * np.stack(maps)).astype(np.uint8),
            truth=np.stack([one.truth for one in cases]),
            inside=np.stack([one.inside for one in cases]),
            labels=labels,
        )
    with np.load(path) as stored:
        return Maps(stored["maps"], stored["truth"], stored["inside"], *stored["labels"])


LEVEL = np.arange(256, dtype=np.float32) / np.float32(255)
"""The values of a map."""


def _weights(maps: Maps) -> NDArray[np.float64]:
    """Return (n,): bare faces and faces with a mask have equal weight."""
    masked = maps.masked
    return np.where(masked, 0.5 / masked.mean(), 0.5 / (1.0 - masked.mean()))


def _histograms(maps: Maps) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weight and covered weight of each level over the pixels of the faces, (256,) each."""
    count, covered = np.zeros(256), np.zeros(256)
    for weight, levels, truth, face in zip(
        _weights(maps), maps.maps, maps.truth, maps.face, strict=True
    ):
        count += weight * np.bincount(levels[face], minlength=256)
        covered += weight * np.bincount(levels[face], truth[face] / 255.0, 256)
    return count / count.sum(), covered / count.sum()


def fit(maps: Maps) -> OcclusionCalibration:
    """Return the beta calibration with the least log loss."""
    count, covered = _histograms(maps)
    share = (255.0 * LEVEL.astype(np.float64) + 0.5) / 256.0
    features = np.column_stack([np.log(share), -np.log(1.0 - share), np.ones(256)])

    def loss(numbers: NDArray[np.float64]) -> float:
        odds = features @ numbers
        return float((count * np.logaddexp(0.0, odds) - covered * odds).sum())

    found = minimize(loss, [1.0, 1.0, 0.0], bounds=[(0.0, None), (0.0, None), (None, None)]).x
    return OcclusionCalibration(*(round(float(number), 3) for number in found))


def _bins(values: NDArray[np.float32], maps: Maps) -> list[tuple[float, float, float]]:
    """Return share of the pixels, mean probability and covered share of each bin that is used."""
    count, covered = _histograms(maps)
    index = np.minimum((values * BINS).astype(int), BINS - 1)
    found = []
    for number in range(BINS):
        weight = count[index == number]
        if weight.sum() > 0.0:
            predicted = float((weight * values[index == number]).sum() / weight.sum())
            actual = float(covered[index == number].sum() / weight.sum())
            found.append((float(weight.sum()), predicted, actual))
    return found


def _calibration_error(values: NDArray[np.float32], maps: Maps) -> float:
    return sum(share * abs(before - after) for share, before, after in _bins(values, maps))


def _report(name: str, values: NDArray[np.float32], maps: Maps) -> None:
    """Print the figures of a map whose levels have these values."""
    above = values[maps.maps] > COVERED
    error = _calibration_error(values, maps)
    print_line(f"{name}: expected calibration error {error:.4f}")
    for share, predicted, actual in _bins(values, maps):
        print_line(f"  predicted {predicted:.3f}: covered {actual:.3f} ({share:.2%} of the pixels)")
    for kind, label in enumerate(KINDS):
        _print_shares(label, above, maps, maps.kind == kind)
    for width in WIDTHS:
        chosen = maps.width == width
        error = _calibration_error(values, maps.part(chosen))
        _print_shares(f"{width} px, error {error:.4f}", above, maps, chosen & maps.masked)
    for number, label in enumerate(NAMES):
        chosen = maps.condition == number
        error = _calibration_error(values, maps.part(chosen))
        _print_shares(f"{label}, error {error:.4f}", above, maps, chosen & maps.masked)


def _print_shares(
    label: str, above: NDArray[np.bool_], maps: Maps, chosen: NDArray[np.bool_]
) -> None:
    """Print intersection over union, and the error of the covered share, of some faces."""
    part, found = maps.part(chosen), above[chosen]
    true, face = part.truth > 127, part.face
    both, either = (found & true & part.inside).sum(), ((found | true) & part.inside).sum()
    size = face.sum(axis=(1, 2))
    actual = (part.truth / 255.0 * face).sum(axis=(1, 2)) / size
    difference = (found & face).sum(axis=(1, 2)) / size - actual
    print_line(
        f"  {label} ({len(size)} faces): IoU {both / either:.3f}, covered {actual.mean():.3f}, "
        f"bias {difference.mean():+.4f}, mean absolute error {np.abs(difference).mean():.4f}"
    )


def main() -> None:
    """Fit on one archive and report on the other."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--fit", type=Path, required=True, help="archive of aligned faces")
    parser.add_argument("--test", type=Path, required=True, help="another archive")
    parser.add_argument("--masks", type=Path, required=True, help="mask templates")
    parser.add_argument("--weights", default="lite-camera")
    parser.add_argument("--count", type=int, default=600, help="most people of each archive")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    generator = FaceGenerator(open_generator(options.weights, "cpu", "float32", "torch"), BATCH)
    masks, made = load_templates(options.masks), []
    for name, archive in (("fit", options.fit), ("test", options.test)):
        with tempfile.TemporaryDirectory() as cache:
            faces = evenly_spaced(open_faces(archive, None, Path(cache)), options.count)
            path = options.out / f"maps-{name}.npz"
            made.append(make_maps(path, faces, masks, generator))
    calibration = fit(made[0])
    a, b, c = calibration.a, calibration.b, calibration.c
    print_line(f"occlusion_calibration = {{ a = {a:.3f}, b = {b:.3f}, c = {c:.3f} }}")
    _report("as the generator gives it", LEVEL, made[1])
    _report("calibrated", calibrated_occlusion(LEVEL[None], calibration)[0], made[1])


if __name__ == "__main__":
    main()
