"""Choose the default weights for footage, and compare weights with the carried ones."""

from __future__ import annotations

from dataclasses import dataclass

from jdsr_cli.weights.gates import GATES
from jdsr_cli.weights.locations import find_file
from jdsr_cli.weights.registry import CARRIED, WeightEntry, entries

GPUS = ("cuda", "mps")
"""Device types on which a larger generator is fast enough for footage."""
ON_GPU = "camera"
"""Name of the weights that are the default on a GPU if they beat the carried ones."""


@dataclass(frozen=True)
class DefaultWeights:
    """The chosen weights and the reason."""

    name: str
    """Name of the entry."""
    reason: str
    """Short text such as ``the default on a CPU``; on a GPU, why no others were chosen."""


def default_weights(device: str) -> DefaultWeights:
    """Choose the weights for footage on a device such as ``cuda:0``; nothing is fetched.

    `camera` on a GPU, where its file is on this machine and its manifest entry shows that it beats
    `lite-camera` on every gate (`jdsr_cli.weights.gates.GATES`); otherwise `lite-camera`. The
    hash of the file is not compared here: loading reports an altered file and does not replace it
    with another.

    Raises:
        WeightsMissingError, WeightsCorruptError: as `entries`, on a GPU only.

    """
    if device.partition(":")[0] not in GPUS:
        return DefaultWeights(CARRIED, "the default on a CPU")
    known = {one.name: one for one in entries()}
    candidate = known.get(ON_GPU)
    if candidate is None:
        return DefaultWeights(CARRIED, f"no weights called {ON_GPU} are listed for a GPU")
    comparison = compare_gates(candidate, known.get(CARRIED))
    if not comparison.passed:
        return DefaultWeights(CARRIED, f"{ON_GPU} {comparison.description}")
    if find_file(candidate.file) is None:
        return DefaultWeights(
            CARRIED,
            f"{ON_GPU}, the default on a GPU, is not on this machine: jdsr weights fetch {ON_GPU}",
        )
    return DefaultWeights(ON_GPU, f"the default on a GPU, {comparison.description}")


@dataclass(frozen=True)
class GateComparison:
    """Result of comparing weights with the carried ones on every gate."""

    reasons: tuple[str, ...]
    """Gates on which they do not beat the carried weights, or other reasons; empty if they pass."""

    @property
    def passed(self) -> bool:
        """Whether the weights beat the carried ones on every gate."""
        return not self.reasons

    @property
    def description(self) -> str:
        """The result as a text."""
        if self.passed:
            return f"beats {CARRIED} on every gate"
        return f"does not beat {CARRIED}: {', '.join(self.reasons)}"


def compare_gates(entry: WeightEntry, carried: WeightEntry | None) -> GateComparison:
    """Compare weights with the carried ones by the gates of their entry.

    Args:
        entry: The weights.
        carried: The entry of `CARRIED`; None if no manifest lists it.

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
            reasons.append(gate.describe(*pair))
    return GateComparison(tuple(reasons))


def gate_figures(entry: WeightEntry) -> tuple[str, ...]:
    """Return a text with both figures for every gate that was measured."""
    pairs = ((gate, entry.gates.get(gate.name)) for gate in GATES)
    return tuple(gate.describe(*pair) for gate, pair in pairs if isinstance(pair, list))
