"""Write tiny networks for the metrics that need one: identity (TorchScript), landmarks (ONNX)."""

import struct
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn


class Quadrants(nn.Module):
    """Mean colour of the four quadrants around the mean of the picture: a 12-d embedding."""

    def forward(self, x: Tensor) -> Tensor:
        means = nn.functional.adaptive_avg_pool2d(x, 2)
        return (means - means.mean(dim=(2, 3), keepdim=True)).flatten(1)


class Projection(nn.Module):
    """A fixed random projection of a coarse picture without its mean."""

    def __init__(self, seed: int, size: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(torch.randn(size, 3 * 64, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        coarse = nn.functional.adaptive_avg_pool2d(x, 8)
        coarse = coarse - coarse.mean(dim=(1, 2, 3), keepdim=True)
        return coarse.flatten(1) @ self.weight.T


RECOGNITION_NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "quadrants": Quadrants,
    "wide": lambda: Projection(0, 24),
    "narrow": lambda: Projection(1, 6),
}
"""Networks that recognise pictures by their coarse colours."""


class Flat(nn.Module):
    """Return one scalar instead of a vector for each face."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean()


def write_torchscript(path: Path, module: nn.Module | None = None) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.trace(module or Quadrants(), torch.rand(2, 3, 112, 112))
        torch.jit.save(scripted, str(path))
    return path


def write_points_onnx(path: Path, slopes: Sequence[float], offsets: Sequence[float]) -> Path:
    """Write an ONNX network of (1, 3, 112, 112): each output is slope * mean red + offset."""
    count = len(slopes)
    weights = np.zeros((count, 3, 1, 1), np.float32)
    weights[:, 0, 0, 0] = slopes
    graph = b"".join(
        (
            _node("GlobalAveragePool", ["image"], "mean"),
            _node("Conv", ["mean", "slopes", "offsets"], "points"),
            _node("Flatten", ["points"], "output"),
            _bytes(2, b"points"),
            _bytes(5, _tensor("slopes", weights)),
            _bytes(5, _tensor("offsets", np.asarray(offsets, np.float32))),
            _bytes(11, _value("image", (1, 3, 112, 112))),
            _bytes(12, _value("output", (1, count))),
        )
    )
    path.write_bytes(_int(1, 8) + _bytes(7, graph) + _bytes(8, _bytes(1, b"") + _int(2, 13)))
    return path


def _varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def _int(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _node(kind: str, inputs: Sequence[str], output: str) -> bytes:
    names = b"".join(_bytes(1, name.encode()) for name in inputs)
    return _bytes(1, names + _bytes(2, output.encode()) + _bytes(4, kind.encode()))


def _tensor(name: str, values: np.ndarray) -> bytes:
    sizes = b"".join(_int(1, size) for size in values.shape)
    raw = struct.pack(f"<{values.size}f", *values.ravel().tolist())
    return sizes + _int(2, 1) + _bytes(8, name.encode()) + _bytes(9, raw)


def _value(name: str, shape: Sequence[int]) -> bytes:
    sizes = b"".join(_bytes(1, _int(1, size)) for size in shape)
    kind = _bytes(1, _int(1, 1) + _bytes(2, sizes))
    return _bytes(1, name.encode()) + _bytes(2, kind)
