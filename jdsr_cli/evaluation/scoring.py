"""Evaluation of several methods on one stream of faces: metrics of every face, and throughput.

Each batch of faces is created once and passed to every method before the next batch, so that all
methods receive the same images and a set of any size fits in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from time import perf_counter
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jdsr_cli.datasets.samples import EvaluationSample, to_tensor
from jdsr_cli.errors import UsageError
from jdsr_cli.evaluation.methods import Method, Restorer, bicubic, from_lr
from jdsr_cli.evaluation.metrics.fidelity import (
    FIDELITY_FIGURES,
    fidelity_by_region,
    unaltered_psnr,
)
from jdsr_cli.progress import Progress, Silent


class Metric(Protocol):
    """Compares features of restored images with those of the ground truth.

    Features and comparison are separate, so that the features of the ground truth are computed
    once for many methods.
    """

    figure: str
    """Name of the metric in results, such as `lpips`."""

    @property
    def protocol(self) -> str:
        """Description of the metric, including the names of its files."""

    def features(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the features of (B, 3, 128, 128) RGB in [0, 1]."""

    def compare(self, restored: tuple[Tensor, ...], truth: tuple[Tensor, ...]) -> Tensor:
        """Return the value of each image, (B,) on the CPU; NaN if undefined."""


@runtime_checkable
class RelativeMetric(Metric, Protocol):
    """A metric with further figures, which relate a result to the input of the face."""

    def relate(
        self,
        keys: Sequence[str],
        restored: tuple[Tensor, ...],
        truth: tuple[Tensor, ...],
        inputs: tuple[Tensor, ...],
    ) -> Mapping[str, Tensor]:
        """Return values of the faces by figure, (B,) on the CPU; NaN if undefined.

        Args:
            keys: Keys of the faces.
            restored: Features of the results.
            truth: Features of the ground truth.
            inputs: Features of the inputs, enlarged by bicubic.

        """


UNALTERED = "psnr_unaltered"
SHOTS_USED = "shots_used"
"""Number of shots that a method of tracks combined: those that match the first one."""
REFERENCE_FIGURES = ("identity_input", "rank1_input", "rank1_truth")
"""Figures of enlarged inputs and of true faces, which are those of every method."""
SHARE_FIGURES = ("identity_moved", "rank1", "rank1_input", "rank1_truth")
"""Figures that are 1 or 0 for each face, so that their mean is a share of the faces."""
FIGURES = (
    *FIDELITY_FIGURES, UNALTERED, "psnr_face", "lpips", "identity", "identity_input",
    "identity_moved", "rank1", "rank1_input", "rank1_truth", "landmark_error", SHOTS_USED,
)  # fmt: skip
"""All figures, in the order of tables; those from `lpips` to `landmark_error` need a network."""


@dataclass(frozen=True, eq=False)
class Scores:
    """Metrics of one method on a set of faces."""

    keys: tuple[str, ...]
    """Keys of the faces, in order."""
    figures: Mapping[str, NDArray[np.float64]]
    """(N,) values of the faces by name of the metric; NaN if undefined for a face."""
    faces_per_second: float | None = None
    """Throughput of the method alone, without metrics; None if it was not timed."""

    def mean(self, figure: str) -> float:
        """Return the mean of a metric over the faces with a value, NaN if there is none."""
        values = self.figures[figure]
        defined = values[~np.isnan(values)]
        return float(defined.mean()) if len(defined) else float("nan")

    def means(self) -> dict[str, float]:
        """Return the mean of every metric with at least one value."""
        means = {name: self.mean(name) for name in self.figures}
        return {name: value for name, value in means.items() if not np.isnan(value)}

    def of(self, indices: NDArray[np.intp]) -> Scores:
        """Return the scores of selected faces, without the throughput."""
        figures = {name: values[indices] for name, values in self.figures.items()}
        return Scores(tuple(self.keys[index] for index in indices), figures)


@dataclass
class _MethodResults:
    keys: list[str] = field(default_factory=list)
    figures: dict[str, list[NDArray[np.float64]]] = field(default_factory=dict)
    seconds: float = 0.0


def score(
    restore: Restorer,
    samples: Iterable[EvaluationSample],
    *,
    batch: int = 32,
    progress: Progress | None = None,
    task: str = "scoring",
    total: int | None = None,
) -> Scores:
    """Restore every face and compare it with the ground truth."""
    method = Method("restorer", from_lr(restore))
    scores = evaluate([method], samples, batch=batch, progress=progress, task=task, total=total)
    return scores[method.name]


