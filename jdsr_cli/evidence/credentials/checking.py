"""Whether the credentials of a file are those that the manifest of its result states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from jdsr_cli.evidence.credentials.reading import Credentials
from jdsr_cli.evidence.manifest import DIGITAL_SOURCE

_NOT_RESTORED = ("overlay", "_filmed", "_timeline", "_occlusion", "_doubt")
"""Ends of the stems of files that show no restored face."""


def contradictions(name: str, found: Credentials, manifest: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was signed in a file but is not what its result states.

    Valid credentials may have been made for another file, or for a file of another result.

    Args:
        name: Name of the file in its result.
        found: Its credentials, which are valid.
        manifest: The manifest of the result.

    """
    subject = _part(manifest, "credentials").get("subject")
    if found.subject != subject:
        yield f"signed by {found.subject}, and not by {subject} as the manifest states"
    if found.title != PurePosixPath(name).name:
        yield f"made for a file called {found.title}"
    shows = None if PurePosixPath(name).stem.endswith(_NOT_RESTORED) else DIGITAL_SOURCE
    if found.source_type != shows:
        yield (
            "made for a file that shows something else ("
            + ("no restored face" if found.source_type is None else "restored faces")
            + ")"
        )
    if found.statement is None:
        yield "without the statement jdsr.restoration"
        return
    for what, signed, stated in _facts(found.statement, manifest):
        if signed != stated:
            yield f"made for another {what} than the manifest states"


def _facts(
    statement: Mapping[str, Any], manifest: Mapping[str, Any]
) -> Iterator[tuple[str, object, object]]:
    """Yield what is signed and what the manifest states, by what it is about."""
    yield "request", statement.get("request"), manifest.get("request")
    signed, stated = _part(statement, "input"), _part(manifest, "input")
    yield "input", signed.get("sha256"), stated.get("sha256")
    yield "size of the input", signed.get("bytes"), stated.get("bytes")
    signed, stated = _part(statement, "weights"), _part(manifest, "weights")
    yield "file of weights", signed.get("sha256"), stated.get("sha256")
    signed, stated = _part(signed, "available_for_fused_faces"), _part(stated, "burst")
    yield "file of weights for fused faces", signed.get("sha256"), stated.get("sha256")


def _part(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = record.get(name)
    return part if isinstance(part, Mapping) else {}
