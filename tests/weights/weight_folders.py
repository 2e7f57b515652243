"""Folders of weights for tests: manifests and tiny generators."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from jdsr_cli.networks import build
from jdsr_cli.weights import AuxiliaryFile, save_network
from jdsr_cli.weights.gates import GATES

DATA = b"weights of others" * 40_000
"""The file that the fixture `install` serves."""
Install = Callable[..., AuxiliaryFile]

TINY: dict[str, object] = {
    "lr_size": 16,
    "widths": [16, 16],
    "encoder_blocks": [1, 1],
    "decoder_blocks": [1],
    "tail_width": 16,
}


def toml_entry(values: Mapping[str, object]) -> str:
    """Write one [[weights]] table; nested mappings become inline tables."""

    def text(value: object) -> str:
        if isinstance(value, Mapping):
            return "{" + ", ".join(f"{k} = {text(v)}" for k, v in value.items()) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(map(text, value)) + "]"
        if isinstance(value, bool):
            return str(value).lower()
        return f'"{value}"' if isinstance(value, str) else str(value)

    return "[[weights]]\n" + "".join(f"{k} = {text(v)}\n" for k, v in values.items())


def gates_table(carried: Path, **changes: object) -> dict[str, object]:
    """Return a table of gates that all pass against the file of lite-camera."""
    pairs: dict[str, object] = {
        gate.name: [0.75, 0.5] if gate.higher else [0.25, 0.5] for gate in GATES
    }
    digest = hashlib.sha256(carried.read_bytes()).hexdigest()
    words = {"against": "lite-camera", "sha256": digest, "protocol": "six faces"}
    return {**words, **pairs, **changes}


@dataclass
class Folders:
    """Weight folders below a root, instead of those of the machine."""

    root: Path
    entries: list[dict[str, object]] = field(default_factory=list)

    @property
    def override(self) -> Path:
        """Folder that JDSR_WEIGHTS names."""
        return self.root / "override"

    @property
    def cache(self) -> Path:
        """Cache folder."""
        return self.root / "cache" / "jdsr" / "weights"

    def write(self, directory: Path, entries: list[dict[str, object]]) -> Path:
        """Write a manifest."""
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / "manifest.toml"
        path.write_text("\n".join(map(toml_entry, entries)), encoding="utf-8")
        return path

    def describe(
        self, name: str, file: str, content: bytes, /, **changes: object
    ) -> dict[str, object]:
        """Return the manifest entry of a file with these bytes."""
        return {
            "name": name,
            "file": file,
            "sha256": hashlib.sha256(content).hexdigest(),
            "bytes": len(content),
            "network": "lite",
            "scale": 8,
            "lr_size": 16,
            "data": "noise",
            "licence": "MIT",
            "commit": "0000000",
            "recipe": "none",
            "arguments": TINY,
            "figures": {"psnr_db": 12.5},
            **changes,
        }

    def add(self, name: str, seed: int = 0, **changes: object) -> Path:
        """Add a tiny generator to the override folder and its manifest."""
        torch.manual_seed(seed)
        path = self.override / f"{name}.safetensors"
        arguments = changes.get("arguments", TINY)
        assert isinstance(arguments, dict)
        save_network(path, "lite", arguments, build("lite", arguments), {"licence": "MIT"})
        self.entries.append(self.describe(name, path.name, path.read_bytes(), **changes))
        self.write(self.override, self.entries)
        return path

    def add_uncarried(self, name: str, content: bytes, **changes: object) -> dict[str, object]:
        """List a file that does not exist yet."""
        listed = self.describe(name, f"{name}.safetensors", content, carried=False, **changes)
        self.entries.append(listed)
        self.write(self.override, self.entries)
        return listed


class Recorder:
    """A `Progress` that records its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    def begin(self, task: str, total: int | None) -> None:
        self.calls.append(("begin", task, total))

    def advance(self, task: str, units: int = 1) -> None:
        self.calls.append(("advance", task, units))

    def end(self, task: str) -> None:
        self.calls.append(("end", task))

    def note(self, message: str) -> None:
        self.calls.append(("note", message))
