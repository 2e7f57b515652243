"""Load a generator with its weights onto a device."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from jdsr_cli.errors import (
    DeviceError,
    UsageError,
    WeightsCorruptError,
    WeightsError,
    WeightsMissingError,
)
from jdsr_cli.excerpts import brief
from jdsr_cli.networks import Generator, GeneratorOutput, build
from jdsr_cli.weights.bases import BASE_PREFIXES, BaseWeights, check_same_base
from jdsr_cli.weights.headers import ALTERED_HINT, parse_json
from jdsr_cli.weights.locations import check_digest, unreadable
from jdsr_cli.weights.names import entry_of_file, path_of
from jdsr_cli.weights.registry import (
    WeightEntry,
    altered_hint,
    check_size,
    entry,
    locate,
)
from jdsr_cli.weights.state_dicts import difference, parse_state_dict

PRECISIONS = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def resolve_device(name: str | torch.device = "auto") -> torch.device:
    """Return the device of a name; ``auto`` is the first available of CUDA, Apple MPS and CPU.

    Raises:
        UsageError: torch has no device of this name.
        DeviceError: The device is not on this machine.

    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(
            f"there is no device {str(name)!r}", hint="Use auto, cpu, cuda, cuda:N or mps."
        ) from error
    present = {
        "cpu": 1,
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }.get(device.type, 0)
    if (device.index or 0) >= present:
        raise DeviceError(
            f"the device {device} is not on this machine",
            hint="Use --device auto or cpu; `jdsr doctor` lists the devices.",
        )
    return device


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """Return the data type in which convolutions are computed on `device`.

    ``auto`` is bfloat16 if the device supports it natively, float16 on older CUDA devices, and
    float32 otherwise.

    Raises:
        UsageError: The precision is unknown, or float16 on a CPU.

    """
    if name == "auto":
        if has_native_bfloat16(device):
            return torch.bfloat16
        return torch.float16 if device.type == "cuda" else torch.float32
    if name not in PRECISIONS:
        raise UsageError(
            f"there is no precision {name!r}", hint=f"Use auto, {', '.join(PRECISIONS)}."
        )
    if name == "float16" and device.type == "cpu":
        raise UsageError(
            "float16 needs a GPU", hint="Use --precision float32 or bfloat16 on a CPU."
        )
    return PRECISIONS[name]


