"""What was asked for: by it a run that goes on, or a result that is there, is known as the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Request:
    """Everything that decides about the bytes of a result."""

    asked: Mapping[str, Any]
    """Command, hash of the input, settings, weights and detector, ready for JSON."""
    tools: Mapping[str, Any]
    """Device and versions of the packages that touch pixels."""

    @property
    def digest(self) -> str:
        """SHA-256 of what was asked, which a manifest keeps."""
        return hashlib.sha256(_canonical(self.asked).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        stored: dict[str, Any] = json.loads(_canonical({"asked": self.asked, "tools": self.tools}))
        return stored

    def differences(self, stored: Mapping[str, Any]) -> list[str]:
        """Return in words what differs from a stored request, empty where nothing does."""
        own = self.to_json()
        return [
            f"{name} was {json.dumps(before)} and is {json.dumps(now)}"
            for name, before, now in _pairs(stored, own)
            if before != now
        ]


def _canonical(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


def _pairs(before: Any, now: Any, name: str = "") -> list[tuple[str, Any, Any]]:
    """Return the leaves of two trees side by side, with the names that lead to them."""
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return [(name, before, now)]
    return [
        pair
        for key in sorted(before.keys() | now.keys())
        for pair in _pairs(before.get(key), now.get(key), f"{name}.{key}".lstrip("."))
    ]
