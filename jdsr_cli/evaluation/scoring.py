"""Several methods on one stream of faces: every figure of every face, and how fast each method is.

Faces are made once, a batch at a time, and given to every method before the next ones are made,
so that all see the same pictures and a set of any size fits in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from time import perf_counter
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jdsr_cli.datasets.samples import EvaluationSample, to_tensor
from jdsr_cli.errors import UsageError
from jdsr_cli.evaluation.methods import Method, Restorer, bicubic, from_lr
from jdsr_cli.evaluation.metrics.fidelity import FIDELITY_FIGURES, fidelity_by_region, unaltered
from jdsr_cli.progress import Progress, Silent


class Metric(Protocol):
    """Compares restored pictures with the truth by what a network sees in them.

    Describing and comparing are apart, so that the truth is described once for many methods.
    """

    figure: str
    """Name of the figure, such as `lpips`."""

    @property
    def protocol(self) -> str:
        """How the figure is had, in a sentence that names the files."""

    def describe(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return what the network sees in (B, 3, 128, 128) RGB in [0, 1]."""

    def compare(self, found: tuple[Tensor, ...], wanted: tuple[Tensor, ...]) -> Tensor:
        """Return the figure of each picture, (B,) on the CPU; NaN where there is none."""


UNALTERED = "psnr_unaltered"
FIGURES = (*FIDELITY_FIGURES, UNALTERED, "lpips", "identity", "landmark_error")
"""All figures, in the order of tables; the last three need a face or feature network."""


@dataclass(frozen=True, eq=False)
class Scores:
    """Figures of one method on a set of faces."""

    keys: tuple[str, ...]
    """Of the faces, in order."""
    figures: Mapping[str, NDArray[np.float64]]
    """By name of the figure, (N,) of the faces; dB on luma, NaN where a face has none."""
    faces_per_second: float | None = None
    """Of the method alone, without measuring; None where it was not timed."""

    def mean(self, figure: str) -> float:
        """Return the mean of a figure over the faces that have it, NaN where none has."""
        values = self.figures[figure]
        known = values[~np.isnan(values)]
        return float(known.mean()) if len(known) else float("nan")

    def means(self) -> dict[str, float]:
        """Return the mean of every figure that at least one face has."""
        found = {name: self.mean(name) for name in self.figures}
        return {name: value for name, value in found.items() if not np.isnan(value)}

    def of(self, indices: NDArray[np.intp]) -> Scores:
        """Return the scores of some of the faces, without the time they took."""
        figures = {name: values[indices] for name, values in self.figures.items()}
        return Scores(tuple(self.keys[index] for index in indices), figures)


@dataclass
class _Gathered:
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
    """Restore every face and measure it against the truth."""
    method = Method("restorer", from_lr(restore))
    found = evaluate([method], samples, batch=batch, progress=progress, task=task, total=total)
    return found[method.name]


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
    """Measure several methods on the same faces.

    A timed method answers its first batch once before the clock runs.

    Args:
        methods: Of different names.
        samples: The faces; read once.
        metrics: Measures beside PSNR and SSIM.
        sharp: Whether the faces are bare and undegraded, so that restoring should change nothing:
            adds `psnr_unaltered`, against bicubic of the input.
        batch: Faces at once.
        progress: Told of every face and method.
        task: What progress calls it.
        total: Number of faces, where known.

    Returns:
        The scores by the method's name.

    Raises:
        UsageError: A method gives pictures of another size than the truth.
        DatasetError: A method of ready-made pictures lacks one.

    """
    progress = progress or Silent()
    progress.begin(task, None if total is None else total * len(methods))
    gathered = {method.name: _Gathered() for method in methods}
    try:
        for group in _groups(samples, batch):
            reference = _BatchReference(group, metrics, sharp=sharp)
            for method in methods:
                one = gathered[method.name]
                if method.timed and not one.keys:
                    method.restore(group)
                started = perf_counter()
                restored = method.restore(group)
                one.seconds += perf_counter() - started
                for name, values in reference.measure(method.name, restored).items():
                    one.figures.setdefault(name, []).append(values)
                one.keys += [sample.key for sample in group]
                progress.advance(task, len(group))
    finally:
        progress.end(task)
    return {method.name: _scores(gathered[method.name], method.timed) for method in methods}


class _BatchReference:
    """What some faces are compared with, prepared once for every method."""

    def __init__(
        self, samples: Sequence[EvaluationSample], metrics: Sequence[Metric], *, sharp: bool
    ) -> None:
        self.samples, self.metrics = samples, metrics
        self.truth = to_tensor([sample.pair.hr for sample in samples])
        self.covered = (
            torch.from_numpy(np.stack([sample.alpha for sample in samples])[:, None]) > 0.5
        )
        self.border = samples[0].pair.hr.shape[0] // samples[0].pair.lr.shape[0]
        self.wanted = [metric.describe(self.truth) for metric in metrics]
        self.given = bicubic(to_tensor([sample.pair.lr for sample in samples])) if sharp else None

    def measure(self, name: str, restored: Tensor) -> dict[str, NDArray[np.float64]]:
        if restored.shape != self.truth.shape:
            raise UsageError(
                f"{name} gives {_size(restored)} pictures, the truth is {_size(self.truth)}",
                where=f"face {self.samples[0].key}",
            )
        seen = (restored.clamp(0, 1) * 255).round() / 255
        found = fidelity_by_region(seen, self.truth, self.covered, self.border)
        if self.given is not None:
            found[UNALTERED] = unaltered(seen, self.given)
        for metric, wanted in zip(self.metrics, self.wanted, strict=True):
            found[metric.figure] = metric.compare(metric.describe(seen), wanted)
        return {figure: values.double().cpu().numpy() for figure, values in found.items()}


def _size(pictures: Tensor) -> str:
    return f"{len(pictures)} of {pictures.shape[-1]}x{pictures.shape[-2]}"


def _scores(gathered: _Gathered, timed: bool) -> Scores:
    figures = {name: np.concatenate(parts) for name, parts in gathered.figures.items()}
    rate = len(gathered.keys) / gathered.seconds if timed and gathered.seconds else None
    return Scores(tuple(gathered.keys), figures, rate)


def _groups(samples: Iterable[EvaluationSample], size: int) -> Iterator[list[EvaluationSample]]:
    stream = iter(samples)
    while group := list(islice(stream, size)):
        yield group
