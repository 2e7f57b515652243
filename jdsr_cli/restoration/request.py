"""What determines the bytes of a result, and how two such requests differ."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jdsr_cli.restoration.finished_segments import CHECK_LENGTH


@dataclass(frozen=True)
class Request:
    """Everything that determines the bytes of a result; identifies runs and their results."""

    asked: Mapping[str, Any]
    """Command, hash of the input, settings, weights and detector, ready for JSON."""
    tools: Mapping[str, Any]
    """Device and versions of the packages that affect pixels."""

    @property
    def digest(self) -> str:
        """SHA-256 of `asked`, stored in the manifest."""
        return hashlib.sha256(_canonical(self.asked).encode()).hexdigest()

    @property
    def run(self) -> str:
        """Identifier of runs that give the same bytes: of what is asked, and of the tools."""
        return hashlib.sha256(_canonical(self.to_json()).encode()).hexdigest()[:CHECK_LENGTH]

    def to_json(self) -> dict[str, Any]:
        """Return the request as JSON-compatible values."""
        stored: dict[str, Any] = json.loads(_canonical({"asked": self.asked, "tools": self.tools}))
        return stored

    def differences(self, stored: Mapping[str, Any]) -> list[str]:
        """Describe each difference to a stored request; empty if they are equal."""
        return [
            f"{name} was {json.dumps(before)} and is {json.dumps(now)}"
            for name, before, now in _leaves(stored, self.to_json())
            if before != now
        ]


def resume_advice(stored: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return how a run can be continued whose stored request is not the one of now."""
    before, found = _weights(stored), _weights(now)
    several, other = before.pop("burst", None), found.pop("burst", None)
    if several == other or before != found or not isinstance(several or other, dict):
        return (
            "Repeat the same command with --resume (with the --weights of that run, if they are "
            "not the default now)"
        )
    if not several:
        return (
            f"That run had no weights for fused faces; move {other['file']} out of the folders of "
            "weights, and repeat the same command with --resume"
        )
    name, file = several.get("name"), several.get("file")
    state = "is another file now" if other is not None else "is missing, or cannot be used"
    return (
        f"The weights of that run for fused faces, {file}, {state}: put back the file with the "
        f"SHA-256 above and the weights that it extends (see `jdsr weights verify {name}`), and "
        "repeat the same command with --resume"
    )


def _weights(request: Mapping[str, Any]) -> dict[str, Any]:
    asked = request.get("asked")
    weights = asked.get("weights") if isinstance(asked, dict) else None
    return dict(weights) if isinstance(weights, dict) else {}


def _canonical(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


def _leaves(before: Any, now: Any, name: str = "") -> list[tuple[str, Any, Any]]:
    """Return the leaves of two trees in pairs, with their dotted names."""
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return [(name, before, now)]
    return [
        leaf
        for key in sorted(before.keys() | now.keys())
        for leaf in _leaves(before.get(key), now.get(key), f"{name}.{key}".lstrip("."))
    ]
