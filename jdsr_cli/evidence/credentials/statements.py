"""What content credentials of a result state: the input, the tools, and what was invented.

The statements are those of a C2PA 2.x claim: an ingredient (the input, by name and hash), actions
with the IPTC's digital source type, and an assertion ``jdsr.restoration``. They name no folder, no
machine and no user.
"""

from __future__ import annotations

import base64
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any, Literal

from jdsr_cli.evidence.credentials.library import ASSERTION
from jdsr_cli.evidence.manifest import CAUTION, DIGITAL_SOURCE, FileDigest
from jdsr_cli.version import __version__

Content = Literal["restored", "overlay", "filmed", "map"]
"""What a file shows: restored faces, the input with detections drawn on it, faces as filmed, or
which pixels of a restored face are covered or doubtful."""
TOOL = {"name": "jdsr", "version": __version__}
STATEMENTS: Mapping[Content, str] = {
    "restored": CAUTION,
    "overlay": "Boxes, track numbers and reasons of refusal are drawn on the input; no face is "
    "restored here.",
    "filmed": "Faces as filmed, enlarged and aligned; no face is restored here.",
    "map": "A map of which pixels of a restored face are covered, or doubtful; no picture.",
}
_INPUT = "input"
"""Name by which an action refers to the ingredient."""


@dataclass(frozen=True)
class Origin:
    """What the files of a result were made from and with."""

    input: FileDigest
    """The input as it was read; of its path only the name is stated."""
    weights: Mapping[str, Any] | None
    """Weights of the generator, as in a manifest."""
    request: str
    """Digest of the request, as in a manifest."""

    def define(self, title: str, media_type: str, content: Content) -> dict[str, Any]:
        """Return the definition of a claim, for ``c2pa.Builder``.

        Args:
            title: Name of the file.
            media_type: Its media type.
            content: What it shows.

        """
        return {
            "claim_version": 2,
            "claim_generator_info": [TOOL],
            "title": title,
            "format": media_type,
            "ingredients": [self._ingredient()],
            "assertions": [
                {"label": "c2pa.actions", "data": {"actions": _actions(content)}},
                {"label": ASSERTION, "data": self._assertion(content)},
            ],
        }

    def _ingredient(self) -> dict[str, Any]:
        digest = base64.urlsafe_b64encode(bytes.fromhex(self.input.sha256)).rstrip(b"=").decode()
        name = _name(self.input.file)
        return {
            "title": name,
            "format": mimetypes.guess_type(name)[0] or "application/octet-stream",
            "relationship": "parentOf",
            "label": _INPUT,
            # A name for content by its hash, RFC 6920.
            "instance_id": f"ni:///sha-256;{digest}",
            "description": f"SHA-256 of the file as it was read: {self.input.sha256}",
        }

    def _assertion(self, content: Content) -> dict[str, Any]:
        weights = None
        if self.weights is not None:
            burst = self.weights.get("burst")
            weights = {
                # A path was given for weights of one's own.
                "name": _name(str(self.weights["name"] or self.weights["file"])),
                "file": self.weights["file"],
                "sha256": self.weights["sha256"],
                # Available to the run; tracks.jsonl says which fused faces they restored.
                "available_for_fused_faces": None if burst is None else dict(burst),
            }
        return {
            "software": TOOL,
            "input": {
                "name": _name(self.input.file),
                "bytes": self.input.bytes,
                "sha256": self.input.sha256,
            },
            "weights": weights,
            "request": self.request,
            "statement": STATEMENTS[content],
        }


def _actions(content: Content) -> list[dict[str, Any]]:
    edited: dict[str, Any] = {
        "action": "c2pa.edited",
        "when": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "softwareAgent": TOOL,
        "description": STATEMENTS[content],
    }
    if content == "restored":
        edited["digitalSourceType"] = DIGITAL_SOURCE
    opened = {"action": "c2pa.opened", "parameters": {"ingredientIds": [_INPUT]}}
    return [opened, edited]


def _name(path: str) -> str:
    """Return the last part of a path of any system."""
    return PurePath(path.replace("\\", "/")).name or path
