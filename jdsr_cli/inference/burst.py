"""Restoration of a face from several registered shots of it."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Self

import numpy as np

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.errors import UsageError, WeightsError, WeightsMissingError
from jdsr_cli.faces.burst import RegisteredShots
from jdsr_cli.inference.generator import GeneratorNetwork, Pictures
from jdsr_cli.weights.bases import check_base
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
        entry: Manifest entry of its weights, which were checked.
        device: Name of a device of torch.

    """

    def __init__(self, entry: WeightEntry, device: str) -> None:
        self.entry, self._device = entry, device
        self._lock = Lock()
        self._loaded: LoadedGenerator | None = None

    @classmethod
    def of(cls, generator: GeneratorNetwork) -> tuple[Self | None, tuple[str, ...]]:
        """Return the network that extends a generator of single shots.

        Of several, it is the first in the order of `jdsr_cli.weights.entries` that can be used.

        Args:
            generator: Its weights are the base of those of the network.

        Returns:
            The network, None if no weights that can be used extend those of the generator; and
            notes on weights that are listed and not used.

        Raises:
            WeightsCorruptError: The file of weights that would be used is altered.

        """
        if generator.entry is None:
            return None, ()
        base, notes = generator.entry.name, list[str]()
        found: Self | None = None
        for listed in entries():
            if listed.network != NETWORK or listed.base != base:
                continue
            if found is not None:
                notes.append(
                    f"{listed.name} extends {base} as well and is not used for fused faces: "
                    f"{found.entry.name} is listed before it"
                )
                continue
            if find_file(listed.file) is None and not listed.carried:
                continue
            fault = _fault(listed)
            if fault is None:
                found = cls(listed, generator.device)
            else:
                notes.append(
                    f"{listed.name} cannot be used for fused faces: {fault.what} (`jdsr weights "
                    f"verify {listed.name}` says what to do)"
                )
        if found is None and notes:
            notes.append(f"fused faces are restored from the mean of their shots, by {base}")
        return found, tuple(notes)

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


def _fault(listed: WeightEntry) -> WeightsError | None:
    """Return why listed weights cannot be used: they, or their base, are missing or others.

    Raises:
        WeightsCorruptError: The file is altered.

    """
    try:
        verify(listed)
    except WeightsMissingError as error:
        return error
    try:
        check_base(listed)
    except WeightsError as error:
        return error
    return None


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
    faces, visibility, weights = (
        torch.from_numpy(np.ascontiguousarray(one, np.float32))[None].to(loaded.device)
        for one in (
            np.clip(shots.crops, 0.0, 255.0).transpose(0, 3, 1, 2) / np.float32(255),
            shots.visibility[:, None],
            # The first one is the largest: the reference of the network.
            shots.weights,
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
