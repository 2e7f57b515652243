"""Measures of a filmed face under the component names of OFIQ (ISO/IEC 29794-5).

OFIQ is the reference implementation of ISO/IEC 29794-5:2025, Biometric sample quality, face image
data. Its names say which property of a face a number is about. The numbers here are native values
of jdsr's own measures, not computed by OFIQ and not mapped to its scale of 0 to 100. Components
that jdsr does not measure are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jdsr_cli.reporting.values import Record, number, share
from jdsr_cli.reporting.wording import percent


@dataclass(frozen=True)
class Component:
    """A component of quality that jdsr measures."""

    name: str
    """OFIQ's name; empty for a measure of jdsr alone."""
    measure: str
    """What jdsr measures."""
    value: Callable[[Record], str | None]
    """Text with the unit from a record of `faces.jsonl`, None if it is not recorded."""


def _pixels(record: Record) -> str | None:
    value = number(record, "eye_distance")
    return None if value is None else f"{value:.1f} px"


def _degrees(name: str) -> Callable[[Record], str | None]:
    def value(record: Record) -> str | None:
        angle = number(record, name)
        return None if angle is None else f"{angle:+.1f}°"

    return value


def _unit(name: str) -> Callable[[Record], str | None]:
    def value(record: Record) -> str | None:
        found = share(record, name)
        return None if found is None else f"{found:.2f}"

    return value


def _uncovered(record: Record) -> str | None:
    covered = share(record, "covered")
    return None if covered is None else f"{percent(1.0 - covered)} not covered"


COMPONENTS = (
    Component("InterEyeDistance", "distance between the eyes in the filmed frame", _pixels),
    Component(
        "Sharpness",
        "ratio of fine to coarse gradients of the filmed face; 0 to 1, a sharp face has 0.8",
        _unit("sharpness"),
    ),
    Component(
        "HeadPoseYaw",
        "rotation of the head to the side, from five points; above 0 if the nose points to the "
        "right of the picture",
        _degrees("yaw"),
    ),
    Component("HeadPosePitch", "rotation of the head up or down", _degrees("pitch")),
    Component("HeadPoseRoll", "rotation of the head in the picture plane", _degrees("roll")),
    Component(
        "FaceOcclusionPrevention",
        "share of the face that the network did not find covered",
        _uncovered,
    ),
    Component("", "jdsr's own quality of the shot, for ranking only; 0 to 1", _unit("quality")),
)


@dataclass(frozen=True)
class QualityTable:
    """Values of one or two frames, side by side."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    """Name of the component, and its value in each frame."""


def quality_table(frames: list[tuple[str, Record]]) -> QualityTable | None:
    """Return the measures of frames; None if nothing is recorded.

    Args:
        frames: What each frame is called, and its record.

    """
    rows = []
    for one in COMPONENTS:
        values = [one.value(record) for _, record in frames]
        if any(value is not None for value in values):
            name = one.name or "Quality of the shot (jdsr)"
            rows.append((name, tuple("not measured" if v is None else v for v in values)))
    return QualityTable(tuple(name for name, _ in frames), tuple(rows)) if rows else None
