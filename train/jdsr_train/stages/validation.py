"""What the joint stage is measured by: figures on validation faces, its own loss, a panel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from jdsr_train.data import Batch, Degrader, Exam, FaceSet, TrainingSamples, exams
from jdsr_train.evaluation import RepeatedExams
from jdsr_train.logbook import PANEL
from jdsr_train.pictures import face_rows

PANEL_FACES = 10
LOSS_BATCHES = 4
LOSS_BATCH = 8

Terms = Callable[[nn.Module, Batch, int], dict[str, Tensor]]
"""The weighted terms of a network on a batch at a step."""


class Validation:
    """Scores a generator on validation faces and draws a panel of some of them.

    The faces and their samples are made once and stay in memory.

    Args:
        faces: The validation split.
        degrader: Makes its masked and bare faces.
        folder: Where the panel goes.
        limit: Evenly spaced faces of the split.
        device: Where the generator is.

    """

    def __init__(
        self, faces: FaceSet, degrader: Degrader, folder: Path, limit: int, device: torch.device
    ) -> None:
        self.folder, self.device = folder, device
        settings = degrader.settings
        samples = TrainingSamples(faces, degrader, seed=1)
        self.batches = list(samples.batches(LOSS_BATCH, 0, LOSS_BATCHES, 0))
        self.sets: dict[str, RepeatedExams] = {}
        self.panel: dict[str, Sequence[Exam]] = {}
        wanted = {"masked": settings.masked > 0, "plain": settings.masked < 1}
        for name in (name for name, there in wanted.items() if there):
            found = list(exams(faces, degrader, masked=name == "masked", limit=limit))
            shown = range(0, len(found), max(1, len(found) // PANEL_FACES))[:PANEL_FACES]
            self.sets[name] = RepeatedExams(found, device, canonical=settings.canonical, kept=shown)
            self.panel[name] = [found[place] for place in shown]

    def figures(self, network: nn.Module) -> dict[str, float]:
        """Return the mean figures of each set; the panel is written beside."""
        found: dict[str, float] = {}
        rows: list[Sequence[NDArray[np.uint8]]] = []
        for name, chosen in self.sets.items():
            scores, restored = chosen.score(network)
            found |= {f"{name}_{figure}": value for figure, value in scores.means().items()}
            shown = self.panel[name]
            rows += [
                [exam.pair.lr for exam in shown],
                restored,
                [exam.pair.hr for exam in shown],
            ]
        face_rows(rows, self.folder / PANEL)
        return found

    def loss(self, network: nn.Module, terms: Terms, step: int) -> float:
        """Return the mean loss on a few batches of the same faces."""
        found: list[Tensor] = []
        with torch.inference_mode():
            for batch in self.batches:
                found += terms(network, batch.unpack(self.device), step).values()
        return float(torch.stack(found).double().sum()) / LOSS_BATCHES
