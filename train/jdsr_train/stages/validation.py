"""What the joint stage is measured by: figures on validation faces, its own loss, a panel."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from jdsr_cli.datasets.face_set import FaceSet, evenly_spaced, subset
from jdsr_cli.datasets.samples import Degrader, EvaluationSample, SampleSettings, evaluation_samples
from jdsr_cli.evaluation.repeated import RepeatedEvaluation
from jdsr_train import gates
from jdsr_train.data.batches import Batch
from jdsr_train.data.samples import TrainingSamples
from jdsr_train.logbook import PANEL
from jdsr_train.pictures import face_rows

PANEL_FACES = 10
LOSS_BATCHES = 4
LOSS_BATCH = 8
ON_GPU, ON_CPU = 64, 8
"""Faces measured at once: few where a batch of a large network takes seconds."""

Terms = Callable[[nn.Module, Batch], dict[str, Tensor]]
"""The weighted terms of a network on a batch."""


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
        self.faces, self.degrader = faces, degrader
        settings = degrader.settings
        samples = TrainingSamples(faces, degrader, seed=1)
        self.batches = list(samples.batches(LOSS_BATCH, 0, LOSS_BATCHES, 0))
        self.exams: dict[str, Sequence[EvaluationSample]] = {}
        self.sets: dict[str, RepeatedEvaluation] = {}
        self.panel: dict[str, Sequence[EvaluationSample]] = {}
        size = ON_GPU if device.type == "cuda" else ON_CPU
        wanted = {"masked": settings.masked > 0, "plain": settings.masked < 1}
        for name in (name for name, there in wanted.items() if there):
            found = list(evaluation_samples(faces, degrader, masked=name == "masked", limit=limit))
            shown = range(0, len(found), max(1, len(found) // PANEL_FACES))[:PANEL_FACES]
            self.exams[name] = found
            self.sets[name] = RepeatedEvaluation(
                found, device, canonical=settings.canonical, kept=shown, batch=size
            )
            self.panel[name] = [found[place] for place in shown]

    def figures(self, network: nn.Module, until: float = math.inf) -> dict[str, float]:
        """Return the mean figures of each set; the panel is written beside.

        Args:
            network: The generator.
            until: Time of `time.monotonic` after which no further faces are begun; where that
                leaves some out, `validation_faces` tells how many were measured.

        """
        found: dict[str, float] = {}
        rows: list[Sequence[NDArray[np.uint8]]] = []
        for name, chosen in self.sets.items():
            scores, restored = chosen.score(network, until)
            if len(scores.keys) < len(chosen.keys):
                found["validation_faces"] = found.get("validation_faces", 0) + len(scores.keys)
            found |= {f"{name}_{figure}": value for figure, value in scores.means().items()}
            shown = self.panel[name][: len(restored)]
            rows += [
                [exam.pair.lr for exam in shown],
                restored,
                [exam.pair.hr for exam in shown],
            ]
        columns = min(map(len, rows))  # fewer where time was short
        if columns:
            face_rows([row[:columns] for row in rows], self.folder / PANEL)
        return found

    @property
    def for_footage(self) -> bool:
        """Whether there are camera faces with and without a mask, at the size of footage."""
        settings = self.degrader.settings
        at_size = settings.degradation == "camera" and settings.lr_size == gates.SIDE
        return at_size and all(len(self.exams.get(kind, ())) for kind in ("masked", "plain"))

    def gate_faces(self, limit: int | None = None) -> dict[str, Sequence[EvaluationSample]]:
        """Return `masked`, `plain` and `sharp` faces (bare, undegraded) of the same people.

        Args:
            limit: Evenly spaced ones instead of all.

        """
        whole = len(self.exams["plain"])
        count = whole if limit is None else min(limit, whole)
        places = [place * whole // count for place in range(count)]
        found = {kind: [chosen[place] for place in places] for kind, chosen in self.exams.items()}
        seen = subset(evenly_spaced(self.faces, whole), places)
        sharp = Degrader([], SampleSettings(gates.SIDE, "paper", masked=0.0))
        return {**found, "sharp": list(evaluation_samples(seen, sharp, masked=False))}

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
        found: list[Tensor] = []
        seen = 0
        with torch.inference_mode():
            for batch in self.batches:
                if seen and time.monotonic() >= until:
                    break
                found += terms(network, batch.unpack(self.device)).values()
                seen += 1
        return float(torch.stack(found).double().sum()) / seen
