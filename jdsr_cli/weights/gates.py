"""The gates by which weights are compared with the carried ones.

The table ``[weights.gates]`` of a manifest entry contains, for each gate, a pair of the figures of
these weights and of the carried ones on the same faces; see `jdsr_train.stages.validation`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Gate:
    """A metric that is compared."""

    name: str
    """Key in the table ``[weights.gates]``."""
    best: float
    """Best possible value; infinity if the metric has no upper bound and more is better."""
    unit: str = ""
    """Unit such as ``dB``, empty if there is none."""

    @property
    def higher(self) -> bool:
        """Whether higher is better."""
        return self.best > 0

    def beats(self, own: float, carried: float) -> bool:
        """Whether `own` is strictly better, or both are the best possible value."""
        if own == carried == self.best:
            return True
        return own > carried if self.higher else own < carried

    def describe(self, own: float, carried: float) -> str:
        """Return a text with both values, such as ``masked_psnr 25.1 against 25.5 dB``."""
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
"""Fidelity on bare faces, on masked faces and on the pixels under the mask; fidelity on a sharp
bare face, which should not change; share (0 to 1) of the pixels of bare faces that the occlusion
map marks as covered; intersection over union (0 to 1) of the map with the truth on masked faces."""
_TEXT_KEYS = ("against", "sha256", "protocol")
_GATE_KEYS = (*_TEXT_KEYS, *(gate.name for gate in GATES))


def gate_table_error(table: Mapping[str, object]) -> str | None:
    """Return the error in a table ``[weights.gates]``, None if it is valid."""
    unknown = sorted(set(table) - set(_GATE_KEYS))
    if unknown:
        return f"has an unknown key {unknown[0]!r}"
    for key in _TEXT_KEYS:
        value = table.get(key)
        if not isinstance(value, str) or not value:
            return f"{key} cannot be {value!r}" if key in table else f"lacks the key {key!r}"
    if not re.fullmatch(r"[0-9a-f]{64}", str(table["sha256"])):
        return "sha256 is not 64 lower-case hexadecimal digits"
    for key in set(table) - set(_TEXT_KEYS):
        if not _is_pair(table[key]):
            return f"{key} is not a pair of numbers: {table[key]!r}"
    return None


def _is_pair(value: object) -> bool:
    if not isinstance(value, list) or len(value) != 2:
        return False
    return all(type(one) in (int, float) and not math.isnan(one) for one in value)
