"""Weight files: the manifest, search folders, fetching, verification and safe loading.

Loading imports torch, which takes a second; it is imported when one of its names is first used, so
that listing and fetching stay fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from jdsr_cli.weights.default import DefaultWeights, default_weights
from jdsr_cli.weights.fetching import fetch
from jdsr_cli.weights.inventory import (
    AUXILIARY,
    AuxiliaryFile,
    WeightStatus,
    auxiliary,
    auxiliary_entry,
    auxiliary_status,
    weight_status,
)
from jdsr_cli.weights.locations import cache_directory, search_directories, sha256_of
from jdsr_cli.weights.registry import WeightEntry, entries, entry, locate, read_manifest, verify

if TYPE_CHECKING:
    from jdsr_cli.weights.loading import (
        LoadedGenerator,
        has_native_bfloat16,
        load_generator,
        load_state,
        resolve_device,
        resolve_precision,
    )
    from jdsr_cli.weights.state_dicts import StateDict, read_state_dict, save_network

__all__ = [
    "AUXILIARY",
    "AuxiliaryFile",
    "DefaultWeights",
    "LoadedGenerator",
    "StateDict",
    "WeightEntry",
    "WeightStatus",
    "auxiliary",
    "auxiliary_entry",
    "auxiliary_status",
    "cache_directory",
    "default_weights",
    "entries",
    "entry",
    "fetch",
    "has_native_bfloat16",
    "load_generator",
    "load_state",
    "locate",
    "read_manifest",
    "read_state_dict",
    "resolve_device",
    "resolve_precision",
    "save_network",
    "search_directories",
    "sha256_of",
    "verify",
    "weight_status",
]

_LAZY = {
    "has_native_bfloat16": "loading",
    "LoadedGenerator": "loading",
    "load_generator": "loading",
    "load_state": "loading",
    "save_network": "state_dicts",
    "StateDict": "state_dicts",
    "read_state_dict": "state_dicts",
    "resolve_device": "loading",
    "resolve_precision": "loading",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
