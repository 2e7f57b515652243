"""The command that makes a result again, from its manifest."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import PurePath
from typing import Any

from jdsr_cli.errors import UsageError
from jdsr_cli.file_names import as_text
from jdsr_cli.media import STANDARD_INPUT
from jdsr_cli.settings import CropSettings, Declared, DetectionSettings, RestoreSettings, declared

OUT = "reproduced"
"""Folder of the new results in the command."""
PHOTO = "PHOTO"
"""The photograph of `--reference` in the command: its name is not recorded."""
_OF_A_RUN = ("force", "resume", "verify", "reference")
"""Options that say what happens to earlier results, or whose values are not recorded."""


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
    if manifest["detector"]["reference_sha256"] is not None:
        words += ["--reference", PHOTO]
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
    for line in _describe(name, manifest):
        # Names and texts of a manifest may hold commands for terminals, or line breaks.
        yield as_text(line)


def _describe(name: str, manifest: Mapping[str, Any]) -> Iterator[str]:
    source, weights, detector = manifest["input"], manifest["weights"], manifest["detector"]
    yield f"Result {name}"
    yield ""
    yield f"  input     {input_name(manifest)}, {source['bytes']} bytes"
    yield f"            SHA-256 {source['sha256']}"
    if detector["reference_sha256"] is not None:
        yield f"  photo     {PHOTO}: the photograph of --reference; only its hash is recorded"
        yield f"            SHA-256 {detector['reference_sha256']}"
    if detector["identity_sha256"] is not None:
        network = _file_name(str(manifest["settings"].get("identity")))
        yield f"  identity  {network}, the face network of --identity"
        yield f"            SHA-256 {detector['identity_sha256']}"
    if weights is not None:
        name = _file_name(str(weights["name"] or weights["file"]))
        yield f"  weights   {name}, {weights['precision']} on {weights['backend']}"
        yield f"            SHA-256 {weights['sha256']}"
    backend = "" if detector["backend"] is None else f", on {detector['backend']}"
    sha256 = detector["sha256"] or "of its package"
    yield f"  detector  {detector['name']}{backend}, SHA-256 {sha256}"
    device = manifest["device"]
    yield f"  device    {device['kind']}, {device['name']}, {device['system']}"
    versions = ", ".join(f"{package} {one}" for package, one in manifest["versions"].items())
    yield f"  versions  {versions}"
    signed = manifest.get("credentials")
    if signed is not None:
        yield f"  signed    by {signed['subject']}"
        yield f"            certificate SHA-256 {signed['certificate_sha256']}"
        yield "            Signatures hold times and random numbers, and the key is not here:"
        yield "            signed files, and records that hold their hashes, differ each time."
        yield "            Pictures and frames do not: restored.framemd5 is the same."
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
    return _file_name(manifest["input"]["file"])


def _file_name(path: str) -> str:
    """Return the last part of a path of any system; a path names folders of another machine."""
    return PurePath(path.replace("\\", "/")).name or path


def _chosen(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the run chose where the settings may say `auto`, by field."""
    chosen: dict[str, Any] = {"device": manifest["device"]["kind"]}
    weights = manifest["weights"]
    if weights is not None:
        chosen["precision"] = weights["precision"]
        if weights["name"] is not None and manifest["settings"].get("weights") == "auto":
            chosen["weights"] = weights["name"]
    if manifest["settings"].get("backend") == "auto" and (backend := _backend(manifest)):
        chosen["backend"] = backend
    detectors = next(one.choices for one in declared(DetectionSettings) if one.field == "detector")
    if manifest["detector"]["name"] in detectors:
        chosen["detector"] = manifest["detector"]["name"]
    return chosen


def _backend(manifest: Mapping[str, Any]) -> str | None:
    """Return the backend that `auto` chose, None if no single value of the option does the same."""
    choices = next(one.choices for one in declared(RestoreSettings) if one.field == "backend")
    parts = (manifest["weights"], manifest["detector"])
    used = {part["backend"] for part in parts if part is not None} - {None}
    # Detectors that run in OpenCV do so with every choice but openvino.
    used = (used & {*choices}) or ({"torch"} if used else set())
    return used.pop() if len(used) == 1 else None


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
