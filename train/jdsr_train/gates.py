"""The figures that decide whether trained weights become the default on a GPU.

What the gates are, and what it takes to pass them, is in `jdsr_cli.weights.registry`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from jdsr_cli.datasets.samples import EvaluationSample, to_tensor
from jdsr_cli.errors import JdsrError
from jdsr_cli.evaluation.methods import Method, in_canonical_colours
from jdsr_cli.evaluation.scoring import evaluate
from jdsr_cli.networks import GeneratorOutput
from jdsr_cli.weights import load_generator
from jdsr_cli.weights.registry import CARRIED, GATES

if TYPE_CHECKING:
    from jdsr_train.stages.validation import Validation

SIDE = 128
"""Side of the inputs of generators for footage, in pixels."""
COVERED = 0.5
"""Share of a pixel from which it counts as covered, in maps and in their truth."""
DIGITS = 6
"""Significant digits of a figure in the table."""


class _Looking:
    """A generator that answers for faces in canonical colours, and what its maps came to.

    Args:
        network: The generator, in evaluation mode; its maps are as large as its input.
        device: Where it is.

    """

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        self.network, self.device = network, device
        self.pixels = self.marked = self.shared = self.either = 0
        """Pixels seen; those marked; those marked and covered, and marked or covered."""
        self._maps: list[Tensor] = []
        self._restore = in_canonical_colours(self._run)

    def __call__(self, exams: Sequence[EvaluationSample]) -> Tensor:
        """Restore faces, (B, 3, 128, 128), each of them once."""
        restored = self._restore(to_tensor([exam.pair.lr for exam in exams]))
        for exam, drawn in zip(exams, torch.cat(self._maps), strict=True):
            marked = drawn[0] > COVERED
            covered = torch.from_numpy(exam.pair.occlusion) > COVERED
            self.pixels += marked.numel()
            self.marked += int(marked.sum())
            self.shared += int((marked & covered).sum())
            self.either += int((marked | covered).sum())
        self._maps.clear()
        return restored

    def _run(self, lr: Tensor) -> tuple[Tensor, Tensor]:
        with torch.inference_mode():
            output: GeneratorOutput = self.network(lr.to(self.device))
        occlusion = output.occlusion.float().cpu()
        self._maps.append(occlusion)
        return output.restored.float().cpu(), occlusion


def figures(
    network: nn.Module, faces: Mapping[str, Sequence[EvaluationSample]], device: torch.device
) -> dict[str, float]:
    """Measure a generator for footage by every gate.

    Args:
        network: The generator, in evaluation mode, for inputs of 128 px.
        faces: `masked`, `plain` (bare) and `sharp` (bare and undegraded) ones.
        device: Where the network is.

    Returns:
        The figures by the gates' names: dB, SSIM, shares in [0, 1]; NaN where no face has one.

    """
    found: dict[str, float] = {}
    for kind, exams in faces.items():
        looking = _Looking(network, device)
        scores = evaluate([Method(kind, looking)], exams)[kind]
        for figure in ("psnr", "ssim", "psnr_covered"):
            found[f"{kind}_{figure}"] = scores.mean(figure)
        found[f"{kind}_covered"] = looking.marked / looking.pixels
        found[f"{kind}_iou"] = looking.shared / looking.either if looking.either else math.nan
    return {gate.name: found[gate.name] for gate in GATES}


def measure(
    network: nn.Module,
    validation: Validation,
    device: torch.device,
    *,
    limit: int | None = None,
    data: str = "the training data",
) -> dict[str, object] | None:
    """Measure a trained generator and the carried one on the same faces.

    Args:
        network: The trained generator, in evaluation mode.
        validation: Its validation faces.
        device: Where the network and the validation are.
        limit: Evenly spaced faces instead of all; each is seen three times by both generators.
        data: What the faces are of, in words.

    Returns:
        The table `gates` of a manifest entry. None where nothing is to be compared: the recipe is
        not for footage with and without masks at 128 px, or the carried weights are not on this
        machine or damaged.

    """
    if not validation.for_footage:
        return None
    try:
        carried = load_generator(CARRIED, device, "float32")
    except JdsrError:
        return None
    own = validation.gates(network, limit)
    others = validation.gates(carried.network, limit)
    pairs = {
        name: [_rounded(value), _rounded(others[name])]
        for name, value in own.items()
        if not (math.isnan(value) or math.isnan(others[name]))
    }
    return {
        "against": CARRIED,
        "sha256": carried.sha256,
        "protocol": _protocol(validation, limit, data),
        **pairs,
    }


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _protocol(validation: Validation, limit: int | None, data: str) -> str:
    faces = len(validation.gate_faces(limit)["sharp"])
    masks = len(validation.degrader.sprites)
    return (
        f"{faces} validation faces of {data}, each with one of the {masks} masks of the training, "
        "bare, both by the recipe's camera degradation, and sharp (bare, 128 px, not degraded); "
        "canonical colours as in restore, float32; PSNR and SSIM on Y (BT.601 limited range), 8 "
        "bits, window of SSIM 11x11 Gaussian, means over faces; psnr_covered where the mask "
        f"covers more than half; maps cut at {COVERED}, IoU of all pixels together"
    )
