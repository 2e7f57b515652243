"""Weights into a generator and back, without trusting the file.

A generator file is safetensors in 16-bit floats whose metadata names the network and its
arguments; a plain state dict made by ``torch.save`` is accepted where a manifest entry says what
it is. Nothing in a file is ever executed.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from jdsr_cli.atomic import atomic_file
from jdsr_cli.errors import UsageError, WeightsCorruptError, WeightsError, WeightsMissingError
from jdsr_cli.networks import NETWORKS, Generator, GeneratorOutput, build
from jdsr_cli.settings import StoredPrecision
from jdsr_cli.weights.devices import resolve_device, resolve_precision
from jdsr_cli.weights.places import check_digest
from jdsr_cli.weights.registry import (
    ALTERED_HINT,
    WeightEntry,
    altered_hint,
    check_size,
    entries,
    entry,
    locate,
)

_DTYPES: Mapping[StoredPrecision, torch.dtype] = {
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")


@dataclass(frozen=True)
class LoadedGenerator:
    """A generator with its weights, ready to be called."""

    entry: WeightEntry | None
    """The manifest entry, None for a file that no manifest lists."""
    network: nn.Module
    """The module in evaluation mode with float32 parameters on `device`."""
    device: torch.device
    """Where it runs."""
    dtype: torch.dtype
    """Arithmetic of its convolutions; inputs and outputs are float32 whatever it is."""
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
            dtype: Arithmetic for this call instead of `dtype`, such as float32 for a second
                try where half precision gave values that are not finite.

        """
        chosen = dtype or self.dtype
        generator: Generator = self.network  # type: ignore[assignment]
        # Half-precision convolutions on a CPU are several times faster in this layout.
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

    The file's hash is compared with the manifest's, its tensors must all be finite and be
    exactly those the network has.

    Args:
        name_or_path: A name that `entries` lists, or the path of a safetensors file whose
            metadata says what it is (`save_network` writes such files).
        device: ``auto`` or a torch device.
        precision: ``auto``, ``float32``, ``bfloat16`` or ``float16``.

    Raises:
        UsageError: unknown name, device or precision.
        WeightsMissingError: the file or every manifest is missing.
        WeightsCorruptError: the bytes or tensors are not those recorded.
        WeightsError: the file cannot be read or does not say which network it is for.

    """
    target = resolve_device(device)
    dtype = resolve_precision(precision, target)
    read = _read(name_or_path)
    if read.listed is None:
        network = _build_from_metadata(read.path, read.metadata)
    else:
        network = _empty(read.path, read.listed.network, read.listed.arguments)
    fault = _difference(network.state_dict(), read.tensors)
    if fault is not None:
        raise WeightsCorruptError(fault, where=read.path, hint="It does not fit its network.")
    network.load_state_dict(read.tensors, assign=True)
    network.eval().requires_grad_(False)
    network.to(target, memory_format=torch.channels_last)  # type: ignore[call-overload]
    lr_size = network.lr_size
    assert isinstance(lr_size, int)
    return LoadedGenerator(read.listed, network, target, dtype, read.sha256, read.path, lr_size)


def load_state(name_or_path: str | Path) -> dict[str, Tensor]:
    """Read the tensors of a generator as float32 on the CPU, such as to start training from.

    A manifest entry's hash is compared and every tensor is finite; whether the tensors fit a
    network is for the caller to see.

    Raises:
        UsageError, WeightsMissingError, WeightsCorruptError, WeightsError: as `load_generator`.

    """
    return _read(name_or_path).tensors


def save_network(
    path: Path,
    network_name: str,
    arguments: Mapping[str, object],
    module: nn.Module,
    metadata: Mapping[str, str] | None = None,
    *,
    precision: StoredPrecision = "float16",
) -> str:
    """Write a network as safetensors of 16-bit floats, whole or not at all.

    Args:
        path: The file; missing folders are made, an existing file is replaced.
        network_name: What the network is, kept in the file. Of a generator, the name that
            `jdsr_cli.networks.build` knows: the file can then be loaded by itself.
        arguments: What it is made from, kept in the file; able to be JSON.
        module: The network; its parameters are not changed.
        metadata: More to be kept in the file, such as data, licence, commit and recipe.
        precision: Of the floating values in the file, kept in it.

    Returns:
        The SHA-256 of the file, for the manifest.

    Raises:
        UsageError: a generator is not what `build(network_name, arguments)` makes.
        WeightsError: a parameter is not finite, or is beyond what `precision` can hold.
        OutputError: the file cannot be written.

    """
    if network_name in NETWORKS:
        with torch.device("meta"):
            wanted = build(network_name, arguments)
        fault = _difference(wanted.state_dict(), module.state_dict())
        if fault is not None:
            raise UsageError(f"{network_name}({dict(arguments)}) is not this module: {fault}")
    tensors = {
        key: _narrowed(path, key, value, precision) for key, value in module.state_dict().items()
    }
    described = {
        **(metadata or {}),
        "precision": precision,
        "network": network_name,
        "arguments": json.dumps(dict(arguments), sort_keys=True),
    }
    data = _ordered(safetensors.torch.save(tensors, described))
    with atomic_file(Path(path), make_folder=True) as temporary:
        temporary.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def _narrowed(path: Path, key: str, value: Tensor, precision: StoredPrecision) -> Tensor:
    """Return a tensor as it is kept in a file: on the CPU, floating values in 16 bits.

    Raises:
        WeightsError: a value is not finite, or is beyond what `precision` can hold.

    """
    value = value.detach().cpu().contiguous()
    if not value.is_floating_point():
        return value
    if not torch.isfinite(value).all():
        raise WeightsError(
            f"tensor {key!r} holds values that are not finite: the training diverged; nothing "
            "was written",
            where=path,
            hint="Export from an earlier checkpoint.",
        )
    largest = float(value.abs().max()) if value.numel() else 0.0
    limit = torch.finfo(_DTYPES[precision]).max
    if largest > limit:
        wider = "Write it in bfloat16, which has the range of float32, or export"
        raise WeightsError(
            f"tensor {key!r} reaches {largest:g}, and {precision} ends at {limit:g}; nothing "
            "was written",
            where=path,
            hint=f"{wider if precision == 'float16' else 'Export'} from an earlier checkpoint.",
        )
    return value.to(_DTYPES[precision])


def _ordered(data: bytes) -> bytes:
    """Sort the metadata of a safetensors file, whose writer leaves their order to chance.

    The same weights then always give the same bytes, and so the same hash.
    """
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[end:]


@dataclass(frozen=True)
class _Read:
    """A weight file that was read and whose bytes and values are sound."""

    listed: WeightEntry | None
    path: Path
    sha256: str
    tensors: dict[str, Tensor]
    metadata: dict[str, str]


def _read(name_or_path: str | Path) -> _Read:
    listed, path = _find(name_or_path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"cannot be read ({error.strerror or error})",
            where=path,
            hint="Check that you may read it.",
        ) from error
    digest = hashlib.sha256(data).hexdigest()
    if listed is None:
        listed = _listed_by_hash(digest)
    else:
        check_size(path, len(data), listed.bytes, altered_hint(listed))
        check_digest(path, digest, listed.sha256, altered_hint(listed))
    tensors, metadata = _parse(path, data)
    for key, value in tensors.items():
        if not torch.isfinite(value).all():
            raise WeightsCorruptError(
                f"tensor {key!r} holds values that are not finite",
                where=path,
                hint="Export it again from an earlier checkpoint.",
            )
    whole = {
        key: value.float() if value.is_floating_point() else value for key, value in tensors.items()
    }
    return _Read(listed, path, digest, whole, metadata)


def _find(name_or_path: str | Path) -> tuple[WeightEntry | None, Path]:
    """Resolve a name or path; a name wins over a file of the same name."""
    path = Path(name_or_path).expanduser()
    if isinstance(name_or_path, Path) or len(path.parts) > 1 or path.suffix in SUFFIXES:
        if not path.is_file():
            raise WeightsMissingError(
                "there is no such weight file",
                where=path,
                hint="Give a file, or a name that `jdsr weights list` shows.",
            )
        return None, path
    listed = entry(str(name_or_path))
    return listed, locate(listed)


def _listed_by_hash(digest: str) -> WeightEntry | None:
    try:
        known = entries()
    except WeightsError:
        # A file that describes itself needs no manifest.
        return None
    return next((one for one in known if one.sha256 == digest), None)


def _parse(path: Path, data: bytes) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Parse a file's bytes into tensors and metadata (empty for a state dict)."""
    if path.suffix == ".safetensors":
        try:
            tensors = safetensors.torch.load(data)
        except (safetensors.SafetensorError, ValueError, KeyError) as error:
            raise WeightsCorruptError(
                f"is not a safetensors file ({error})", where=path, hint=ALTERED_HINT
            ) from error
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        return tensors, header.get("__metadata__", {})
    try:
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # bytes of any kind make torch raise errors of any kind
        raise WeightsCorruptError(
            "is not a plain state dict, or holds more than tensors, and was not opened",
            where=path,
            hint="Export the weights as safetensors.",
        ) from error
    if not isinstance(state, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    ):
        raise WeightsCorruptError(
            "holds something else than a plain mapping of names to tensors",
            where=path,
            hint="Export the weights as safetensors.",
        )
    return dict(state), {}


