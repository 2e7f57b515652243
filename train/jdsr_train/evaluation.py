"""Measure a restorer on faces that every method sees alike (protocol of SPEC 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from jdsr_cli.metrics import psnr, ssim
from jdsr_cli.progress import Progress, Silent
from jdsr_train.data import Exam, to_tensor
from jdsr_train.degradations.paper import resize_bicubic

Restorer = Callable[[Tensor], Tensor]
"""Turns (B, 3, s, s) RGB in [0, 1] into (B, 3, 128, 128)."""


@dataclass(frozen=True)
class FaceScore:
    """Figures of one face; dB on Y, NaN where the region is empty."""

    key: str
    psnr: float
    ssim: float
    psnr_covered: float
    """Where the mask covers more than half of a pixel."""
    psnr_beside: float
    """Everywhere else."""


@dataclass(frozen=True)
class Scores:
    """Means over a set of faces."""

    faces: tuple[FaceScore, ...]

    def mean(self, figure: str) -> float:
        """Return the mean of a figure over the faces that have it."""
        values = np.array([getattr(face, figure) for face in self.faces], np.float64)
        return float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")

    def means(self) -> dict[str, float]:
        """Return the mean of every figure that at least one face has."""
        found = {name: self.mean(name) for name in FIGURES}
        return {name: value for name, value in found.items() if not np.isnan(value)}


FIGURES = ("psnr", "ssim", "psnr_covered", "psnr_beside")


def bicubic(lr: Tensor) -> Tensor:
    """Enlarge by PIL's bicubic, the floor that every method is compared with."""
    pictures = (lr.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    return to_tensor([resize_bicubic(picture, 128) for picture in pictures])


def restorer(network: nn.Module, device: str = "cpu") -> Restorer:
    """Wrap a generator: its restored face, in float32, without gradients."""

    def restore(lr: Tensor) -> Tensor:
        with torch.inference_mode():
            restored: Tensor = network(lr.to(device)).restored
        return restored.float().cpu()

    return restore


def score(
    restore: Restorer,
    exams: Iterable[Exam],
    *,
    batch: int = 32,
    progress: Progress | None = None,
    task: str = "scoring",
    total: int | None = None,
) -> Scores:
    """Restore every face and measure it against the truth."""
    progress = progress or Silent()
    progress.begin(task, total)
    found: list[FaceScore] = []
    waiting: list[Exam] = []
    try:
        for exam in exams:
            waiting.append(exam)
            if len(waiting) == batch:
                found += _score_batch(restore, waiting)
                progress.advance(task, len(waiting))
                waiting = []
        if waiting:
            found += _score_batch(restore, waiting)
            progress.advance(task, len(waiting))
    finally:
        progress.end(task)
    return Scores(tuple(found))


def _score_batch(restore: Restorer, exams: Sequence[Exam]) -> list[FaceScore]:
    restored = restore(to_tensor([exam.pair.lr for exam in exams]))
    truth = to_tensor([exam.pair.hr for exam in exams])
    covered = torch.from_numpy(np.stack([exam.alpha for exam in exams])[:, None]) > 0.5
    whole, structure = psnr(restored, truth), ssim(restored, truth)
    under, beside = psnr(restored, truth, covered), psnr(restored, truth, ~covered)
    return [
        FaceScore(exam.key, *(float(figure[place]) for figure in (whole, structure, under, beside)))
        for place, exam in enumerate(exams)
    ]
