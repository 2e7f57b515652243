"""Storage of occlusion maps of faces, to which a mask classification is fitted."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

NAME = "occlusion.npz"


class StoredMaps:
    """Maps and gains of faces by kind, such as `green | 24 px | masked`."""

    def __init__(self) -> None:
        self._maps: dict[str, list[NDArray[np.uint8]]] = defaultdict(list)
        self._gains: dict[str, list[float]] = defaultdict(list)

    def add(self, kind: str, occlusion: NDArray[np.float32], gain: float) -> None:
        """Add a map, (128, 128) in [0, 1], and the gain of its canonical colours."""
        self._maps[kind].append(np.rint(255.0 * occlusion).astype(np.uint8))
        self._gains[kind].append(gain)

    def save(self, folder: Path) -> None:
        """Write all maps and gains."""
        arrays = {f"maps | {kind}": np.stack(maps) for kind, maps in self._maps.items()}
        gains = {f"gains | {kind}": np.array(each) for kind, each in self._gains.items()}
        np.savez_compressed(folder / NAME, **arrays, **gains)  # type: ignore[arg-type]


def read_maps(folder: Path) -> dict[str, list[tuple[NDArray[np.float32], float]]]:
    """Return maps, (128, 128) in [0, 1], and gains by kind."""
    with np.load(folder / NAME) as table:
        kinds = [key.removeprefix("maps | ") for key in table.files if key.startswith("maps | ")]
        return {
            kind: [
                (one.astype(np.float32) / 255.0, float(gain))
                for one, gain in zip(table[f"maps | {kind}"], table[f"gains | {kind}"], strict=True)
            ]
            for kind in kinds
        }
