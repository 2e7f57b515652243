"""Check that each baseline can learn: train it on eight faces until it reproduces them.

Super-resolvers get bare faces reduced to 32 px by the paper's degradation, CBDNet masked ones. Each
is trained on the same eight faces, some of them in each step, by the terms of its recipe that need
no other trained network (pixel terms of all steps and scales), with Adam, in float32. The rate is
constant for half of the time and then falls linearly to a tenth.
Prints PSNR on Y (BT.601, limited range) over the eight faces: of the restored faces and of bicubic
enlargement, for CBDNet on the grid of 32 px and of the masked input. Stops at `--target` dB.

    OMP_NUM_THREADS=1 python tests/benchmarks/overfit_baselines.py faces128/ cbdnet_x4 drn_x4_small
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from repeated_clip import print_line
from torch import Tensor, nn

from jdsr_cli.datasets.face_set import evenly_spaced
from jdsr_cli.datasets.preparation import open_faces
from jdsr_cli.datasets.samples import Degrader
from jdsr_cli.evaluation.metrics.fidelity import psnr
from jdsr_cli.networks import GeneratorOutput, build
from jdsr_cli.networks.layers import enlarge
from jdsr_cli.synthesis.mask_drawing import draw_sprites
from jdsr_train.components import sample_settings
from jdsr_train.data.samples import Batch, TrainingSamples
from jdsr_train.losses.objective import LossNetworks, denoising_terms, restoring_terms
from jdsr_train.recipe import Recipe
from jdsr_train.recipe_files import load

FACES = 8
EVERY = 40
"""Steps between two lines."""


def compared(
    recipe: Recipe, output: GeneratorOutput, batch: Batch
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the result of a network, its truth, and what it has to improve."""
    if recipe.generator.network == "cbdnet":
        return output.denoised, batch.lr_clean, batch.lr
    return output.restored, batch.hr, enlarge(batch.lr, batch.hr.shape[-1])


def _part(batch: Batch, step: int, size: int) -> Batch:
    """Return the faces of a step: `size` of them in turn."""
    first = step * size % FACES
    tensors = ("lr", "lr_clean", "hr", "occlusion")
    return Batch(**{name: getattr(batch, name)[first : first + size] for name in tensors})


def _fidelity(recipe: Recipe, network: nn.Module, parts: Sequence[Batch]) -> tuple[float, float]:
    """Return the mean PSNR of the results, and that of what they improve.

    The parts are those of the training steps, since batch normalisation depends on them.
    """
    values = []
    for part in parts:
        with torch.inference_mode():
            result, truth, before = compared(recipe, network(part.lr), part)
        values.append([psnr(one.clamp(0, 1), truth).mean() for one in (result, before)])
    reached, base = torch.tensor(values).mean(0).tolist()
    return reached, base


def overfit(name: str, faces: Path, rate: float, size: int, target: float, minutes: float) -> None:
    """Train one recipe's network and print how its PSNR grows."""
    recipe = load(name)
    weights = dataclasses.replace(
        recipe.loss, prior=0.0, perceptual_hr=0.0, identity=0.0, super_identity=0.0, dual=0.0
    )
    with tempfile.TemporaryDirectory() as cache:
        chosen = evenly_spaced(open_faces(faces, "val", Path(cache)), FACES)
        samples = TrainingSamples(chosen, Degrader(draw_sprites(8, 1), sample_settings(recipe)), 0)
        (packed,) = samples.batches(FACES, 0, 1, 0)
    batch = packed.unpack("cpu")
    torch.manual_seed(recipe.seed)
    network = build(recipe.generator.network, recipe.generator.arguments)
    adam = torch.optim.Adam(network.parameters(), rate, betas=(0.9, 0.99))
    started, step, reached = time.process_time(), 0, -1.0
    while reached < target and (share := (time.process_time() - started) / (60 * minutes)) < 1:
        part = _part(batch, step, size)
        output = network(part.lr)
        terms = denoising_terms(output.denoised, output.noise_map, part, weights)
        terms |= restoring_terms(output, part, weights, LossNetworks())
        for group in adam.param_groups:
            group["lr"] = rate * min(1.0, 1.0 - 1.8 * (share - 0.5))
        adam.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        adam.step()
        step += 1
        if step % EVERY == 0:
            parts = [_part(batch, number, size) for number in range(FACES // size)]
            reached, base = _fidelity(recipe, network, parts)
            print_line(
                f"{name} step {step}: {reached:.2f} dB (before: {base:.2f} dB), "
                f"{time.process_time():.0f} s of processor time"
            )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("faces", type=Path)
    parser.add_argument("recipes", nargs="+")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--batch", type=int, default=2, choices=(1, 2, 4, 8))
    parser.add_argument("--target", type=float, default=35.0)
    parser.add_argument(
        "--minutes", type=float, default=10.0, help="of processor time, for each recipe"
    )
    given = parser.parse_args()
    for name in given.recipes:
        overfit(name, given.faces, given.rate, given.batch, given.target, given.minutes)


if __name__ == "__main__":
    main()
