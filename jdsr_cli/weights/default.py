"""Choose the default weights for footage, and compare weights with the carried ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jdsr_cli.weights.locations import find_file
from jdsr_cli.weights.registry import CARRIED, GATES, WeightEntry, entries

if TYPE_CHECKING:
    import torch

GPUS = ("cuda", "mps")
"""Kinds of devices on which a larger generator keeps up with footage."""
ON_GPU = "camera"
"""Name of the weights that are the default on a GPU once they beat the carried ones."""


@dataclass(frozen=True)
class DefaultWeights:
    """What was chosen, and why."""

    name: str
    """Of the entry."""
    reason: str
    """In a few words, such as ``the default on a CPU``; on a GPU, why no other was chosen."""


def default_weights(device: torch.device) -> DefaultWeights:
    """Choose the weights for footage on `device`; nothing is fetched.

    `camera` on a GPU, where its file is on this machine and its manifest entry shows that it beats
    `lite-camera` on every gate (`jdsr_cli.weights.registry.GATES`); otherwise `lite-camera`. The
    hash of the file is not compared here: loading reports an altered file and uses no other in its
    place.

    Raises:
        WeightsMissingError, WeightsCorruptError: as `entries`, on a GPU only.

    """
    if device.type not in GPUS:
        return DefaultWeights(CARRIED, "the default on a CPU")
    known = {one.name: one for one in entries()}
    wanted = known.get(ON_GPU)
    if wanted is None:
        return DefaultWeights(CARRIED, f"no weights called {ON_GPU} are listed for a GPU")
    found = compare_gates(wanted, known.get(CARRIED))
    if not found.passed:
        return DefaultWeights(CARRIED, f"{ON_GPU} {found.told}")
    if find_file(wanted.file) is None:
        return DefaultWeights(
            CARRIED,
            f"{ON_GPU}, the default on a GPU, is not on this machine: jdsr weights fetch {ON_GPU}",
        )
    return DefaultWeights(ON_GPU, f"the default on a GPU, {found.told}")


@dataclass(frozen=True)
class GateComparison:
    """Whether weights beat the carried ones on every gate."""

    reasons: tuple[str, ...]
    """Why not, in words; empty where they do."""

    @property
    def passed(self) -> bool:
        """Whether they do."""
        return not self.reasons

    @property
    def told(self) -> str:
        """The verdict in words."""
        if self.passed:
            return f"beats {CARRIED} on every gate"
        return f"does not beat {CARRIED}: {', '.join(self.reasons)}"


def compare_gates(entry: WeightEntry, carried: WeightEntry | None) -> GateComparison:
    """Judge weights by the gates of their entry.

    Args:
        entry: The weights.
        carried: The entry of `CARRIED`; None where no manifest lists it.

    """
    table = entry.gates
    if not table:
        return GateComparison(("its gates were not measured",))
    if carried is None:
        return GateComparison((f"no manifest lists {CARRIED}",))
    if table["against"] != carried.name:
        return GateComparison((f"its gates were measured against {table['against']}",))
    if table["sha256"] != carried.sha256:
        measured, now = str(table["sha256"])[:8], carried.sha256[:8]
        return GateComparison(
            (f"its gates were measured against another {CARRIED} ({measured}, now {now})",)
        )
    reasons = []
    for gate in GATES:
        pair = table.get(gate.name)
        if not isinstance(pair, list):
            reasons.append(f"{gate.name} was not measured")
        elif not gate.beats(*pair):
            reasons.append(gate.told(*pair))
    return GateComparison(tuple(reasons))


def gate_figures(entry: WeightEntry) -> tuple[str, ...]:
    """Say the figures of every gate that was measured."""
    known = ((gate, entry.gates.get(gate.name)) for gate in GATES)
    return tuple(gate.told(*pair) for gate, pair in known if isinstance(pair, list))
