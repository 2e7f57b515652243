"""Draw pictures for a model card, of people whose photographs installed packages contain.

Run as `python -m jdsr_train.card --out weights/pictures [--weights NAME ...]`. Weights that take
32 or 16 px are shown on the paper's degradation, those that take 64 or 128 px on footage of
several native widths, with drawn masks, and those that take several shots on tracks. The same
weights give the same bytes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from jdsr_cli.atomic import output_error
from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.datasets.face_set import FaceSet
from jdsr_cli.datasets.samples import (
    Degrader,
    EvaluationFaces,
    EvaluationSample,
    SampleSettings,
    to_tensor,
)
from jdsr_cli.demo.people import COLLINS, HOPPER, Person
from jdsr_cli.errors import JdsrError
from jdsr_cli.evaluation.methods import Method, NamedRestorer, bicubic, open_restorers
from jdsr_cli.evaluation.plans import draw_shots
from jdsr_cli.evaluation.report import Block, Column, write_sheet
from jdsr_cli.evaluation.scoring import score
from jdsr_cli.evaluation.track_methods import methods_for_tracks
from jdsr_cli.evaluation.tracks import TrackKind, TrackScene
from jdsr_cli.faces import crop, estimate_alignment
from jdsr_cli.file_names import as_text
from jdsr_cli.networks import BurstGenerator
from jdsr_cli.synthesis.camera_settings import CameraSettings
from jdsr_cli.synthesis.mask_drawing import draw_sprites
from jdsr_cli.synthesis.masks import Sprite, landmarks_from_five
from jdsr_cli.weights import entries

PEOPLE = (COLLINS, HOPPER)
MASKS = 24
MASK_SEED = 3
PAPER_SIZES = (32, 16)
"""Input sizes of generators for the paper's degradation; larger ones are for footage."""
NATIVE_WIDTHS = (16, 32, 64, 128)
"""Of faces in the footage, in pixels; divisors of 128, so that their pixels can be shown."""


TRACKS: tuple[tuple[TrackKind, int], ...] = (("plain", 20), ("plain", 40), ("uncovered", 32))
"""Kind and native width of the tracks of each picture of generators that take several shots."""
TRACK_SHOTS = 8


@dataclass(frozen=True)
class View:
    """A picture of the model card: one degradation of the faces."""

    name: str
    """Name of the file without its suffix."""
    title: str
    degradation: str
    """`paper` or `camera`."""
    kind: str
    """Kind of the faces, `masked` or `plain`."""
    each: int
    """Number of faces of each person, with different masks or degradations."""
    shown: int
    """Side of the shown input in pixels."""

    def samples(self, size: int) -> list[EvaluationSample]:
        """Return the samples of the columns at an input size."""
        width = float(self.shown)
        camera = CameraSettings(native_width=(width, width), infrared=0.0, uncompressed=0.0)
        settings = SampleSettings(size, self.degradation, masked=1.0, camera=camera)
        degrader = Degrader(_masks(), settings)
        samples: list[EvaluationSample] = []
        for person in PEOPLE:
            for number in range(1, self.each + 1):
                faces = portrait(
                    person, f"{person.name} {number}" if self.each > 1 else person.name
                )
                samples += EvaluationFaces(faces, degrader).samples(self.kind)
        return samples


@cache
def _masks() -> tuple[Sprite, ...]:
    return tuple(draw_sprites(MASKS, MASK_SEED))


def portrait(person: Person, key: str) -> FaceSet:
    """Return the aligned face of a person's photograph with the given key."""
    alignment = estimate_alignment(person.points, weights=[1.0] * 5)
    five = person.points @ alignment.matrix[:, :2].T + alignment.matrix[:, 2]
    face = crop(person.load(), alignment)
    return FaceSet((key,), face[None], landmarks_from_five(five)[None])


def views(sizes: Sequence[int]) -> list[View]:
    """Return the pictures for generators with these input sizes."""
    selected = [
        View(f"paper-x{128 // size}", f"Bicubic to {size} px", "paper", "masked", 2, size)
        for size in PAPER_SIZES
        if size in sizes
    ]
    if any(size not in PAPER_SIZES for size in sizes):
        selected += [
            View(f"camera-{name}-{width}", f"Footage, {width} px wide", "camera", kind, 1, width)
            for name, kind in (("masked", "masked"), ("bare", "plain"))
            for width in NATIVE_WIDTHS
        ]
    return selected