def evaluate(
    methods: Sequence[Method],
    samples: Iterable[EvaluationSample],
    *,
    metrics: Sequence[Metric] = (),
    sharp: bool = False,
    batch: int = 32,
    progress: Progress | None = None,
    task: str = "scoring",
    total: int | None = None,
) -> dict[str, Scores]:
    """Evaluate several methods on the same faces.

    A timed method restores its first batch once before the measurement starts.

    Args:
        methods: Methods with different names.
        samples: The faces; iterated once.
        metrics: Metrics in addition to PSNR and SSIM.
        sharp: Whether the faces are bare and not degraded, so that restoration should not change
            them: adds `psnr_unaltered`, relative to bicubic of the input.
        batch: Batch size.
        progress: Receives a step per face and method.
        task: Name of the task in the progress.
        total: Number of faces, if known.

    Returns:
        The scores by the method's name.

    Raises:
        UsageError: A method returns images of another size than the ground truth.
        DatasetError: An external result is missing or cannot be read.

    """
    progress = progress or Silent()
    progress.begin(task, None if total is None else total * len(methods))
    results = {method.name: _MethodResults() for method in methods}
    try:
        for group in _groups(samples, batch):
            reference = _BatchReference(group, metrics, sharp=sharp)
            for method in methods:
                result = results[method.name]
                if method.timed and not result.keys:
                    method.restore(group)
                started = perf_counter()
                restored = method.restore(group)
                result.seconds += perf_counter() - started
                figures = reference.measure(method.name, restored)
                if method.count_shots is not None:
                    figures[SHOTS_USED] = method.count_shots(group)
                for name, values in figures.items():
                    result.figures.setdefault(name, []).append(values)
                result.keys += reference.keys
                progress.advance(task, len(group))
    finally:
        progress.end(task)
    return {method.name: _scores(results[method.name], method.timed) for method in methods}


class _BatchReference:
    """The ground truth of a batch, prepared once for all methods."""

    def __init__(
        self, samples: Sequence[EvaluationSample], metrics: Sequence[Metric], *, sharp: bool
    ) -> None:
        self.samples, self.metrics = samples, metrics
        self.keys = [sample.key for sample in samples]
        self.truth = to_tensor([sample.pair.hr for sample in samples])
        self.covered = (
            torch.from_numpy(np.stack([sample.alpha for sample in samples])[:, None]) > 0.5
        )
        self.border = samples[0].pair.hr.shape[0] // samples[0].pair.lr.shape[0]
        self.truth_features = [metric.features(self.truth) for metric in metrics]
        inputs = bicubic(to_tensor([sample.pair.lr for sample in samples]))
        self.inputs = inputs if sharp else None
        self.input_features = [
            metric.features(inputs) if isinstance(metric, RelativeMetric) else None
            for metric in metrics
        ]

    def measure(self, name: str, restored: Tensor) -> dict[str, NDArray[np.float64]]:
        if restored.shape != self.truth.shape:
            raise UsageError(
                f"{name} returns {_size(restored)} images, the ground truth is {_size(self.truth)}",
                where=f"face {self.samples[0].key}",
            )
        rounded = (restored.clamp(0, 1) * 255).round() / 255
        figures = fidelity_by_region(rounded, self.truth, self.covered, self.border)
        if self.inputs is not None:
            figures[UNALTERED] = unaltered_psnr(rounded, self.inputs)
        for metric, truth, inputs in zip(
            self.metrics, self.truth_features, self.input_features, strict=True
        ):
            result = metric.features(rounded)
            figures[metric.figure] = metric.compare(result, truth)
            if isinstance(metric, RelativeMetric) and inputs is not None:
                figures |= metric.relate(self.keys, result, truth, inputs)
        return {figure: values.double().cpu().numpy() for figure, values in figures.items()}


def _size(pictures: Tensor) -> str:
    return f"{len(pictures)} of {pictures.shape[-1]}x{pictures.shape[-2]}"


def _scores(results: _MethodResults, timed: bool) -> Scores:
    figures = {name: np.concatenate(parts) for name, parts in results.figures.items()}
    rate = len(results.keys) / results.seconds if timed and results.seconds else None
    return Scores(tuple(results.keys), figures, rate)


def _groups(samples: Iterable[EvaluationSample], size: int) -> Iterator[list[EvaluationSample]]:
    stream = iter(samples)
    while group := list(islice(stream, size)):
        yield group
