"""Methods that restore a face from several shots of it, by the code that `restore` uses.

Three are compared with the restored first shot: the mean of the restored shots (`results`), the
restored mean of the shots (`inputs`), and a network that takes all shots (`shots`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.datasets.samples import EvaluationSample, to_tensor
from jdsr_cli.evaluation.methods import Method, NamedRestorer, bicubic, crop_colour_map
from jdsr_cli.evaluation.tracks import EvaluationTrack
from jdsr_cli.faces.burst import RegisteredShots, align_shots, fuse
from jdsr_cli.faces.canonical_colours import ColourMap
from jdsr_cli.faces.occlusion import MaskCalibration, classify_mask
from jdsr_cli.inference.burst import restore_together
from jdsr_cli.networks import BurstGenerator, GeneratorOutput
from jdsr_cli.synthesis.compression import resize_bicubic

Combination = Literal["results", "inputs", "shots"]
COMBINATIONS: dict[Combination, str] = {
    "results": "mean of the restored shots, registered",
    "inputs": "mean of the registered shots, restored once",
    "shots": "registered shots, restored together by the network; mean with their mirror images",
}
BATCH = 32
"""Most shots that a network receives at once."""

Images = NDArray[np.uint8]
Maps = NDArray[np.float32]


@dataclass(frozen=True)
class TrackMethod:
    """How a method of a table restores faces."""

    restorer: str
    """Name of the weights."""
    combination: Combination | None
    """None for the first shot alone."""
    shots: int

    @property
    def name(self) -> str:
        """Name in tables."""
        what = self.combination or "shot"
        return f"{self.restorer}, {self.shots} {what}"


def methods_for_tracks(
    restorer: NamedRestorer, counts: Sequence[int]
) -> list[tuple[TrackMethod, Method]]:
    """Return the methods of weights for numbers of shots, that of the first shot alone first.

    A network for single pictures is compared in both orders of mean and restoration, one for
    several shots restores them together, and bicubic interpolation is linear in the shots.
    """
    network = None if restorer.loaded is None else restorer.loaded.network
    combinations: tuple[Combination, ...] = ("results", "inputs")
    if isinstance(network, BurstGenerator):
        combinations = ("shots",)
    elif network is None:
        combinations = ("inputs",)
    tracks = _TrackRestorer(restorer)
    kinds = [TrackMethod(restorer.name, None, 1)]
    kinds += [
        TrackMethod(restorer.name, combination, count)
        for combination in combinations
        for count in counts
        if count > 1
    ]
    return [(one, _method(one, tracks, restorer)) for one in kinds]


def _method(kind: TrackMethod, tracks: _TrackRestorer, restorer: NamedRestorer) -> Method:
    description: dict[str, str | int] = {**restorer.description, "shots": kind.shots}
    if kind.combination is not None:
        description["combination"] = COMBINATIONS[kind.combination]
    restore: Callable[[Sequence[EvaluationSample]], Tensor] = partial(tracks.restore, kind)
    return Method(
        kind.name, restore, lr_size=restorer.lr_size, description=description,
        count_shots=partial(tracks.count_shots, kind),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _SeenTrack:
    """The shots of a face and their single restorations, in canonical colours if required."""

    filmed: Images
    """(s, s, 3): the first shot in its own colours, to which results are converted."""
    colours: ColourMap | None
    """Of the first shot; None if colours are not converted."""
    crops: Images
    """(n, s, s, 3)."""
    restored: Images
    """(n, 128, 128, 3)."""
    occlusions: Maps
    """(n, 128, 128) in [0, 1]."""
    bare: tuple[bool, ...]
    """Whether each shot is decided to be bare, from its occlusion map alone."""
    width: float
    """Of the face on the sensor, in pixels."""

    @cached_property
    def inputs(self) -> RegisteredShots:
        """The shots, registered on the first one."""
        return self._aligned(self.crops)

    @cached_property
    def results(self) -> RegisteredShots:
        """The restored shots, registered on the first one."""
        return self._aligned(self.restored)

    def _aligned(self, pictures: Images) -> RegisteredShots:
        count = len(pictures)
        return align_shots(
            pictures, np.ones(count), self.occlusions, bare=self.bare,
            widths=[self.width] * count,
        )  # fmt: skip

    def finish(self, face: Images, occlusion: Maps) -> Images:
        """Return a restored face (128, 128, 3) in the colours of the first shot.

        Args:
            face: As restored.
            occlusion: (128, 128): what was covered in the picture that was restored. What the first
                shot covers is not that of the face either.

        """
        if self.colours is None:
            return face
        covered = np.maximum(occlusion, self.occlusions[0])
        return self.colours.restore(face, resize_bicubic(self.filmed, TEMPLATE_SIZE), covered)


class _TrackRestorer:
    """Restores tracks by one set of weights; shots are restored and registered once."""

    def __init__(self, restorer: NamedRestorer) -> None:
        self._restorer = restorer
        self._samples: Sequence[EvaluationSample] = ()
        self._seen: list[_SeenTrack] = []
        """Of `_samples`, which all methods receive in turn."""

    def restore(self, kind: TrackMethod, samples: Sequence[EvaluationSample]) -> Tensor:
        """Return the restored faces, (B, 3, 128, 128) in [0, 1]."""
        seen = self._see(samples)
        if kind.combination is None:
            faces = [(one.restored[0], one.occlusions[0]) for one in seen]
        elif kind.combination == "results":
            faces = [_mean_result(one, kind.shots) for one in seen]
        elif kind.combination == "inputs":
            means = [fuse(first_shots(one.inputs, kind.shots)).image for one in seen]
            faces = list(zip(*self._run(means), strict=True))
        else:
            faces = [self._restore_together(one, kind.shots) for one in seen]
        return to_tensor([one.finish(*face) for one, face in zip(seen, faces, strict=True)])

    def count_shots(
        self, kind: TrackMethod, samples: Sequence[EvaluationSample]
    ) -> NDArray[np.float64]:
        """Return how many shots of each track are combined, (B,)."""
        if kind.combination is None:
            return np.ones(len(samples))
        results = kind.combination == "results"
        registered = [one.results if results else one.inputs for one in self._see(samples)]
        return np.array([len(first_shots(one, kind.shots).used) for one in registered], np.float64)

    def _see(self, samples: Sequence[EvaluationSample]) -> list[_SeenTrack]:
        if samples is not self._samples:
            self._seen = self._prepare([one for one in samples if isinstance(one, EvaluationTrack)])
            self._samples = samples
        return self._seen

    def _prepare(self, samples: Sequence[EvaluationTrack]) -> list[_SeenTrack]:
        maps = [
            [crop_colour_map(shot) if self._restorer.canonical else None for shot in one.inputs]
            for one in samples
        ]
        crops = [
            np.stack([shot if colours is None else colours.apply(shot)
                      for colours, shot in zip(own, one.inputs, strict=True)])
            for own, one in zip(maps, samples, strict=True)
        ]  # fmt: skip
        restored, occlusions = self._run([shot for own in crops for shot in own])
        ends = np.cumsum([len(own) for own in crops])[:-1]
        entry = None if self._restorer.loaded is None else self._restorer.loaded.entry
        calibration = MaskCalibration.of(entry)
        return [
            _SeenTrack(
                one.pair.lr, own[0], shots, faces, covered,
                tuple(
                    classify_mask(
                        calibration.probability(each, 1.0 if colours is None else colours.gain)
                    ) == "bare"
                    for each, colours in zip(covered, own, strict=True)
                ),
                one.track.native_width,
            )
            for one, own, shots, faces, covered in zip(
                samples, maps, crops, np.split(restored, ends), np.split(occlusions, ends),
                strict=True,
            )
        ]  # fmt: skip

    def _run(self, crops: Sequence[Images]) -> tuple[Images, Maps]:
        """Restore single crops (s, s, 3); return faces (N, 128, 128, 3) and occlusion maps."""
        parts = [self._run_batch(crops[at : at + BATCH]) for at in range(0, len(crops), BATCH)]
        faces, occlusions = zip(*parts, strict=True)
        return np.concatenate(faces), np.concatenate(occlusions)

    def _run_batch(self, crops: Sequence[Images]) -> tuple[Images, Maps]:
        loaded, lr = self._restorer.loaded, to_tensor(crops)
        if loaded is None:
            closed = np.zeros((len(crops), TEMPLATE_SIZE, TEMPLATE_SIZE), np.float32)
            return _levels(bicubic(lr)), closed
        with torch.inference_mode():
            output: GeneratorOutput = loaded.network(lr.to(loaded.device))
        return _levels(output.restored), _enlarged(output.occlusion)

    def _restore_together(self, seen: _SeenTrack, count: int) -> tuple[Images, Maps]:
        assert self._restorer.loaded is not None
        found = restore_together(self._restorer.loaded, first_shots(seen.inputs, count))
        return found.images[0], found.occlusions[0].astype(np.float32) / np.float32(255)


def first_shots(shots: RegisteredShots, count: int) -> RegisteredShots:
    """Return those registered shots that are among the first `count` of the track."""
    kept = [row for row, index in enumerate(shots.used) if index < count]
    return RegisteredShots(
        shots.crops[kept], shots.visibility[kept], shots.weights[kept],
        tuple(shots.used[row] for row in kept),
    )  # fmt: skip


def _mean_result(seen: _SeenTrack, count: int) -> tuple[Images, Maps]:
    return fuse(first_shots(seen.results, count)).image, seen.occlusions[0]


def _levels(restored: Tensor) -> Images:
    levels = (restored.float().clamp(0, 1) * 255).round().byte()
    return levels.permute(0, 2, 3, 1).cpu().numpy()


def _enlarged(occlusion: Tensor) -> Maps:
    size = (TEMPLATE_SIZE, TEMPLATE_SIZE)
    maps = [cv2.resize(one, size) for one in occlusion[:, 0].float().cpu().numpy()]
    return np.asarray(np.stack(maps), np.float32)
