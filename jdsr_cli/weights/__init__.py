"""The registry of weights: what exists, where it is, whether it is intact, and safe loading.

Loading imports torch, which takes a second; it is imported when one of its names is first used,
so that listing and fetching stay quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from jdsr_cli.weights.auxiliary_files import (
    AUXILIARY,
    AuxiliaryFile,
    auxiliary,
    auxiliary_entry,
)
from jdsr_cli.weights.condition import Condition, conditions, examine_auxiliary
from jdsr_cli.weights.default import DefaultWeights, default_weights
from jdsr_cli.weights.fetching import fetch
from jdsr_cli.weights.places import cache_directory, search_directories, sha256_of
from jdsr_cli.weights.registry import WeightEntry, entries, entry, locate, read_manifest, verify

if TYPE_CHECKING:
    from jdsr_cli.weights.devices import has_native_bfloat16, resolve_device, resolve_precision
    from jdsr_cli.weights.loading import (
        LoadedGenerator,
        load_generator,
        load_state,
        save_network,
    )

__all__ = [
    "AUXILIARY",
    "AuxiliaryFile",
    "Condition",
    "DefaultWeights",
    "LoadedGenerator",
    "WeightEntry",
    "auxiliary",
    "auxiliary_entry",
    "cache_directory",
    "conditions",
    "default_weights",
    "entries",
    "entry",
    "examine_auxiliary",
    "fetch",
    "has_native_bfloat16",
    "load_generator",
    "load_state",
    "locate",
    "read_manifest",
    "resolve_device",
    "resolve_precision",
    "save_network",
    "search_directories",
    "sha256_of",
    "verify",
]

_LAZY = {
    "has_native_bfloat16": "devices",
    "LoadedGenerator": "loading",
    "load_generator": "loading",
    "load_state": "loading",
    "save_network": "loading",
    "resolve_device": "devices",
    "resolve_precision": "devices",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