def draw(weights: Sequence[str], out: Path, device: str = "cpu") -> list[Path]:
    """Write a picture for each view that suits any of the weights.

    Args:
        weights: Names in the registry, or weight files.
        out: Folder of the pictures, created if necessary.
        device: Device of the networks.

    Returns:
        The PNG files, with input, bicubic, every generator and truth of a few faces.

    Raises:
        WeightsError, UsageError: Weights are unknown, missing or altered.
        OutputError: The folder cannot be written.

    """
    restorers = [one for name in weights for one in open_restorers([name], None, device)[0]]
    several = [one for one in restorers if _takes_several(one)]
    methods = [one.method for one in restorers if not _takes_several(one)]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(error, out) from error
    files = []
    for view in views([size for one in methods if (size := one.lr_size)]):
        fitting = [one for one in methods if _fits(one, view)]
        path = out / f"{view.name}.png"
        write_sheet([block(view, fitting)], path)
        files.append(path)
    for kind, width in TRACKS if several else ():
        path = out / f"burst-{kind}-{width}.png"
        write_sheet([track_block(one, kind, width) for one in several], path)
        files.append(path)
    return files


def _takes_several(restorer: NamedRestorer) -> bool:
    return restorer.loaded is not None and isinstance(restorer.loaded.network, BurstGenerator)


def track_block(restorer: NamedRestorer, kind: TrackKind, width: int) -> Block:
    """Restore tracks of the people, from the first shot and from all of them."""
    scene = TrackScene(kind, width, TRACK_SHOTS, TEMPLATE_SIZE, _masks())
    samples: list[EvaluationSample] = []
    for person in PEOPLE:
        samples += scene.samples(portrait(person, person.name))
    found = [method for _, method in methods_for_tracks(restorer, (TRACK_SHOTS,))]
    rows = [_pictures(method.restore(samples)) for method in found]
    last = to_tensor(rows[-1])
    figures = score(lambda lr: last, samples, batch=len(samples)).figures["psnr"]
    columns = [
        Column(sample.key, index, float(figures[index])) for index, sample in enumerate(samples)
    ]
    labels = ["first shot", "all shots", *(method.name for method in found), "truth"]
    lines = [
        [sample.pair.lr for sample in samples],
        [draw_shots(sample) for sample in samples],
        *rows,
        [sample.pair.hr for sample in samples],
    ]
    return Block(f"Tracks, {scene.name} wide. PSNR of {labels[-2]}", columns, labels, lines)


def _fits(method: Method, view: View) -> bool:
    if view.degradation == "paper":
        return method.lr_size == view.shown
    return method.lr_size not in (None, *PAPER_SIZES)


def block(view: View, methods: Sequence[Method]) -> Block:
    """Restore the faces of a view; each generator receives the same footage at its own input size.

    The values above the columns are the PSNR of the last generator.
    """
    sizes = sorted({size for one in methods if (size := one.lr_size)})
    inputs = {size: view.samples(size) for size in sizes}
    finest = inputs[sizes[-1]]
    lines = [
        [sample.pair.lr for sample in view.samples(view.shown)],
        _pictures(bicubic(to_tensor([sample.pair.lr for sample in finest]))),
    ]
    lines += [_pictures(one.restore(inputs[one.lr_size or sizes[-1]])) for one in methods]
    lines.append([sample.pair.hr for sample in finest])
    last = to_tensor(lines[-2])
    figures = score(lambda lr: last, finest, batch=len(finest)).figures["psnr"]
    columns = [
        Column(sample.key, index, float(figures[index])) for index, sample in enumerate(finest)
    ]
    labels = ["input", "bicubic", *(one.name for one in methods), "truth"]
    return Block(f"{view.title}. PSNR of {labels[-2]}", columns, labels, lines)


def _pictures(restored: torch.Tensor) -> list[NDArray[np.uint8]]:
    levels = (restored.clamp(0, 1) * 255).round().to(torch.uint8)
    return list(np.asarray(levels.permute(0, 2, 3, 1)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the pictures; return 0, or the exit code of the error."""
    parser = argparse.ArgumentParser(prog="python -m jdsr_train.card", description="Draw pictures.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the pictures")
    parser.add_argument(
        "--weights", nargs="+", metavar="NAME", help="names or files [all of the registry]"
    )
    given = parser.parse_args(arguments)
    try:
        files = draw(given.weights or [one.name for one in entries()], given.out)
    except JdsrError as error:
        sys.stderr.write(f"{as_text(str(error))}\n")
        return error.exit_code
    sys.stdout.writelines(f"{as_text(str(path))}\n" for path in files)
    return 0


if __name__ == "__main__":
    sys.exit(main())