def _build_from_metadata(path: Path, metadata: Mapping[str, str]) -> nn.Module:
    try:
        name, arguments = metadata["network"], json.loads(metadata["arguments"])
    except (KeyError, json.JSONDecodeError) as error:
        raise WeightsError(
            "does not say which network it is for",
            where=path,
            hint="Use a safetensors file that `jdsr train` exported, or list the file in a "
            "manifest.toml.",
        ) from error
    if not isinstance(arguments, dict):
        raise WeightsCorruptError("its network arguments are not a mapping", where=path)
    return _empty(path, name, arguments)


def _empty(path: Path, name: str, arguments: Mapping[str, object]) -> nn.Module:
    """Build the network without memory or random numbers spent on weights that are replaced."""
    try:
        with torch.device("meta"):
            return build(name, arguments)
    except UsageError as error:
        raise WeightsError(
            f"was made for another version of jdsr: {error.what}",
            where=path,
            hint="Install the version it was made for, or export the weights again.",
        ) from error


def _difference(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str | None:
    """Describe the first way in which `found` is not a state of the network, None if none."""
    missing, unused = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    if missing:
        return f"{len(missing)} tensors are missing, the first is {missing[0]!r}"
    if unused:
        return f"{len(unused)} tensors have no use, the first is {unused[0]!r}"
    for key, value in wanted.items():
        if value.shape != found[key].shape:
            return f"tensor {key!r} is {tuple(found[key].shape)}, not {tuple(value.shape)}"
        if value.is_floating_point() != found[key].is_floating_point():
            return f"tensor {key!r} is {found[key].dtype}, not {value.dtype}"
    return None
