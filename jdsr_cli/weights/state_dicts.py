"""Read and write state dicts; nothing in a file is executed.

A file that jdsr writes is safetensors in 16-bit floats whose metadata states the network and its
arguments. Files of `torch.save` are also read if they contain only named tensors.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from jdsr_cli.atomic import atomic_file
from jdsr_cli.errors import UsageError, WeightsCorruptError, WeightsError
from jdsr_cli.excerpts import brief
from jdsr_cli.networks import build, known_networks
from jdsr_cli.settings import StoredPrecision
from jdsr_cli.weights.bases import BASE_PREFIXES, SAFETENSORS, BaseWeights
from jdsr_cli.weights.headers import (
    ALTERED_HINT,
    LENGTH_BYTES,
    METADATA,
    no_safetensors,
    parse_header,
    split_header,
)
from jdsr_cli.weights.locations import check_digest, unreadable
from jdsr_cli.weights.names import no_such_file
from jdsr_cli.weights.pickles import load_plain

_DTYPES: Mapping[StoredPrecision, torch.dtype] = {
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
_PLAIN = frozenset(
    (
        torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.uint8, torch.int8,
        torch.int16, torch.int32, torch.int64, torch.bool,
    )
)  # fmt: skip
"""Types of tensors in weight files."""
VALUES_SHA256 = "values_sha256"
"""Key of the metadata with the SHA-256 of everything after the header."""


@dataclass(frozen=True)
class StateDict:
    """The contents of a weight file."""

    tensors: dict[str, Tensor]
    """By name, on the CPU, of the type stored in the file."""
    metadata: dict[str, str]
    """Of a safetensors file; empty for a file written by ``torch.save``."""


def read_state_dict(path: Path) -> StateDict:
    """Read a weight file: safetensors by its suffix, otherwise a file written by ``torch.save``.

    Args:
        path: The file. One of ``torch.save`` may be the checkpoint of a training that holds it as
            ``state_dict`` beside other values.

    Raises:
        WeightsMissingError: There is no such file.
        WeightsError: The file cannot be read.
        WeightsCorruptError: It is not a safetensors file, or not a mapping of names to tensors.

    """
    try:
        with path.open("rb") as stream:
            return parse_state_dict(stream, path)
    except FileNotFoundError as error:
        raise no_such_file(path) from error
    except OSError as error:
        raise unreadable(path, error) from error


def parse_state_dict(stream: BinaryIO, path: Path) -> StateDict:
    """Read a weight file from a stream.

    Args:
        stream: The bytes, of a file as for `read_state_dict`.
        path: Name of the file, whose suffix determines the format.

    Raises:
        WeightsCorruptError: It is not a safetensors file, or not a mapping of names to tensors.

    """
    if path.suffix == SAFETENSORS:
        return _parse_safetensors(stream.read(), path)
    try:
        state = load_plain(stream)
    except Exception as error:  # torch raises errors of any type for damaged files
        raise WeightsCorruptError(
            "is not a state dict of tensors only, and was not opened",
            where=path,
            hint="Export the weights as safetensors.",
        ) from error
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not isinstance(state, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise WeightsCorruptError(
            "is not a state dict: it does not map names to tensors",
            where=path,
            hint="Export the weights as safetensors.",
        )
    tensors = dict(state)
    _check_plain(tensors, stream.seek(0, io.SEEK_END), path)
    return StateDict(tensors, {})


def _parse_safetensors(data: bytes, path: Path) -> StateDict:
    try:
        header, values = split_header(data)
        _, metadata = parse_header(header)
        tensors = safetensors.torch.load(data)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise no_safetensors(path, error) from error
    stated = metadata.get(VALUES_SHA256)
    if stated is not None:
        check_digest(path, hashlib.sha256(values).hexdigest(), stated, ALTERED_HINT)
    _check_plain(tensors, len(data), path)
    return StateDict(tensors, metadata)


def _check_plain(tensors: Mapping[str, Tensor], size: int, path: Path) -> None:
    """Check that tensors are real numbers that a file of `size` bytes holds.

    Tensors that are sparse, or views of fewer values, state any size.

    Raises:
        WeightsCorruptError: They are not.

    """
    total = 0
    for name, value in tensors.items():
        plain = value.layout == torch.strided and value.device.type == "cpu"
        if not (plain and value.dtype in _PLAIN):
            raise WeightsCorruptError(
                f"tensor {brief(name)} is not of plain real numbers ({value.dtype}, "
                f"{value.layout}, {value.device})",
                where=path,
                hint="Export the weights as safetensors.",
            )
        total += value.numel() * value.element_size()
    if total > size:
        raise WeightsCorruptError(
            f"its tensors have {total:,} bytes, more than the file with {size:,}",
            where=path,
            hint="Export the weights as safetensors.",
        )


def difference(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str | None:
    """Describe the first difference of two state dicts in names, shapes or types, if any."""
    missing, unused = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    if missing:
        return f"{len(missing)} tensors are missing, the first is {brief(missing[0])}"
    if unused:
        return f"{len(unused)} tensors are not used, the first is {brief(unused[0])}"
    for key, value in expected.items():
        if value.shape != found[key].shape:
            return f"tensor {key!r} is {tuple(found[key].shape)}, not {tuple(value.shape)}"
        if value.is_floating_point() != found[key].is_floating_point():
            return f"tensor {key!r} is {found[key].dtype}, not {value.dtype}"
    return None


def save_network(
    path: Path,
    network_name: str,
    arguments: Mapping[str, object],
    module: nn.Module,
    metadata: Mapping[str, str] | None = None,
    *,
    precision: StoredPrecision = "float16",
    base: BaseWeights | None = None,
) -> str:
    """Write a network as safetensors of 16-bit floats; the file is replaced atomically.

    Args:
        path: The file; missing folders are created, an existing file is replaced.
        network_name: Name of the network, stored in the file. For a generator, the name of
            `jdsr_cli.networks.build`: the file can then be loaded without a manifest.
        arguments: Arguments of the network, stored in the file; must be serialisable as JSON.
        module: The network; its parameters are not changed.
        metadata: Additional metadata, such as data, licence, commit and recipe.
        precision: Data type of the floating-point values in the file, stored in the metadata.
        base: Weights whose values the frozen part of the network has (`BASE_PREFIXES`); the file
            refers to them and leaves that part out.

    Returns:
        The SHA-256 of the file, for the manifest.

    Raises:
        UsageError: The module is not what `build(network_name, arguments)` returns.
        WeightsError: A parameter is not finite, or is outside the range of `precision`.
        OutputError: The file cannot be written.

    """
    if network_name in known_networks():
        with torch.device("meta"):
            expected = build(network_name, arguments)
        fault = difference(expected.state_dict(), module.state_dict())
        if fault is not None:
            raise UsageError(f"{network_name}({dict(arguments)}) is not this module: {fault}")
    left_out = None if base is None else BASE_PREFIXES[network_name]
    tensors = {
        key: _to_16_bits(path, key, value, precision)
        for key, value in module.state_dict().items()
        if left_out is None or not key.startswith(left_out)
    }
    header = {
        **(metadata or {}),
        **({} if base is None else base.metadata),
        "precision": precision,
        "network": network_name,
        "arguments": json.dumps(dict(arguments), sort_keys=True),
    }
    data = _complete_header(safetensors.torch.save(tensors, header))
    with atomic_file(Path(path), make_folder=True) as temporary:
        temporary.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def _to_16_bits(path: Path, key: str, value: Tensor, precision: StoredPrecision) -> Tensor:
    """Return a tensor as it is stored: on the CPU, floating-point values in 16 bits.

    Raises:
        WeightsError: A value is not finite, or is outside the range of `precision`.

    """
    value = value.detach().cpu().contiguous()
    if not value.is_floating_point():
        return value
    if not torch.isfinite(value).all():
        raise WeightsError(
            f"tensor {key!r} contains values that are not finite: the training diverged; nothing "
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


def _complete_header(data: bytes) -> bytes:
    """Add the hash of the values to the header of a safetensors file, and sort its metadata.

    The writer stores them in arbitrary order; sorted, the same weights always give the same bytes
    and the same hash.
    """
    text, values = split_header(data)
    header = json.loads(text)
    digest = hashlib.sha256(values).hexdigest()
    header[METADATA] = dict(sorted({**header[METADATA], VALUES_SHA256: digest}.items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % LENGTH_BYTES)
    return len(text).to_bytes(LENGTH_BYTES, "little") + text + values
