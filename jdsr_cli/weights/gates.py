"""What weights must beat the carried ones on before they are a default on a GPU.

The table ``[weights.gates]`` of a manifest entry holds, for each gate, a pair of what the weights
came to and what the carried ones came to on the same faces; see `jdsr_train.stages.validation`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jdsr_cli.weights.registry import WeightEntry

CARRIED = "lite-camera"
"""The light generator for footage, which every installation carries: it is to be beaten."""


@dataclass(frozen=True)
class Gate:
    """One figure that is compared."""

    name: str
    """Key in the table."""
    best: float
    """The end of its scale that is wanted: infinity where more is better without end."""
    unit: str = ""
    """Such as ``dB``."""

    @property
    def higher(self) -> bool:
        """Whether more is better."""
        return self.best > 0

    def beats(self, own: float, carried: float) -> bool:
        """Whether `own` is strictly better, or both are as good as can be."""
        if own == carried == self.best:
            return True
        return own > carried if self.higher else own < carried

    def told(self, own: float, carried: float) -> str:
        """Say both figures, such as ``masked_psnr 25.1 against 25.5 dB``."""
        return f"{self.name} {own:g} against {carried:g} {self.unit}".rstrip()


GATES = (
    Gate("plain_psnr", math.inf, "dB"),
    Gate("plain_ssim", 1.0),
    Gate("masked_psnr", math.inf, "dB"),
    Gate("masked_ssim", 1.0),
    Gate("masked_psnr_covered", math.inf, "dB"),
    Gate("sharp_psnr", math.inf, "dB"),
    Gate("plain_covered", 0.0),
    Gate("masked_iou", 1.0),
)
"""Fidelity of bare faces, of masked ones and of what the mask covered; a sharp bare face, which
should stay as it is; the share (0 to 1) of the pixels of bare faces that the occlusion map marks
as covered; the intersection over union (0 to 1) of the map with the truth on masked faces."""
_WORDS = ("against", "sha256", "protocol")
_KNOWN = (*_WORDS, *(gate.name for gate in GATES))


@dataclass(frozen=True)
class Verdict:
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


def verdict(entry: WeightEntry, carried: WeightEntry | None) -> Verdict:
    """Judge weights by the gates of their entry.

    Args:
        entry: The weights.
        carried: The entry of `CARRIED`; None where no manifest lists it.

    """
    table = entry.gates
    if not table:
        return Verdict(("its gates were not measured",))
    if carried is None:
        return Verdict((f"no manifest lists {CARRIED}",))
    if table["against"] != carried.name:
        return Verdict((f"its gates were measured against {table['against']}",))
    if table["sha256"] != carried.sha256:
        measured, now = str(table["sha256"])[:8], carried.sha256[:8]
        return Verdict(
            (f"its gates were measured against another {CARRIED} ({measured}, now {now})",)
        )
    reasons = []
    for gate in GATES:
        pair = table.get(gate.name)
        if not isinstance(pair, list):
            reasons.append(f"{gate.name} was not measured")
        elif not gate.beats(*pair):
            reasons.append(gate.told(*pair))
    return Verdict(tuple(reasons))


def figures(entry: WeightEntry) -> tuple[str, ...]:
    """Say the figures of every gate that was measured."""
    known = ((gate, entry.gates.get(gate.name)) for gate in GATES)
    return tuple(gate.told(*pair) for gate, pair in known if isinstance(pair, list))


def table_fault(table: Mapping[str, object]) -> str | None:
    """Say what is wrong with a table ``[weights.gates]``, None where nothing is."""
    unknown = sorted(set(table) - set(_KNOWN))
    if unknown:
        return f"has an unknown key {unknown[0]!r}"
    for key in _WORDS:
        value = table.get(key)
        if not isinstance(value, str) or not value:
            return f"{key} cannot be {value!r}" if key in table else f"lacks the key {key!r}"
    if not re.fullmatch(r"[0-9a-f]{64}", str(table["sha256"])):
        return "sha256 is not 64 lower-case hexadecimal digits"
    for key in set(table) - set(_WORDS):
        if not _is_pair(table[key]):
            return f"{key} is not a pair of numbers: {table[key]!r}"
    return None


def _is_pair(value: object) -> bool:
    if not isinstance(value, list) or len(value) != 2:
        return False
    return all(type(one) in (int, float) and not math.isnan(one) for one in value)
