"""Restoration of a face from several registered shots of it."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Self

import numpy as np

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.errors import UsageError
from jdsr_cli.faces.burst import RegisteredShots
from jdsr_cli.inference.generator import GeneratorNetwork, Pictures
from jdsr_cli.weights.locations import find_file
from jdsr_cli.weights.registry import WeightEntry, entries, verify

if TYPE_CHECKING:
    from jdsr_cli.weights import LoadedGenerator

NETWORK = "burst"
"""Name of the network in `jdsr_cli.networks`."""


class BurstNetwork:
    """A network that restores a face from several shots, in float32 by torch.

    Its weights are loaded when the first face is restored. It can be used by several threads.

    Args:
        entry: Manifest entry of its weights.
        device: Name of a device of torch.

    Raises:
        WeightsError: The file is missing or altered.

    """

    def __init__(self, entry: WeightEntry, device: str) -> None:
        verify(entry)
        self.entry, self._device = entry, device
        self._lock = Lock()
        self._loaded: LoadedGenerator | None = None

    @classmethod
    def of(cls, generator: GeneratorNetwork) -> Self | None:
        """Return the network that extends a generator of single shots.

        Args:
            generator: Its weights are the base of those of the network.

        Returns:
            None if no weights on this machine extend those of the generator.

        Raises:
            WeightsCorruptError: The file of the weights is altered.

        """
        if generator.entry is None:
            return None
        for listed in entries():
            extends = listed.network == NETWORK and listed.base == generator.entry.name
            if extends and find_file(listed.file) is not None:
                return cls(listed, generator.device)
        return None

    def restore(self, shots: RegisteredShots) -> Pictures:
        """Restore a face.

        Args:
            shots: As `faces.burst.align_shots` returns them, 128 pixels wide.

        Returns:
            One picture.

        Raises:
            UsageError: The shots have another size.
            WeightsError: The weights cannot be loaded.
            MemoryError: The device has too little memory.

        """
        with self._lock:
            return restore_together(self._load(), shots)

    def _load(self) -> LoadedGenerator:
        if self._loaded is None:
            from jdsr_cli.weights import load_generator

            self._loaded = load_generator(self.entry.name, self._device, "float32")
        return self._loaded


def restore_together(loaded: LoadedGenerator, shots: RegisteredShots) -> Pictures:
    """Restore a face from its shots, in float32; see `BurstNetwork.restore`.

    The picture of several shots is the mean of theirs and of that of their mirror images.

    Args:
        loaded: Weights of a network of this name.
        shots: As `faces.burst.align_shots` returns them, 128 pixels wide.

    """
    import torch

    if shots.crops.shape[1:] != (TEMPLATE_SIZE, TEMPLATE_SIZE, 3):
        raise UsageError(
            f"shots are {shots.crops.shape}, the network takes (n, 128, 128, 3)",
            hint="Register crops that are 128 pixels wide.",
        )
    # The network takes the shot with the largest weight for the one that others follow.
    trust = np.minimum(shots.weights / shots.weights.max(), 0.99)
    trust[0] = 1.0
    faces, visibility, weights = (
        torch.from_numpy(np.ascontiguousarray(one, np.float32))[None].to(loaded.device)
        for one in (
            np.clip(shots.crops, 0.0, 255.0).transpose(0, 3, 1, 2) / np.float32(255),
            shots.visibility[:, None],
            trust,
        )
    )
    try:
        with torch.inference_mode():
            output = loaded.network(faces, visibility, weights)
            restored, occlusion = output.restored.float(), output.occlusion.float()
            if faces.shape[1] > 1:
                mirrored = loaded.network(faces.flip(-1), visibility.flip(-1), weights)
                restored = (restored + mirrored.restored.float().flip(-1)) / 2
                occlusion = (occlusion + mirrored.occlusion.float().flip(-1)) / 2
        finite = bool(torch.isfinite(restored).all() and torch.isfinite(occlusion).all())
        levels, covered = (
            (torch.nan_to_num(one).clamp(0, 1) * 255).round().byte().cpu().numpy()
            for one in (restored, occlusion)
        )
    except torch.OutOfMemoryError as error:
        raise MemoryError(str(error)) from error
    return Pictures(levels.transpose(0, 2, 3, 1), covered[:, 0], np.array([finite]))
