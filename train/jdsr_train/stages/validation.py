"""What the joint stage is measured by: figures on validation faces, its own loss, a panel."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from jdsr_train import evaluation, gates
from jdsr_train.data import (
    Batch,
    Degrader,
    Exam,
    FaceSet,
    SampleSettings,
    TrainingSamples,
    exams,
    to_tensor,
)
from jdsr_train.evaluation.subset import part, spread
from jdsr_train.logbook import PANEL
from jdsr_train.pictures import face_rows

PANEL_FACES = 10
LOSS_BATCHES = 4
LOSS_BATCH = 8

Terms = Callable[[nn.Module, Batch], dict[str, Tensor]]
"""The weighted terms of a network on a batch."""


class Validation:
    """Scores a generator on validation faces and draws a panel of some of them.

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
        self.samples = TrainingSamples(faces, degrader, seed=1)
        self.sets: dict[str, Sequence[Exam]] = {}
        if degrader.settings.masked > 0:
            self.sets["masked"] = list(exams(faces, degrader, masked=True, limit=limit))
        if degrader.settings.masked < 1:
            self.sets["plain"] = list(exams(faces, degrader, masked=False, limit=limit))

    def figures(self, network: nn.Module) -> dict[str, float]:
        """Return the mean figures of each set; the panel is written beside."""
        found: dict[str, float] = {}
        restore = evaluation.restorer(
            network, str(self.device), canonical=self.samples.degrader.settings.canonical
        )
        rows = []
        for name, chosen in self.sets.items():
            scores = evaluation.score(restore, chosen)
            found |= {f"{name}_{figure}": value for figure, value in scores.means().items()}
            shown = chosen[:: max(1, len(chosen) // PANEL_FACES)][:PANEL_FACES]
            restored = restore(to_tensor([exam.pair.lr for exam in shown])).clamp(0, 1)
            pictures = (restored * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
            rows += [
                [exam.pair.lr for exam in shown],
                list(pictures),
                [exam.pair.hr for exam in shown],
            ]
        face_rows(rows, self.folder / PANEL)
        return found

    @property
    def for_footage(self) -> bool:
        """Whether there are camera faces with and without a mask, at the size of footage."""
        settings = self.samples.degrader.settings
        at_size = settings.degradation == "camera" and settings.lr_size == gates.SIDE
        return at_size and all(len(self.sets.get(kind, ())) for kind in ("masked", "plain"))

    def gate_faces(self, limit: int | None = None) -> dict[str, Sequence[Exam]]:
        """Return `masked`, `plain` and `sharp` faces (bare, undegraded) of the same people.

        Args:
            limit: Evenly spaced ones instead of all.

        """
        whole = len(self.sets["plain"])
        count = whole if limit is None else min(limit, whole)
        places = [place * whole // count for place in range(count)]
        found = {kind: [chosen[place] for place in places] for kind, chosen in self.sets.items()}
        seen = part(spread(self.samples.faces, whole), places)
        sharp = Degrader([], SampleSettings(gates.SIDE, "paper", masked=0.0))
        return {**found, "sharp": list(exams(seen, sharp, masked=False))}

    def gates(self, network: nn.Module, limit: int | None = None) -> dict[str, float]:
        """Return the figures that decide about a default on a GPU; see `jdsr_train.gates`.

        Only for recipes `for_footage`.

        Args:
            network: A generator in evaluation mode.
            limit: Evenly spaced faces instead of all.

        """
        return gates.figures(network, self.gate_faces(limit), self.device)

    def loss(self, network: nn.Module, terms: Terms, until: float = math.inf) -> float:
        """Return the mean loss on a few batches of the same faces.

        Args:
            network: The generator.
            terms: What its loss is.
            until: Time of `time.monotonic` after which no further batch is begun.

        """
        total, seen = 0.0, 0
        with torch.inference_mode():
            for batch in self.samples.batches(LOSS_BATCH, 0, LOSS_BATCHES, 0):
                if seen and time.monotonic() >= until:
                    break
                found = terms(network, batch.unpack(self.device))
                total += sum(float(term) for term in found.values())
                seen += 1
        return total / seen