def has_native_bfloat16(device: torch.device) -> bool:
    """Whether the device supports bfloat16 natively; emulated it is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


@dataclass(frozen=True)
class LoadedGenerator:
    """A generator with its weights, ready to be called."""

    entry: WeightEntry | None
    """Manifest entry, None for a file that no manifest lists."""
    network: nn.Module
    """The module in evaluation mode with float32 parameters on `device`."""
    device: torch.device
    """Device of the network."""
    dtype: torch.dtype
    """Data type of its convolutions; inputs and outputs are always float32."""
    sha256: str
    """Hash of the file."""
    path: Path
    """The file."""
    lr_size: int
    """Side of its input in pixels."""

    def __call__(self, lr: Tensor, dtype: torch.dtype | None = None) -> GeneratorOutput:
        """Restore a batch without recording gradients.

        Args:
            lr: (B, 3, lr_size, lr_size) RGB in [0, 1], float32, on `device`.
            dtype: Data type for this call instead of `self.dtype`, such as float32 for a second
                attempt after half precision gave values that are not finite.

        """
        chosen = dtype or self.dtype
        generator: Generator = self.network  # type: ignore[assignment]
        # Half-precision convolutions on a CPU are several times faster in this memory format.
        lr = lr.contiguous(memory_format=torch.channels_last)
        with (
            torch.inference_mode(),
            torch.autocast(
                self.device.type,
                dtype=torch.bfloat16 if chosen == torch.float32 else chosen,
                enabled=chosen != torch.float32,
            ),
        ):
            return generator(lr)


def load_generator(
    name_or_path: str | Path, device: str | torch.device = "auto", precision: str = "auto"
) -> LoadedGenerator:
    """Load a generator by the name of a manifest entry or from a file.

    The file's hash is compared with the manifest's; its tensors must be finite and exactly those of
    the network.

    Args:
        name_or_path: A name that `entries` lists, or the path of a safetensors file whose
            metadata describes the network (`save_network` writes such files).
        device: ``auto`` or a torch device.
        precision: ``auto``, ``float32``, ``bfloat16`` or ``float16``.

    Raises:
        UsageError: The name, the device or the precision is unknown.
        WeightsMissingError: The file, or weights that it refers to, are missing, or there is no
            manifest.
        WeightsCorruptError: The bytes or the tensors are not those recorded, or weights that it
            refers to are not those with which it was trained.
        WeightsError: The file cannot be read or does not state its network.

    """
    target = resolve_device(device)
    dtype = resolve_precision(precision, target)
    read = _read(name_or_path)
    if read.listed is None:
        network = _build_from_metadata(read.path, read.metadata)
    else:
        network = _build_empty(read.path, read.listed.network, read.listed.arguments)
    tensors = {**_base_tensors(read), **read.tensors}
    fault = difference(network.state_dict(), tensors)
    if fault is not None:
        raise WeightsCorruptError(fault, where=read.path, hint="It does not fit its network.")
    network.load_state_dict(tensors, assign=True)
    network.eval().requires_grad_(False)
    network.to(target, memory_format=torch.channels_last)  # type: ignore[call-overload]
    lr_size = network.lr_size
    assert isinstance(lr_size, int)
    return LoadedGenerator(read.listed, network, target, dtype, read.sha256, read.path, lr_size)


def load_base(name: str, network: str) -> tuple[BaseWeights, dict[str, Tensor]]:
    """Read the weights of the frozen part of a network.

    Args:
        name: Name of a manifest entry.
        network: A key of `bases.BASE_PREFIXES`.

    Returns:
        Their description, and their tensors by the names in that network.

    Raises:
        UsageError, WeightsMissingError, WeightsCorruptError, WeightsError: As for `load_generator`.

    """
    read, prefix = _read(entry(name).name), BASE_PREFIXES[network]
    named = {prefix + key: value for key, value in read.tensors.items()}
    return BaseWeights(name, read.sha256), named


def _base_tensors(read: _WeightFile) -> dict[str, Tensor]:
    """Return the tensors of the weights that a file refers to, by the names in its network."""
    wanted, network = BaseWeights.of(read.metadata), read.metadata.get("network", "")
    if wanted is None:
        return {}
    if network not in BASE_PREFIXES:
        raise WeightsCorruptError(
            f"refers to other weights, which the network {network!r} does not have",
            where=read.path,
            hint=ALTERED_HINT,
        )
    try:
        found, tensors = load_base(wanted.name, network)
    except UsageError as error:
        raise WeightsMissingError(
            f"extends the weights {brief(wanted.name)}, which no manifest lists", where=read.path
        ) from error
    check_same_base(read.path, wanted, found.sha256)
    return tensors


def load_state(name_or_path: str | Path) -> dict[str, Tensor]:
    """Read the tensors of a generator as float32 on the CPU, for example to continue training.

    The hash of a manifest entry is compared and every tensor is checked to be finite; whether the
    tensors fit a network is not checked.

    Raises:
        UsageError, WeightsMissingError, WeightsCorruptError, WeightsError: As for `load_generator`.

    """
    return _read(name_or_path).tensors


@dataclass(frozen=True)
class _WeightFile:
    """A weight file whose hash and values were checked."""

    listed: WeightEntry | None
    path: Path
    sha256: str
    tensors: dict[str, Tensor]
    metadata: dict[str, str]


def _read(name_or_path: str | Path) -> _WeightFile:
    listed, path = _find(name_or_path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error
    digest = hashlib.sha256(data).hexdigest()
    if listed is None:
        listed = entry_of_file(path, digest)
    else:
        check_size(path, len(data), listed.bytes, altered_hint(listed))
        check_digest(path, digest, listed.sha256, altered_hint(listed))
    state = parse_state_dict(io.BytesIO(data), path)
    for key, value in state.tensors.items():
        if not torch.isfinite(value).all():
            raise WeightsCorruptError(
                f"tensor {key!r} contains values that are not finite",
                where=path,
                hint="Export it again from an earlier checkpoint.",
            )
    tensors = {
        key: value.float() if value.is_floating_point() else value
        for key, value in state.tensors.items()
    }
    return _WeightFile(listed, path, digest, tensors, state.metadata)


def _find(name_or_path: str | Path) -> tuple[WeightEntry | None, Path]:
    """Resolve a name or path; a name has precedence over a file of the same name."""
    path = path_of(name_or_path)
    if path is not None:
        return None, path
    listed = entry(str(name_or_path))
    return listed, locate(listed)


def _build_from_metadata(path: Path, metadata: Mapping[str, str]) -> nn.Module:
    try:
        name, arguments = metadata["network"], parse_json(metadata["arguments"])
    except (KeyError, ValueError) as error:
        raise WeightsError(
            "does not state its network",
            where=path,
            hint="Use a safetensors file that `jdsr train` exported, or list the file in a "
            "manifest.toml.",
        ) from error
    if not isinstance(arguments, dict):
        raise WeightsCorruptError("its network arguments are not a mapping", where=path)
    return _build_empty(path, name, arguments)


def _build_empty(path: Path, name: str, arguments: Mapping[str, object]) -> nn.Module:
    """Build the network without allocating or initialising weights, which are replaced."""
    try:
        with torch.device("meta"):
            return build(name, arguments)
    except UsageError as error:
        raise WeightsError(
            f"was exported for another version of jdsr: {error.what}",
            where=path,
            hint="Install that version, or export the weights again.",
        ) from error
