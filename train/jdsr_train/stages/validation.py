"""Validation of the joint stage: metrics on validation faces, the loss, a panel, and the gates.

The gates decide whether trained weights become the default on a GPU; they and their limits are
defined in `jdsr_cli.weights.registry`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from jdsr_cli.datasets.face_set import FaceSet, evenly_spaced, subset
from jdsr_cli.datasets.samples import (
    Degrader,
    EvaluationSample,
    SampleSettings,
    evaluation_samples,
    to_tensor,
)
from jdsr_cli.errors import JdsrError
from jdsr_cli.evaluation.methods import Method, in_canonical_colours
from jdsr_cli.evaluation.repeated import RepeatedEvaluation
from jdsr_cli.evaluation.scoring import evaluate
from jdsr_cli.networks import GeneratorOutput
from jdsr_cli.weights import load_generator
from jdsr_cli.weights.gates import GATES
from jdsr_cli.weights.registry import CARRIED
from jdsr_train.data.samples import Batch, Packed, TrainingSamples
from jdsr_train.training.monitoring import PANEL, save_face_grid

PANEL_FACES = 10
LOSS_BATCHES = 4
LOSS_BATCH = 8
GPU_BATCH, CPU_BATCH = 64, 8
"""Faces in a validation batch; on a CPU a batch of a large network takes seconds."""
FOOTAGE_SIDE = 128
"""Side of the inputs of generators for footage, in pixels."""
COVERED = 0.5
"""Share above which a pixel of an occlusion map counts as covered, predicted or true."""
SIGNIFICANT_DIGITS = 6
"""Significant digits of a metric in the table of the gates."""

Terms = Callable[[nn.Module, Batch], dict[str, Tensor]]
"""Returns the weighted loss terms of a network on a batch."""


def panel_indices(count: int) -> range:
    """Return the indices of the faces in the panel: at most `PANEL_FACES`, evenly spaced."""
    return range(0, count, max(1, count // PANEL_FACES))[:PANEL_FACES]


class Validation:
    """Computes metrics of a generator on validation faces and writes a panel of some of them.

    The samples are created once and stay in memory.

    Args:
        faces: The validation split.
        degrader: Creates the masked and bare samples.
        folder: Folder of the panel.
        limit: Number of faces, evenly spaced in the split.
        device: Device of the generator.

    """

    def __init__(
        self, faces: FaceSet, degrader: Degrader, folder: Path, limit: int, device: torch.device
    ) -> None:
        self.folder, self.device = folder, device
        self.faces, self.degrader = faces, degrader
        settings = degrader.settings
        training = TrainingSamples(faces, degrader, seed=1)
        self.batches = list(training.batches(LOSS_BATCH, 0, LOSS_BATCHES, 0))
        self.samples: dict[str, Sequence[EvaluationSample]] = {}
        self.sets: dict[str, RepeatedEvaluation] = {}
        self.panel: dict[str, Sequence[EvaluationSample]] = {}
        size = GPU_BATCH if device.type == "cuda" else CPU_BATCH
        needed = {"masked": settings.masked > 0, "plain": settings.masked < 1}
        for name in (name for name, used in needed.items() if used):
            samples = list(
                evaluation_samples(faces, degrader, masked=name == "masked", limit=limit)
            )
            shown = panel_indices(len(samples))
            self.samples[name] = samples
            self.sets[name] = RepeatedEvaluation(
                samples, device, canonical=settings.canonical, returned=shown, batch=size
            )
            self.panel[name] = [samples[index] for index in shown]

    def metrics(self, network: nn.Module, until: float = math.inf) -> dict[str, float]:
        """Return the mean metrics of each set and write the panel.

        Args:
            network: The generator.
            until: Time of `time.monotonic` after which no further batch is started. If faces are
                left out, `validation_faces` is the number of faces that were measured.

        """
        metrics: dict[str, float] = {}
        rows: list[Sequence[NDArray[np.uint8]]] = []
        for name, repeated in self.sets.items():
            scores, restored = repeated.score(network, until)
            if len(scores.keys) < len(repeated.keys):
                metrics["validation_faces"] = metrics.get("validation_faces", 0) + len(scores.keys)
            metrics |= {f"{name}_{metric}": value for metric, value in scores.means().items()}
            shown = self.panel[name][: len(restored)]
            rows += [
                [sample.pair.lr for sample in shown],
                restored,
                [sample.pair.hr for sample in shown],
            ]
        columns = min(map(len, rows))  # fewer if time was short
        if columns:
            save_face_grid([row[:columns] for row in rows], self.folder / PANEL)
        return metrics

    @property
    def for_footage(self) -> bool:
        """Whether there are masked and bare camera faces at the input size for footage."""
        settings = self.degrader.settings
        at_size = settings.degradation == "camera" and settings.lr_size == FOOTAGE_SIDE
        return at_size and all(len(self.samples.get(kind, ())) for kind in ("masked", "plain"))

    def gate_faces(self, limit: int | None = None) -> dict[str, Sequence[EvaluationSample]]:
        """Return `masked`, `plain` and `sharp` faces (bare, undegraded) of the same people.

        Args:
            limit: Number of faces, evenly spaced; all when None.

        """
        total = len(self.samples["plain"])
        count = total if limit is None else min(limit, total)
        indices = [number * total // count for number in range(count)]
        faces = {kind: [chosen[i] for i in indices] for kind, chosen in self.samples.items()}
        subset_faces = subset(evenly_spaced(self.faces, total), indices)
        sharp = Degrader([], SampleSettings(FOOTAGE_SIDE, "paper", masked=0.0))
        return {**faces, "sharp": list(evaluation_samples(subset_faces, sharp, masked=False))}

    def gates(self, network: nn.Module, limit: int | None = None) -> dict[str, float]:
        """Return the metrics of the gates; only for recipes `for_footage`.

        Args:
            network: A generator in evaluation mode.
            limit: Number of faces, evenly spaced; all when None.

        """
        return gate_figures(network, self.gate_faces(limit), self.device)

    def loss(self, network: nn.Module, terms: Terms, until: float = math.inf) -> float:
        """Return the mean loss on a few fixed batches.

        Args:
            network: The generator.
            terms: Its loss terms.
            until: Time of `time.monotonic` after which no further batch is started.

        """
        return mean_loss(self.batches, self.device, network, terms, until)


def mean_loss(
    batches: Sequence[Packed[Batch]],
    device: torch.device,
    network: nn.Module,
    terms: Terms,
    until: float = math.inf,
) -> float:
    """Return the mean loss of a network on batches, of which the first is always evaluated."""
    values: list[Tensor] = []
    done = 0
    with torch.inference_mode():
        for batch in batches:
            if done and time.monotonic() >= until:
                break
            values += terms(network, batch.unpack(device)).values()
            done += 1
    return float(torch.stack(values).double().sum()) / done


class _OcclusionCounter:
    """Restores faces in canonical colours and counts covered pixels of the occlusion maps.

    Args:
        network: The generator, in evaluation mode; its maps have the size of its input.
        device: Device of the generator.

    """

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        self.network, self.device = network, device
        self.pixels = self.predicted = self.intersection = self.union = 0
        """Numbers of pixels: all, predicted as covered, and predicted and (or) truly covered."""
        self._maps: list[Tensor] = []
        self._restore = in_canonical_colours(self._run)

    def __call__(self, samples: Sequence[EvaluationSample]) -> Tensor:
        """Return the restored faces, (B, 3, 128, 128); every face is counted once."""
        restored = self._restore(to_tensor([sample.pair.lr for sample in samples]))
        for sample, occlusion in zip(samples, torch.cat(self._maps), strict=True):
            predicted = occlusion[0] > COVERED
            covered = torch.from_numpy(sample.pair.occlusion) > COVERED
            self.pixels += predicted.numel()
            self.predicted += int(predicted.sum())
            self.intersection += int((predicted & covered).sum())
            self.union += int((predicted | covered).sum())
        self._maps.clear()
        return restored

    def _run(self, lr: Tensor) -> tuple[Tensor, Tensor]:
        with torch.inference_mode():
            output: GeneratorOutput = self.network(lr.to(self.device))
        occlusion = output.occlusion.float().cpu()
        self._maps.append(occlusion)
        return output.restored.float().cpu(), occlusion


def gate_figures(
    network: nn.Module, faces: Mapping[str, Sequence[EvaluationSample]], device: torch.device
) -> dict[str, float]:
    """Return the metrics of the gates for a generator for footage.

    Args:
        network: The generator, in evaluation mode, for inputs of 128 px.
        faces: `masked`, `plain` (bare) and `sharp` (bare and undegraded) ones.
        device: Device of the network.

    Returns:
        The metrics by the names of the gates: dB, SSIM, shares in [0, 1]; NaN without a value.

    """
    figures: dict[str, float] = {}
    for kind, samples in faces.items():
        counter = _OcclusionCounter(network, device)
        scores = evaluate([Method(kind, counter)], samples)[kind]
        for metric in ("psnr", "ssim", "psnr_covered"):
            figures[f"{kind}_{metric}"] = scores.mean(metric)
        figures[f"{kind}_covered"] = counter.predicted / counter.pixels
        figures[f"{kind}_iou"] = counter.intersection / counter.union if counter.union else math.nan
    return {gate.name: figures[gate.name] for gate in GATES}


def measure_gates(
    network: nn.Module,
    validation: Validation,
    device: torch.device,
    *,
    limit: int | None = None,
    data: str = "the training data",
) -> dict[str, object] | None:
    """Measure a trained generator and the packaged one on the same faces.

    Args:
        network: The trained generator, in evaluation mode.
        validation: The validation faces of its run.
        device: Device of the network and the validation.
        limit: Number of faces, evenly spaced; all when None. Both generators restore each face
            three times.
        data: Description of the faces.

    Returns:
        The table `gates` of a manifest entry. None if there is nothing to compare: the recipe is
        not for footage with and without masks at 128 px, or the packaged weights are missing or
        damaged.

    """
    if not validation.for_footage:
        return None
    try:
        packaged = load_generator(CARRIED, device, "float32")
    except JdsrError:
        return None
    own = validation.gates(network, limit)
    others = validation.gates(packaged.network, limit)
    pairs = {
        name: [_rounded(value), _rounded(others[name])]
        for name, value in own.items()
        if not (math.isnan(value) or math.isnan(others[name]))
    }
    return {
        "against": CARRIED,
        "sha256": packaged.sha256,
        "protocol": _protocol(validation, limit, data),
        **pairs,
    }


def _rounded(value: float) -> float:
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")


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
