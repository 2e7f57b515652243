"""Validation of generators of tracks: several shots of each validation face."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from jdsr_cli.datasets.face_set import FaceSet, evenly_spaced
from jdsr_cli.datasets.samples import Degrader
from jdsr_cli.evaluation.metrics.fidelity import FIDELITY_FIGURES, GroundTruth, fidelity_by_region
from jdsr_cli.networks import GeneratorOutput
from jdsr_cli.synthesis.masks import rng_for
from jdsr_cli.synthesis.tracks import TrackSettings, record_track
from jdsr_train.data.samples import Batch
from jdsr_train.data.tracks import PackedTracks, TrackSamples, known_of, pack
from jdsr_train.stages.validation import (
    LOSS_BATCH,
    LOSS_BATCHES,
    Terms,
    mean_loss,
    panel_indices,
)
from jdsr_train.training.monitoring import PANEL, save_face_grid

MAX_FACES = 96
"""Most validation faces: a track has several times the pixels of a face."""
BATCH = 8
BARE = 0.25
"""Share of bare shots of the tracks `uncovered`, the last ones."""


@dataclass(frozen=True)
class _Tracks:
    """The tracks of one kind, in batches."""

    batches: tuple[PackedTracks, ...]
    covered: Tensor
    """(N, 1, 128, 128) bool: covered in the first shot."""


class TrackValidation:
    """Computes metrics of a generator on tracks of validation faces, and writes a panel.

    There are `plain` tracks, `masked` ones, and `uncovered` ones, in which the mask is off in the
    last quarter of the shots; all have the largest number of shots of the recipe. The metrics
    compare canonical colours; `psnr_gain` is the difference to the first shot alone. The tracks are
    created once and stay in memory.

    Args:
        faces: The validation split.
        degrader: Its masks and settings.
        settings: Movement within a track.
        folder: Folder of the panel.
        limit: Number of faces, evenly spaced in the split; at most `MAX_FACES`.
        device: Device of the generator.

    """

    def __init__(
        self,
        faces: FaceSet,
        degrader: Degrader,
        settings: TrackSettings,
        folder: Path,
        limit: int,
        device: torch.device,
    ) -> None:
        self.folder, self.device = folder, device
        samples = TrackSamples(faces, degrader, settings, 1, LOSS_BATCH)
        self.batches = list(samples.batches(LOSS_BATCH, 0, LOSS_BATCHES, 0))
        count = max(settings.shots)
        bare = max(1, round(BARE * count))
        masks = {
            "plain": (False,) * count,
            "masked": (True,) * count,
            "uncovered": (True,) * (count - bare) + (False,) * bare,
        }
        chosen = evenly_spaced(faces, min(limit, MAX_FACES))
        wanted = {name: worn for name, worn in masks.items() if degrader.sprites or not any(worn)}
        self.tracks = {
            name: _record(chosen, degrader, settings, worn) for name, worn in wanted.items()
        }
        self._single: dict[str, float] = {}

    def loss(self, network: nn.Module, terms: Terms, until: float = math.inf) -> float:
        """Return the mean loss on a few fixed batches; see `Validation.loss`."""
        return mean_loss(self.batches, self.device, network, terms, until)

    def metrics(self, network: nn.Module, until: float = math.inf) -> dict[str, float]:
        """Return the mean metrics of each kind and write the panel; see `Validation.metrics`."""
        metrics: dict[str, float] = {}
        rows: list[Sequence[NDArray[np.uint8]]] = []
        for name, tracks in self.tracks.items():
            if name not in self._single:
                # Single shots are restored by the frozen part, whose results do not change.
                alone, _ = self._score(network, tracks, until, shots=1)
                if len(alone["psnr"]) == len(tracks.covered):
                    self._single[name] = float(np.nanmean(alone["psnr"]))
            scores, restored = self._score(network, tracks, until)
            measured = len(scores["psnr"])
            if measured < len(tracks.covered):
                metrics["validation_faces"] = metrics.get("validation_faces", 0) + measured
            for metric, values in scores.items():
                if np.isfinite(values).any():
                    metrics[f"{name}_{metric}"] = float(np.nanmean(values))
            if name in self._single and measured == len(tracks.covered):
                metrics[f"{name}_psnr_gain"] = metrics[f"{name}_psnr"] - self._single[name]
            shown = [index for index in panel_indices(len(tracks.covered)) if index < measured]
            firsts = torch.cat([batch.shots[:, 0] for batch in tracks.batches]).numpy()
            truths = torch.cat([batch.hr for batch in tracks.batches]).numpy()
            rows += [
                [pictures[index] for index in shown] for pictures in (firsts, restored, truths)
            ]
        columns = min(map(len, rows))
        if columns:
            save_face_grid([row[:columns] for row in rows], self.folder / PANEL)
        return metrics

    def _score(
        self, network: nn.Module, tracks: _Tracks, until: float, shots: int | None = None
    ) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.uint8]]:
        """Return the metrics and the restored faces, (N, 128, 128, 3), of the first shots."""
        figures: dict[str, list[Tensor]] = {name: [] for name in FIDELITY_FIGURES}
        pictures, done = [], 0
        with torch.inference_mode():
            for packed in tracks.batches:
                if done and time.monotonic() >= until:
                    break
                batch: Batch = packed.unpack(self.device)
                assert batch.track is not None
                output: GeneratorOutput = network(*(part[:, :shots] for part in batch.track))
                levels = (output.restored.float().clamp(0, 1) * 255).round()
                covered = tracks.covered[done : done + len(levels)].to(self.device)
                truth = GroundTruth.of(batch.hr)
                for name, values in fidelity_by_region(levels / 255, truth, covered, 1).items():
                    figures[name].append(values.cpu())
                pictures.append(levels.byte().permute(0, 2, 3, 1).cpu().numpy())
                done += len(levels)
        return (
            {name: torch.cat(parts).double().numpy() for name, parts in figures.items()},
            np.concatenate(pictures),
        )


def _record(
    faces: FaceSet, degrader: Degrader, settings: TrackSettings, masked: Sequence[bool]
) -> _Tracks:
    options, samples, covered = degrader.settings, [], []
    for index, key in enumerate(faces.keys):
        rng = rng_for(key)
        track = record_track(
            np.asarray(faces.images[index]), faces.landmarks[index], masked, degrader.sprites,
            options.lr_size, rng, options.camera, settings, canonical=options.canonical,
        )  # fmt: skip
        samples.append(known_of(track, rng))
        covered.append(torch.from_numpy(track.occlusions[0] > 0.5)[None])
    parts = [pack(samples[start : start + BATCH]) for start in range(0, len(samples), BATCH)]
    return _Tracks(tuple(parts), torch.stack(covered))
