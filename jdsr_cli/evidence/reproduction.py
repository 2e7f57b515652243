"""The command that makes a result again, from its manifest."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import PurePath
from typing import Any

from jdsr_cli.errors import UsageError
from jdsr_cli.media import STANDARD_INPUT
from jdsr_cli.settings import CropSettings, Declared, DetectionSettings, RestoreSettings, declared

OUT = "reproduced"
"""Folder of the new results in the command."""
_OF_A_RUN = ("force", "resume")
"""Options that say what happens to earlier results."""


def settings_class(command: str) -> type[DetectionSettings]:
    """Return the settings class of a command that makes results."""
    return CropSettings if command == "crop-faces" else RestoreSettings


def reproducing_command(manifest: Mapping[str, Any]) -> list[str]:
    """Return the words of the command that makes a result again.

    They state every option that is not at its default. Where the run chose for `auto`, they state
    what it chose.

    Args:
        manifest: A manifest that agrees with its schema.

    Raises:
        UsageError: A setting has a value that this version of jdsr does not allow.

    """
    name = input_name(manifest)
    words = ["jdsr", manifest["command"], f"./{name}" if name.startswith("-") else name]
    if manifest["input"]["file"] == STANDARD_INPUT:
        words[-1:] = [STANDARD_INPUT, "--stdin"]
    words += ["--out", OUT]
    chosen = _chosen(manifest)
    for one in declared(settings_class(manifest["command"])):
        if one.option.on_command_line and one.field not in _OF_A_RUN:
            stored = chosen.get(one.field, _stored(manifest["settings"], one))
            words += _words(one, one.convert(stored))
    return words


def describe_reproduction(name: str, manifest: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines that say how a result is made again.

    Args:
        name: Folder of the result.
        manifest: Its manifest, which agrees with its schema.

    """
    source, weights = manifest["input"], manifest["weights"]
    yield f"Result {name}"
    yield ""
    yield f"  input     {input_name(manifest)}, {source['bytes']} bytes"
    yield f"            SHA-256 {source['sha256']}"
    if weights is not None:
        yield f"  weights   {weights['name'] or weights['file']}, {weights['precision']} on "\
              f"{weights['backend']}"  # fmt: skip
        yield f"            SHA-256 {weights['sha256']}"
    detector = manifest["detector"]
    yield f"  detector  {detector['name']}, SHA-256 {detector['sha256'] or 'of its package'}"
    device = manifest["device"]
    yield f"  device    {device['kind']}, {device['name']}, {device['system']}"
    versions = ", ".join(f"{package} {one}" for package, one in manifest["versions"].items())
    yield f"  versions  {versions}"
    yield ""
    try:
        command = shlex.join(reproducing_command(manifest))
    except UsageError as fault:
        yield f"  This version of jdsr has no such setting ({fault}); use the version above."
        return
    if source["file"] == STANDARD_INPUT:
        command += " < INPUT"
    yield f"  {command}"


def input_name(manifest: Mapping[str, Any]) -> str:
    """Return the name of the input without its folder."""
    return PurePath(manifest["input"]["file"]).name


def _chosen(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the run chose where the settings may say `auto`, by field."""
    chosen: dict[str, Any] = {"device": manifest["device"]["kind"]}
    weights = manifest["weights"]
    if weights is not None:
        chosen["precision"] = weights["precision"]
        if weights["name"] is not None and manifest["settings"].get("weights") == "auto":
            chosen["weights"] = weights["name"]
    detectors = next(one.choices for one in declared(DetectionSettings) if one.field == "detector")
    if manifest["detector"]["name"] in detectors:
        chosen["detector"] = manifest["detector"]["name"]
    return chosen


def _stored(settings: Mapping[str, Any], one: Declared) -> Any:
    """Return the value of an option in the settings of a manifest; the default if it has none."""
    value: Any = settings
    for name in one.path:
        if not isinstance(value, Mapping) or name not in value:
            return one.default
        value = value[name]
    return value


def _words(one: Declared, value: Any) -> list[str]:
    """Return the words that set an option; none where the value is the default."""
    if value == one.default:
        return []
    if isinstance(value, bool):
        return [one.flag if value else f"--no-{one.key}"]
    return [one.flag, _text(value)]


def _text(value: Any) -> str:
    """Return a value without loss, as the command line reads it."""
    if isinstance(value, tuple):
        return ",".join(map(_text, value))
    if isinstance(value, float):
        return repr(value)
    return str(Fraction(value)) if isinstance(value, Fraction) else str(value)
